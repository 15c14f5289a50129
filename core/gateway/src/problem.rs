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
use lusk_contract::{BlobError, ImageError, ScriptError};
use lusk_control::ControlError;
use lusk_domain::{Failure, FailureCode, ServiceName, VersionName};
use lusk_router::RouteError;
use serde_json::json;

use crate::{
    books::{Books, Refusal},
    headers::{Ids, add_function_failed},
    reply::ReplyBody,
};

/// An answer of a scoring door.
pub(crate) type Reply = Response<ReplyBody>;

/// An error on its way out of a scoring door.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, &'static str)>,
    function_failed: bool,
    refusal: Option<Refusal>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
            function_failed: false,
            refusal: None,
        }
    }

    /// Of a request that never comes to a service.
    fn refused(refusal: Refusal, message: impl Into<String>) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::new(refusal.status(), message)
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
        Self::refused(Refusal::NotFound, "nothing is at this path")
    }

    /// An endpoint has no version of the name that a caller with a key asks for.
    pub(crate) fn no_version(endpoint: &ServiceName, asked: &str, there: &[VersionName]) -> Self {
        let there: Vec<_> = there.iter().map(VersionName::as_str).collect();
        let there = match there.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", there.join(", ")),
        };
        let message = format!("endpoint {endpoint} has no version `{asked:.32}`, {there}");
        Self::refused(Refusal::NotFound, message)
    }

    /// The path is known, the method is not for it.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("this path takes {allowed}");
        Self::refused(Refusal::Method, message).with(ALLOW, allowed)
    }

    /// No key, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        let message = "a valid key is needed: `Authorization: Bearer <key>`";
        Self::refused(Refusal::Unauthorized, message).with(WWW_AUTHENTICATE, "Bearer")
    }

    /// An id of the request is over 100 characters.
    pub(crate) fn id_too_long(name: &HeaderName) -> Self {
        let message = format!("the header `{name}` is longer than 100 characters");
        Self::refused(Refusal::IdTooLong, message)
    }

    /// All headers together are too large.
    pub(crate) fn headers_too_large(size: usize, limit: usize) -> Self {
        let message = format!("the headers are {size} bytes, at most {limit} are taken");
        Self::refused(Refusal::HeadersTooLarge, message)
    }

    /// Another number of hosts than HTTP/1.1 wants. The connection ends: who stands
    /// between may have meant another request.
    pub(crate) fn hosts(count: usize) -> Self {
        let message = format!("the request has {count} `Host` headers, HTTP/1.1 wants exactly one");
        Self::refused(Refusal::NotHttp, message).with(CONNECTION, "close")
    }

    /// The body is too large; `size` when the request told it.
    pub(crate) fn body_too_large(size: Option<u64>, limit: usize) -> Self {
        let message = match size {
            Some(size) => format!("the body is {size} bytes, at most {limit} are taken"),
            None => format!("the body is larger than {limit} bytes, the most that is taken"),
        };
        Self::refused(Refusal::BodyTooLarge, message)
    }

    /// The body stopped before its end, or nearly so.
    pub(crate) fn body_slow(silence: Duration, min_rate: u32) -> Self {
        let message = format!(
            "the body came too slowly: after {} without a byte, or with less than {min_rate} bytes a second, it is given up",
            Millis(silence)
        );
        Self::refused(Refusal::BodySlow, message).with(CONNECTION, "close")
    }

    /// The body breaks the rules of HTTP.
    pub(crate) fn body_broken() -> Self {
        let message = "the body ended early or is not what its headers say";
        Self::refused(Refusal::BodyBroken, message).with(CONNECTION, "close")
    }

    /// Too many bytes of bodies wait at once.
    pub(crate) fn buffers_full(limit: usize) -> Self {
        let message = format!(
            "request bodies under way would take more than {limit} bytes of memory; try again later"
        );
        Self::refused(Refusal::BuffersFull, message).try_later()
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
            // The door that broke the body off has said it better.
            ScriptError::CutShort(_) => Self::body_broken(),
            // The enum may grow; a fault of ours until somebody chooses better.
            _ => Self::internal(),
        }
    }

    /// What never became a request that hyper or a door could look at; `limit` in the
    /// unit of the refusal.
    pub(crate) fn unreadable(refusal: Refusal, limit: usize) -> Self {
        let message = match refusal {
            Refusal::HeadersTooLarge => format!(
                "the headers are more than 100, or larger than the {limit} bytes that are taken"
            ),
            Refusal::UriTooLong => format!("the path is longer than {limit} bytes"),
            Refusal::HeadersSlow => {
                format!("the headers were not complete within {limit} ms")
            }
            Refusal::ConnectionsFull => format!(
                "this node has {limit} connections open, the most it takes; try again later"
            ),
            Refusal::NotTls => "this port speaks TLS; ask it with https://".to_owned(),
            _ => "this is no request of HTTP/1.0, HTTP/1.1 or HTTP/2".to_owned(),
        };
        Self::refused(refusal, message).with(CONNECTION, "close")
    }

    /// Counts it in the books, where it is one that no service counts.
    pub(crate) fn counted(self, books: &Books) -> Self {
        if let Some(refusal) = self.refusal {
            books.refuse(refusal);
        }
        self
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer that says it.
    pub(crate) fn into_reply(self) -> Reply {
        self.into_response().map(ReplyBody::from)
    }

    fn into_response(self) -> Response<Bytes> {
        let body = json!({ "message": self.message }).to_string();
        let mut reply = Response::new(Bytes::from(body));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.refusal == Some(Refusal::ConnectionsFull) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        add_function_failed(headers, self.function_failed);
        reply
    }

    /// The answer as HTTP/1.1 puts it on the wire, for where there is no request that
    /// hyper could answer.
    pub(crate) fn into_bytes(self) -> Bytes {
        let mut reply = self.into_response();
        Ids::fresh().add_to(reply.headers_mut());
        let mut bytes = format!("HTTP/1.1 {}\r\n", reply.status()).into_bytes();
        for (name, value) in reply.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let body = reply.body();
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.into()
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
