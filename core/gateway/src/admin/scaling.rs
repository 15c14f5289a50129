//! `GET /services/{name}/scaling`: what the autoscaler saw and decided.

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_control::{ScalingEvent, ScalingReport};
use serde_json::{Value, json};

use super::{
    Shared,
    fault::Fault,
    service_json::time,
    services::{Named, no_service},
};

/// The log, oldest first, with what it takes to replay it.
pub(crate) async fn log(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let name = named.service()?;
    let report = admin.control.scaling(&name).await?;
    let report = report.ok_or_else(|| no_service(&name))?;
    Ok(JsonReply(object(&report)))
}

fn object(report: &ScalingReport) -> Value {
    let event = |event: &ScalingEvent| {
        let decision = &event.decision;
        json!({
            "time": time(event.at),
            "replicas": decision.replicas,
            "reason": decision.reason,
            "changes": decision.changes(),
            "load": decision.load,
            "text": report.policy.as_ref().map(|policy| decision.text(policy)),
        })
    };
    json!({
        "policy": report.policy,
        "decisions": report.events.iter().map(event).collect::<Vec<_>>(),
    })
}
