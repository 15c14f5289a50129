//! `Scaler`: subtracts an offset, then multiplies by a scale.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, doubles, filled, floats, numeric},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct Scaler {
    /// One for all features, or one each.
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Operator for Scaler {
    const NAME: &'static str = "Scaler";
    const ATTRIBUTES: &'static [&'static str] = &["offset", "scale"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let given = |name, default| match attributes.floats(name)? {
            [] => TractResult::Ok(vec![default]),
            values => Ok(values.to_vec()),
        };
        let (mut offset, mut scale) = (given("offset", 0.0)?, given("scale", 1.0)?);
        let width = offset.len().max(scale.len());
        for (name, values) in [("offset", &mut offset), ("scale", &mut scale)] {
            ensure!(
                values.len() == 1 || values.len() == width,
                "`{name}` has {} values, the other attribute has {width}",
                values.len()
            );
            let first = values[0];
            values.resize(width, first);
        }
        Ok(Arc::new(Self { offset, scale }))
    }
}

impl Scaler {
    fn check(&self, columns: usize) -> TractResult<()> {
        let width = self.offset.len();
        ensure!(
            width == 1 || width == columns,
            "`offset` has {width} values, the input has {columns} features"
        );
        Ok(())
    }

    /// Scales rows of `columns` numbers.
    fn scale<T: Copy>(
        &self,
        from: &[T],
        to: &mut [f32],
        columns: usize,
        step: impl Fn(T, f32, f32) -> f32,
    ) {
        if let ([offset], [scale]) = (&*self.offset, &*self.scale) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = step(*from, *offset, *scale);
            }
            return;
        }
        let rows = to.chunks_exact_mut(columns).zip(from.chunks_exact(columns));
        for (to, from) in rows {
            let values = self.offset.iter().zip(&self.scale);
            for ((to, from), (offset, scale)) in to.iter_mut().zip(from).zip(values) {
                *to = step(*from, *offset, *scale);
            }
        }
    }
}

impl Kernel for Scaler {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = numeric(inputs)?;
        let columns = input.shape.last().context("a scalar has no features")?;
        check_columns(columns, |columns| self.check(columns))?;
        Ok(tvec![Port::new(f32::datum_type(), input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let columns = inputs[0].shape().last().copied().unwrap_or(1);
        self.check(columns)?;
        let output = filled(inputs[0].shape(), |to: &mut [f32]| {
            if columns == 0 {
                return Ok(());
            }
            if inputs[0].datum_type() == f64::datum_type() {
                let step =
                    |value, offset, scale| ((value - f64::from(offset)) * f64::from(scale)) as f32;
                self.scale(&doubles(inputs[0])?, to, columns, step);
            } else {
                let step = |value, offset, scale| (value - offset) * scale;
                self.scale(&floats(inputs[0])?, to, columns, step);
            }
            Ok(())
        })?;
        Ok(tvec![output])
    }
}
