//! Operations: the record of one create, update or delete, with its event log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Failure, ServiceName};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// A new service.
    Create,
    /// A change of a service.
    Update,
    /// The end of a service.
    Delete,
    /// A new key.
    RegenerateKeys,
}

/// Where an operation stands, in the original's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationState {
    /// Accepted, not begun.
    NotStarted,
    /// Under way.
    Running,
    /// Given up on request.
    Cancelled,
    /// Done.
    Succeeded,
    /// Ended by an error.
    Failed,
    /// Ended by its time limit.
    TimedOut,
}

impl OperationState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::NotStarted | Self::Running)
    }
}

/// The steps of a deployment, in their order; what an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Packing and unpacking the project folder.
    Snapshot,
    /// Reserving cores and memory.
    Capacity,
    /// Finding or building the environment image.
    Image,
    /// Loading models on a backend.
    Model,
    /// Starting and probing replicas.
    Replicas,
    /// Switching requests over.
    Traffic,
    /// Draining and removing what ran before.
    Cleanup,
}

/// How a step is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Worth the user's attention.
    Warning,
    /// The step that failed.
    Failed,
}

/// One line of an operation's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The step it belongs to.
    pub step: Step,
    /// How the step is doing.
    pub outcome: StepOutcome,
    /// What happened, for a person; e.g. `14 files, 312 KiB (3 ignored)`.
    pub text: String,
}

/// The record of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: OperationKind,
    /// To which service.
    pub service: ServiceName,
    /// Where it stands.
    pub state: OperationState,
    /// When it was accepted.
    pub created_time: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What happened, oldest first; at most [`Operation::MAX_EVENTS`].
    pub events: Vec<OperationEvent>,
}

impl Operation {
    /// Events kept of one operation; later ones are dropped.
    pub const MAX_EVENTS: usize = 1_000;
}
