//! `Binarizer`: 1 above a threshold, else 0.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{mapped, numeric},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct Binarizer {
    threshold: f32,
}

impl Operator for Binarizer {
    const NAME: &'static str = "Binarizer";
    const ATTRIBUTES: &'static [&'static str] = &["threshold"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        Ok(Arc::new(Self {
            threshold: attributes.float("threshold")?.unwrap_or(0.0),
        }))
    }
}

impl Kernel for Binarizer {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        Ok(tvec![numeric(inputs)?.clone()])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let threshold = self.threshold;
        let exact = f64::from(threshold);
        let output = match inputs[0].datum_type() {
            DatumType::F32 => mapped(inputs[0], |value: &f32| {
                f32::from(u8::from(*value > threshold))
            }),
            DatumType::F64 => mapped(inputs[0], |value: &f64| f64::from(u8::from(*value > exact))),
            DatumType::I32 => mapped(inputs[0], |value: &i32| {
                i32::from(f64::from(*value) > exact)
            }),
            DatumType::I64 => mapped(inputs[0], |value: &i64| i64::from(*value as f64 > exact)),
            kind => bail!("a tensor of {kind:?} holds no numbers"),
        };
        Ok(tvec![output?])
    }
}
