//! `Normalizer`: divides each row by its norm.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{extents, filled, floats, numeric, table},
};

/// The operator, by the norm it divides by.
#[derive(Debug)]
pub(crate) enum Normalizer {
    /// The largest element, with its sign.
    Max,
    /// The sum of magnitudes.
    L1,
    /// The Euclidean length.
    L2,
}

impl Operator for Normalizer {
    const NAME: &'static str = "Normalizer";
    const ATTRIBUTES: &'static [&'static str] = &["norm"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        Ok(Arc::new(match attributes.text("norm")? {
            None | Some("MAX") => Self::Max,
            Some("L1") => Self::L1,
            Some("L2") => Self::L2,
            Some(other) => bail!("`norm` is `{other}`, MAX, L1 and L2 exist"),
        }))
    }
}

impl Normalizer {
    fn norm(&self, row: &[f32]) -> f32 {
        let sum =
            |each: fn(f64) -> f64| -> f64 { row.iter().map(|value| each(f64::from(*value))).sum() };
        match self {
            Self::Max => row.iter().copied().fold(f32::MIN, f32::max),
            Self::L1 => sum(f64::abs) as f32,
            Self::L2 => sum(|value| value * value).sqrt() as f32,
        }
    }
}

impl Kernel for Normalizer {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = numeric(inputs)?;
        table(&input.shape)?;
        Ok(tvec![Port::new(f32::datum_type(), input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (_, columns) = extents(inputs[0])?;
        let from = floats(inputs[0])?;
        let output = filled(inputs[0].shape(), |to: &mut [f32]| {
            let width = columns.max(1);
            for (to, from) in to.chunks_mut(width).zip(from.chunks(width)) {
                let norm = self.norm(from);
                let divisor = if norm == 0.0 { 1.0 } else { norm };
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from / divisor;
                }
            }
            Ok(())
        })?;
        Ok(tvec![output])
    }
}
