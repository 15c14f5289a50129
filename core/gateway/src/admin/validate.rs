//! Dry checks before a deployment. The check itself always succeeds; what it
//! found is in the body's `error`, where the original's SDK looks for it.

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_domain::{Model, ServiceName, Settings, SettingsChange};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin, Shared, environments,
    fault::Fault,
    input::{Json, parse_part},
    wire::{self, Wished},
};

/// The name in a path, not yet known to be good.
#[derive(Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// `POST /services/validate/name/{name}`.
pub(crate) async fn name(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let found = match parse_part::<ServiceName>(&named.name) {
        Err(fault) => Err(fault),
        Ok(name) => free(&admin, &name).await,
    };
    verdict(found)
}

/// `POST /services/validate/resource`.
pub(crate) async fn resource(body: Json) -> Result<JsonReply<Value>, Fault> {
    verdict(wire::settings(&body).and_then(|change| settings(&change)))
}

/// `POST /services/validate`.
pub(crate) async fn service(State(admin): Shared, body: Json) -> Result<JsonReply<Value>, Fault> {
    verdict(whole(&admin, &body).await)
}

async fn whole(admin: &Admin, body: &Json) -> Result<(), Fault> {
    let Wished { wish, reference } = wire::create_service(body)?;
    if let Some(reference) = reference {
        environments::resolve(admin, &reference).await?;
    }
    settings(&wish.settings)?;
    if wish.models.len() > Model::MAX_PER_SERVICE {
        return Err(Fault::bad_request(format!(
            "{} models are over the limit of {} of one service",
            wish.models.len(),
            Model::MAX_PER_SERVICE
        )));
    }
    for id in &wish.models {
        if admin.control.model(id).await?.is_none() {
            return Err(Fault::not_found(format!("no model `{id}`")));
        }
    }
    if wish.overwrite {
        Ok(())
    } else {
        free(admin, &wish.name).await
    }
}

fn settings(change: &SettingsChange) -> Result<(), Fault> {
    Settings::default()
        .changed(change)
        .map(drop)
        .map_err(|broken| Fault::violations("the settings break rules", &broken))
}

async fn free(admin: &Admin, name: &ServiceName) -> Result<(), Fault> {
    match admin.control.service(name).await? {
        None => Ok(()),
        Some(_) => Err(Fault::new(
            http::StatusCode::CONFLICT,
            "Conflict",
            format!("service `{name}` exists already; update it, or create it with overwrite"),
        )),
    }
}

/// A fault of the node stays one; everything else is the answer.
fn verdict(found: Result<(), Fault>) -> Result<JsonReply<Value>, Fault> {
    match found {
        Ok(()) => Ok(JsonReply(json!({ "valid": true, "error": null }))),
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
