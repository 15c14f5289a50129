//! `BitShift`, also by more bits than there are.

use tract_onnx::{
    model::ParsingContext, pb::NodeProto, tract_core::broadcast::multi_broadcast,
    tract_hir::internal::*,
};

use super::kernel::{Kernel, Port, operator};

/// Builds the operator.
pub(crate) fn bit_shift(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let left = match node.get_attr::<&str>("direction")? {
        "LEFT" => true,
        "RIGHT" => false,
        other => bail!("the direction `{other}` does not exist"),
    };
    Ok(operator(BitShift { left }))
}

#[derive(Debug)]
struct BitShift {
    left: bool,
}

impl Kernel for BitShift {
    fn name(&self) -> &'static str {
        "BitShift"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [value, bits] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        ensure!(
            value.kind.is_integer() && value.kind == bits.kind,
            "cannot shift {:?} by {:?}",
            value.kind,
            bits.kind
        );
        let shape = multi_broadcast(&[&value.shape, &bits.shape])?;
        Ok(Port::new(value.kind, shape))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let kind = inputs[0].datum_type();
        let width = 8 * kind.size_of() as u32;
        let shape = multi_broadcast(&[inputs[0].shape(), inputs[1].shape()])?;
        let wide = |tensor: &Tensor| tensor.cast_to::<i64>()?.broadcast_to_shape(&shape);
        let (values, bits) = (wide(inputs[0])?, wide(inputs[1])?);
        let (values, bits) = (values.try_as_plain_ram()?, bits.try_as_plain_ram()?);
        let pairs = values
            .as_slice::<i64>()?
            .iter()
            .zip(bits.as_slice::<i64>()?);
        let is_signed = kind.is_signed();
        let shifted: Vec<i64> = pairs
            .map(|(value, bits)| self.shift(*value, *bits, width, is_signed))
            .collect();
        let shifted = Tensor::from_shape(&shape, &shifted)?;
        Ok(shifted.cast_to_dt(kind)?.into_owned())
    }
}

impl BitShift {
    /// Bits beyond the width, and a negative number of them, shift all away.
    fn shift(&self, value: i64, bits: i64, width: u32, is_signed: bool) -> i64 {
        let bits = u32::try_from(bits).ok().filter(|bits| *bits < width);
        match (bits, self.left) {
            (Some(bits), true) => truncated(value << bits, width, is_signed),
            // A 64-bit value without a sign came in the bits of one with.
            (Some(bits), false) if !is_signed => ((value as u64) >> bits) as i64,
            (Some(bits), false) => value >> bits,
            (None, true) => 0,
            (None, false) if is_signed && value < 0 => -1,
            (None, false) => 0,
        }
    }
}

/// The lowest bits, as a number of that width.
fn truncated(value: i64, width: u32, is_signed: bool) -> i64 {
    let unused = 64 - width;
    if is_signed {
        value << unused >> unused
    } else {
        ((value as u64) << unused >> unused) as i64
    }
}
