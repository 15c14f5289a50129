//! Dry checks before a deployment. The check itself always succeeds; what it
//! found is in the body's `error`, where the original's SDK looks for it.

use std::collections::BTreeMap;

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use http::StatusCode;
use lusk_domain::{Model, ModelId, ServiceName, Settings, SettingsChange};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin, Shared, environments,
    fault::Fault,
    found::{Found, Named, found, taken},
    input::Json,
    patch,
    wire::{self, Wished},
};

/// `POST /services/validate/name/{name}`.
pub(crate) async fn name(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let found = match named.service() {
        Err(fault) => Err(fault),
        Ok(name) => free(&admin, &name).await,
    };
    verdict(found)
}

/// `POST /services/validate/resource`.
pub(crate) async fn resource(body: Json) -> Result<JsonReply<Value>, Fault> {
    verdict(all_settings(&body))
}

/// `POST /services/validate`.
pub(crate) async fn service(State(admin): Shared, body: Json) -> Result<JsonReply<Value>, Fault> {
    verdict(whole(&admin, &body).await)
}

/// How the original's SDK wraps what it is about to send. Its deletes come with neither
/// request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announced {
    service_name: ServiceName,
    #[serde(default)]
    create_request: Option<Value>,
    #[serde(default)]
    update_request: Option<Value>,
}

async fn whole(admin: &Admin, body: &Json) -> Result<(), Fault> {
    let keys: BTreeMap<String, Value> = body.parse()?;
    if !keys.contains_key("serviceName") {
        return create(admin, body).await;
    }
    let announced: Announced = body.parse()?;
    match (announced.create_request, announced.update_request) {
        (Some(request), _) => create(admin, &Json::of(&request)).await,
        (None, Some(request)) => update(admin, &announced.service_name, &Json::of(&request)).await,
        (None, None) => Ok(()),
    }
}

async fn create(admin: &Admin, body: &Json) -> Result<(), Fault> {
    all_settings(body)?;
    let (wish, reference, name, overwrite) = if wire::is_endpoint(body)? {
        let Wished { wish, reference } = wire::create_endpoint(body)?;
        let version = wish.version.map(|version| version.service);
        (version, reference, wish.name, wish.overwrite)
    } else {
        let Wished { wish, reference } = wire::create_service(body)?;
        let (name, overwrite) = (wish.name.clone(), wish.overwrite);
        (Some(wish), reference, name, overwrite)
    };
    if let Some(reference) = reference {
        environments::resolve(admin, &reference).await?;
    }
    if let Some(wish) = wish {
        models(admin, &wish.models).await?;
    }
    if overwrite {
        Ok(())
    } else {
        free(admin, &name).await
    }
}

/// A patch that is understood; what it makes of shares is seen when it is done.
async fn update(admin: &Admin, name: &ServiceName, body: &Json) -> Result<(), Fault> {
    match found(admin, name).await? {
        Found::Service(view) => {
            let wish = patch::update_service(body, &view.record.spec)?.wish;
            models(admin, wish.models.as_deref().unwrap_or_default()).await
        }
        Found::Endpoint(view) => patch::update_endpoint(body, &view).map(drop),
    }
}

async fn models(admin: &Admin, ids: &[ModelId]) -> Result<(), Fault> {
    if ids.len() > Model::MAX_PER_SERVICE {
        return Err(Fault::bad_request(format!(
            "{} models are over the limit of {} of one service",
            ids.len(),
            Model::MAX_PER_SERVICE
        )));
    }
    for id in ids {
        if admin.control.model(id).await?.is_none() {
            return Err(Fault::not_found(format!("no model `{id}`")));
        }
    }
    Ok(())
}

/// The settings in the body of a service, or of an endpoint with its versions.
fn all_settings(body: &Json) -> Result<(), Fault> {
    settings(&wire::settings(body)?)?;
    if wire::is_endpoint(body)? {
        wire::version_settings(body)?
            .iter()
            .try_for_each(settings)?;
    }
    Ok(())
}

fn settings(change: &SettingsChange) -> Result<(), Fault> {
    Settings::default()
        .changed(change)
        .map(drop)
        .map_err(|broken| Fault::violations("the settings break rules", &broken))
}

async fn free(admin: &Admin, name: &ServiceName) -> Result<(), Fault> {
    let what = match found(admin, name).await {
        Ok(Found::Service(_)) => "service",
        Ok(Found::Endpoint(_)) => "endpoint",
        Err(fault) if fault.status == StatusCode::NOT_FOUND => return Ok(()),
        Err(fault) => return Err(fault),
    };
    Err(taken(name, what))
}

/// A fault of the node stays one; everything else is the answer. What is valid has no
/// `error`, not even null: the original's SDK looks into it wherever it is.
fn verdict(found: Result<(), Fault>) -> Result<JsonReply<Value>, Fault> {
    match found {
        Ok(()) => Ok(JsonReply(json!({ "valid": true }))),
        Err(fault) if fault.status.is_server_error() => Err(fault),
        Err(fault) => Ok(JsonReply(json!({
            "valid": false,
            "error": {
                "code": fault.code,
                "statusCode": fault.status.as_u16(),
                "message": fault.message,
                "details": fault.details,
            },
        }))),
    }
}
