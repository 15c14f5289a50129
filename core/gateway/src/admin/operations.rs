//! Operations: where they stand, what they said, and waiting for more.

use std::time::Duration;

use axum::{
    Json as JsonReply,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use lusk_domain::Operation;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Admin, Shared,
    fault::Fault,
    input::{Params, parse_part},
    operation_json,
    services::Place,
};

/// Longest wait for news; a caller asks again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The operation's id in a path.
#[derive(Deserialize)]
pub(crate) struct Identified {
    id: String,
}

impl Identified {
    fn operation(&self) -> Result<Uuid, Fault> {
        parse_part(&self.id)
    }
}

/// `GET /operations/{id}`, with `wait=true&seen=<events>` when there is news.
pub(crate) async fn show(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(identified): Path<Identified>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let id = identified.operation()?;
    let seen = params.parsed("seen")?.unwrap_or(0);
    let offset = params.parsed("offset")?.unwrap_or(0);
    let operation = if params.flag("wait")? {
        news(&admin, id, seen).await?
    } else {
        admin.control.operation(id).await?
    };
    let operation = operation.ok_or_else(|| no_operation(id))?;
    let place = Place::of(&admin, &headers, &uri);
    Ok(JsonReply(operation_json::operation(
        &operation,
        place.workspace(),
        offset,
    )))
}

/// `GET /operations/{id}/log`.
pub(crate) async fn log(
    State(admin): Shared,
    Path(identified): Path<Identified>,
    params: Params,
) -> Result<Response, Fault> {
    let id = identified.operation()?;
    let offset = params.parsed("offset")?.unwrap_or(0);
    let operation = admin.control.operation(id).await?;
    let operation = operation.ok_or_else(|| no_operation(id))?;
    let text = operation_json::log(&operation, offset);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// The operation when it has more than `seen` events or has ended; as it is
/// when the wait is over or the node stops.
async fn news(admin: &Admin, id: Uuid, seen: usize) -> Result<Option<Operation>, Fault> {
    let more = admin.control.wait_operation(id, seen);
    let wait = tokio::time::timeout(LONGEST_WAIT, more);
    tokio::select! {
        waited = wait => if let Ok(operation) = waited {
            return Ok(operation?);
        },
        () = admin.stopping.cancelled() => {}
    }
    Ok(admin.control.operation(id).await?)
}

fn no_operation(id: Uuid) -> Fault {
    Fault::not_found(format!(
        "no operation `{id}`; the newest 50 of a service are kept"
    ))
}
