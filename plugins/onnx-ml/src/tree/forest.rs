//! The engine: all nodes of all trees in one vector, walked in groups.
//!
//! The two children of a branch lie side by side, so a step is one load, one
//! comparison and one addition. Eight walks, of one row through eight trees or
//! of eight rows through one tree, advance together without a jump that could
//! be guessed wrong; a walk that has reached its leaf waits there.
//!
//! Invariant: `next` of a branch, and what comes after it, are positions of
//! nodes, and no walk is endless: `Forest::grow` places each branch once.

use tract_onnx::tract_hir::internal::*;

use super::draft::{Branch, Draft, Mode, Node as Drafted};

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

/// Flat trees.
#[derive(Debug)]
pub(crate) struct Forest<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<u32>,
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
    /// Lays out a draft whose nodes must form trees.
    pub(crate) fn grow(draft: &Draft) -> TractResult<Self> {
        let mut forest = Self {
            nodes: Vec::with_capacity(draft.nodes.len()),
            roots: Vec::with_capacity(draft.roots.len()),
            vote_targets: draft.votes.iter().map(|vote| vote.target).collect(),
            vote_weights: draft.votes.iter().map(|vote| T::of(vote.weight)).collect(),
            members: vec![],
            set_starts: vec![0],
            rule: rule_of(draft),
            targets: draft.targets,
            columns: 1,
        };
        for set in &draft.sets {
            let mut members: Vec<T> = set.iter().map(|member| T::of(*member)).collect();
            members.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            forest.members.extend(members);
            forest.set_starts.push(forest.members.len());
        }
        let mut placed = vec![false; draft.nodes.len()];
        for root in &draft.roots {
            forest.place_tree(draft, *root, &mut placed)?;
        }
        if is_dense(draft) {
            forest.vote_targets = vec![];
        }
        Ok(forest)
    }

    fn place_tree(&mut self, draft: &Draft, root: u32, placed: &mut [bool]) -> TractResult<()> {
        let first = self.reserve(1)?;
        self.roots.push(first);
        let mut queue = vec![(root, first as usize)];
        let mut done = 0;
        while let Some((position, place)) = queue.get(done).copied() {
            done += 1;
            let drafted = draft.nodes.get(position as usize);
            let node = match *drafted.context("a child does not exist")? {
                Drafted::Leaf { start, end } => leaf(draft, start, end)?,
                Drafted::Branch(branch) => {
                    let placed = &mut placed[position as usize];
                    ensure!(
                        !std::mem::replace(placed, true),
                        "the nodes form no trees: one is reached twice, or reaches itself"
                    );
                    let next = self.reserve(2)?;
                    queue.push((branch.on_true, next as usize));
                    queue.push((branch.on_false, next as usize + 1));
                    self.columns = self.columns.max(branch.feature as usize + 1);
                    inner(&branch, next)?
                }
            };
            self.nodes[place] = node;
        }
        Ok(())
    }

    /// Room for `count` nodes; the position of the first.
    fn reserve(&mut self, count: usize) -> TractResult<u32> {
        let position = u32::try_from(self.nodes.len() + count);
        let position = position.context("more than 4,294,967,295 nodes")? - count as u32;
        let empty = Node {
            value: T::of(0.0),
            feature: 0,
            next: 0,
            flags: 0,
        };
        self.nodes.extend(std::iter::repeat_n(empty, count));
        Ok(position)
    }

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
            roots: self.roots.clone(),
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
        let table = Table { rows, columns };
        match aggregate {
            Aggregate::Sum | Aggregate::Average => {
                self.walk(&table, &mut scores, |score, weight| *score += weight);
            }
            Aggregate::Min => {
                self.walk(&table, &mut scores, |score, weight| {
                    *score = score.min(weight)
                });
            }
            Aggregate::Max => {
                self.walk(&table, &mut scores, |score, weight| {
                    *score = score.max(weight)
                });
            }
        }
        let trees = self.roots.len().max(1) as f64;
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
        for root in &self.roots {
            for first in (0..grouped).step_by(LANES) {
                let rows = std::array::from_fn(|lane| table.row(first + lane));
                let leaves = self.descend::<R>([*root; LANES], rows);
                for (lane, leaf) in leaves.into_iter().enumerate() {
                    let score = &mut scores[(first + lane) * targets..][..targets];
                    self.vote(leaf, score, vote);
                }
            }
        }
        for row in grouped..table.count() {
            let score = &mut scores[row * targets..][..targets];
            for roots in self.roots.chunks(LANES) {
                let starts = std::array::from_fn(|lane| roots[lane.min(roots.len() - 1)]);
                let leaves = self.descend::<R>(starts, [table.row(row); LANES]);
                for leaf in leaves.into_iter().take(roots.len()) {
                    self.vote(leaf, score, vote);
                }
            }
        }
    }

    /// The leaves that are reached from `at`.
    #[inline(always)]
    fn descend<R: Rule<T>>(&self, mut at: [u32; LANES], rows: [&[T]; LANES]) -> [u32; LANES] {
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

/// A comparison that all branches make.
trait Rule<T: Number> {
    fn holds(forest: &Forest<T>, node: &Node<T>, value: T) -> bool;
}

/// At most the threshold; `MISSING` where some branch takes missing values.
struct Leq<const MISSING: bool>;

impl<T: Number, const MISSING: bool> Rule<T> for Leq<MISSING> {
    #[inline(always)]
    fn holds(_forest: &Forest<T>, node: &Node<T>, value: T) -> bool {
        (value <= node.value) | (MISSING && takes_missing(node, value))
    }
}

/// Less than the threshold.
struct Lt<const MISSING: bool>;

impl<T: Number, const MISSING: bool> Rule<T> for Lt<MISSING> {
    #[inline(always)]
    fn holds(_forest: &Forest<T>, node: &Node<T>, value: T) -> bool {
        (value < node.value) | (MISSING && takes_missing(node, value))
    }
}

/// What each branch says itself.
struct Mixed;

impl<T: Number> Rule<T> for Mixed {
    #[inline(always)]
    fn holds(forest: &Forest<T>, node: &Node<T>, value: T) -> bool {
        if value.partial_cmp(&value).is_none() {
            return node.flags & MISSING_IS_TRUE != 0;
        }
        match (node.flags >> MODE_SHIFT) & MODE_MASK {
            0 => value <= node.value,
            1 => value < node.value,
            2 => value >= node.value,
            3 => value > node.value,
            4 => value == node.value,
            5 => value != node.value,
            // A leaf has the mode 0.
            _ => forest.is_member(node, value),
        }
    }
}

#[inline(always)]
fn takes_missing<T: Number>(node: &Node<T>, value: T) -> bool {
    value.partial_cmp(&value).is_none() & (node.flags & MISSING_IS_TRUE != 0)
}

fn inner<T: Number>(branch: &Branch, next: u32) -> TractResult<Node<T>> {
    ensure!(
        branch.set as usize <= MAX_NUMBER,
        "more than {MAX_NUMBER} sets of members"
    );
    let missing = if branch.missing_is_true {
        MISSING_IS_TRUE
    } else {
        0
    };
    let mode = (branch.mode as u32) << MODE_SHIFT;
    Ok(Node {
        value: T::of(branch.threshold),
        feature: branch.feature,
        next,
        flags: BRANCH | missing | mode | (branch.set << NUMBER_SHIFT),
    })
}

fn leaf<T: Number>(draft: &Draft, start: u32, end: u32) -> TractResult<Node<T>> {
    let votes = draft.votes.get(start as usize..end as usize);
    let votes = votes.context("a leaf has votes that do not exist")?;
    let (value, next, number, one) = match votes {
        [vote] => (vote.weight, 0, vote.target as usize, ONE_VOTE),
        votes => (0.0, start, votes.len(), 0),
    };
    ensure!(
        number <= MAX_NUMBER,
        "a leaf has {number} votes or votes on target {number}, at most {MAX_NUMBER} exist"
    );
    Ok(Node {
        value: T::of(value),
        feature: 0,
        next,
        flags: one | ((number as u32) << NUMBER_SHIFT),
    })
}

/// Whether every leaf with several votes votes on all targets in order.
fn is_dense(draft: &Draft) -> bool {
    draft.nodes.iter().all(|node| match *node {
        Drafted::Branch(_) => true,
        Drafted::Leaf { start, end } => match draft.votes.get(start as usize..end as usize) {
            Some([] | [_]) => true,
            Some(votes) => {
                votes.len() == draft.targets
                    && votes
                        .iter()
                        .zip(0..)
                        .all(|(vote, place)| vote.target == place)
            }
            None => false,
        },
    })
}

fn rule_of(draft: &Draft) -> RuleKind {
    let branches = || {
        draft.nodes.iter().filter_map(|node| match node {
            Drafted::Branch(branch) => Some(branch),
            Drafted::Leaf { .. } => None,
        })
    };
    let all = |mode: Mode| branches().all(|branch| branch.mode == mode);
    let missing = branches().any(|branch| branch.missing_is_true);
    match (all(Mode::Leq), all(Mode::Lt), missing) {
        (true, _, false) => RuleKind::Leq,
        (true, _, true) => RuleKind::LeqOrMissing,
        (_, true, false) => RuleKind::Lt,
        (_, true, true) => RuleKind::LtOrMissing,
        _ => RuleKind::Mixed,
    }
}
