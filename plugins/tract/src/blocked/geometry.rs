//! Extents: tract's windows as `lusk-conv` wants them.
//!
//! Everything has two dimensions here; a line is an image of one row.

use lusk_conv::{BLOCK, Geometry, Window};
use tract_onnx::{
    prelude::{DatumType, TDim, TVec, TypedFact},
    tract_core::ops::cnn::{PaddingSpec, PoolSpec},
    tract_hir::internal::*,
};

/// An image as a model has it: `[N, C, H, W]` or `[N, C, W]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) batch: TDim,
    pub(super) channels: usize,
    pub(super) size: [TDim; 2],
}

impl Image {
    /// The image in a value, if it is one.
    pub(super) fn of(fact: &TypedFact) -> Option<Self> {
        if fact.datum_type != DatumType::F32 {
            return None;
        }
        let channels = fact
            .shape
            .get(1)?
            .to_usize()
            .ok()
            .filter(|count| *count > 0)?;
        let size = match fact.rank() {
            3 => [1.to_dim(), fact.shape[2].clone()],
            4 => [fact.shape[2].clone(), fact.shape[3].clone()],
            _ => return None,
        };
        Some(Self {
            batch: fact.shape[0].clone(),
            channels,
            size,
        })
    }

    /// Its extents in blocked layout.
    pub(super) fn blocked(&self) -> TVec<TDim> {
        let [height, width] = self.size.clone();
        let blocks = self.channels.div_ceil(BLOCK);
        tvec![
            self.batch.clone(),
            blocks.to_dim(),
            height,
            width,
            BLOCK.to_dim()
        ]
    }
}

/// Extents of a tensor: `[N, C, H, W]`, `[N, C, W]` or in blocked layout, where
/// channels are counted in blocks.
pub(super) fn batch_and_size(shape: &[usize]) -> TractResult<(usize, [usize; 2])> {
    match *shape {
        [batch, _, width] => Ok((batch, [1, width])),
        [batch, _, height, width] | [batch, _, height, width, BLOCK] => {
            Ok((batch, [height, width]))
        }
        _ => bail!("extents {shape:?} are not those of an image"),
    }
}

/// Extents in blocked layout.
pub(super) fn blocked_shape(batch: usize, channels: usize, size: [usize; 2]) -> [usize; 5] {
    [batch, channels.div_ceil(BLOCK), size[0], size[1], BLOCK]
}

/// The specification with two spatial axes, if it has one or two.
pub(super) fn planar(spec: &PoolSpec) -> TractResult<Option<PoolSpec>> {
    match spec.rank() {
        1 => spec.change_geo_axes(&AxisOp::Add(0)).map(Some),
        2 => Ok(Some(spec.clone())),
        _ => Ok(None),
    }
}

/// Height and width of what a window makes of an image.
pub(super) fn output_size(spec: &PoolSpec, size: &[TDim; 2]) -> [TDim; 2] {
    let computed = spec.computed_padding(size);
    [0, 1].map(|axis| computed[axis].convoluted.clone())
}

/// The same for an image that is there.
pub(super) fn concrete_output_size(spec: &PoolSpec, size: [usize; 2]) -> [usize; 2] {
    let computed = spec.computed_padding(&size);
    [0, 1].map(|axis| computed[axis].convoluted)
}

/// The window over images of this size, if its padding is the same for all of them.
pub(super) fn window(spec: &PoolSpec, size: &[TDim; 2]) -> Option<Window> {
    let computed = spec.computed_padding(size);
    let pad = |pad: &TDim| pad.to_usize().ok();
    Some(Window {
        kernel: pair(&spec.kernel_shape)?,
        strides: pair(&spec.strides())?,
        dilations: pair(&spec.dilations())?,
        pads: [
            pad(&computed[0].pad_before)?,
            pad(&computed[1].pad_before)?,
            pad(&computed[0].pad_after)?,
            pad(&computed[1].pad_after)?,
        ],
        ceil: matches!(spec.padding, PaddingSpec::ExplicitOnnxPool(_, _, true)),
    })
}

/// The convolution over images of this size, likewise.
pub(super) fn geometry(spec: &PoolSpec, groups: usize, size: &[TDim; 2]) -> Option<Geometry> {
    let window = window(spec, size).filter(|window| !window.ceil)?;
    Some(Geometry {
        in_channels: spec.input_channels,
        out_channels: spec.output_channels,
        groups,
        kernel: window.kernel,
        strides: window.strides,
        dilations: window.dilations,
        pads: window.pads,
    })
}

fn pair(values: &[usize]) -> Option<[usize; 2]> {
    values.try_into().ok()
}
