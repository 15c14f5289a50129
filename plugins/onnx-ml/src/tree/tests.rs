use proptest::prelude::*;

use super::{
    draft::{Branch, Draft, Mode, Node, Vote},
    forest::{Aggregate, Forest},
};

const COLUMNS: usize = 3;
const TARGETS: usize = 3;
const MODES: [Mode; 7] = [
    Mode::Leq,
    Mode::Lt,
    Mode::Gte,
    Mode::Gt,
    Mode::Eq,
    Mode::Neq,
    Mode::Member,
];
const AGGREGATES: [Aggregate; 4] = [
    Aggregate::Sum,
    Aggregate::Average,
    Aggregate::Min,
    Aggregate::Max,
];

/// A tree as nothing but a tree.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(Vec<(u32, i8)>),
    Branch {
        mode: usize,
        feature: u32,
        threshold: i8,
        missing_is_true: bool,
        set: Vec<i8>,
        children: Box<(Tree, Tree)>,
    },
}

/// Trees of branches whose modes are below `modes`. Values are small whole
/// numbers, so that comparisons meet equality and sums are exact.
fn trees(modes: usize, missing: bool) -> impl Strategy<Value = Vec<Tree>> {
    let votes = prop::collection::vec((0..TARGETS as u32, -4i8..4), 0..4);
    let tree = votes
        .prop_map(Tree::Leaf)
        .prop_recursive(6, 40, 2, move |inner| {
            let branch = (
                0..modes,
                0..COLUMNS as u32,
                -3i8..3,
                any::<bool>(),
                prop::collection::vec(-3i8..3, 0..3),
                (inner.clone(), inner),
            );
            branch.prop_map(
                move |(mode, feature, threshold, flag, set, children)| Tree::Branch {
                    mode,
                    feature,
                    threshold,
                    missing_is_true: missing && flag,
                    set,
                    children: Box::new(children),
                },
            )
        });
    prop::collection::vec(tree, 1..12)
}

fn values() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![8 => (-3i8..3).prop_map(f32::from), 1 => Just(f32::NAN)];
    prop::collection::vec(value, COLUMNS..COLUMNS * 20)
}

/// Adds a tree to a draft; its position.
fn add(draft: &mut Draft, tree: &Tree) -> u32 {
    let node = match tree {
        Tree::Leaf(votes) => {
            let start = draft.votes.len() as u32;
            draft
                .votes
                .extend(votes.iter().map(|(target, weight)| Vote {
                    target: *target,
                    weight: f64::from(*weight),
                }));
            let end = draft.votes.len() as u32;
            Node::Leaf { start, end }
        }
        Tree::Branch {
            mode,
            feature,
            threshold,
            missing_is_true,
            set,
            children,
        } => {
            draft
                .sets
                .push(set.iter().map(|member| f64::from(*member)).collect());
            Node::Branch(Branch {
                mode: MODES[*mode],
                feature: *feature,
                threshold: f64::from(*threshold),
                missing_is_true: *missing_is_true,
                set: draft.sets.len() as u32 - 1,
                on_true: add(draft, &children.0),
                on_false: add(draft, &children.1),
            })
        }
    };
    draft.nodes.push(node);
    draft.nodes.len() as u32 - 1
}

fn draft(trees: &[Tree]) -> Draft {
    let mut draft = Draft {
        targets: TARGETS,
        ..Draft::default()
    };
    for tree in trees {
        let root = add(&mut draft, tree);
        draft.roots.push(root);
    }
    draft
}

/// The votes of a tree on a row, found as the definition says.
fn votes<'a>(tree: &'a Tree, row: &[f32]) -> &'a [(u32, i8)] {
    match tree {
        Tree::Leaf(votes) => votes,
        Tree::Branch {
            mode,
            feature,
            threshold,
            missing_is_true,
            set,
            children,
        } => {
            let value = row[*feature as usize];
            let threshold = f32::from(*threshold);
            let holds = match MODES[*mode] {
                _ if value.is_nan() => *missing_is_true,
                Mode::Leq => value <= threshold,
                Mode::Lt => value < threshold,
                Mode::Gte => value >= threshold,
                Mode::Gt => value > threshold,
                Mode::Eq => value == threshold,
                Mode::Neq => value != threshold,
                Mode::Member => set.iter().any(|member| f32::from(*member) == value),
            };
            votes(if holds { &children.0 } else { &children.1 }, row)
        }
    }
}

fn naive(trees: &[Tree], rows: &[f32], aggregate: Aggregate) -> Vec<f64> {
    let score = |row: &[f32], target: u32| {
        let all = trees.iter().flat_map(|tree| votes(tree, row));
        let weights = all
            .filter(|(voted, _)| *voted == target)
            .map(|(_, weight)| f64::from(*weight));
        match aggregate {
            Aggregate::Sum => weights.sum(),
            Aggregate::Average => weights.sum::<f64>() / trees.len() as f64,
            Aggregate::Min => weights.reduce(f64::min).unwrap_or(0.0),
            Aggregate::Max => weights.reduce(f64::max).unwrap_or(0.0),
        }
    };
    let targets = 0..TARGETS as u32;
    rows.chunks_exact(COLUMNS)
        .flat_map(|row| targets.clone().map(move |target| score(row, target)))
        .collect()
}

fn check(trees: &[Tree], values: &[f32]) -> Result<(), TestCaseError> {
    let forest = Forest::<f32>::grow(&draft(trees)).unwrap();
    let wide = forest.widened();
    let rows = &values[..values.len() / COLUMNS * COLUMNS];
    let doubles: Vec<f64> = rows.iter().map(|value| f64::from(*value)).collect();
    for aggregate in AGGREGATES {
        let expected = naive(trees, rows, aggregate);
        prop_assert_eq!(&forest.predict(rows, COLUMNS, aggregate), &expected);
        prop_assert_eq!(&wide.predict(&doubles, COLUMNS, aggregate), &expected);
    }
    Ok(())
}

proptest! {
    #[test]
    fn flat_trees_answer_as_a_walk_does(trees in trees(MODES.len(), true), values in values()) {
        check(&trees, &values)?;
    }

    #[test]
    fn trees_of_one_mode_answer_as_a_walk_does(
        trees in trees(1, false),
        missing in trees(1, true),
        values in values(),
    ) {
        check(&trees, &values)?;
        check(&missing, &values)?;
    }
}

#[test]
fn leaves_that_vote_on_all_targets_answer_as_others_do() {
    let leaf = |first: i8| Tree::Leaf(vec![(0, first), (1, 2), (2, 3)]);
    let tree = Tree::Branch {
        mode: 1,
        feature: 1,
        threshold: 0,
        missing_is_true: false,
        set: vec![],
        children: Box::new((leaf(1), leaf(-1))),
    };
    check(&vec![tree; 9], &[0.0, -1.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
}

#[test]
fn nodes_that_are_no_trees_are_refused() {
    let branch = |on_true, on_false| {
        Node::Branch(Branch {
            mode: Mode::Leq,
            feature: 0,
            threshold: 0.0,
            missing_is_true: false,
            set: 0,
            on_true,
            on_false,
        })
    };
    let leaf = Node::Leaf { start: 0, end: 0 };
    let itself = vec![branch(0, 1), leaf];
    let ring = vec![branch(1, 2), branch(0, 2), leaf];
    let shared = vec![branch(1, 1), branch(2, 2), leaf];
    for nodes in [itself, ring, shared] {
        let draft = Draft {
            nodes,
            roots: vec![0],
            targets: 1,
            ..Draft::default()
        };
        let error = Forest::<f32>::grow(&draft).unwrap_err().to_string();
        assert!(error.contains("form no trees"), "{error}");
    }
}
