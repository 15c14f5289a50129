//! The encoding of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`: nodes
//! with ids inside of their tree, and votes that name the node they belong to.

use std::collections::HashMap;

use tract_onnx::tract_hir::internal::*;

use super::draft::{Branch, Draft, Mode, Node, Vote};
use crate::attributes::{Attributes, Numbers};

/// How many targets an ensemble may have without as many votes: each costs
/// memory with every row.
const TARGETS_WITHOUT_VOTES: usize = 1024;

/// The attributes of nodes, in all versions.
pub(crate) struct Nodes<'a> {
    treeids: &'a [i64],
    nodeids: &'a [i64],
    featureids: &'a [i64],
    modes: Vec<&'a str>,
    values: Numbers,
    truenodeids: &'a [i64],
    falsenodeids: &'a [i64],
    missing: &'a [i64],
}

/// The attributes of votes, which begin with `class` or `target`.
pub(crate) struct Votes<'a> {
    prefix: &'static str,
    treeids: &'a [i64],
    nodeids: &'a [i64],
    pub(crate) ids: &'a [i64],
    pub(crate) weights: Numbers,
}

impl<'a> Nodes<'a> {
    pub(crate) fn read(attributes: &Attributes<'a>) -> TractResult<Self> {
        let nodes = Self {
            treeids: attributes.ints("nodes_treeids")?,
            nodeids: attributes.ints("nodes_nodeids")?,
            featureids: attributes.ints("nodes_featureids")?,
            modes: attributes.texts("nodes_modes")?,
            values: attributes.numbers("nodes_values")?,
            truenodeids: attributes.ints("nodes_truenodeids")?,
            falsenodeids: attributes.ints("nodes_falsenodeids")?,
            missing: attributes.ints("nodes_missing_value_tracks_true")?,
        };
        let count = nodes.treeids.len();
        ensure!(count > 0, "`nodes_treeids` is empty");
        for (name, length) in [
            ("nodes_nodeids", nodes.nodeids.len()),
            ("nodes_featureids", nodes.featureids.len()),
            ("nodes_modes", nodes.modes.len()),
            ("nodes_values", nodes.values.len()),
            ("nodes_truenodeids", nodes.truenodeids.len()),
            ("nodes_falsenodeids", nodes.falsenodeids.len()),
        ] {
            same_length(name, length, "nodes_treeids", count)?;
        }
        if !nodes.missing.is_empty() {
            let length = nodes.missing.len();
            same_length(
                "nodes_missing_value_tracks_true",
                length,
                "nodes_treeids",
                count,
            )?;
        }
        ensure!(
            u32::try_from(count).is_ok(),
            "`nodes_treeids` has {count} values, at most {} are possible",
            u32::MAX
        );
        Ok(nodes)
    }

    pub(crate) fn is_double(&self) -> bool {
        self.values.is_double()
    }
}

impl<'a> Votes<'a> {
    pub(crate) fn read(attributes: &Attributes<'a>, prefix: &'static str) -> TractResult<Self> {
        let votes = Self {
            prefix,
            treeids: attributes.ints(&format!("{prefix}_treeids"))?,
            nodeids: attributes.ints(&format!("{prefix}_nodeids"))?,
            ids: attributes.ints(&format!("{prefix}_ids"))?,
            weights: attributes.numbers(&format!("{prefix}_weights"))?,
        };
        let ids = format!("{prefix}_ids");
        for (name, length) in [
            ("treeids", votes.treeids.len()),
            ("nodeids", votes.nodeids.len()),
            ("weights", votes.weights.len()),
        ] {
            same_length(&format!("{prefix}_{name}"), length, &ids, votes.ids.len())?;
        }
        ensure!(
            u32::try_from(votes.ids.len()).is_ok(),
            "`{ids}` has {} values, at most {} are possible",
            votes.ids.len(),
            u32::MAX
        );
        Ok(votes)
    }
}

pub(crate) fn same_length(
    name: &str,
    length: usize,
    other: &str,
    wanted: usize,
) -> TractResult<()> {
    ensure!(
        length == wanted,
        "`{name}` has {length} values, `{other}` has {wanted}"
    );
    Ok(())
}

/// The attribute `n_targets` of an ensemble with so many votes.
pub(crate) fn targets(attributes: &Attributes, votes: usize) -> TractResult<usize> {
    let targets = attributes.int("n_targets")?.unwrap_or(1);
    let most = votes.max(TARGETS_WITHOUT_VOTES);
    usize::try_from(targets)
        .ok()
        .filter(|targets| (1..=most).contains(targets))
        .with_context(|| format!("`n_targets` is {targets}, 1 to {most} are possible"))
}

/// A draft of the trees with votes on `targets` targets.
pub(crate) fn draft(nodes: &Nodes, votes: &Votes, targets: usize) -> TractResult<Draft> {
    let mut draft = Draft {
        targets,
        ..Draft::default()
    };
    let places = places(nodes, &mut draft.roots)?;
    let spans = spread(votes, &places, &mut draft)?;
    let values = nodes.values.to_doubles();
    for place in 0..nodes.treeids.len() {
        let node = match mode(nodes.modes[place])? {
            None => {
                let (start, end) = spans[place];
                Node::Leaf { start, end }
            }
            Some(mode) => Node::Branch(branch(nodes, &places, place, mode, values[place])?),
        };
        draft.nodes.push(node);
    }
    Ok(draft)
}

/// Where the node of a tree and an id is; the first of a tree is its root.
type Places = HashMap<(i64, i64), u32>;

fn places(nodes: &Nodes, roots: &mut Vec<u32>) -> TractResult<Places> {
    let mut places = Places::with_capacity(nodes.treeids.len());
    let mut trees = HashMap::new();
    for ((tree, id), place) in nodes.treeids.iter().zip(nodes.nodeids).zip(0u32..) {
        ensure!(
            places.insert((*tree, *id), place).is_none(),
            "node {id} of tree {tree} is there twice"
        );
        if trees.insert(*tree, ()).is_none() {
            roots.push(place);
        }
    }
    Ok(places)
}

/// Puts the votes of each node side by side; where they are, by node.
fn spread(votes: &Votes, places: &Places, draft: &mut Draft) -> TractResult<Vec<(u32, u32)>> {
    let prefix = votes.prefix;
    let mut owned: Vec<(u32, u32, usize)> = Vec::with_capacity(votes.ids.len());
    for (position, id) in votes.ids.iter().enumerate() {
        let target = usize::try_from(*id).ok().filter(|id| *id < draft.targets);
        let target = target.with_context(|| {
            format!(
                "`{prefix}_ids` holds {id}, there are {} targets",
                draft.targets
            )
        })?;
        let (tree, node) = (votes.treeids[position], votes.nodeids[position]);
        let place = places.get(&(tree, node)).with_context(|| {
            format!("`{prefix}_nodeids` names node {node} of tree {tree}, which does not exist")
        })?;
        owned.push((*place, target as u32, position));
    }
    owned.sort_unstable();
    let weights = votes.weights.to_doubles();
    let mut spans = vec![(0, 0); places.len()];
    for (place, target, position) in owned {
        let here = draft.votes.len() as u32;
        let span = &mut spans[place as usize];
        if span.1 == 0 {
            span.0 = here;
        }
        span.1 = here + 1;
        draft.votes.push(Vote {
            target,
            weight: weights[position],
        });
    }
    Ok(spans)
}

fn branch(
    nodes: &Nodes,
    places: &Places,
    place: usize,
    mode: Mode,
    threshold: f64,
) -> TractResult<Branch> {
    let (tree, id) = (nodes.treeids[place], nodes.nodeids[place]);
    let child = |child: i64| {
        let place = places.get(&(tree, child)).copied();
        place.with_context(|| {
            format!("node {id} of tree {tree} has the child {child}, which does not exist")
        })
    };
    let feature = nodes.featureids[place];
    Ok(Branch {
        mode,
        feature: feature_column(feature)?,
        threshold,
        missing_is_true: nodes.missing.get(place).is_some_and(|flag| *flag != 0),
        set: 0,
        on_true: child(nodes.truenodeids[place])?,
        on_false: child(nodes.falsenodeids[place])?,
    })
}

/// A feature id as a column.
pub(crate) fn feature_column(feature: i64) -> TractResult<u32> {
    u32::try_from(feature)
        .ok()
        .filter(|feature| *feature < u32::MAX)
        .with_context(|| format!("`nodes_featureids` holds {feature}, which is no column"))
}

/// The mode of a branch; `None` for a leaf.
fn mode(text: &str) -> TractResult<Option<Mode>> {
    Ok(Some(match text {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Mode::Leq,
        "BRANCH_LT" => Mode::Lt,
        "BRANCH_GTE" => Mode::Gte,
        "BRANCH_GT" => Mode::Gt,
        "BRANCH_EQ" => Mode::Eq,
        "BRANCH_NEQ" => Mode::Neq,
        other => bail!("`nodes_modes` holds `{other}`, which does not exist"),
    }))
}

/// Base values, one for each target, or none.
pub(crate) fn base_values(
    attributes: &Attributes,
    fits: impl Fn(usize) -> bool,
) -> TractResult<Vec<f64>> {
    let values = attributes.numbers("base_values")?.to_doubles();
    ensure!(
        values.is_empty() || fits(values.len()),
        "`base_values` has {} values, which is not the number of targets",
        values.len()
    );
    Ok(values)
}
