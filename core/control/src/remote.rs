//! Rules of services whose replicas somebody else runs.
//!
//! Such a service has one replica for each URL and takes nothing of the node, so
//! what says how many there are, or what one may use, has no effect and is refused.

use std::collections::BTreeSet;

use lusk_domain::{ReplicaUrl, ResourceChange, ServiceSpec, Settings, SettingsChange, Violation};

const PATH: &str = "remoteReplicas";

/// Rules of a list as it was given.
pub(crate) fn given(urls: &[ReplicaUrl]) -> Vec<Violation> {
    let mut found = Vec::new();
    if urls.is_empty() {
        let message = "no URL is given, expected one for each outside replica; leave it out for \
                       a service without them";
        found.push(Violation::new(PATH, message));
    }
    if urls.len() > ServiceSpec::MAX_REMOTE {
        let (seen, limit) = (urls.len(), ServiceSpec::MAX_REMOTE);
        let message = format!("{seen} URLs are over the limit of {limit}");
        found.push(Violation::new(PATH, message));
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> = urls.iter().filter(|url| !seen.insert(*url)).collect();
    found.extend(
        twice
            .into_iter()
            .map(|url| Violation::new(PATH, format!("`{url}` is given twice"))),
    );
    found
}

/// Rules between outside replicas and the rest of a specification.
pub(crate) fn spec(spec: &ServiceSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    if spec.entry.is_some() {
        let message = "a service has either an entry script or outside replicas; to change from \
                       one to the other, deploy it anew with overwrite";
        found.push(Violation::new(PATH, message));
    }
    if !spec.models.is_empty() {
        let message = "outside replicas have models of their own, so none can be given";
        found.push(Violation::new("models", message));
    }
    found
}

/// Wishes about settings that mean nothing for so many outside replicas.
pub(crate) fn settings(change: &SettingsChange, urls: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(replicas) = change
        .num_replicas
        .filter(|replicas| *replicas as usize != urls)
    {
        let message =
            format!("{replicas} replicas are asked for, but {urls} URLs of outside ones are given");
        found.push(Violation::new("numReplicas", message));
    }
    let scaler = change.auto_scaler.unwrap_or_default();
    let is_scaled = scaler.min_replicas.or(scaler.max_replicas).is_some()
        || scaler.refresh_period_in_seconds.is_some()
        || scaler.target_utilization.is_some()
        || scaler.autoscale_enabled == Some(true);
    if is_scaled {
        let message = "outside replicas are not scaled: there are as many as URLs";
        found.push(Violation::new("autoScaler", message));
    }
    let resources = change.container_resource_requirements.unwrap_or_default();
    if resources != ResourceChange::default() || change.gpu_cores.is_some() {
        let message = "outside replicas take nothing of this node, so nothing can be reserved";
        found.push(Violation::new("containerResourceRequirements", message));
    }
    found
}

/// One replica for each URL, and nothing of the node.
pub(crate) fn fit(settings: &mut Settings, urls: usize) {
    let most = ServiceSpec::MAX_REMOTE;
    settings.num_replicas = u32::try_from(urls.min(most)).ok();
    settings.auto_scaler.autoscale_enabled = false;
    settings.resources.cpu = 0.0;
    settings.resources.memory_in_gb = 0.0;
}
