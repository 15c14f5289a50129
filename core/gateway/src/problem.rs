//! The one mapping from errors to HTTP.
//!
//! One match per error type, without a catch-all where the type allows it, so that a
//! new variant does not compile until somebody chooses its status. What goes outside
//! is a code and a sentence; chains and scripts' own words stay in the logs.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use lusk_contract::{BlobError, ImageError, ScriptError};
use lusk_control::ControlError;
use lusk_domain::{Failure, FailureCode, ServiceName};
use lusk_router::RouteError;
use serde_json::json;

use crate::headers::add_function_failed;

/// An answer of a scoring door.
pub(crate) type Reply = Response<Full<Bytes>>;

/// An error on its way out of a scoring door.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, &'static str)>,
    function_failed: bool,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
            function_failed: false,
        }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    fn failed(mut self) -> Self {
        self.function_failed = true;
        self
    }

    fn try_later(self) -> Self {
        self.with(RETRY_AFTER, "1")
    }

    /// Nothing is at this path. The same words for a path that never leads anywhere and
    /// for a service that is not there, without a name.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing is at this path")
    }

    /// The path is known, the method is not for it.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("this path takes {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message).with(ALLOW, allowed)
    }

    /// No key, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        let message = "a valid key is needed: `Authorization: Bearer <key>`";
        Self::new(StatusCode::UNAUTHORIZED, message).with(WWW_AUTHENTICATE, "Bearer")
    }

    /// An id of the request is over 100 characters.
    pub(crate) fn id_too_long(name: &HeaderName) -> Self {
        let message = format!("the header `{name}` is longer than 100 characters");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    }

    /// All headers together are too large.
    pub(crate) fn headers_too_large(size: usize, limit: usize) -> Self {
        let message = format!("the headers are {size} bytes, at most {limit} are taken");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    }

    /// The body is too large; `size` when the request told it.
    pub(crate) fn body_too_large(size: Option<u64>, limit: usize) -> Self {
        let message = match size {
            Some(size) => format!("the body is {size} bytes, at most {limit} are taken"),
            None => format!("the body is larger than {limit} bytes, the most that is taken"),
        };
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// The body stopped before its end.
    pub(crate) fn body_silent(limit: Duration) -> Self {
        let message = format!("no byte of the body came for {}", Millis(limit));
        Self::new(StatusCode::REQUEST_TIMEOUT, message).with(CONNECTION, "close")
    }

    /// The body breaks the rules of HTTP.
    pub(crate) fn body_broken() -> Self {
        let message = "the body ended early or is not what its headers say";
        Self::new(StatusCode::BAD_REQUEST, message).with(CONNECTION, "close")
    }

    /// Too many bytes of bodies wait at once.
    pub(crate) fn buffers_full(limit: usize) -> Self {
        let message = format!(
            "request bodies under way would take more than {limit} bytes of memory; try again later"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).try_later()
    }

    /// A swagger version that does not exist.
    pub(crate) fn no_swagger_version(asked: &str) -> Self {
        let message = format!(
            "there is no swagger document of version `{asked:.20}`; supported versions: 2, 2.0, 3, 3.0, 3.1"
        );
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The user's own swagger document cannot be read.
    pub(crate) fn swagger_unreadable(name: &str) -> Self {
        let message = format!("the service's own swagger document (version {name}) cannot be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The script chose a status that is none of an answer.
    pub(crate) fn no_answer_status(status: StatusCode) -> Self {
        let message = format!("the entry script answered with status {}", status.as_u16());
        Self::new(StatusCode::BAD_GATEWAY, message).failed()
    }

    /// A fault of lusk itself.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a fault of lusk itself; its log has the details under this request's id",
        )
    }

    /// Why the router has no answer.
    pub(crate) fn of_route(service: &ServiceName, error: &RouteError) -> Self {
        match error {
            RouteError::NoReadyReplicas => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("No ready replicas for service {service}"),
            )
            .try_later(),
            RouteError::Overloaded {
                waited,
                limit,
                busy,
                slots,
                queued,
            } => {
                let message = format!(
                    "Too many requests for service {service} (overloaded): no free slot within {} (maxQueueWaitMs is {}), {busy} of {slots} slots are busy, {queued} more requests wait",
                    Millis(*waited),
                    limit.as_millis()
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).try_later()
            }
            RouteError::TimedOut { limit } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "service {service} gave no answer within its scoringTimeoutMs of {}",
                    limit.as_millis()
                ),
            )
            .failed(),
            RouteError::Draining => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("service {service} is being stopped or replaced"),
            )
            .try_later(),
            RouteError::Script(error) => Self::of_script(service, error),
        }
    }

    fn of_script(service: &ServiceName, error: &ScriptError) -> Self {
        match error {
            ScriptError::BadRequest(why) => Self::new(StatusCode::BAD_REQUEST, why.clone()),
            // What it raised may hold data of other callers: that is for the log.
            ScriptError::Raised(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                format!("the entry script of service {service} failed; its log has the details"),
            )
            .failed(),
            ScriptError::Died(why) => Self::new(
                StatusCode::BAD_GATEWAY,
                format!("Replica closed connection before replying: {why}"),
            )
            .failed(),
            ScriptError::NotBegun(why) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no replica of service {service} could begin: {why}"),
            )
            .try_later(),
            // The enum may grow; a fault of ours until somebody chooses better.
            _ => Self::internal(),
        }
    }

    /// The answer that says it.
    pub(crate) fn into_reply(self) -> Reply {
        let body = json!({ "message": self.message }).to_string();
        let mut reply = Response::new(Full::new(Bytes::from(body)));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        add_function_failed(headers, self.function_failed);
        reply
    }
}

/// A time in whole milliseconds.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}

/// What the admin door says of a call that the control room refused: the room's own
/// error object, which holds its code.
pub(crate) fn control_failure(error: &ControlError) -> Failure {
    let mut failure = error.failure();
    if matches!(error, ControlError::ShuttingDown) {
        failure.status_code = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    }
    failure
}

/// What the admin door says of an image that cannot be had.
pub(crate) fn image_failure(error: &ImageError) -> Failure {
    let code = match error {
        ImageError::NotFound(_) => FailureCode::NotFound,
        ImageError::Unsupported(_) | ImageError::Build { .. } => {
            FailureCode::EnvironmentBuildFailed
        }
        ImageError::Refused(_) => FailureCode::BadRequest,
        ImageError::Registry { .. } => FailureCode::InternalServerError,
        // What else there is, or comes, is the storage's fault.
        _ => FailureCode::StorageFailed,
    };
    let mut failure = Failure::new(code, error.to_string());
    match error {
        ImageError::Registry { .. } => failure.status_code = StatusCode::BAD_GATEWAY.as_u16(),
        ImageError::Build { log, .. } if !log.is_empty() => {
            failure = failure.with_detail("BuildLog", log);
        }
        _ => {}
    }
    failure
}

/// What the admin door says of a file that was not stored or not found.
pub(crate) fn blob_failure(error: &BlobError) -> Failure {
    let code = match error {
        BlobError::Missing(_) => FailureCode::NotFound,
        BlobError::DigestMismatch { .. } => FailureCode::BadRequest,
        // What else there is, or comes, is the storage's fault.
        _ => FailureCode::StorageFailed,
    };
    Failure::new(code, error.to_string())
}
