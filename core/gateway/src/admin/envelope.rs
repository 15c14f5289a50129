//! What every answer of the admin door has in common: the ids of the request,
//! the API's version, the error object.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use uuid::Uuid;

use super::{Shared, auth, fault::Fault};
use crate::{headers, listener::MAX_HEADER_BYTES};

/// The id that the node gave a request, for those who answer in parts.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// The id that the node gives a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// The id that the caller gives a request.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
/// The versions of the API that the node speaks.
const SUPPORTED_VERSIONS: HeaderName = HeaderName::from_static("api-supported-versions");

/// Longest caller's id that is echoed, as in the scoring server of the original.
const MAX_CLIENT_ID: usize = 100;

/// Checks the token, runs the handler, and dresses what comes out.
pub(crate) async fn wrap(State(admin): Shared, mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let client_id = client_id(request.headers());
    request
        .extensions_mut()
        .insert(RequestId(id.as_str().into()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = match headers_fit(&request).and_then(|()| auth::check(&admin, &request)) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    let mut response = match response.extensions().get::<Fault>() {
        Some(fault) => {
            if fault.status.is_server_error() {
                tracing::warn!(%method, path, request_id = id, error = fault.message, "admin request failed");
            }
            fault.response(&id)
        }
        None => response,
    };
    let headers = response.headers_mut();
    let own = HeaderValue::from_str(&id).expect("a uuid is a header value");
    headers.insert(CLIENT_REQUEST_ID, client_id.unwrap_or_else(|| own.clone()));
    headers.insert(REQUEST_ID, own);
    headers.insert(SUPPORTED_VERSIONS, HeaderValue::from_static("1.0"));
    response
}

/// The bound that the scoring doors have too.
fn headers_fit(request: &Request) -> Result<(), Fault> {
    let size = headers::size(request.headers());
    if size <= MAX_HEADER_BYTES {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "BadRequest",
        format!("the headers have {size} bytes, over the limit of {MAX_HEADER_BYTES}"),
    ))
}

fn client_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(CLIENT_REQUEST_ID)
        .filter(|id| id.len() <= MAX_CLIENT_ID)
        .cloned()
}
