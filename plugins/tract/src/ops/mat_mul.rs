//! `MatMul`, also of two lists and of what is broadcast.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::ops::{array::MultiBroadcastTo, change_axes::AxisOp, einsum::EinSum},
    tract_hir::{
        internal::*,
        ops::{expandable::Expansion, matmul::MatMulInference},
    },
};

/// Builds the operator.
pub(crate) fn mat_mul(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(MatMul::default()), vec![]))
}

/// tract's, which refuses the product of two lists, with that added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct MatMul(MatMulInference);

impl Expansion for MatMul {
    fn name(&self) -> StaticName {
        "MatMul".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.0.rules(solver, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut inputs: TVec<OutletId> = inputs.into();
        for (position, input) in inputs.iter_mut().enumerate() {
            if is_broadcast(model, *input) {
                let name = format!("{prefix}.held.{position}");
                *input = model.wire_node(name, Held, &[*input])?[0];
            }
        }
        let first = model.outlet_fact(inputs[0])?;
        if first.rank() > 1 || model.outlet_fact(inputs[1])?.rank() > 1 {
            return self.0.wire(prefix, model, &inputs);
        }
        let product = EinSum {
            axes: "k,k->".parse()?,
            operating_dt: first.datum_type,
            q_params: None,
        };
        model.wire_node(prefix, product, &inputs)
    }
}

/// Whether an operand is one that tract would multiply as it was before it was
/// broadcast: with fewer axes, or extents that nothing else has. With axes split
/// or joined on the way it would not.
fn is_broadcast(model: &TypedModel, operand: OutletId) -> bool {
    let mut node = model.node(operand.node);
    loop {
        if node.op_is::<MultiBroadcastTo>() {
            return true;
        }
        let ([input], false) = (
            &*node.inputs,
            matches!(node.op_as(), Some(AxisOp::Reshape(..))),
        ) else {
            return false;
        };
        node = model.node(input.node);
    }
}

/// The value itself, which tract does not look behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held;

impl Op for Held {
    fn name(&self) -> StaticName {
        "Held".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Held {
    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(inputs)
    }

    op_out_of_plan!();
}

impl TypedOp for Held {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].datum_type.fact(inputs[0].shape.clone())])
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sevens of the input's extents times a matrix.
    fn product(seven: Tensor) -> TractResult<Tensor> {
        let mut model = TypedModel::default();
        let n = model.sym("n");
        let shape = ShapeFact::from_dims([n.to_dim(), 3.to_dim()]);
        let x = model.add_source("x", f32::fact(shape.clone()))?;
        let seven = model.add_const("seven", seven)?;
        let sevens = MultiBroadcastTo { shape };
        let sevens = model.wire_node("sevens", sevens, &[seven])?[0];
        let matrix = tensor2(&[[1f32, 2.], [3., 4.], [5., 6.]]);
        let matrix = model.add_const("matrix", matrix)?;
        let mut y = MatMul::default().wire("y", &mut model, &[sevens, matrix])?;
        y.push(x);
        model.select_output_outlets(&y)?;
        let input = Tensor::zero::<f32>(&[2, 3])?.into_tvalue();
        let outputs = model.into_optimized()?.into_runnable()?.run(tvec![input])?;
        Ok(outputs[0].clone().into_tensor())
    }

    #[test]
    fn what_is_broadcast_is_multiplied() -> TractResult<()> {
        let expected = tensor2(&[[63f32, 84.], [63., 84.]]);
        assert_eq!(product(tensor0(7f32))?, expected);
        assert_eq!(product(tensor1(&[7f32]))?, expected);
        assert_eq!(product(tensor2(&[[7f32, 7., 7.]]))?, expected);
        Ok(())
    }
}
