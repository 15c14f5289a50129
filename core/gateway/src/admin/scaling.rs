//! `GET /services/{name}/scaling`: what the autoscaler saw and decided.

use std::collections::BTreeMap;

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_control::{ScalingEvent, ScalingLine, ScalingReport};
use lusk_domain::{ScalePolicy, ServiceName};
use serde_json::{Value, json};

use super::{
    Admin, Shared,
    fault::Fault,
    found::{Named, no_service, one_service},
    input::Params,
    service_json::time,
};

/// The log, oldest first, with what it takes to replay it.
pub(crate) async fn log(
    State(admin): Shared,
    Path(named): Path<Named>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let name = one_service(&admin, &named.service()?, &params).await?;
    of(&admin, &name).await
}

/// The log of one service, or of one version of an endpoint.
pub(crate) async fn of(admin: &Admin, name: &ServiceName) -> Result<JsonReply<Value>, Fault> {
    let report = admin.control.scaling(name).await?;
    let report = report.ok_or_else(|| no_service(name))?;
    Ok(JsonReply(object(&report)))
}

fn object(report: &ScalingReport) -> Value {
    // What the decisions of earlier revisions go by.
    let policies: BTreeMap<_, _> = report.events.iter().filter_map(policy).collect();
    json!({
        "policy": report.policy,
        "policies": policies,
        "decisions": report.events.iter().map(line).collect::<Vec<_>>(),
    })
}

fn policy(event: &ScalingEvent) -> Option<(String, &ScalePolicy)> {
    match &event.what {
        ScalingLine::Decision { policy, .. } => Some((event.revision.to_string(), policy)),
        _ => None,
    }
}

/// Lines that are no decision have no load, and are changes in themselves.
fn line(event: &ScalingEvent) -> Value {
    let (replicas, reason, changes, load) = match &event.what {
        ScalingLine::Decision { decision, .. } => (
            Some(decision.replicas),
            json!(decision.reason),
            decision.changes(),
            Some(decision.load),
        ),
        ScalingLine::TookOver { replicas } => (Some(*replicas), json!("revision"), true, None),
        ScalingLine::Died { .. } => (None, json!("died"), true, None),
        ScalingLine::Replaced { .. } => (None, json!("replaced"), true, None),
    };
    json!({
        "time": time(event.at),
        "revision": event.revision,
        "replicas": replicas,
        "reason": reason,
        "changes": changes,
        "load": load,
        "text": event.text(),
    })
}
