//! `BitCast`: the same bits as another type.

use tract_onnx::{
    model::ParsingContext,
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

use super::kernel::{Kernel, Port, operator};

/// Builds the operator.
pub(crate) fn bit_cast(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let to = i32::try_from(node.get_attr::<i64>("to")?)?;
    let to = DataType::try_from(to).map_err(|_| format_err!("the type {to} does not exist"))?;
    let to = DatumType::try_from(to)?;
    // Not every byte is a bool.
    ensure!(to.is_number(), "bits cannot become {to:?}");
    Ok(operator(BitCast { to }))
}

#[derive(Debug)]
struct BitCast {
    to: DatumType,
}

impl Kernel for BitCast {
    fn name(&self) -> &'static str {
        "BitCast"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [input] = inputs else {
            bail!("expected 1 input, got {}", inputs.len());
        };
        let is_plain = input.kind.is_number() || input.kind == bool::datum_type();
        ensure!(
            is_plain && input.kind.size_of() == self.to.size_of(),
            "{:?} and {:?} are not of one size",
            input.kind,
            self.to
        );
        Ok(Port::new(self.to, input.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let mut output = Tensor::zero_dt(self.to, inputs[0].shape())?;
        let from = inputs[0].try_as_plain_ram()?;
        let mut to = output.try_as_plain_ram_mut()?;
        to.as_bytes_mut().copy_from_slice(from.as_bytes());
        Ok(output)
    }
}
