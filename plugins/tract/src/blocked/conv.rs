//! A convolution in blocked layout.

use std::sync::Arc;

use lusk_conv::{Activation, Conv, InputLayout};
use tract_onnx::{prelude::*, tract_core::ops::cnn::PoolSpec, tract_hir::internal::*};

use super::{
    buffers::Buffers,
    crew,
    geometry::{Image, batch_and_size, blocked_shape, concrete_output_size, output_size},
};

/// Convolves, adds the second input if there is one, and applies the activation.
#[derive(Debug, Clone)]
pub(super) struct BlockedConv {
    pub(super) conv: Arc<Conv>,
    /// In two dimensions.
    pub(super) spec: PoolSpec,
    pub(super) activation: Activation,
    pub(super) buffers: Arc<Buffers>,
}

impl PartialEq for BlockedConv {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.conv, &other.conv)
            && self.spec == other.spec
            && self.activation == other.activation
    }
}

impl Eq for BlockedConv {}

impl Op for BlockedConv {
    fn name(&self) -> StaticName {
        "BlockedConv".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let mut info = self.spec.info();
        info.push(format!("Activation: {:?}", self.activation));
        Ok(info)
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for BlockedConv {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let addend = (inputs.len() > 1).then(|| inputs.remove(1));
        let input = args_1!(inputs);
        let (batch, size) = batch_and_size(input.shape())?;
        let out_size = concrete_output_size(&self.spec, size);
        let shape = blocked_shape(batch, self.spec.output_channels, out_size);
        let mut output = self.buffers.take(&shape)?;
        if output.len() > 0 {
            ensure!(
                self.conv.geometry().output(size) == Some(out_size),
                "images of {size:?} pixels do not suit the padding"
            );
            let addend = addend.as_ref().map(|addend| addend.try_as_plain_ram());
            self.conv.run(
                input.try_as_plain_ram()?.as_slice()?,
                batch,
                size,
                addend
                    .transpose()?
                    .map(|addend| addend.as_slice())
                    .transpose()?,
                self.activation,
                output.try_as_plain_ram_mut()?.as_slice_mut()?,
                crew().as_deref(),
            );
        }
        if self.conv.input_layout() == InputLayout::Blocked {
            self.buffers.give(input);
        }
        if let Some(addend) = addend {
            self.buffers.give(addend);
        }
        Ok(tvec![output.into()])
    }
}

impl TypedOp for BlockedConv {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = &inputs[0].shape;
        let size = match &**shape {
            [_, _, width] => [1.to_dim(), width.clone()],
            [_, _, height, width] | [_, _, height, width, _] => [height.clone(), width.clone()],
            _ => bail!("{shape:?} is not an image"),
        };
        let output = Image {
            batch: shape[0].clone(),
            channels: self.spec.output_channels,
            size: output_size(&self.spec, &size),
        };
        Ok(tvec![f32::fact(output.blocked())])
    }

    fn cost(&self, inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let pixels: TDim = self.output_facts(inputs)?[0].shape.iter().product();
        let geometry = self.conv.geometry();
        let taps = geometry.in_channels / geometry.groups * geometry.kernel[0] * geometry.kernel[1];
        Ok(tvec![(Cost::FMA(DatumType::F32), pixels * taps)])
    }

    as_op!();
}
