//! Quantising with a scale that is computed.
//!
//! tract wants scale and zero point as constants, and its division by a number
//! that is no constant is a multiplication, which rounds to the other side.

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// `QuantizeLinear` of floats, one scale and one zero point.
pub(crate) const QUANTIZE: &str = "lusk.Quantize";

/// Builds the operator.
pub(crate) fn quantize(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok(operator(Quantize))
}

#[derive(Debug)]
struct Quantize;

impl Kernel for Quantize {
    fn name(&self) -> &'static str {
        QUANTIZE
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [data, scale, zero] = inputs else {
            bail!("expected 3 inputs, got {}", inputs.len());
        };
        ensure!(
            data.kind == f32::datum_type() && scale.kind == data.kind,
            "cannot quantise {:?} by {:?}",
            data.kind,
            scale.kind
        );
        ensure!(
            zero.kind.is_integer() && zero.kind.size_of() <= 2,
            "cannot quantise to {:?}",
            zero.kind
        );
        let one = |port: &Port| port.shape.iter().all(|dim| *dim == 1.to_dim());
        ensure!(
            one(scale) && one(zero),
            "a computed scale is one for all elements"
        );
        Ok(Port::new(zero.kind, data.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let scale: f32 = inputs[1].cast_to_scalar()?;
        let zero: f32 = inputs[2].cast_to_scalar()?;
        let mut numbers = inputs[0].clone();
        for number in numbers.try_as_plain_ram_mut()?.as_slice_mut::<f32>()? {
            *number = (*number / scale).round_ties_even() + zero;
        }
        // A cast stops at the ends of the type.
        Ok(numbers.cast_to_dt(inputs[2].datum_type())?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_divided_and_stop_at_the_ends() {
        let numbers = tensor1(&[0f32, -2.5, 1e9, -1e9]);
        // 2.5 / (5 / 255) is a little less than 127.5.
        let quantised = Quantize
            .run(&[&numbers, &tensor0(5f32 / 255.), &tensor0(153u8)])
            .unwrap();
        assert_eq!(quantised, tensor1(&[153u8, 26, 255, 0]));
    }
}
