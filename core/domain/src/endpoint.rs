//! Endpoints: several versions of a service behind one URL and one pair of keys.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AuthMode, ComputeName, Guard, KeyPair, Namespace, ServiceName, Share, TrafficTable, VersionName,
};

/// What the store keeps of an endpoint. Its versions are services of their own
/// ([`ServiceName::of_version`]) with records of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRecord {
    /// Its name; it shares its names with services.
    pub name: ServiceName,
    /// The cluster's name, as given.
    pub compute_name: Option<ComputeName>,
    /// Where its kube objects live.
    pub namespace: Option<Namespace>,
    /// Free text.
    pub description: Option<String>,
    /// Mutable labels.
    pub tags: BTreeMap<String, String>,
    /// Labels that may only grow.
    pub properties: BTreeMap<String, String>,
    /// How callers of all versions prove who they are.
    pub auth: AuthMode,
    /// Whether telemetry is wanted.
    pub app_insights: bool,
    /// Keys for all versions.
    pub keys: KeyPair,
    /// Who gets how much; none before a first version was healthy.
    pub traffic: Option<TrafficTable>,
    /// What keeps a caller at one version; none splits request by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// A version that gets copies of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Versions that are rolled back when they do badly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guards: BTreeMap<VersionName, Guard>,
    /// What a guard did last. That version gets no traffic before it has a new revision,
    /// or its guard is said anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// When it was created.
    pub created_time: Timestamp,
    /// When it was last changed.
    pub updated_time: Timestamp,
}

/// A version that broke its [`Guard`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// Which one.
    pub version: VersionName,
    /// When it lost its traffic.
    pub at: Timestamp,
    /// The rule and what was seen.
    pub reason: String,
    /// The rule, which holds again for the version's next revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// The operation that did it.
    pub operation: Uuid,
}

/// What names a caller who is to stay at one version. Who has none of it is split
/// request by request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// The value of this header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The key or token that the caller came with.
    Key,
}

/// Why a text names nothing to stay by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StickyError {
    /// It is spelled as none.
    #[error("`{0}` is nothing to keep callers by: `header:NAME`, `cookie:NAME` or `key` is")]
    Unknown(String),
    /// A header that tells no callers apart.
    #[error("`header:{name}` is nothing to keep callers by: {reason}")]
    Unfit {
        /// The header.
        name: String,
        /// What it says instead, and the way out.
        reason: &'static str,
    },
}

/// Headers that say nothing about who calls, and what they say.
const UNFIT: [(&str, &str); 10] = [
    (
        "authorization",
        "it holds the key or token, `key` keeps callers by it",
    ),
    (
        "azureml-model-deployment",
        "it names the version that the caller wants",
    ),
    ("connection", OF_THE_CONNECTION),
    ("content-encoding", OF_THE_BODY),
    ("content-length", OF_THE_BODY),
    ("content-type", OF_THE_BODY),
    ("date", "it tells when the request was sent"),
    ("host", "it names this node, all callers have the same"),
    ("te", OF_THE_CONNECTION),
    ("transfer-encoding", OF_THE_CONNECTION),
];

const OF_THE_BODY: &str = "it describes the request's body, not its caller";
const OF_THE_CONNECTION: &str = "it describes the connection, not the caller";

impl FromStr for Sticky {
    type Err = StickyError;

    fn from_str(text: &str) -> Result<Self, StickyError> {
        let is_token = |name: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            (1..=80).contains(&name.len()) && name.bytes().all(inner)
        };
        match text.split_once(':') {
            None if text == "key" => Ok(Self::Key),
            Some(("header", name)) if is_token(name) => header(name.to_lowercase()),
            Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
            _ => Err(StickyError::Unknown(text.chars().take(80).collect())),
        }
    }
}

fn header(name: String) -> Result<Sticky, StickyError> {
    match UNFIT.iter().find(|(unfit, _)| *unfit == name) {
        Some((_, reason)) => Err(StickyError::Unfit { name, reason }),
        None => Ok(Sticky::Header(name)),
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Key => f.write_str("key"),
        }
    }
}

/// A version that gets copies of requests, whose answers nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// Which one.
    pub version: VersionName,
    /// Of how many requests, at most [`Mirror::MOST`].
    pub share: Share,
    /// Whether its answers are kept beside the live ones.
    #[serde(default)]
    pub keeps_answers: bool,
}

/// Why a mirror is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{share} percent of the requests cannot be mirrored, more than 0 and at most 50 can")]
pub struct MirrorError {
    /// What was asked for.
    pub share: Share,
}

impl Mirror {
    /// Most that can be mirrored, as in the original's successor.
    pub const MOST: Share = Share::HALF;

    /// Copies of `share` of the requests to `version`.
    ///
    /// # Errors
    /// Nothing, or more than half.
    pub fn new(version: VersionName, share: Share) -> Result<Self, MirrorError> {
        match share > Share::NONE && share <= Self::MOST {
            true => Ok(Self {
                version,
                share,
                keeps_answers: false,
            }),
            false => Err(MirrorError { share }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_caller_survives_its_text() {
        for text in ["key", "header:x-user", "cookie:Session"] {
            assert_eq!(text.parse::<Sticky>().unwrap().to_string(), text);
        }
        assert_eq!(
            "header:X-User".parse(),
            Ok(Sticky::Header("x-user".to_owned()))
        );
        for text in [
            "",
            "header",
            "header:",
            "header:a b",
            "cookie:a=b",
            "key:x",
            "ip",
        ] {
            assert!(text.parse::<Sticky>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_that_is_no_callers_is_refused_with_the_reason() {
        for (text, reason) in [
            ("header:azureml-model-deployment", "names the version"),
            ("header:Authorization", "`key` keeps callers by it"),
            ("header:content-length", "the request's body"),
            ("header:host", "this node"),
        ] {
            let error = text.parse::<Sticky>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains(&text.to_lowercase()), "{error}");
        }
        assert!("cookie:host".parse::<Sticky>().is_ok());
    }

    #[test]
    fn at_most_half_is_mirrored() {
        let version: VersionName = "shadow".parse().unwrap();
        for (share, is_taken) in [("0", false), ("0.01", true), ("50", true), ("50.01", false)] {
            let mirror = Mirror::new(version.clone(), share.parse().unwrap());
            assert_eq!(mirror.is_ok(), is_taken, "{share}");
        }
    }
}
