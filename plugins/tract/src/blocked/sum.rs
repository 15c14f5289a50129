//! Sums over all pixels in blocked layout, of which global averages are made.

use std::sync::Arc;

use lusk_conv::BLOCK;
use tract_onnx::{prelude::*, tract_hir::internal::*};

use super::{buffers::Buffers, crew, geometry::batch_and_size};

/// Adds the pixels up; one remains.
#[derive(Debug, Clone)]
pub(super) struct BlockedSum {
    pub(super) buffers: Arc<Buffers>,
}

impl PartialEq for BlockedSum {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for BlockedSum {}

impl Op for BlockedSum {
    fn name(&self) -> StaticName {
        "BlockedSum".into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for BlockedSum {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let (batch, size) = batch_and_size(input.shape())?;
        let blocks = input.shape()[1];
        let area = size[0] * size[1];
        let mut output = self.buffers.take(&[batch, blocks, 1, 1, BLOCK])?;
        if output.len() > 0 {
            let mut to = output.try_as_plain_ram_mut()?;
            let to: &mut [f32] = to.as_slice_mut()?;
            if area == 0 {
                to.fill(0.0);
            } else {
                let from = input.try_as_plain_ram()?;
                let from = from.as_slice()?;
                lusk_conv::global_average_pool(
                    from,
                    batch,
                    blocks * BLOCK,
                    area,
                    to,
                    crew().as_deref(),
                );
                to.iter_mut().for_each(|mean| *mean *= area as f32);
            }
        }
        self.buffers.give(input);
        Ok(tvec![output.into()])
    }
}

impl TypedOp for BlockedSum {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        ensure!(shape.len() == 5, "{:?} is not in blocked layout", inputs[0]);
        shape[2] = 1.to_dim();
        shape[3] = 1.to_dim();
        Ok(tvec![f32::fact(shape)])
    }

    as_op!();
}
