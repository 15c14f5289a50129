//! Which packages an environment named, and what became of each: the list that
//! an image keeps of them.

use serde::{Deserialize, Serialize};

/// Where a requirement stands in the conda definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Conda,
    Pip,
}

/// One package that was named and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// As PyPI has it, in the normal form of PEP 503.
    pub(crate) name: String,
    /// The rest of the line: extras, version bounds, markers.
    pub(crate) asked: String,
    pub(crate) source: Source,
    /// Whether lusk gives it and nothing was installed.
    pub(crate) carried: bool,
    /// What was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}
