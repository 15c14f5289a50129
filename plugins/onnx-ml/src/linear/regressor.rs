//! `LinearRegressor`: the scores of a linear model.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::model::Model;
use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, extents, filled, numeric, table},
    scores::PostTransform,
};

/// The operator.
#[derive(Debug)]
pub(crate) struct LinearRegressor {
    model: Model,
    transform: PostTransform,
}

impl Operator for LinearRegressor {
    const NAME: &'static str = "LinearRegressor";
    const ATTRIBUTES: &'static [&'static str] =
        &["coefficients", "intercepts", "post_transform", "targets"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let targets = attributes.int("targets")?.unwrap_or(1);
        let model = Model::new(
            attributes.floats("coefficients")?,
            attributes.floats("intercepts")?,
            usize::try_from(targets).unwrap_or(0),
        )?;
        Ok(Arc::new(Self {
            model,
            transform: PostTransform::read(attributes)?,
        }))
    }
}

impl Kernel for LinearRegressor {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let (rows, columns) = table(&numeric(inputs)?.shape)?;
        check_columns(&columns, |columns| self.model.check(columns))?;
        let targets = self.model.scores().into();
        Ok(tvec![Port::new(f32::datum_type(), [rows, targets])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, _) = extents(inputs[0])?;
        let targets = self.model.scores();
        let output = filled(&[rows, targets], |scores: &mut [f32]| {
            self.model.apply(inputs[0], scores)?;
            self.transform.apply(scores, targets);
            Ok(())
        })?;
        Ok(tvec![output])
    }
}
