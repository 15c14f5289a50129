//! The keys of a deployment config that only a version of an endpoint has.

use lusk_domain::{Guard, Share, VersionName};

use super::checked;
use crate::{
    Place,
    node::Entry,
    reader::{Reader, Section},
};

/// What a deployment config says of a version besides how it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new service, or a new endpoint with its first version.
    Deploy,
    /// A change of a service; nothing is required.
    Update,
    /// A version of an endpoint that is there: what is common to all versions is not
    /// read.
    Version,
}

/// A version of an endpoint as a deployment config (`computeType: aksendpoint`) has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeployedVersion {
    /// Its name; without one a first version is called like its endpoint.
    pub name: Option<VersionName>,
    /// Its own share of the traffic; without one a new version has none.
    pub share: Option<Share>,
    /// What rolls it back. A key of ours, the original has none.
    pub abort_if: Option<Guard>,
}

/// Keys of a version.
pub(super) const KEYS: [&str; 3] = ["versionName", "trafficPercentile", ABORT_IF];

/// A key of ours.
const ABORT_IF: &str = "abortIf";

/// Keys of an endpoint that its versions have in common, so that a version has none.
pub(super) const COMMON: [&str; 5] = [
    "authEnabled",
    "tokenAuthEnabled",
    "appInsightsEnabled",
    "namespace",
    "keys",
];

pub(super) fn read(reader: &mut Reader, top: Section<'_>) -> DeployedVersion {
    DeployedVersion {
        name: checked(reader, top, KEYS[0]),
        share: share(reader, top),
        abort_if: checked(reader, top, ABORT_IF),
    }
}

fn share(reader: &mut Reader, top: Section<'_>) -> Option<Share> {
    let key = KEYS[1];
    let percent = reader.number(top, key)?;
    match Share::try_from(percent) {
        Ok(share) => Some(share),
        Err(error) => reader.refuse(top.get(key)?, key, error.to_string()),
    }
}

/// Complains about a flag of versions where there are none. In a file the key is without
/// effect, as in the original.
pub(super) fn is_refused(reader: &mut Reader, entry: &Entry, compute_type: &str) -> bool {
    let is_flag = matches!(entry.node.place, Place::Flag(_));
    if !is_flag || !KEYS.contains(&entry.key.as_str()) {
        return false;
    }
    reader.problem(
        &entry.node.place,
        format!("only endpoints have versions, and this is computeType `{compute_type}`"),
        Some(
            "`--compute-type aksendpoint`, or `\"computeType\": \"aksendpoint\"` in the file, \
             makes an endpoint"
                .to_owned(),
        ),
    );
    true
}
