//! An endpoint's YAML.

use std::collections::BTreeMap;

use lusk_domain::ServiceName;

use super::{
    kind, named, read,
    traffic::{Shares, check_mirror, check_traffic, shares},
};
use crate::{
    Checked, ManifestError, Override, Source,
    node::shortened,
    reader::{Reader, Section},
    suggest::nearest,
};

/// An endpoint as its YAML has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OnlineEndpoint {
    /// Its name; a flag may give it instead.
    pub name: Option<ServiceName>,
    /// Free text.
    pub description: Option<String>,
    /// Labels, if there are any.
    pub tags: Option<BTreeMap<String, String>>,
    /// Labels that cannot change.
    pub properties: BTreeMap<String, String>,
    /// All shares, which add up to 100 or to 0.
    pub traffic: Option<Shares>,
    /// Who gets copies; none over 0 percent ends that.
    pub mirror: Option<Shares>,
}

const KNOWN: [&str; 9] = [
    "$schema",
    "type",
    "name",
    "description",
    "tags",
    "properties",
    "auth_mode",
    "traffic",
    "mirror_traffic",
];

/// What a node has no use for.
const IDLE: [&str; 5] = [
    "compute",
    "identity",
    "public_network_access",
    "kind",
    "location",
];

const AUTH_MODES: [&str; 3] = ["key", "aml_token", "aad_token"];

/// Reads an endpoint with `overrides` laid over it.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn online_endpoint(
    source: &Source,
    overrides: &[Override],
) -> Result<Checked<OnlineEndpoint>, ManifestError> {
    read(source, overrides, |reader, top| {
        Some(from_root(reader, top))
    })
}

fn from_root(reader: &mut Reader, top: Section<'_>) -> OnlineEndpoint {
    reader.check_keys(top, &KNOWN, &IDLE);
    kind(reader, top);
    check_auth(reader, top);
    let tags = reader.text_map(top, "tags");
    OnlineEndpoint {
        name: named(reader, top, "name"),
        description: reader.text(top, "description"),
        tags: top.get("tags").map(|_| tags),
        properties: reader.text_map(top, "properties"),
        traffic: shares(reader, top, "traffic", check_traffic),
        mirror: shares(reader, top, "mirror_traffic", check_mirror),
    }
}

fn check_auth(reader: &mut Reader, top: Section<'_>) {
    const KEY: &str = "auth_mode";
    let (Some(node), Some(text)) = (top.get(KEY), reader.text(top, KEY)) else {
        return;
    };
    let lower = text.to_ascii_lowercase();
    let (message, help) = match lower.as_str() {
        "key" => return,
        "aml_token" | "aad_token" => (
            format!("`{KEY}`: `{lower}`: no endpoint takes tokens here"),
            Some("use `auth_mode: key`".to_owned()),
        ),
        _ => (
            format!("`{KEY}`: `{}` is unknown, expected key", shortened(&text)),
            nearest(&text, AUTH_MODES).map(|near| format!("did you mean `{near}`?")),
        ),
    };
    reader.problem(&node.place, message, help);
}
