//! `MatMul`, also of two lists.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::ops::einsum::EinSum,
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
        let first = model.outlet_fact(inputs[0])?;
        if first.rank() > 1 || model.outlet_fact(inputs[1])?.rank() > 1 {
            return self.0.wire(prefix, model, inputs);
        }
        let product = EinSum {
            axes: "k,k->".parse()?,
            operating_dt: first.datum_type,
            q_params: None,
        };
        model.wire_node(prefix, product, inputs)
    }
}
