//! `Flatten`, also of rows and columns that are both not known.
//!
//! tract gives up with two unknown extents, even where they are not multiplied:
//! texts and their tokens.

use tract_onnx::{
    model::ParsingContext, pb::NodeProto, tract_core::ops::change_axes::to_axis_ops_with_tf_rules,
    tract_hir::internal::*,
};

/// Builds the operator.
pub(crate) fn flatten(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    Ok((expand(Flatten { axis }), vec![]))
}

#[derive(Debug, Clone)]
struct Flatten {
    axis: i64,
}

impl Flatten {
    /// What comes before the axis, and what comes from there.
    fn flat(&self, shape: &[TDim]) -> TractResult<TVec<TDim>> {
        let axis = match self.axis {
            axis @ 0.. => axis,
            axis => axis + shape.len() as i64,
        };
        let sides = shape.split_at_checked(usize::try_from(axis)?);
        let (rows, columns) = sides.with_context(|| format!("there is no axis {axis}"))?;
        for side in [rows, columns] {
            let unknown = side.iter().filter(|dim| dim.to_usize().is_err());
            ensure!(unknown.count() <= 1, "unknown extents are multiplied");
        }
        let product = |side: &[TDim]| side.iter().product::<TDim>();
        Ok(tvec![product(rows), product(columns)])
    }
}

impl Expansion for Flatten {
    fn name(&self) -> StaticName {
        "Flatten".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.given(&inputs[0].shape, move |solver, shape| {
            let flat = self.flat(&shape)?;
            solver.equals(&outputs[0].shape, ShapeFactoid::from(flat))
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let shape = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let flat = self.flat(&shape)?;
        let mut wire: TVec<OutletId> = inputs.into();
        for (at, op) in to_axis_ops_with_tf_rules(&shape, &flat)?
            .into_iter()
            .enumerate()
        {
            wire = model.wire_node(format!("{prefix}.{at}"), op, &wire)?;
        }
        Ok(wire)
    }
}
