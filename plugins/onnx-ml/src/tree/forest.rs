//! The engine: all nodes of all trees in one vector, walked in groups.
//!
//! The two children of a branch lie side by side, so a step is one load, one
//! comparison and one addition. Eight walks, of one row through eight trees or
//! of eight rows through one tree, advance together without a jump that could
//! be guessed wrong; a walk that has reached its leaf waits there. As many steps
//! as the shortest way to a leaf has need not ask whether it is reached.
//!
//! Invariant: `next` of a branch, and what comes after it, are positions of
//! nodes, and no walk is endless: `layout` places each branch once.

mod layout;
mod rule;

use tract_onnx::tract_hir::internal::Datum;

use crate::shares::Rows;
use rule::{Leq, Lt, Mixed, Rule};

/// How many walks advance together.
const LANES: usize = 8;

/// Set where a node is a branch.
const BRANCH: u32 = 1;
/// Set where a value that is no number takes the true branch.
const MISSING_IS_TRUE: u32 = 1 << 1;
/// Set where a leaf has one vote, which stands in the node itself.
const ONE_VOTE: u32 = 1 << 2;
/// Where the mode of a branch begins, and how many bits it may take.
const MODE_SHIFT: u32 = 3;
const MODE_MASK: u32 = 0b111;
/// Where the number of a set, of a target or of votes begins.
const NUMBER_SHIFT: u32 = 8;
const MAX_NUMBER: usize = (1 << (32 - NUMBER_SHIFT)) - 1;

/// What thresholds and inputs are counted in.
pub(crate) trait Number: Datum + Copy + PartialOrd + Into<f64> {
    fn of(value: f64) -> Self;
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

/// How the votes of all trees become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// A node.
#[derive(Debug, Clone, Copy)]
struct Node<T> {
    /// What a branch compares with, or the weight of a leaf's one vote.
    value: T,
    /// The column that a branch looks at; 0 in a leaf.
    feature: u32,
    /// The child on the true side, or a leaf's first vote.
    next: u32,
    flags: u32,
}

/// Where a tree begins, and how far its leaves are.
#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    /// Steps to the nearest leaf, and to the farthest.
    nearest: u32,
    farthest: u32,
}

/// Flat trees.
#[derive(Debug)]
pub(crate) struct Forest<T> {
    nodes: Vec<Node<T>>,
    trees: Vec<Tree>,
    /// The targets of votes; empty if every leaf votes on all, in order.
    vote_targets: Vec<u32>,
    vote_weights: Vec<T>,
    /// Ascending members of each set, one set after the other.
    members: Vec<T>,
    /// Where the members of each set begin, and where the last ones end.
    set_starts: Vec<usize>,
    rule: RuleKind,
    targets: usize,
    columns: usize,
}

/// Which comparison serves all branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RuleKind {
    Leq,
    LeqOrMissing,
    Lt,
    LtOrMissing,
    Mixed,
}

impl<T: Number> Forest<T> {
    /// The same trees, comparing doubles.
    pub(crate) fn widened(&self) -> Forest<f64> {
        let wide = |node: &Node<T>| Node {
            value: node.value.into(),
            feature: node.feature,
            next: node.next,
            flags: node.flags,
        };
        let all = |numbers: &[T]| numbers.iter().map(|number| (*number).into()).collect();
        Forest {
            nodes: self.nodes.iter().map(wide).collect(),
            trees: self.trees.clone(),
            vote_targets: self.vote_targets.clone(),
            vote_weights: all(&self.vote_weights),
            members: all(&self.members),
            set_starts: self.set_starts.clone(),
            rule: self.rule,
            targets: self.targets,
            columns: self.columns,
        }
    }

    /// How many columns the trees look at, at least one.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn targets(&self) -> usize {
        self.targets
    }

    /// The scores of each row, one row after the other. A target without any
    /// vote has the score 0.
    pub(crate) fn predict(&self, rows: &[T], columns: usize, aggregate: Aggregate) -> Vec<f64> {
        let count = rows.len() / columns.max(1);
        let none = match aggregate {
            Aggregate::Sum | Aggregate::Average => 0.0,
            // Both functions take the other one of a number and no number.
            Aggregate::Min | Aggregate::Max => f64::NAN,
        };
        let mut scores = vec![none; count * self.targets];
        let table = Rows {
            values: rows,
            columns,
        };
        table.share(&mut scores, self.targets, self.steps(), |rows, scores| {
            let table = Table { rows, columns };
            match aggregate {
                Aggregate::Sum | Aggregate::Average => {
                    self.walk(&table, scores, |score, weight| *score += weight);
                }
                Aggregate::Min => {
                    self.walk(&table, scores, |score, weight| *score = score.min(weight));
                }
                Aggregate::Max => {
                    self.walk(&table, scores, |score, weight| *score = score.max(weight));
                }
            }
        });
        let trees = self.trees.len().max(1) as f64;
        match aggregate {
            Aggregate::Sum => {}
            Aggregate::Average => scores.iter_mut().for_each(|score| *score /= trees),
            Aggregate::Min | Aggregate::Max => {
                let unset = scores.iter_mut().filter(|score| score.is_nan());
                unset.for_each(|score| *score = 0.0);
            }
        }
        scores
    }

    /// About how many steps a row takes, each of a nanosecond.
    fn steps(&self) -> usize {
        let steps = self.trees.iter();
        steps
            .map(|tree| (tree.nearest as usize + tree.farthest as usize) / 2 + 1)
            .sum()
    }

    fn walk(&self, table: &Table<T>, scores: &mut [f64], vote: impl Fn(&mut f64, f64) + Copy) {
        match self.rule {
            RuleKind::Leq => self.walk_by::<Leq<false>>(table, scores, vote),
            RuleKind::LeqOrMissing => self.walk_by::<Leq<true>>(table, scores, vote),
            RuleKind::Lt => self.walk_by::<Lt<false>>(table, scores, vote),
            RuleKind::LtOrMissing => self.walk_by::<Lt<true>>(table, scores, vote),
            RuleKind::Mixed => self.walk_by::<Mixed>(table, scores, vote),
        }
    }

    /// Rows in groups through one tree after the other; rows that make no full
    /// group one after the other through groups of trees.
    fn walk_by<R: Rule<T>>(
        &self,
        table: &Table<T>,
        scores: &mut [f64],
        vote: impl Fn(&mut f64, f64) + Copy,
    ) {
        let targets = self.targets;
        let grouped = table.count() / LANES * LANES;
        for tree in &self.trees {
            for first in (0..grouped).step_by(LANES) {
                let rows = std::array::from_fn(|lane| table.row(first + lane));
                let leaves = self.descend::<R>([tree; LANES], rows);
                for (lane, leaf) in leaves.into_iter().enumerate() {
                    let score = &mut scores[(first + lane) * targets..][..targets];
                    self.vote(leaf, score, vote);
                }
            }
        }
        for row in grouped..table.count() {
            let score = &mut scores[row * targets..][..targets];
            for trees in self.trees.chunks(LANES) {
                let group = std::array::from_fn(|lane| &trees[lane.min(trees.len() - 1)]);
                let leaves = self.descend::<R>(group, [table.row(row); LANES]);
                for leaf in leaves.into_iter().take(trees.len()) {
                    self.vote(leaf, score, vote);
                }
            }
        }
    }

    /// The leaves that rows reach, each in its tree.
    #[inline(always)]
    fn descend<R: Rule<T>>(&self, trees: [&Tree; LANES], rows: [&[T]; LANES]) -> [u32; LANES] {
        let mut at = trees.map(|tree| tree.root);
        let nearest = trees.iter().map(|tree| tree.nearest).min().unwrap_or(0);
        for _ in 0..nearest {
            for lane in 0..LANES {
                let node = &self.nodes[at[lane] as usize];
                let value = rows[lane][node.feature as usize];
                at[lane] = node.next + u32::from(!R::holds(self, node, value));
            }
        }
        if trees.iter().all(|tree| tree.farthest == nearest) {
            return at;
        }
        loop {
            let mut open = 0;
            for lane in 0..LANES {
                let node = &self.nodes[at[lane] as usize];
                let value = rows[lane][node.feature as usize];
                let next = node.next + u32::from(!R::holds(self, node, value));
                let is_branch = node.flags & BRANCH;
                at[lane] = if is_branch != 0 { next } else { at[lane] };
                open |= is_branch;
            }
            if open == 0 {
                return at;
            }
        }
    }

    #[inline(always)]
    fn vote(&self, leaf: u32, scores: &mut [f64], vote: impl Fn(&mut f64, f64)) {
        let node = &self.nodes[leaf as usize];
        let number = (node.flags >> NUMBER_SHIFT) as usize;
        if node.flags & ONE_VOTE != 0 {
            vote(&mut scores[number], node.value.into());
            return;
        }
        let start = node.next as usize;
        let weights = &self.vote_weights[start..][..number];
        if self.vote_targets.is_empty() {
            for (score, weight) in scores.iter_mut().zip(weights) {
                vote(score, (*weight).into());
            }
        } else {
            let targets = &self.vote_targets[start..][..number];
            for (target, weight) in targets.iter().zip(weights) {
                vote(&mut scores[*target as usize], (*weight).into());
            }
        }
    }

    fn is_member(&self, node: &Node<T>, value: T) -> bool {
        let set = (node.flags >> NUMBER_SHIFT) as usize;
        let members = &self.members[self.set_starts[set]..self.set_starts[set + 1]];
        let place = members.partition_point(|member| *member < value);
        members.get(place).is_some_and(|member| *member == value)
    }
}

/// Rows of as many values each.
struct Table<'a, T> {
    rows: &'a [T],
    columns: usize,
}

impl<'a, T> Table<'a, T> {
    fn count(&self) -> usize {
        self.rows.len() / self.columns.max(1)
    }

    fn row(&self, row: usize) -> &'a [T] {
        &self.rows[row * self.columns..][..self.columns]
    }
}
