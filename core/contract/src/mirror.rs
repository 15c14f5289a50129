//! Answers of a mirrored version, kept beside the live ones.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use lusk_domain::{ServiceName, VersionName};
use serde_json::Value;

/// One request that two versions answered: the live one for the caller, the other
/// for nobody but this log.
#[derive(Debug, Clone)]
pub struct MirroredPair {
    /// When the request came.
    pub at: Timestamp,
    /// The endpoint that it came to.
    pub endpoint: ServiceName,
    /// Its request id, as told to the caller.
    pub request: String,
    /// What the caller got.
    pub live: MirroredAnswer,
    /// What the mirrored version answered.
    pub copy: MirroredAnswer,
}

/// What one version answered.
#[derive(Debug, Clone)]
pub struct MirroredAnswer {
    /// Which version.
    pub version: VersionName,
    /// The status; none if there was no answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// The whole body; the log cuts it.
    pub body: Bytes,
}

/// Where pairs of answers are kept, for a while, endpoint by endpoint.
#[async_trait::async_trait]
pub trait MirrorLog: Send + Sync + fmt::Debug {
    /// Keeps a pair soon. Never blocks; a pair that finds no room is dropped and
    /// counted.
    fn keep(&self, pair: MirroredPair);

    /// Pairs of an endpoint that were not kept since this process began.
    fn dropped(&self, endpoint: &ServiceName) -> u64;

    /// The last `pairs` pairs of an endpoint, oldest first, as they are kept:
    /// `{time, requestId, live: {version, status, error, milliseconds, body or
    /// bodyBase64, truncated}, mirror: {…}, equal}`. What [`MirrorLog::keep`] took
    /// before is among them.
    ///
    /// # Errors
    /// The disk fails.
    async fn tail(&self, endpoint: &ServiceName, pairs: usize) -> io::Result<Vec<Value>>;

    /// Forgets an endpoint that is deleted, and what waits for it.
    fn remove(&self, endpoint: &ServiceName);
}

/// A node that keeps nothing.
#[async_trait::async_trait]
impl MirrorLog for () {
    fn keep(&self, _pair: MirroredPair) {}

    fn dropped(&self, _endpoint: &ServiceName) -> u64 {
        0
    }

    async fn tail(&self, _endpoint: &ServiceName, _pairs: usize) -> io::Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn remove(&self, _endpoint: &ServiceName) {}
}
