//! `TreeEnsembleRegressor`: the aggregated votes of all trees.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::{
    engine::Engine,
    forest::Aggregate,
    nodes::{Nodes, Votes, base_values, draft, targets},
};
use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::filled,
    scores::PostTransform,
};

/// The operator.
#[derive(Debug)]
pub(crate) struct TreeEnsembleRegressor {
    engine: Engine,
    aggregate: Aggregate,
    /// One for each target, or none.
    base: Vec<f64>,
    transform: PostTransform,
}

impl Operator for TreeEnsembleRegressor {
    const NAME: &'static str = "TreeEnsembleRegressor";
    const ATTRIBUTES: &'static [&'static str] = &[
        "aggregate_function",
        "base_values",
        "base_values_as_tensor",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let aggregate = match attributes.text("aggregate_function")? {
            None | Some("SUM") => Aggregate::Sum,
            Some("AVERAGE") => Aggregate::Average,
            Some("MIN") => Aggregate::Min,
            Some("MAX") => Aggregate::Max,
            Some(other) => bail!("`aggregate_function` is `{other}`, which does not exist"),
        };
        let nodes = Nodes::read(attributes)?;
        let votes = Votes::read(attributes, "target")?;
        let targets = targets(attributes, votes.ids.len())?;
        let draft = draft(&nodes, &votes, targets)?;
        let is_double = nodes.is_double() || votes.weights.is_double();
        Ok(Arc::new(Self {
            engine: Engine::new(&draft, is_double)?,
            aggregate,
            base: base_values(attributes, |length| length == targets)?,
            transform: PostTransform::read(attributes)?,
        }))
    }
}

impl Kernel for TreeEnsembleRegressor {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let rows = self.engine.rows(inputs)?;
        let targets = self.engine.targets().into();
        Ok(tvec![Port::new(f32::datum_type(), [rows, targets])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, mut sums) = self.engine.predict(inputs[0], self.aggregate)?;
        let targets = self.engine.targets();
        add_base(&mut sums, &self.base);
        let output = filled(&[rows, targets], |scores: &mut [f32]| {
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = sum as f32;
            }
            self.transform.apply(scores, targets);
            Ok(())
        })?;
        Ok(tvec![output])
    }
}

/// Adds the base values, if there are any, to each row of scores.
pub(crate) fn add_base(scores: &mut [f64], base: &[f64]) {
    if base.is_empty() {
        return;
    }
    for row in scores.chunks_exact_mut(base.len()) {
        for (score, base) in row.iter_mut().zip(base) {
            *score += base;
        }
    }
}
