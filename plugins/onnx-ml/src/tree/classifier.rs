//! `TreeEnsembleClassifier`: the class with the most votes of all trees.

use std::{collections::BTreeSet, sync::Arc};

use tract_onnx::tract_hir::internal::*;

use super::{
    engine::Engine,
    forest::Aggregate,
    nodes::{Nodes, Votes, base_values, draft},
    regressor::add_base,
};
use crate::{
    attributes::Attributes,
    labels::Labels,
    operator::{Kernel, Operator, Port},
    rows::filled,
    scores::{PostTransform, top},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct TreeEnsembleClassifier {
    engine: Engine,
    labels: Labels,
    /// One for each class, or none.
    base: Vec<f64>,
    transform: PostTransform,
    scheme: Scheme,
}

/// What the votes say about the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Each class has votes of its own.
    EachClass,
    /// There are two classes, and votes only on the first: they speak for the
    /// second, as its probability or as its margin.
    OneColumn { probability: bool },
    /// There are two classes, and votes only on the second.
    SecondClass { probability: bool },
}

impl Scheme {
    fn of(classes: usize, votes: &Votes, transform: PostTransform) -> Self {
        let voted: BTreeSet<i64> = votes.ids.iter().copied().collect();
        let voted: Vec<i64> = voted.into_iter().take(2).collect();
        let weights = votes.weights.to_doubles();
        let probability = match transform {
            PostTransform::None => weights.iter().all(|weight| *weight >= 0.0),
            PostTransform::Probit => true,
            PostTransform::Softmax | PostTransform::Logistic | PostTransform::SoftmaxZero => false,
        };
        match (classes, &*voted) {
            (2, [0]) => Self::OneColumn { probability },
            (2, [1]) => Self::SecondClass { probability },
            _ => Self::EachClass,
        }
    }
}

impl Operator for TreeEnsembleClassifier {
    const NAME: &'static str = "TreeEnsembleClassifier";
    const OUTPUTS: usize = 2;
    const ATTRIBUTES: &'static [&'static str] = &[
        "base_values",
        "base_values_as_tensor",
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
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
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let labels = Labels::read(attributes, "classlabels_int64s", "classlabels_strings")?;
        let nodes = Nodes::read(attributes)?;
        let votes = Votes::read(attributes, "class")?;
        let transform = PostTransform::read(attributes)?;
        let scheme = Scheme::of(labels.len(), &votes, transform);
        let draft = draft(&nodes, &votes, labels.len())?;
        let one_column = matches!(scheme, Scheme::OneColumn { .. });
        let mut base = base_values(attributes, |length| {
            length == labels.len() || (one_column && length == 1)
        })?;
        if one_column && base.len() == 2 {
            // The column is the score of the second class.
            base.remove(0);
        }
        if one_column {
            // The first class has the votes, its score becomes both scores.
            base.resize(base.len() * 2, 0.0);
        }
        let is_double = nodes.is_double() || votes.weights.is_double();
        Ok(Arc::new(Self {
            engine: Engine::new(&draft, is_double)?,
            labels,
            base,
            transform,
            scheme,
        }))
    }
}

impl TreeEnsembleClassifier {
    /// Finishes a row of raw scores; tells the class.
    fn finish(&self, row: &mut [f32]) -> usize {
        match self.scheme {
            Scheme::EachClass => top(row),
            Scheme::OneColumn { probability } => {
                let score = row[0];
                row[0] = if probability { 1.0 - score } else { -score };
                row[1] = score;
                usize::from(score > if probability { 0.5 } else { 0.0 })
            }
            Scheme::SecondClass { probability } => {
                usize::from(row[1] > if probability { 0.5 } else { row[0] })
            }
        }
    }
}

impl Kernel for TreeEnsembleClassifier {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let rows = self.engine.rows(inputs)?;
        let classes = self.labels.len().into();
        Ok(tvec![
            Port::new(self.labels.kind(), [rows.clone()]),
            Port::new(f32::datum_type(), [rows, classes]),
        ])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, mut sums) = self.engine.predict(inputs[0], Aggregate::Sum)?;
        let classes = self.labels.len();
        add_base(&mut sums, &self.base);
        let mut winners = Vec::with_capacity(rows);
        let scores = filled(&[rows, classes], |scores: &mut [f32]| {
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = sum as f32;
            }
            winners.extend(scores.chunks_exact_mut(classes).map(|row| self.finish(row)));
            self.transform.apply(scores, classes);
            Ok(())
        })?;
        Ok(tvec![self.labels.of(&winners)?, scores])
    }
}
