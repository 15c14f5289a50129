//! Requests and answers whose bodies need not be in memory: what passes through a
//! replica that stands for a server elsewhere.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};

use crate::{ScoreReply, ScoreRequest, ScriptError};

/// Why a body ended early, in words for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokenOff(pub String);

/// The parts of a body, as they come.
pub type Parts = BoxStream<'static, Result<Bytes, BrokenOff>>;

/// A body.
pub enum Flow {
    /// All of it is here.
    Whole(Bytes),
    /// It comes in parts; nobody asks for the next one before the last one went on.
    Parts {
        /// Bytes in all, where that is known before.
        length: Option<u64>,
        /// What comes.
        parts: Parts,
    },
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Parts { length, .. } => write!(f, "Parts({length:?})"),
        }
    }
}

/// A request as a replica that relays it gets it; else like [`ScoreRequest`].
#[derive(Debug)]
pub struct RelayRequest {
    /// The method.
    pub method: Method,
    /// Path and query, e.g. `/score?a=1`.
    pub target: String,
    /// Headers, without `authorization` and hop-by-hop ones.
    pub headers: HeaderMap,
    /// The body.
    pub body: Flow,
}

impl RelayRequest {
    /// The same with its body whole; none when it is still on its way.
    pub fn into_whole(self) -> Option<ScoreRequest> {
        let Flow::Whole(body) = self.body else {
            return None;
        };
        Some(ScoreRequest {
            method: self.method,
            target: self.target,
            headers: self.headers,
            body,
        })
    }
}

impl From<ScoreRequest> for RelayRequest {
    fn from(request: ScoreRequest) -> Self {
        Self {
            method: request.method,
            target: request.target,
            headers: request.headers,
            body: Flow::Whole(request.body),
        }
    }
}

/// An answer whose body may still be on its way; else like [`ScoreReply`]. Dropping
/// the body before its end tells the replica that nobody wants the rest.
#[derive(Debug)]
pub struct RelayReply {
    /// Status.
    pub status: StatusCode,
    /// Headers; a `content-length` among them says nothing.
    pub headers: HeaderMap,
    /// Body.
    pub body: Flow,
    /// Time that `run` took, where that is told.
    pub run_time: Option<Duration>,
    /// Whether the script counts as failed.
    pub function_failed: bool,
}

impl From<ScoreReply> for RelayReply {
    fn from(reply: ScoreReply) -> Self {
        Self {
            status: reply.status,
            headers: reply.headers,
            body: Flow::Whole(reply.body),
            run_time: reply.run_time,
            function_failed: reply.function_failed,
        }
    }
}

/// A request that was not relayed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotRelayed {
    /// Why.
    pub error: ScriptError,
    /// The request, unless some of it is gone.
    pub request: Option<Box<RelayRequest>>,
}

impl From<ScriptError> for NotRelayed {
    fn from(error: ScriptError) -> Self {
        Self {
            error,
            request: None,
        }
    }
}
