//! The two keys of a service. Secrets never print.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that must not reach a log: `Debug` shows only that it is there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who compares or hands it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Both keys of a service; either one opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPair {
    /// The first key.
    pub primary_key: Secret,
    /// The second key, for rotation without an outage.
    pub secondary_key: Secret,
}

impl KeyPair {
    /// Length of a generated key, in base62 characters: 190 bits.
    pub const GENERATED_LENGTH: usize = 32;

    /// Replaces one of the keys.
    pub fn set(&mut self, kind: KeyKind, key: Secret) {
        match kind {
            KeyKind::Primary => self.primary_key = key,
            KeyKind::Secondary => self.secondary_key = key,
        }
    }
}

/// Which of the two keys is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl FromStr for KeyKind {
    type Err = String;

    /// Case does not matter, as in the original.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("primary") {
            Ok(Self::Primary)
        } else if text.eq_ignore_ascii_case("secondary") {
            Ok(Self::Secondary)
        } else {
            Err(format!(
                "`{text}` is not a key: expected Primary or Secondary"
            ))
        }
    }
}
