//! Laying out a draft: each branch gets a place, its children lie after it.
//!
//! Where it costs little, leaves that are nearer than others are moved down to
//! where the farthest are: a walk then need not ask whether it has arrived.

use tract_onnx::tract_hir::internal::*;

use super::{
    super::draft::{Branch, Draft, Mode, Node as Drafted},
    BRANCH, Forest, MAX_NUMBER, MISSING_IS_TRUE, MODE_SHIFT, NUMBER_SHIFT, Node, Number, ONE_VOTE,
    RuleKind, Tree,
};

/// Deeper trees keep leaves where they are.
const MAX_EVEN_DEPTH: u32 = 8;

/// How many times as many nodes an even tree may have.
const MAX_GROWTH: usize = 2;

impl<T: Number> Forest<T> {
    /// Lays out a draft whose nodes must form trees.
    pub(crate) fn grow(draft: &Draft) -> TractResult<Self> {
        let mut forest = Self {
            nodes: Vec::with_capacity(draft.nodes.len()),
            trees: Vec::with_capacity(draft.roots.len()),
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
        let mut tree = Tree {
            root: first,
            nearest: u32::MAX,
            farthest: 0,
        };
        let mut queue = vec![(root, first as usize, 0)];
        let mut done = 0;
        while let Some((position, place, depth)) = queue.get(done).copied() {
            done += 1;
            let drafted = draft.nodes.get(position as usize);
            let node = match *drafted.context("a child does not exist")? {
                Drafted::Leaf { start, end } => {
                    tree.nearest = tree.nearest.min(depth);
                    tree.farthest = tree.farthest.max(depth);
                    leaf(draft, start, end)?
                }
                Drafted::Branch(branch) => {
                    let placed = &mut placed[position as usize];
                    ensure!(
                        !std::mem::replace(placed, true),
                        "the nodes form no trees: one is reached twice, or reaches itself"
                    );
                    let next = self.reserve(2)?;
                    queue.push((branch.on_true, next as usize, depth + 1));
                    queue.push((branch.on_false, next as usize + 1, depth + 1));
                    self.columns = self.columns.max(branch.feature as usize + 1);
                    inner(&branch, next)?
                }
            };
            self.nodes[place] = node;
        }
        self.make_even(&mut tree)?;
        self.trees.push(tree);
        Ok(())
    }

    /// Gives the last tree a leaf, or a copy of one, at the end of every way. The
    /// branches to the copies may choose as they like.
    fn make_even(&mut self, tree: &mut Tree) -> TractResult<()> {
        let root = tree.root as usize;
        if tree.nearest == tree.farthest || tree.farthest > MAX_EVEN_DEPTH {
            return Ok(());
        }
        let count = (2 << tree.farthest) - 1;
        if count > MAX_GROWTH * (self.nodes.len() - root) {
            return Ok(());
        }
        let uneven = self.nodes.split_off(root);
        self.reserve(count)?;
        // Which node each place is made of. The children of place i are 2 i + 1 and after.
        let mut sources = vec![0; count];
        for place in 0..count {
            let source = sources[place];
            let mut node = uneven[source];
            let child = 2 * place + 1;
            if child < count {
                if node.flags & BRANCH != 0 {
                    sources[child] = node.next as usize - root;
                    sources[child + 1] = sources[child] + 1;
                } else {
                    sources[child] = source;
                    sources[child + 1] = source;
                    node = Node {
                        value: T::of(0.0),
                        feature: 0,
                        next: 0,
                        flags: BRANCH,
                    };
                }
                node.next = tree.root + child as u32;
            }
            self.nodes[root + place] = node;
        }
        tree.nearest = tree.farthest;
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
