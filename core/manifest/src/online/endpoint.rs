//! An endpoint's YAML.

use std::collections::BTreeMap;

use lusk_domain::ServiceName;

use super::{
    kind, named, read,
    traffic::{Shares, check_mirror, check_traffic, shares},
    which::{DEPLOYMENT, ENDPOINT, refuse_other},
};
use crate::{
    Checked, ManifestError, Override, Source,
    node::shortened,
    reader::{Reader, Section},
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

/// Modes of the format that no node has, without what is put between their words.
const TOKENS: [&str; 2] = ["amltoken", "aadtoken"];

/// What only a deployment's file has.
const OF_DEPLOYMENTS: [&str; 3] = ["endpoint_name", "model", "code_configuration"];

/// Reads an endpoint with `overrides` laid over it.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn online_endpoint(
    source: &Source,
    overrides: &[Override],
) -> Result<Checked<OnlineEndpoint>, ManifestError> {
    read(source, overrides, |reader, top| {
        refuse_other(reader, top, &DEPLOYMENT, &ENDPOINT, &OF_DEPLOYMENTS)?;
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
    let bare = text.to_ascii_lowercase().replace(['_', '-'], "");
    if bare == "key" {
        return;
    }
    let text = shortened(&text);
    let message = match TOKENS.contains(&bare.as_str()) {
        true => format!("`{KEY}`: `{text}`: no endpoint takes tokens here"),
        false => format!("`{KEY}`: `{text}` is unknown, expected key"),
    };
    reader.problem(
        &node.place,
        message,
        Some("use `auth_mode: key`".to_owned()),
    );
}
