//! A service on the wire: every key that the original's control plane sends,
//! because its SDK raises an error where one is missing, and a few of our own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lusk_control::ServiceView;
use lusk_domain::{
    AuthMode, ComputeType, Entry, Environment, Failure, Model, ModelId, ServiceSpec,
};
use serde_json::{Value, json};

use super::{AdminOptions, model_json, speech, wire};

/// Models by id, for the details of services.
pub(crate) type Models = BTreeMap<ModelId, Model>;

/// The service object.
pub(crate) fn service(view: &ServiceView, models: &Models, options: &AdminOptions) -> Value {
    let mut object = identity(view, options);
    object.extend(addresses(view, options));
    object.extend(settings(&view.record.spec));
    object.extend(contents(view, models));
    Value::Object(object)
}

type Object = serde_json::Map<String, Value>;

/// The keys of an object.
pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn identity(view: &ServiceView, options: &AdminOptions) -> Object {
    let record = &view.record;
    let spec = &record.spec;
    object(json!({
        "id": spec.name,
        "name": spec.name,
        "description": spec.description,
        "kvTags": spec.tags,
        "tags": spec.tags,
        "properties": spec.properties,
        "state": view.state,
        "error": record.error.as_ref().map(failure),
        "createdTime": time(record.created_time),
        "updatedTime": time(record.updated_time),
        "createdBy": "lusk",
        "workspaceName": options.workspace,
        "revision": record.revision,
        "runtime": view.runtime,
        "remoteReplicas": (!spec.remote.is_empty()).then_some(&spec.remote),
        "debugPort": record.spec.entry.as_ref().and_then(|entry| entry.debug_port),
        "deploymentStatus": status(view),
        // What endpoints say of their versions; a service stands alone.
        "isDefault": null,
        "trafficPercentile": null,
        "versionType": null,
    }))
}

/// Replica counts.
pub(crate) fn status(view: &ServiceView) -> Value {
    json!({
        "desiredReplicas": view.status.desired_replicas,
        "updatedReplicas": view.status.updated_replicas,
        "availableReplicas": view.status.available_replicas,
        "error": view.status.error.as_ref().map(failure),
    })
}

fn addresses(view: &ServiceView, options: &AdminOptions) -> Object {
    let spec = &view.record.spec;
    let (kind, port, base) = match spec.compute {
        ComputeType::Aks => {
            let base = format!("{}/api/v1/service/{}", options.scoring_url(), spec.name);
            ("AKS", None, Some(base))
        }
        ComputeType::Local { port } => {
            let base = view
                .local_address
                .map(|address| format!("http://{address}"));
            let port = view.local_address.map(|address| address.port()).or(port);
            ("LOCAL", port, base)
        }
    };
    object(json!({
        "computeType": kind,
        "computeName": spec.compute_name,
        "port": port,
        "localAddress": view.local_address,
        "scoringUri": base.as_ref().map(|base| format!("{base}/score")),
        "swaggerUri": base.as_ref().map(|base| format!("{base}/swagger.json")),
    }))
}

fn settings(spec: &ServiceSpec) -> Object {
    let settings = &spec.settings;
    object(json!({
        "autoScaler": settings.auto_scaler,
        "numReplicas": settings.num_replicas,
        "containerResourceRequirements": settings.resources,
        "livenessProbeRequirements": settings.liveness,
        "authEnabled": settings.auth == AuthMode::Key,
        "aadAuthEnabled": settings.auth == AuthMode::Token,
        "appInsightsEnabled": settings.app_insights_enabled,
        "dataCollection": {
            "storageEnabled": settings.storage_enabled,
            "eventHubEnabled": false,
        },
        "storageInitEnabled": false,
        "scoringTimeoutMs": settings.scoring_timeout_ms,
        "maxConcurrentRequestsPerContainer": settings.max_concurrent_requests_per_container,
        "maxQueueWaitMs": settings.max_queue_wait_ms,
        "namespace": settings.namespace,
    }))
}

/// No `imageDetails`: images here are none of the original's, and its SDK reads the key
/// as one wherever it is.
fn contents(view: &ServiceView, models: &Models) -> Object {
    let spec = &view.record.spec;
    let environment = spec
        .entry
        .as_ref()
        .map(|entry| environment(&entry.environment));
    let details: Vec<_> = spec
        .models
        .iter()
        .filter_map(|id| models.get(id))
        .map(model_json::details)
        .collect();
    object(json!({
        "imageId": view.image.as_ref().map(lusk_domain::ImageKey::repository),
        "imageDigest": view.image_digest,
        "environmentDetails": environment,
        "modelDetails": details,
        // Where the original's SDK looks for them.
        "models": details,
        "environmentImageRequest": {
            "driverProgram": spec.entry.as_ref().map(|entry| &entry.script),
            "sourceDirectory": spec.entry.as_ref().map(|entry| &entry.source_directory),
            "assets": spec.entry.iter().map(snapshot_asset).collect::<Vec<_>>(),
            "modelIds": spec.models,
            "models": details,
            "environment": environment,
            "runtime": spec.entry.as_ref().and_then(|entry| entry.runtime),
            "debugPort": spec.entry.as_ref().and_then(|entry| entry.debug_port),
        },
    }))
}

fn snapshot_asset(entry: &Entry) -> Value {
    json!({
        "id": wire::SNAPSHOT_ASSET,
        "url": format!("{}{}", wire::BLOB_URL, entry.snapshot.digest),
        "mimeType": "application/x-tar",
        "unpack": true,
        "files": entry.snapshot.files,
        "bytes": entry.snapshot.bytes,
    })
}

/// The environment without the password of its registry.
pub(crate) fn environment(environment: &Environment) -> Value {
    let mut shown = environment.clone();
    if let Some(registry) = &mut shown.docker.base_image_registry {
        registry.password = None;
    }
    json!(shown)
}

/// The error object inside a service or an operation.
pub(crate) fn failure(failure: &Failure) -> Value {
    let failure = speech::failure(failure.clone());
    json!({
        "code": failure.code,
        "statusCode": failure.status_code,
        "message": failure.message,
        "details": failure.details,
    })
}

/// Microseconds, because parsers of the original's clients take no more digits.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests;
