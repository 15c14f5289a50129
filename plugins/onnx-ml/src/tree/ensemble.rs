//! `TreeEnsemble`, the one operator of version 5: branches and leaves in
//! lists of their own, named by position, with sets as a kind of threshold.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::{
    draft::{Branch, Draft, Mode, Node, Vote},
    engine::Engine,
    forest::Aggregate,
    nodes::{feature_column, same_length, targets},
};
use crate::{
    attributes::{Attributes, Numbers},
    operator::{Kernel, Operator, Port},
    rows::{elements, filled, numeric},
    scores::PostTransform,
};

/// The operator.
#[derive(Debug)]
pub(crate) struct TreeEnsemble {
    engine: Engine,
    aggregate: Aggregate,
    transform: PostTransform,
}

impl Operator for TreeEnsemble {
    const NAME: &'static str = "TreeEnsemble";
    const ATTRIBUTES: &'static [&'static str] = &[
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "membership_values",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "post_transform",
        "tree_roots",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let aggregate = match attributes.int("aggregate_function")?.unwrap_or(1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => bail!("`aggregate_function` is {other}, 0 to 3 exist"),
        };
        let splits = numbers(attributes, "nodes_splits")?;
        let weights = numbers(attributes, "leaf_weights")?;
        let is_double = splits.is_double() || weights.is_double();
        let draft = draft(attributes, &splits, &weights)?;
        Ok(Arc::new(Self {
            engine: Engine::new(&draft, is_double)?,
            aggregate,
            transform: PostTransform::numbered(attributes.int("post_transform")?.unwrap_or(0))?,
        }))
    }
}

impl Kernel for TreeEnsemble {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let kind = numeric(inputs)?.kind;
        ensure!(
            matches!(kind, DatumType::F32 | DatumType::F64),
            "an input of {kind:?} does not fit, floats and doubles do"
        );
        let rows = self.engine.rows(inputs)?;
        Ok(tvec![Port::new(kind, [rows, self.engine.targets().into()])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, mut sums) = self.engine.predict(inputs[0], self.aggregate)?;
        let targets = self.engine.targets();
        let shape = [rows, targets];
        let output = if inputs[0].datum_type() == f64::datum_type() {
            self.transform.apply(&mut sums, targets);
            Tensor::from_shape(&shape, &sums)?
        } else {
            filled(&shape, |scores: &mut [f32]| {
                for (score, sum) in scores.iter_mut().zip(sums) {
                    *score = sum as f32;
                }
                self.transform.apply(scores, targets);
                Ok(())
            })?
        };
        Ok(tvec![output])
    }
}

fn numbers(attributes: &Attributes, name: &str) -> TractResult<Numbers> {
    let tensor = attributes.tensor(name)?;
    let tensor = tensor.with_context(|| format!("`{name}` is not given"))?;
    Numbers::of(name, &tensor)
}

/// Branches first, at their own positions, then leaves with one vote each.
fn draft(attributes: &Attributes, splits: &Numbers, weights: &Numbers) -> TractResult<Draft> {
    let targets = targets(attributes, weights.len())?;
    let mut draft = Draft {
        targets,
        ..Draft::default()
    };
    read_branches(attributes, splits, weights.len(), &mut draft)?;
    let ids = attributes.ints("leaf_targetids")?;
    same_length("leaf_targetids", ids.len(), "leaf_weights", weights.len())?;
    for (id, weight) in ids.iter().zip(weights.to_doubles()) {
        let target = usize::try_from(*id).ok().filter(|id| *id < targets);
        let target = target
            .with_context(|| format!("`leaf_targetids` holds {id}, there are {targets} targets"))?;
        let start = draft.votes.len() as u32;
        draft.votes.push(Vote {
            target: target as u32,
            weight,
        });
        let end = start + 1;
        draft.nodes.push(Node::Leaf { start, end });
    }
    let branches = splits.len();
    for root in attributes.ints("tree_roots")? {
        let known = usize::try_from(*root).ok().filter(|root| *root < branches);
        let root = known
            .with_context(|| format!("`tree_roots` holds {root}, there are {branches} nodes"))?;
        draft.roots.push(root as u32);
    }
    Ok(draft)
}

fn read_branches(
    attributes: &Attributes,
    splits: &Numbers,
    leaves: usize,
    draft: &mut Draft,
) -> TractResult<()> {
    let count = splits.len();
    ensure!(
        count
            .checked_add(leaves)
            .is_some_and(|all| u32::try_from(all).is_ok()),
        "there are {count} nodes and {leaves} leaves, at most {} fit",
        u32::MAX
    );
    let list = |name| {
        let values = attributes.ints(name)?;
        same_length(name, values.len(), "nodes_splits", count)?;
        TractResult::Ok(values)
    };
    let (features, on_true, on_false) = (
        list("nodes_featureids")?,
        list("nodes_truenodeids")?,
        list("nodes_falsenodeids")?,
    );
    let (true_leaves, false_leaves) = (list("nodes_trueleafs")?, list("nodes_falseleafs")?);
    let missing = attributes.ints("nodes_missing_value_tracks_true")?;
    if !missing.is_empty() {
        list("nodes_missing_value_tracks_true")?;
    }
    let modes = modes(attributes, count)?;
    draft.sets = sets(attributes, &modes)?;
    let child = |id: i64, is_leaf: i64| {
        let (first, room) = if is_leaf != 0 {
            (count, leaves)
        } else {
            (0, count)
        };
        let known = usize::try_from(id).ok().filter(|id| *id < room);
        known.map(|id| (first + id) as u32).with_context(|| {
            let kind = if is_leaf != 0 { "leaf" } else { "node" };
            format!("a node has {kind} {id} as its child, there are {room}")
        })
    };
    let mut set = 0;
    for (place, threshold) in splits.to_doubles().into_iter().enumerate() {
        let mode = modes[place];
        draft.nodes.push(Node::Branch(Branch {
            mode,
            feature: feature_column(features[place])?,
            threshold,
            missing_is_true: missing.get(place).is_some_and(|flag| *flag != 0),
            set: if mode == Mode::Member { set } else { 0 },
            on_true: child(on_true[place], true_leaves[place])?,
            on_false: child(on_false[place], false_leaves[place])?,
        }));
        set += u32::from(mode == Mode::Member);
    }
    Ok(())
}

fn modes(attributes: &Attributes, count: usize) -> TractResult<Vec<Mode>> {
    let tensor = attributes.tensor("nodes_modes")?;
    let tensor = tensor.context("`nodes_modes` is not given")?;
    ensure!(
        tensor.datum_type() == u8::datum_type(),
        "`nodes_modes` is a tensor of {:?}, bytes are wanted",
        tensor.datum_type()
    );
    same_length("nodes_modes", tensor.len(), "nodes_splits", count)?;
    let mode = |number: &u8| {
        Ok(match number {
            0 => Mode::Leq,
            1 => Mode::Lt,
            2 => Mode::Gte,
            3 => Mode::Gt,
            4 => Mode::Eq,
            5 => Mode::Neq,
            6 => Mode::Member,
            other => bail!("`nodes_modes` holds {other}, 0 to 6 exist"),
        })
    };
    elements::<u8>(&tensor)?.iter().map(mode).collect()
}

/// The sets of the branches that ask one, in their order; each ends with a
/// value that is no number.
fn sets(attributes: &Attributes, modes: &[Mode]) -> TractResult<Vec<Vec<f64>>> {
    let values = match attributes.tensor("membership_values")? {
        Some(tensor) => Numbers::of("membership_values", &tensor)?.to_doubles(),
        None => vec![],
    };
    let mut sets: Vec<Vec<f64>> = values
        .split(|value| value.is_nan())
        .map(<[f64]>::to_vec)
        .collect();
    if sets.last().is_some_and(Vec::is_empty) {
        sets.pop();
    }
    let asked = modes.iter().filter(|mode| **mode == Mode::Member).count();
    ensure!(
        sets.len() == asked,
        "`membership_values` holds {} sets, {asked} nodes ask one",
        sets.len()
    );
    Ok(sets)
}
