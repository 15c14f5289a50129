//! Checked names. Parse once at the edge; inside, a name is known to be good.
//!
//! The rules are those of the original SDK (its `^[a-z]([-a-z0-9]*[a-z0-9])?$`
//! and friends), spelled as functions so that the refusal can say which part
//! of the rule was broken.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::Error as _};

/// Why a text is not the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {} {what}: {rule}", article(what))]
pub struct NameError {
    /// What the text was meant to name, in words.
    pub what: &'static str,
    /// The text that was refused, cut to 80 characters.
    pub value: String,
    /// The rule in words.
    pub rule: &'static str,
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn refuse(what: &'static str, value: &str, rule: &'static str) -> NameError {
    NameError {
        what,
        value: value.chars().take(80).collect(),
        rule,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        name!($(#[$doc])* $type, $what, $rule, $check, $check);
    };
    // The last check is for what was written before, names that nobody may give included.
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr, $written:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(refuse($what, text, $rule)) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let check: fn(&str) -> bool = $written;
                if check(&text) { Ok(Self(text)) } else { Err(D::Error::custom(refuse($what, &text, $rule))) }
            }
        }
    };
}

fn is_lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Inner characters `a-z 0-9 -`; the last one not a dash. The first is the caller's.
fn is_dashed(text: &str) -> bool {
    text.bytes().all(|b| is_lower_or_digit(b) || b == b'-') && !text.ends_with('-')
}

/// Whether an environment name belongs to a curated environment, as in the original.
fn is_reserved(text: &str) -> bool {
    text.starts_with("Microsoft") || text.starts_with("AzureML")
}

/// The original's rule for services, endpoints and versions.
fn is_service(text: &str) -> bool {
    (3..=32).contains(&text.len()) && text.as_bytes()[0].is_ascii_lowercase() && is_dashed(text)
}

name!(
    /// A service or endpoint name: 3..=32 of `a-z 0-9 -`, letter first, no dash last.
    ///
    /// A version of an endpoint is a service of its own for all who run it; its name is
    /// then `endpoint/version`, which nobody can give to a service.
    ServiceName,
    "service name",
    "3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last",
    is_service,
    |t| t.split_once('/').map_or(is_service(t), |(endpoint, version)| is_service(endpoint) && is_service(version))
);

impl ServiceName {
    /// The name of the service that a version of an endpoint is.
    #[must_use]
    pub fn of_version(endpoint: &Self, version: &VersionName) -> Self {
        Self(format!("{}/{version}", endpoint.endpoint()))
    }

    /// The endpoint whose version this is; else the name itself.
    pub fn endpoint(&self) -> &str {
        self.0
            .split_once('/')
            .map_or(&self.0, |(endpoint, _)| endpoint)
    }

    /// The name as one part of a path: that of a version without its slash.
    pub fn file_name(&self) -> String {
        // No name has an underscore, so no two become one.
        self.0.replace('/', "_")
    }

    /// The version that this is.
    pub fn version(&self) -> Option<VersionName> {
        let (_, version) = self.0.split_once('/')?;
        Some(VersionName(version.to_owned()))
    }
}

name!(
    /// A version of an endpoint: as a service's name. It lives inside its endpoint.
    VersionName,
    "version name",
    "3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last",
    is_service
);

name!(
    /// A model name: 1..=255 of `a-z A-Z 0-9 - . _`, letter or digit first.
    ModelName,
    "model name",
    "1 to 255 characters of letters, digits, - . and _, a letter or digit first",
    |t| (1..=255).contains(&t.len())
        && t.as_bytes()[0].is_ascii_alphanumeric()
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
);

name!(
    /// A registered environment's name: 1..=255 of `a-z A-Z 0-9 - . _`, letter or
    /// digit first, not `Microsoft…` or `AzureML…`.
    EnvironmentName,
    "environment name",
    "1 to 255 characters of letters, digits, - . and _, a letter or digit first; names that begin \
     with Microsoft or AzureML belong to curated environments",
    |t| (1..=255).contains(&t.len())
        && t.as_bytes()[0].is_ascii_alphanumeric()
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && !is_reserved(t)
);

name!(
    /// A Kubernetes namespace: 1..=63 of `a-z 0-9 -`, no dash first or last.
    Namespace,
    "namespace",
    "1 to 63 characters of a-z, 0-9 and -, no dash first or last",
    |t| (1..=63).contains(&t.len()) && !t.starts_with('-') && is_dashed(t)
);

name!(
    /// A compute target name: 3..=24 of letters, digits and dashes, letter first, no dash last.
    ComputeName,
    "compute target name",
    "3 to 24 characters of letters, digits and -, a letter first, no dash last",
    |t| (3..=24).contains(&t.len())
        && t.as_bytes()[0].is_ascii_alphabetic()
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !t.ends_with('-')
);

name!(
    /// A workspace name: 3..=33 of letters, digits, - and _, letter or digit first.
    WorkspaceName,
    "workspace name",
    "3 to 33 characters of letters, digits, - and _, a letter or digit first",
    |t| (3..=33).contains(&t.len())
        && t.as_bytes()[0].is_ascii_alphanumeric()
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
);

/// A model's version: counts up from 1 within its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelVersion(pub u32);

impl ModelVersion {
    /// The version a name's first model gets.
    pub const FIRST: Self = Self(1);

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A registered model, written `name:version`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId {
    /// The model's name.
    pub name: ModelName,
    /// Its version, from 1 up.
    pub version: ModelVersion,
}

impl FromStr for ModelId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "expected `name:version` with a version from 1 up";
        let (name, version) = text
            .rsplit_once(':')
            .ok_or_else(|| refuse("model id", text, RULE))?;
        let number: u32 = version
            .parse()
            .map_err(|_| refuse("model id", text, RULE))?;
        if number == 0 || version.starts_with(['+', '0']) {
            return Err(refuse("model id", text, RULE));
        }
        Ok(Self {
            name: name.parse()?,
            version: ModelVersion(number),
        })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ModelId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
