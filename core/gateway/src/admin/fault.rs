//! The error object of the admin door.
//!
//! Handlers fail with a [`Fault`]; it travels to the outermost layer inside the
//! response and is written there once, with the id of the request in it.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use lusk_contract::{BlobError, ImageError};
use lusk_control::ControlError;
use lusk_domain::{Failure, FailureCode, FailureDetail, Violation};
use serde_json::{Value, json};

use super::speech;
use crate::problem;

/// Why a request was not served.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// A stable word.
    pub(crate) code: Cow<'static, str>,
    /// One sentence.
    pub(crate) message: String,
    /// Causes or single violations.
    pub(crate) details: Vec<FailureDetail>,
}

impl Fault {
    /// A fault without details.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: Cow::Borrowed(code),
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(FailureCode::BadRequest, message).into()
    }

    /// No such object.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failure::new(FailureCode::NotFound, message).into()
    }

    /// Something the original had and this release has not.
    pub(crate) fn not_supported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotSupported", message)
    }

    /// Broken rules, all of them.
    pub(crate) fn violations(what: &str, broken: &[Violation]) -> Self {
        let list: Vec<_> = broken.iter().map(Violation::to_string).collect();
        let mut fault = Self::bad_request(format!("{what}: {}", list.join("; ")));
        fault.details = broken
            .iter()
            .map(|violation| FailureDetail {
                code: "InvalidValue".to_owned(),
                message: violation.to_string(),
            })
            .collect();
        fault
    }

    /// The error object, `{code, statusCode, message, details, correlation}`.
    pub(crate) fn object(&self, request_id: &str) -> Value {
        json!({
            "code": self.code,
            "statusCode": self.status.as_u16(),
            "message": self.message,
            "details": self.details,
            "correlation": { "RequestId": request_id },
        })
    }

    /// The error object as a whole response.
    pub(crate) fn response(&self, request_id: &str) -> Response {
        let body = self.object(request_id).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self {
            status: StatusCode::from_u16(failure.status_code)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: Cow::Owned(format!("{:?}", failure.code)),
            message: failure.message,
            details: failure.details,
        }
    }
}

impl From<ControlError> for Fault {
    fn from(error: ControlError) -> Self {
        speech::failure(problem::control_failure(&error)).into()
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        problem::blob_failure(&error).into()
    }
}

impl From<ImageError> for Fault {
    fn from(error: ImageError) -> Self {
        problem::image_failure(&error).into()
    }
}
