//! Reductions to the largest and smallest value, right at the edges.
//!
//! tract starts them at the largest finite number, so infinities alone come out
//! as that, and it has none for bools.

use tract_onnx::{
    tract_core::ops::nn::{Reduce, Reducer},
    tract_hir::internal::*,
};

/// `Reduce` to an extremum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extremum(pub(crate) Reduce);

impl Op for Extremum {
    fn name(&self) -> StaticName {
        "Extremum".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Extremum {
    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        if input.datum_type() == bool::datum_type() {
            let bytes = input.cast_to::<u8>()?;
            let reduced = self.0.reducer.reduce(&self.0.axes, &bytes)?;
            // No values at all: the largest byte is as true as 1.
            return Ok(tvec![reduced.cast_to::<bool>()?.into_owned().into()]);
        }
        let mut reduced = self.0.reducer.reduce(&self.0.axes, &input)?;
        if input.datum_type() == f32::datum_type() {
            self.correct::<f32>(&input, &mut reduced, f32::MAX, f32::INFINITY)?;
        } else if input.datum_type() == f64::datum_type() {
            self.correct::<f64>(&input, &mut reduced, f64::MAX, f64::INFINITY)?;
        } else if input.datum_type() == f16::datum_type() {
            self.correct::<f16>(&input, &mut reduced, f16::MAX, f16::INFINITY)?;
        }
        Ok(tvec![reduced.into()])
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.eval(&EvalContext::out_of_plan(), inputs).map(Some)
    }
}

impl TypedOp for Extremum {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    as_op!();
}

impl Extremum {
    /// Where the start came out: it stays if it is one of the values.
    fn correct<T>(
        &self,
        input: &Tensor,
        reduced: &mut Tensor,
        max: T,
        infinity: T,
    ) -> TractResult<()>
    where
        T: Datum + Copy + PartialOrd + std::ops::Neg<Output = T>,
    {
        let (start, right) = match self.0.reducer {
            Reducer::Max => (-max, -infinity),
            _ => (max, infinity),
        };
        let mut reduced = reduced.to_plain_array_view_mut::<T>()?;
        if !reduced.iter().any(|value| *value == start) {
            return Ok(());
        }
        let input = input.to_plain_array_view::<T>()?;
        for (place, value) in reduced.indexed_iter_mut() {
            if *value != start {
                continue;
            }
            let mut window = input.view();
            for axis in (0..input.ndim()).filter(|axis| !self.0.axes.contains(axis)) {
                window.slice_axis_inplace(
                    tract_ndarray::Axis(axis),
                    tract_ndarray::Slice::from(place[axis]..place[axis] + 1),
                );
            }
            if !window.iter().any(|seen| *seen == start) {
                *value = right;
            }
        }
        Ok(())
    }
}

/// The extrema of no elements at all, in the place of what tract has wired: it
/// computes those while it wires, before it can be corrected.
pub(crate) fn of_nothing(
    operator: &str,
    node: &InferenceNode,
    model: &mut TypedModel,
    inputs: &[OutletId],
    outputs: TVec<OutletId>,
) -> TractResult<TVec<OutletId>> {
    let largest = match operator {
        "ReduceMax" => true,
        "ReduceMin" => false,
        _ => return Ok(outputs),
    };
    let is_empty = |outlet: OutletId| -> TractResult<bool> {
        Ok(model.outlet_fact(outlet)?.shape.volume() == 0.to_dim())
    };
    if !is_empty(inputs[0])? || is_empty(outputs[0])? {
        return Ok(outputs);
    }
    let fact = model.outlet_fact(outputs[0])?;
    let Some(shape) = fact.shape.as_concrete() else {
        return Ok(outputs);
    };
    let extreme = match (fact.datum_type, largest) {
        (DatumType::F16, true) => tensor0(f16::NEG_INFINITY),
        (DatumType::F16, false) => tensor0(f16::INFINITY),
        (DatumType::F32, true) => tensor0(f32::NEG_INFINITY),
        (DatumType::F32, false) => tensor0(f32::INFINITY),
        (DatumType::F64, true) => tensor0(f64::NEG_INFINITY),
        (DatumType::F64, false) => tensor0(f64::INFINITY),
        _ => return Ok(outputs),
    };
    let extrema = extreme.broadcast_to_shape(shape)?;
    Ok(tvec![
        model.add_const(format!("{}.of_nothing", node.name), extrema)?
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(input: &Tensor) -> Tensor {
        let extremum = Extremum(Reduce {
            axes: tvec![1],
            reducer: Reducer::Max,
        });
        let inputs = tvec![input.clone().into_tvalue()];
        let outputs = extremum.eval_out_of_plan(inputs).unwrap().unwrap();
        outputs[0].clone().into_tensor()
    }

    #[test]
    fn infinities_and_nothing_at_all_are_infinite() {
        let rows = [
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            f32::MIN,
            f32::NEG_INFINITY,
            1.,
            2.,
        ];
        let rows = Tensor::from_shape(&[3, 2], &rows).unwrap();
        let expected = [f32::NEG_INFINITY, f32::MIN, 2.];
        assert_eq!(
            largest(&rows),
            Tensor::from_shape(&[3, 1], &expected).unwrap()
        );

        let nothing = Tensor::from_shape::<f32>(&[1, 0], &[]).unwrap();
        let expected = Tensor::from_shape(&[1, 1], &[f32::NEG_INFINITY]).unwrap();
        assert_eq!(largest(&nothing), expected);
    }

    #[test]
    fn one_truth_is_enough() {
        let rows = Tensor::from_shape(&[2, 2], &[true, false, false, false]).unwrap();
        let expected = Tensor::from_shape(&[2, 1], &[true, false]).unwrap();
        assert_eq!(largest(&rows), expected);
    }
}
