//! An endpoint and its versions on the wire: every key that the original's SDK reads,
//! and what it had no words for.

use lusk_control::{EndpointView, VersionView};
use lusk_domain::{AuthMode, EndpointRecord, RolledBack, TrafficTable};
use serde_json::{Map, Value, json};

use super::{
    AdminOptions,
    found::default_version,
    service_json::{self, Models, failure, object, time},
    wire,
};

/// The endpoint object.
pub(crate) fn endpoint(view: &EndpointView, models: &Models, options: &AdminOptions) -> Value {
    let record = &view.record;
    let versions: Map<_, _> = view
        .versions
        .iter()
        .map(|one| (one.name.to_string(), version(one, record, models, options)))
        .collect();
    let mut shown = object(json!({
        "id": record.name,
        "name": record.name,
        "description": record.description,
        "kvTags": record.tags,
        "tags": record.tags,
        "properties": record.properties,
        "state": view.state,
        "error": view.error.as_ref().map(failure),
        "createdTime": time(record.created_time),
        "updatedTime": time(record.updated_time),
        "createdBy": "lusk",
        "workspaceName": options.workspace,
        "computeType": wire::AKS_ENDPOINT,
        "deploymentStatus": default_version(view).map(|it| service_json::status(&it.service)),
        "versions": versions,
    }));
    shown.extend(addresses(&base(record, options)));
    shown.extend(common(record));
    shown.extend(traffic(record));
    Value::Object(shown)
}

/// The object of one version: that of the service that it is, under the version's name.
pub(crate) fn version(
    view: &VersionView,
    of: &EndpointRecord,
    models: &Models,
    options: &AdminOptions,
) -> Value {
    let mut shown = object(service_json::service(&view.service, models, options));
    shown.extend(object(json!({
        "id": view.name,
        "name": view.name,
        "endpoint": of.name,
        "isDefault": view.is_default,
        "trafficPercentile": view.share,
        "effectiveTrafficPercentile": view.effective,
        // The original's SDK reads the one and writes the other.
        "type": version_type(view),
        "versionType": version_type(view),
        "abortIf": of.guards.get(&view.name),
    })));
    let base = format!("{}/version/{}", base(of, options), view.name);
    shown.extend(addresses(&base));
    shown.extend(common(of));
    Value::Object(shown)
}

fn version_type(view: &VersionView) -> &'static str {
    match view.is_control {
        true => "Control",
        false => "Treatment",
    }
}

fn base(record: &EndpointRecord, options: &AdminOptions) -> String {
    format!("{}/api/v1/endpoint/{}", options.scoring_url(), record.name)
}

fn addresses(base: &str) -> Map<String, Value> {
    object(json!({
        "scoringUri": format!("{base}/score"),
        "swaggerUri": format!("{base}/swagger.json"),
    }))
}

/// What all versions have in common.
fn common(record: &EndpointRecord) -> Map<String, Value> {
    object(json!({
        "computeName": record.compute_name,
        "namespace": record.namespace,
        "authEnabled": record.auth == AuthMode::Key,
        "aadAuthEnabled": record.auth == AuthMode::Token,
        "appInsightsEnabled": record.app_insights,
    }))
}

fn traffic(record: &EndpointRecord) -> Map<String, Value> {
    let table = record.traffic.as_ref();
    let shares: Map<_, _> = table
        .into_iter()
        .flat_map(|table| table.shares())
        .map(|(name, share)| (name.to_string(), json!(share)))
        .collect();
    let mirror = record.mirror.as_ref();
    let mirrored: Option<Map<_, _>> =
        mirror.map(|it| Map::from_iter([(it.version.to_string(), json!(it.share))]));
    object(json!({
        "traffic": shares,
        "defaultVersion": table.map(TrafficTable::default),
        "controlVersion": table.and_then(TrafficTable::control),
        "sticky": record.sticky.as_ref().map(ToString::to_string),
        "mirrorTraffic": mirrored,
        "rolledBack": record.rolled_back.as_ref().map(rolled_back),
        "mirrorKeepsAnswers": mirror.is_some_and(|it| it.keeps_answers),
    }))
}

fn rolled_back(it: &RolledBack) -> Value {
    json!({
        "version": it.version,
        "time": time(it.at),
        "reason": it.reason,
        "operation": it.operation,
    })
}

#[cfg(test)]
mod tests;
