//! `LinearClassifier`: the class with the highest score of a linear model.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::model::Model;
use crate::{
    attributes::Attributes,
    labels::Labels,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, extents, filled, numeric, table},
    scores::{PostTransform, top},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct LinearClassifier {
    model: Model,
    labels: Labels,
    transform: PostTransform,
}

impl Operator for LinearClassifier {
    const NAME: &'static str = "LinearClassifier";
    const OUTPUTS: usize = 2;
    const ATTRIBUTES: &'static [&'static str] = &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "intercepts",
        "multi_class",
        "post_transform",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
        let weights = attributes.floats("coefficients")?;
        let intercepts = attributes.floats("intercepts")?;
        let scores = if intercepts.is_empty() {
            labels.len()
        } else {
            intercepts.len()
        };
        ensure!(
            scores == labels.len() || (scores == 1 && labels.len() == 2),
            "there are {} classes and {scores} `intercepts`",
            labels.len()
        );
        Ok(Arc::new(Self {
            model: Model::new(weights, intercepts, scores)?,
            labels,
            transform: PostTransform::read(attributes)?,
        }))
    }
}

impl Kernel for LinearClassifier {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let (rows, columns) = table(&numeric(inputs)?.shape)?;
        check_columns(&columns, |columns| self.model.check(columns))?;
        let classes = self.labels.len().into();
        Ok(tvec![
            Port::new(self.labels.kind(), [rows.clone()]),
            Port::new(f32::datum_type(), [rows, classes]),
        ])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, _) = extents(inputs[0])?;
        let classes = self.labels.len();
        let mut winners = Vec::with_capacity(rows);
        let scores = filled(&[rows, classes], |scores: &mut [f32]| {
            if self.model.scores() == classes {
                self.model.apply(inputs[0], scores)?;
            } else {
                // One set of weights for two classes speaks for the second.
                let mut margins = vec![0.0; rows];
                self.model.apply(inputs[0], &mut margins)?;
                for (pair, margin) in scores.chunks_exact_mut(2).zip(margins) {
                    pair.copy_from_slice(&[-margin, margin]);
                }
            }
            winners.extend(scores.chunks_exact(classes).map(top));
            self.transform.apply(scores, classes);
            Ok(())
        })?;
        Ok(tvec![self.labels.of(&winners)?, scores])
    }
}
