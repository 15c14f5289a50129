//! `CumProd`: the products of all values so far.

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// Builds the operator.
pub(crate) fn cum_prod(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let is_set = |name| -> TractResult<bool> { Ok(node.get_attr_opt::<i64>(name)? == Some(1)) };
    Ok(operator(CumProd {
        exclusive: is_set("exclusive")?,
        reverse: is_set("reverse")?,
    }))
}

#[derive(Debug)]
struct CumProd {
    /// Whether a value is left out of its own product.
    exclusive: bool,
    reverse: bool,
}

impl Kernel for CumProd {
    fn name(&self) -> &'static str {
        "CumProd"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [data, axis] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        ensure!(
            matches!(
                data.kind,
                DatumType::F32 | DatumType::F64 | DatumType::I32 | DatumType::I64
            ) && axis.kind.is_integer(),
            "products of {:?} along {:?} are not supported",
            data.kind,
            axis.kind
        );
        Ok(Port::new(data.kind, data.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let rank = inputs[0].rank() as i64;
        let axis = inputs[1].cast_to_scalar::<i64>()?;
        ensure!((-rank..rank).contains(&axis), "there is no axis {axis}");
        let axis = axis.rem_euclid(rank) as usize;
        match inputs[0].datum_type() {
            DatumType::F32 => self.products(inputs[0], axis, 1f32, |a, b| a * b),
            DatumType::F64 => self.products(inputs[0], axis, 1f64, |a, b| a * b),
            DatumType::I32 => self.products(inputs[0], axis, 1, i32::wrapping_mul),
            _ => self.products(inputs[0], axis, 1, i64::wrapping_mul),
        }
    }
}

impl CumProd {
    fn products<T: Datum + Copy>(
        &self,
        data: &Tensor,
        axis: usize,
        one: T,
        times: impl Fn(T, T) -> T,
    ) -> TractResult<Tensor> {
        let mut output = data.clone();
        let mut view = output.to_plain_array_view_mut::<T>()?;
        for mut lane in view.lanes_mut(tract_ndarray::Axis(axis)) {
            if self.reverse {
                lane.invert_axis(tract_ndarray::Axis(0));
            }
            let mut product = one;
            for value in &mut lane {
                let before = product;
                product = times(product, *value);
                *value = if self.exclusive { before } else { product };
            }
        }
        Ok(output)
    }
}
