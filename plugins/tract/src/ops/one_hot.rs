//! `OneHot` with indices that are out of range, which light nothing.

use tract_onnx::{tract_core::ops::array::OneHot, tract_hir::internal::*};

/// tract's operator, which panics at them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lights(pub(crate) OneHot);

impl Op for Lights {
    fn name(&self) -> StaticName {
        "OneHot".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Lights {
    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        Ok(tvec![self.lit(&input)?.into()])
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.eval(&EvalContext::out_of_plan(), inputs).map(Some)
    }
}

impl TypedOp for Lights {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    as_op!();
}

impl Lights {
    fn lit(&self, indices: &Tensor) -> TractResult<Tensor> {
        let OneHot { axis, dim, off, on } = &self.0;
        let mut shape: TVec<usize> = indices.shape().into();
        ensure!(*axis <= shape.len(), "there is no axis {axis}");
        let inner: usize = shape[*axis..].iter().product();
        shape.insert(*axis, *dim);
        let mut output = off.broadcast_scalar_to_shape(&shape)?;
        let indices = indices.cast_to::<i64>()?;
        let indices = indices.try_as_plain_ram()?;
        let on = on.try_as_plain_ram()?;
        let size = on.as_bytes().len();
        let mut to = output.try_as_plain_ram_mut()?;
        for (place, index) in indices.as_slice::<i64>()?.iter().enumerate() {
            let dim = *dim as i64;
            if (-dim..dim).contains(index) {
                let row = place / inner * self.0.dim + index.rem_euclid(dim) as usize;
                let at = (row * inner + place % inner) * size;
                to.as_bytes_mut()[at..][..size].copy_from_slice(on.as_bytes());
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_lights_nothing() {
        let lights = Lights(OneHot {
            axis: 0,
            dim: 2,
            off: tensor0(0i32).into_arc_tensor(),
            on: tensor0(7i32).into_arc_tensor(),
        });
        let lit = lights.lit(&tensor1(&[1i64, -2, 2, -3])).unwrap();
        assert_eq!(lit, tensor2(&[[0, 7, 0, 0], [7, 0, 0, 0]]));
    }
}
