//! The error object of the control plane: what a failed operation carries.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Stable codes of failures, spelled as the original spells them where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureCode {
    /// The request itself is wrong.
    BadRequest,
    /// No such object.
    NotFound,
    /// Another operation on the same service is running, or the name is taken.
    Conflict,
    /// The object is in use and cannot be deleted.
    DeletionRequired,
    /// A body or a snapshot is over its limit.
    TooLarge,
    /// The environment could not be built.
    EnvironmentBuildFailed,
    /// No room for the service on this node.
    Unschedulable,
    /// A replica did not become ready.
    KubernetesDeploymentFailed,
    /// A model cannot run on any backend here.
    ModelNotSupported,
    /// The deployment did not become healthy in time.
    DeploymentTimedOut,
    /// The disk is full or cannot be written.
    StorageFailed,
    /// A fault of lusk itself.
    InternalServerError,
}

impl FailureCode {
    /// The HTTP-like status that the error object of the original carries.
    pub fn status_code(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::DeletionRequired => 412,
            Self::TooLarge => 413,
            Self::InternalServerError => 500,
            Self::DeploymentTimedOut => 504,
            Self::StorageFailed => 507,
            _ => 400,
        }
    }
}

/// A detail of a failure, innermost cause last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureDetail {
    /// A stable word, e.g. `CrashLoopBackOff` or `UserScriptInitFailed`.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// Why an operation failed, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// The status that goes with it.
    pub status_code: u16,
    /// Step, object, value seen, limit and way out, in one sentence.
    pub message: String,
    /// The chain of causes, outermost first.
    #[serde(default)]
    pub details: Vec<FailureDetail>,
}

impl Failure {
    /// A failure without details.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            status_code: code.status_code(),
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The same failure with one more detail at the end.
    #[must_use]
    pub fn with_detail(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push(FailureDetail {
            code: code.into(),
            message: message.into(),
        });
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
