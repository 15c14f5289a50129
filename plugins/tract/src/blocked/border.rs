//! Into blocked layout and out of it.

use std::sync::Arc;

use lusk_conv::BLOCK;
use tract_onnx::{prelude::*, tract_hir::internal::*};

use super::{
    buffers::Buffers,
    crew,
    geometry::{Image, batch_and_size, blocked_shape},
};

/// Puts an image into blocked layout.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) buffers: Arc<Buffers>,
}

impl PartialEq for Block {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Block {}

impl Op for Block {
    fn name(&self) -> StaticName {
        "Block".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Block {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let channels = input.shape()[1];
        let (batch, size) = batch_and_size(input.shape())?;
        let shape = blocked_shape(batch, channels, size);
        if is_same_memory(channels, size) {
            return Ok(tvec![input.into_tensor().into_shape(&shape)?.into()]);
        }
        let mut output = self.buffers.take(&shape)?;
        lusk_conv::block(
            input.try_as_plain_ram()?.as_slice()?,
            batch,
            channels,
            size[0] * size[1],
            output.try_as_plain_ram_mut()?.as_slice_mut()?,
            crew().as_deref(),
        );
        Ok(tvec![output.into()])
    }
}

impl TypedOp for Block {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let image = Image::of(inputs[0]).context("not an image")?;
        Ok(tvec![f32::fact(image.blocked())])
    }

    as_op!();
}

/// Takes an image out of blocked layout.
#[derive(Debug, Clone)]
pub(super) struct Unblock {
    pub(super) channels: usize,
    /// 3 for `[N, C, W]`, 4 for `[N, C, H, W]`.
    pub(super) rank: usize,
    pub(super) buffers: Arc<Buffers>,
}

impl PartialEq for Unblock {
    fn eq(&self, other: &Self) -> bool {
        (self.channels, self.rank) == (other.channels, other.rank)
    }
}

impl Eq for Unblock {}

impl Op for Unblock {
    fn name(&self) -> StaticName {
        "Unblock".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Unblock {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let (batch, size) = batch_and_size(input.shape())?;
        let mut shape: TVec<usize> = tvec![batch, self.channels];
        shape.extend_from_slice(&size[4 - self.rank..]);
        if is_same_memory(self.channels, size) {
            return Ok(tvec![input.into_tensor().into_shape(&shape)?.into()]);
        }
        let mut output = Tensor::zero::<f32>(&shape)?;
        lusk_conv::unblock(
            input.try_as_plain_ram()?.as_slice()?,
            batch,
            self.channels,
            size[0] * size[1],
            output.try_as_plain_ram_mut()?.as_slice_mut()?,
            crew().as_deref(),
        );
        self.buffers.give(input);
        Ok(tvec![output.into()])
    }
}

impl TypedOp for Unblock {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [batch, _, height, width, _] = &*inputs[0].shape else {
            bail!("{:?} is not in blocked layout", inputs[0]);
        };
        let mut shape = tvec![batch.clone(), self.channels.to_dim()];
        if self.rank == 4 {
            shape.push(height.clone());
        }
        shape.push(width.clone());
        Ok(tvec![f32::fact(shape)])
    }

    as_op!();
}

/// Whole blocks of one pixel lie the same way in both layouts.
fn is_same_memory(channels: usize, size: [usize; 2]) -> bool {
    size == [1, 1] && channels.is_multiple_of(BLOCK)
}
