//! One scoring request and what a replica makes of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// A request as the entry script sees it.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// GET, POST, or OPTIONS for raw scripts.
    pub method: Method,
    /// Path and query as the scoring server of the original sees them, e.g. `/score?a=1`.
    pub target: String,
    /// Headers, without `authorization` and hop-by-hop ones.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A script's answer.
#[derive(Debug, Clone)]
pub struct ScoreReply {
    /// Status as the script, or its server side, chose it.
    pub status: StatusCode,
    /// Headers from the script; `content-type` at least.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Time that `run` took, when `run` returned.
    pub run_time: Option<Duration>,
    /// Whether the script counts as failed (`x-ms-run-function-failed`).
    pub function_failed: bool,
}

/// Why a replica gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The request is not what the script takes (400).
    #[error("{0}")]
    BadRequest(String),
    /// The script raised; details are in its log.
    #[error("the entry script raised an exception: {0}")]
    Raised(String),
    /// The replica died on this request: trap, memory limit, stack overflow,
    /// killed process. It is being replaced.
    #[error("the replica died while it ran the entry script: {0}")]
    Died(String),
    /// The replica cannot take the request and has not begun to run it; another may.
    #[error("the replica did not begin to run the entry script: {0}")]
    NotBegun(String),
    /// The request's own body ended early or broke a rule: the caller's fault, not
    /// the replica's.
    #[error("the body of the request did not come whole: {0}")]
    CutShort(String),
}
