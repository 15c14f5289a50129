//! Why the control room refused a call. What goes wrong later, inside an
//! operation, is the operation's [`Failure`].

use lusk_contract::{BlobError, RecordError};
use lusk_domain::{
    EnvironmentName, Failure, FailureCode, ModelError, ModelId, ServiceName, TrafficError,
    Violation,
};
use uuid::Uuid;

use crate::capacity::Both;

/// Why a call was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No such service.
    #[error("no service `{0}`")]
    NoService(ServiceName),
    /// No such endpoint.
    #[error("no endpoint `{0}`")]
    NoEndpoint(ServiceName),
    /// The name is that of another kind.
    #[error("`{name}` is {is}, not {wanted}; delete it first, or take another name")]
    OtherKind {
        /// The name.
        name: ServiceName,
        /// What it is.
        is: &'static str,
        /// What was to be made.
        wanted: &'static str,
    },
    /// A rule of shares and of the default.
    #[error("endpoint `{endpoint}`: {error}")]
    Traffic {
        /// The endpoint.
        endpoint: ServiceName,
        /// The rule.
        error: TrafficError,
    },
    /// No such model.
    #[error("no model `{0}`")]
    NoModel(ModelId),
    /// The name is taken.
    #[error("`{0}` exists already; update it, or create it with overwrite")]
    Exists(ServiceName),
    /// Another operation on the same service has not ended.
    #[error("operation {operation} on service `{service}` is still running; wait for its end")]
    Busy {
        /// The service.
        service: ServiceName,
        /// What is running.
        operation: Uuid,
    },
    /// Rules that the request breaks, all of them.
    #[error("{}", list(violations))]
    Invalid {
        /// Each broken rule.
        violations: Vec<Violation>,
    },
    /// The model serves.
    #[error(
        "model `{model}` is used by service(s) {}; delete or update them first",
        names(users)
    )]
    ModelInUse {
        /// The model.
        model: ModelId,
        /// Who uses it.
        users: Vec<ServiceName>,
    },
    /// The old and the new revision of a service never fit beside each other.
    #[error("{0}")]
    NoRoomForBoth(Both),
    /// The whole node has less than a changed service asks for.
    #[error("service `{service}` cannot be updated: {missing}")]
    NeverRoom {
        /// The service.
        service: ServiceName,
        /// What is missing.
        missing: String,
    },
    /// The version is taken by another definition.
    #[error(
        "environment `{name}` version `{version}` is registered with another definition; versions never change, give another one or none"
    )]
    EnvironmentExists {
        /// The name.
        name: EnvironmentName,
        /// The version.
        version: String,
    },
    /// A rule of models.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The disk is full.
    #[error("no space left on the device of the data folder; nothing was changed")]
    DiskFull,
    /// The store failed.
    #[error("the store failed: {0}")]
    Storage(String),
    /// The node is stopping.
    #[error("the node is shutting down; try again when it is up")]
    ShuttingDown,
    /// A fault of lusk itself.
    #[error("a fault of lusk itself: {0}")]
    Internal(String),
}

impl ControlError {
    /// A refusal for one broken rule.
    pub(crate) fn invalid(path: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            violations: vec![Violation::new(path, message)],
        }
    }

    /// The stable code.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::NoService(_) | Self::NoEndpoint(_) | Self::NoModel(_) => FailureCode::NotFound,
            Self::Traffic {
                error: TrafficError::Unknown { .. },
                ..
            } => FailureCode::NotFound,
            Self::Traffic {
                error: TrafficError::Exists(_),
                ..
            } => FailureCode::Conflict,
            Self::Exists(_)
            | Self::OtherKind { .. }
            | Self::Busy { .. }
            | Self::EnvironmentExists { .. } => FailureCode::Conflict,
            Self::Invalid { .. } | Self::Model(_) | Self::Traffic { .. } => FailureCode::BadRequest,
            Self::ModelInUse { .. } => FailureCode::DeletionRequired,
            Self::NoRoomForBoth(_) | Self::NeverRoom { .. } => FailureCode::Unschedulable,
            Self::DiskFull | Self::Storage(_) => FailureCode::StorageFailed,
            Self::ShuttingDown | Self::Internal(_) => FailureCode::InternalServerError,
        }
    }

    /// The error object that callers get: broken rules are its details.
    pub fn failure(&self) -> Failure {
        let failure = Failure::new(self.code(), self.to_string());
        match self {
            Self::Invalid { violations } => violations.iter().fold(failure, |failure, broken| {
                failure.with_detail("InvalidField", broken.to_string())
            }),
            _ => failure,
        }
    }
}

fn list(violations: &[Violation]) -> String {
    match violations {
        [one] => one.to_string(),
        many => {
            let lines: Vec<_> = many.iter().map(ToString::to_string).collect();
            format!("{} rules are broken: {}", many.len(), lines.join("; "))
        }
    }
}

fn names(users: &[ServiceName]) -> String {
    let quoted: Vec<_> = users.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl From<RecordError> for ControlError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::NoModel(id) => Self::NoModel(id),
            RecordError::ModelInUse { model, users } => Self::ModelInUse { model, users },
            RecordError::Model(error) => Self::Model(error),
            RecordError::NoBlob { .. } => Self::invalid("files", error.to_string()),
            RecordError::EnvironmentExists { name, version } => {
                Self::EnvironmentExists { name, version }
            }
            RecordError::DiskFull => Self::DiskFull,
            RecordError::Engine(cause) => Self::Storage(cause),
            other => Self::Storage(other.to_string()),
        }
    }
}

impl From<BlobError> for ControlError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::DiskFull => Self::DiskFull,
            other => Self::Storage(other.to_string()),
        }
    }
}
