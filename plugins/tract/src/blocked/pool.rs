//! Pooling in blocked layout.

use std::sync::Arc;

use lusk_conv::Window;
use tract_onnx::{
    prelude::*,
    tract_core::ops::cnn::{MaxPool, PoolSpec, SumPool},
    tract_hir::internal::*,
};

use super::{
    buffers::Buffers,
    crew,
    geometry::{
        Image, batch_and_size, blocked_shape, concrete_output_size, output_size, planar, window,
    },
};

/// What is made of the values under a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Max,
    Average { include_padding: bool },
}

/// Pools.
#[derive(Debug, Clone)]
pub(super) struct BlockedPool {
    kind: Kind,
    spec: PoolSpec,
    window: Window,
    buffers: Arc<Buffers>,
}

impl BlockedPool {
    /// What the node does to an image, if it pools in a way that is known here.
    pub(super) fn of(
        node: &TypedNode,
        image: &Image,
        buffers: &Arc<Buffers>,
    ) -> TractResult<Option<Self>> {
        let (kind, spec) = if let Some(pool) = node.op_as::<MaxPool>() {
            if pool.with_index_outputs.is_some() {
                return Ok(None);
            }
            (Kind::Max, &pool.pool_spec)
        } else if let Some(pool) = node.op_as::<SumPool>() {
            if !pool.normalize {
                return Ok(None);
            }
            let include_padding = pool.count_include_pad;
            (Kind::Average { include_padding }, &pool.pool_spec)
        } else {
            return Ok(None);
        };
        let Some(spec) = planar(spec)? else {
            return Ok(None);
        };
        let window = window(&spec, &image.size).filter(is_usual);
        Ok(window.map(|window| Self {
            kind,
            spec,
            window,
            buffers: buffers.clone(),
        }))
    }
}

/// A window that lies in the padding alone is read differently by everyone.
fn is_usual(window: &Window) -> bool {
    let reaches = |axis| (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    (0..4).all(|side| window.pads[side] < reaches(side % 2))
}

impl PartialEq for BlockedPool {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.spec == other.spec && self.window == other.window
    }
}

impl Eq for BlockedPool {}

impl Op for BlockedPool {
    fn name(&self) -> StaticName {
        "BlockedPool".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let mut info = self.spec.info();
        info.push(format!("{:?}", self.kind));
        Ok(info)
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for BlockedPool {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let (batch, size) = batch_and_size(input.shape())?;
        let out_size = concrete_output_size(&self.spec, size);
        let channels = self.spec.input_channels;
        let mut output = self
            .buffers
            .take(&blocked_shape(batch, channels, out_size))?;
        if output.len() > 0 {
            ensure!(
                self.window.output(size) == Some(out_size),
                "images of {size:?} pixels do not suit the window"
            );
            let from = input.try_as_plain_ram()?;
            let from = from.as_slice()?;
            let mut to = output.try_as_plain_ram_mut()?;
            let to = to.as_slice_mut()?;
            let window = &self.window;
            match self.kind {
                Kind::Max => {
                    lusk_conv::max_pool(from, batch, channels, size, window, to, crew().as_deref())
                }
                Kind::Average { include_padding } => lusk_conv::average_pool(
                    from,
                    batch,
                    channels,
                    size,
                    window,
                    include_padding,
                    to,
                    crew().as_deref(),
                ),
            }
        }
        self.buffers.give(input);
        Ok(tvec![output.into()])
    }
}

impl TypedOp for BlockedPool {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [batch, _, height, width, _] = &*inputs[0].shape else {
            bail!("{:?} is not in blocked layout", inputs[0]);
        };
        let output = Image {
            batch: batch.clone(),
            channels: self.spec.output_channels,
            size: output_size(&self.spec, &[height.clone(), width.clone()]),
        };
        Ok(tvec![f32::fact(output.blocked())])
    }

    as_op!();
}
