//! The two pages that need no token.

use axum::{Json as JsonReply, extract::State};
use serde_json::{Value, json};

use super::Shared;
use crate::openapi;

/// `GET /openapi.json`.
pub(crate) async fn document(State(admin): Shared) -> JsonReply<Value> {
    JsonReply(openapi::document(
        &admin.options.workspace,
        &admin.options.scoring_url(),
    ))
}

/// `GET /healthz`.
pub(crate) async fn health() -> JsonReply<Value> {
    JsonReply(json!({ "status": "ok" }))
}
