//! One broken rule. Rules are checked all at once and reported together.

use std::fmt;

/// A rule that a set of fields breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path as the wire spells it, e.g. `autoScaler.minReplicas`.
    pub path: String,
    /// What is wrong, with the value seen and the bound; no full stop.
    pub message: String,
}

impl Violation {
    /// A broken rule at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.message)
    }
}
