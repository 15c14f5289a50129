//! Reading request bodies within bounds of size, time and memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::EXPECT};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::problem::Problem;

/// Largest first allocation for a body whose length the caller tells: what a caller
/// claims but does not send costs no more than this.
const MAX_FIRST_ALLOCATION: u64 = 1024 * 1024;

/// What bodies may take.
#[derive(Debug, Clone)]
pub(crate) struct BodyLimits {
    /// Bytes of one body.
    pub(crate) max_bytes: usize,
    /// Silence between two parts of a body.
    pub(crate) silence: Duration,
    /// Bytes of all bodies under way.
    pub(crate) budget: Arc<Budget>,
}

/// A number of bytes that many share. Nobody waits for it: who finds it used up is
/// sent away, so that half-read bodies never wait for one another.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }
}

/// A share of a [`Budget`], given back on drop.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let limit = self.budget.limit;
        let within = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.budget.used.fetch_update(Relaxed, Relaxed, within) {
            Ok(_) => self.bytes += bytes,
            Err(_) => return Err(Problem::buffers_full(limit)),
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body in memory; counted in the budget as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    /// The whole body.
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// The body of a request, read or not.
pub(crate) struct Upload {
    body: Incoming,
    /// The caller waits for leave to send it.
    asks_first: bool,
}

impl Upload {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        Self {
            body,
            asks_first: headers.contains_key(EXPECT),
        }
    }

    /// Reads it whole. A body that tells that it is too long is refused unread.
    pub(crate) async fn read(&mut self, limits: &BodyLimits) -> Result<Held, Problem> {
        let mut share = Share {
            budget: Arc::clone(&limits.budget),
            bytes: 0,
        };
        let told = self.body.size_hint().exact();
        if told.is_some_and(|told| told > limits.max_bytes as u64) {
            return Err(Problem::body_too_large(told, limits.max_bytes));
        }
        let mut parts = Parts::default();
        while let Some(part) = self.part(limits.silence).await? {
            if part.len() > limits.max_bytes - share.bytes {
                return Err(Problem::body_too_large(None, limits.max_bytes));
            }
            share.grow(part.len())?;
            parts.push(part, told);
        }
        Ok(Held {
            bytes: parts.join(),
            _share: share,
        })
    }

    /// The next part; none at the end.
    async fn part(&mut self, silence: Duration) -> Result<Option<Bytes>, Problem> {
        while !self.body.is_end_stream() {
            let frame = match timeout(silence, self.body.frame()).await {
                Err(_) => return Err(Problem::body_silent(silence)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Problem::body_broken()),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers are of no use to a script.
            if let Ok(part) = frame.into_data() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// Throws away what is still to come, so that a caller who sends all of it before it
    /// looks finds the answer and not a broken connection. Ends at the limits of a body
    /// that is read; then the connection closes.
    pub(crate) fn discard(mut self, limits: &BodyLimits) {
        // Reading on would be taken for the leave to send.
        if self.asks_first || self.body.is_end_stream() {
            return;
        }
        let (mut left, silence) = (limits.max_bytes, limits.silence);
        tokio::spawn(timeout(silence, async move {
            while let Ok(Some(part)) = self.part(silence).await {
                match left.checked_sub(part.len()) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        }));
    }
}

/// Parts of a body: the usual lone one is not copied.
#[derive(Default)]
struct Parts {
    lone: Bytes,
    joined: BytesMut,
}

impl Parts {
    fn push(&mut self, part: Bytes, told: Option<u64>) {
        if self.joined.is_empty() && self.lone.is_empty() {
            self.lone = part;
            return;
        }
        if self.joined.is_empty() {
            let first = told.unwrap_or_default().min(MAX_FIRST_ALLOCATION);
            self.joined
                .reserve(usize::try_from(first).unwrap_or_default());
            self.joined.extend_from_slice(&self.lone);
        }
        self.joined.extend_from_slice(&part);
    }

    fn join(self) -> Bytes {
        match self.joined.is_empty() {
            true => self.lone,
            false => self.joined.freeze(),
        }
    }
}
