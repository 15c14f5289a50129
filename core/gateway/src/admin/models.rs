//! Registered models: register, look, change, delete.

use axum::{
    Json as JsonReply,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use lusk_contract::ModelFilter;
use lusk_control::ControlError;
use lusk_domain::{ModelChange, ModelDraft, ModelId};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Shared,
    fault::Fault,
    input::{Json, Params, parse_part},
    model_json,
    paging::{self, Link},
};

/// The model's id in a path.
#[derive(Deserialize)]
pub(crate) struct Identified {
    id: String,
}

impl Identified {
    fn model(&self) -> Result<ModelId, Fault> {
        parse_part(&self.id)
    }
}

/// `POST /models`: files were uploaded as blobs before.
pub(crate) async fn register(State(admin): Shared, body: Json) -> Result<Response, Fault> {
    let draft: ModelDraft = body.parse()?;
    let model = admin.control.register_model(draft).await?;
    Ok((StatusCode::CREATED, JsonReply(model_json::model(&model))).into_response())
}

/// `GET /models`.
pub(crate) async fn list(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let filter = ModelFilter {
        name: params.parsed("name")?,
        latest: params.flag("latest")?,
        tags: params.labels("tags"),
        properties: params.labels("properties"),
        run_id: params.text("runId").map(str::to_owned),
        framework: params.text("framework").map(str::to_owned),
    };
    let models = admin.control.models(&filter).await?;
    let link = Link::new(paging::base_url(&headers, &uri), &uri);
    let page = paging::page(
        models,
        &params,
        &link,
        |model| model.id.clone(),
        |model| model_json::model(&model),
    )?;
    Ok(JsonReply(page))
}

/// `GET /models/{id}`.
pub(crate) async fn show(
    State(admin): Shared,
    Path(identified): Path<Identified>,
) -> Result<JsonReply<Value>, Fault> {
    let id = identified.model()?;
    let model = admin.control.model(&id).await?;
    let model = model.ok_or_else(|| Fault::not_found(format!("no model `{id}`")))?;
    Ok(JsonReply(model_json::model(&model)))
}

/// `PATCH /models/{id}` with a `ModelChange`.
pub(crate) async fn change(
    State(admin): Shared,
    Path(identified): Path<Identified>,
    body: Json,
) -> Result<JsonReply<Value>, Fault> {
    let id = identified.model()?;
    let change: ModelChange = body.parse()?;
    let model = admin.control.change_model(&id, change).await?;
    Ok(JsonReply(model_json::model(&model)))
}

/// `DELETE /models/{id}`; 204 when there was none, as for services.
pub(crate) async fn delete(
    State(admin): Shared,
    Path(identified): Path<Identified>,
) -> Result<StatusCode, Fault> {
    match admin.control.delete_model(&identified.model()?).await {
        Ok(()) => Ok(StatusCode::OK),
        Err(ControlError::NoModel(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}
