//! `Col2Im`: blocks added into the image that they were cut from.

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// The most elements of an image: a model may ask for them in a few bytes.
const MAX_ELEMENTS: i64 = 1 << 28;

/// Builds the operator.
pub(crate) fn col2im(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok(operator(Col2Im {
        dilations: node.get_attr_opt_vec("dilations")?,
        pads: node.get_attr_opt_vec("pads")?,
        strides: node.get_attr_opt_vec("strides")?,
    }))
}

#[derive(Debug)]
struct Col2Im {
    dilations: Option<Vec<i64>>,
    pads: Option<Vec<i64>>,
    strides: Option<Vec<i64>>,
}

/// One axis of the image.
struct Axis {
    extent: i64,
    block: i64,
    dilation: i64,
    pad: i64,
    stride: i64,
    /// How many blocks lie along it.
    steps: i64,
}

impl Kernel for Col2Im {
    fn name(&self) -> &'static str {
        "Col2Im"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [columns, image, block] = inputs else {
            bail!("expected 3 inputs, got {}", inputs.len());
        };
        ensure!(
            columns.shape.len() == 3,
            "columns of rank {} do not fit",
            columns.shape.len()
        );
        ensure!(
            matches!(columns.kind, DatumType::F32 | DatumType::F64),
            "columns of {:?} are not supported",
            columns.kind
        );
        let constant = "image and block must be constants";
        let image = extents(image.value.as_ref().context(constant)?)?;
        let block = extents(block.value.as_ref().context(constant)?)?;
        let block = product(block.iter().copied())?;
        ensure!(block > 0, "the block is empty");
        let mut shape = tvec![columns.shape[0].clone(), columns.shape[1].clone() / block];
        shape.extend(image.iter().map(|extent| extent.to_dim()));
        Ok(Port::new(columns.kind, shape))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let axes = self.axes(&extents(inputs[1])?, &extents(inputs[2])?)?;
        let kind = inputs[0].datum_type();
        let columns = inputs[0].cast_to::<f64>()?;
        let columns = columns.try_as_plain_ram()?;
        let image = product(axes.iter().map(|axis| axis.extent))?;
        let block = product(axes.iter().map(|axis| axis.block))?;
        let steps = product(axes.iter().map(|axis| axis.steps))?;
        let &[batch, rows, count] = inputs[0].shape() else {
            bail!("columns of rank {} do not fit", inputs[0].rank());
        };
        ensure!(
            count as i64 == steps,
            "{count} blocks are given, {steps} fit into the image"
        );
        ensure!(
            rows as i64 % block == 0,
            "{rows} rows are no whole blocks of {block}"
        );
        let channels = rows / block as usize;
        product([batch as i64, channels as i64, image].into_iter())?;
        let mut added = vec![0f64; batch * channels * image as usize];
        let targets = targets(&axes, block, steps);
        let planes = columns.as_slice::<f64>()?.chunks(targets.len().max(1));
        for (plane, image) in planes.zip(added.chunks_mut(image.max(1) as usize)) {
            for (value, target) in plane.iter().zip(&targets) {
                if let Some(target) = target {
                    image[*target] += value;
                }
            }
        }
        let mut shape = tvec![batch, channels];
        shape.extend(axes.iter().map(|axis| axis.extent as usize));
        Ok(Tensor::from_shape(&shape, &added)?
            .cast_to_dt(kind)?
            .into_owned())
    }
}

impl Col2Im {
    fn axes(&self, image: &[i64], block: &[i64]) -> TractResult<Vec<Axis>> {
        let rank = image.len();
        let of = |values: &Option<Vec<i64>>, place: usize, default: i64| {
            values
                .as_ref()
                .map_or(Some(default), |values| values.get(place).copied())
        };
        let axis = |place: usize| {
            let (extent, block) = (image[place], *block.get(place)?);
            let dilation = of(&self.dilations, place, 1)?;
            let stride = of(&self.strides, place, 1).filter(|stride| *stride > 0)?;
            let (pad, end) = (of(&self.pads, place, 0)?, of(&self.pads, place + rank, 0)?);
            let reach = dilation
                .checked_mul(block.checked_sub(1)?)?
                .checked_add(1)?;
            Some(Axis {
                extent,
                block,
                dilation,
                pad,
                stride,
                steps: padded(extent, pad, end)?
                    .checked_sub(reach)?
                    .div_euclid(stride)
                    + 1,
            })
        };
        let axes: Option<Vec<Axis>> = (0..rank).map(axis).collect();
        let axes = axes.context("attributes and image are of different rank")?;
        ensure!(
            axes.iter()
                .all(|axis| axis.extent > 0 && axis.block > 0 && axis.steps > 0),
            "the blocks do not fit into the image"
        );
        Ok(axes)
    }
}

fn padded(extent: i64, pad: i64, end: i64) -> Option<i64> {
    extent.checked_add(pad)?.checked_add(end)
}

/// How many elements extents make, if they are not too many.
fn product(mut extents: impl Iterator<Item = i64>) -> TractResult<i64> {
    let product = extents.try_fold(1i64, |product, extent| product.checked_mul(extent));
    product
        .filter(|product| *product <= MAX_ELEMENTS)
        .with_context(|| format!("more than {MAX_ELEMENTS} elements are asked for"))
}

/// Where each value of a channel's columns goes; nowhere if into the padding.
fn targets(axes: &[Axis], block: i64, steps: i64) -> Vec<Option<usize>> {
    let places = (0..block).flat_map(|inside| (0..steps).map(move |step| (inside, step)));
    places
        .map(|(inside, step)| target(axes, inside, step))
        .collect()
}

fn target(axes: &[Axis], mut inside: i64, mut step: i64) -> Option<usize> {
    let (mut target, mut scale) = (0, 1);
    for axis in axes.iter().rev() {
        let place =
            (step % axis.steps) * axis.stride + (inside % axis.block) * axis.dilation - axis.pad;
        if !(0..axis.extent).contains(&place) {
            return None;
        }
        target += place * scale;
        scale *= axis.extent;
        inside /= axis.block;
        step /= axis.steps;
    }
    usize::try_from(target).ok()
}

fn extents(tensor: &Tensor) -> TractResult<Vec<i64>> {
    let numbers = tensor.cast_to::<i64>()?;
    Ok(numbers.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
}
