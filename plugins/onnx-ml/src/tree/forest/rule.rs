//! The comparisons of branches.

use super::{Forest, MISSING_IS_TRUE, MODE_MASK, MODE_SHIFT, Node, Number};

/// A comparison that all branches make.
pub(super) trait Rule<T: Number> {
    fn holds(forest: &Forest<T>, node: &Node<T>, value: T) -> bool;
}

/// At most the threshold; `MISSING` where some branch takes missing values.
pub(super) struct Leq<const MISSING: bool>;

impl<T: Number, const MISSING: bool> Rule<T> for Leq<MISSING> {
    #[inline(always)]
    fn holds(_forest: &Forest<T>, node: &Node<T>, value: T) -> bool {
        (value <= node.value) | (MISSING && takes_missing(node, value))
    }
}

/// Less than the threshold.
pub(super) struct Lt<const MISSING: bool>;

impl<T: Number, const MISSING: bool> Rule<T> for Lt<MISSING> {
    #[inline(always)]
    fn holds(_forest: &Forest<T>, node: &Node<T>, value: T) -> bool {
        (value < node.value) | (MISSING && takes_missing(node, value))
    }
}

/// What each branch says itself.
pub(super) struct Mixed;

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
