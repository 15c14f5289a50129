//! `CumSum`, also of extents.
//!
//! tract holds what is made of extents as such, and has no sums of them.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::ops::{array, cast::cast},
    tract_hir::internal::*,
};

/// Builds the operator.
pub(crate) fn cum_sum(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let is_set = |name| -> TractResult<bool> { Ok(node.get_attr_opt::<i64>(name)? == Some(1)) };
    let sum = CumSum {
        exclusive: is_set("exclusive")?,
        reverse: is_set("reverse")?,
    };
    Ok((expand(sum), vec![]))
}

#[derive(Debug, Clone)]
struct CumSum {
    /// Whether a value is left out of its own sum.
    exclusive: bool,
    reverse: bool,
}

impl Expansion for CumSum {
    fn name(&self) -> StaticName {
        "CumSum".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        solver.equals(&inputs[1].rank, 0)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let axis = model.outlet_fact(inputs[1])?.konst.as_ref();
        let axis = axis.context("the axis is not known")?;
        let axis = axis.cast_to_scalar::<i64>()?;
        let data = model.outlet_fact(inputs[0])?;
        let rank = data.rank() as i64;
        ensure!((-rank..rank).contains(&axis), "there is no axis {axis}");
        let sum = array::CumSum {
            axis: axis.rem_euclid(rank) as usize,
            exclusive: self.exclusive,
            reverse: self.reverse,
        };
        if !data.datum_type.is_tdim() {
            return model.wire_node(prefix, sum, &inputs[..1]);
        }
        let numbers = cast(i64::datum_type());
        let numbers = model.wire_node(format!("{prefix}.numbers"), numbers, &inputs[..1])?;
        let sums = model.wire_node(format!("{prefix}.sums"), sum, &numbers)?;
        model.wire_node(prefix, cast(TDim::datum_type()), &sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_summed_up() -> TractResult<()> {
        let mut model = TypedModel::default();
        let n = model.sym("n").to_dim();
        let x = model.add_source("x", f32::fact(std::slice::from_ref(&n)))?;
        let extents = model.add_const("extents", tensor1(&[n, 2.to_dim(), 5.to_dim()]))?;
        let axis = model.add_const("axis", tensor0(-1i64))?;
        let sum = CumSum {
            exclusive: false,
            reverse: true,
        };
        let sums = sum.wire("sums", &mut model, &[extents, axis])?;
        model.select_output_outlets(&[sums[0], x])?;
        let runnable = model.into_optimized()?.into_runnable()?;
        let input = Tensor::zero::<f32>(&[4])?.into_tvalue();
        let outputs = runnable.run(tvec![input])?;
        let expected = tensor1(&[11i64, 7, 5]);
        assert_eq!(outputs[0].cast_to::<i64>()?.into_owned(), expected);
        Ok(())
    }
}
