//! Trees as a model file tells them: nodes that name their children.
//!
//! Nothing is promised but that children, targets and sets exist. Whether the
//! nodes form trees is found out by `forest`, which lays them out.

/// The comparison of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    /// Whether the value is one of a set.
    Member,
}

/// A node that chooses between two others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    pub(crate) mode: Mode,
    pub(crate) feature: u32,
    pub(crate) threshold: f64,
    /// Whether a value that is no number takes the true branch.
    pub(crate) missing_is_true: bool,
    /// Which of the sets a `Member` asks.
    pub(crate) set: u32,
    /// Positions of the children in [`Draft::nodes`].
    pub(crate) on_true: u32,
    pub(crate) on_false: u32,
}

/// A node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    Branch(Branch),
    /// The votes from `start` to `end` in [`Draft::votes`].
    Leaf {
        start: u32,
        end: u32,
    },
}

/// What a leaf says about a target, or a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vote {
    pub(crate) target: u32,
    pub(crate) weight: f64,
}

/// All trees of an ensemble.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) nodes: Vec<Node>,
    /// Positions of the first node of each tree.
    pub(crate) roots: Vec<u32>,
    pub(crate) votes: Vec<Vote>,
    /// The sets that `Mode::Member` asks.
    pub(crate) sets: Vec<Vec<f64>>,
    /// How many targets, or classes, there are.
    pub(crate) targets: usize,
}
