//! Reading request bodies within bounds of size, time and memory.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::EXPECT};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    books::{Books, Share},
    caller::Caller,
    problem::Problem,
};

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
    /// Bytes that must have come in each second after that, on average.
    pub(crate) min_rate: u32,
    /// Bytes of all bodies under way.
    pub(crate) max_buffered: usize,
    /// Where those are counted.
    pub(crate) books: Arc<Books>,
}

impl BodyLimits {
    /// When the next part of a body must have come, of which so many bytes have come
    /// since it was `begun`.
    pub(crate) fn deadline(&self, begun: Instant, now: Instant, bytes: usize) -> Instant {
        let earned = bytes as f64 / f64::from(self.min_rate.max(1));
        let earned = Duration::try_from_secs_f64(earned).unwrap_or(Duration::MAX);
        let whole = begun.checked_add(self.silence.saturating_add(earned));
        whole.unwrap_or(now + self.silence).min(now + self.silence)
    }
}

/// A body in memory; counted in the budget as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    /// The whole body.
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// Bodies that tell that they are no larger are collected before they go on, whoever
/// gets them: no slot waits for a caller who sends slowly.
pub(crate) const SMALL: u64 = 64 * 1024;

/// The body of a request, read or not.
pub(crate) struct Upload {
    /// None when somebody else reads it.
    body: Option<Incoming>,
    /// The caller waits for leave to send it.
    asks_first: bool,
}

impl Upload {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        Self {
            body: Some(body),
            asks_first: headers.contains_key(EXPECT),
        }
    }

    /// Gives it to somebody else, to be read and thrown away there.
    pub(crate) fn hand_over(&mut self) -> Self {
        Self {
            body: self.body.take(),
            asks_first: self.asks_first,
        }
    }

    /// Its length, where the request tells it.
    pub(crate) fn told(&self) -> Option<u64> {
        match &self.body {
            Some(body) => body.size_hint().exact(),
            None => Some(0),
        }
    }

    /// Nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    /// Refuses a body that tells that it is too long, or for which there is no room,
    /// unread.
    pub(crate) fn check(&self, limits: &BodyLimits, share: &Share) -> Result<(), Problem> {
        self.check_length(limits)?;
        if !share.has_room_for(self.told().unwrap_or_default()) {
            return Err(Problem::buffers_full(limits.max_buffered));
        }
        Ok(())
    }

    /// Refuses a body that tells that it is too long, unread.
    pub(crate) fn check_length(&self, limits: &BodyLimits) -> Result<(), Problem> {
        let told = self.told();
        match told.is_some_and(|told| told > limits.max_bytes as u64) {
            true => Err(Problem::body_too_large(told, limits.max_bytes)),
            false => Ok(()),
        }
    }

    /// Reads it whole. A body that tells that it is too long is refused unread.
    pub(crate) async fn read(&mut self, limits: &BodyLimits) -> Result<Held, Problem> {
        let mut share = limits.books.share(limits.max_buffered);
        let told = self.told();
        self.check(limits, &share)?;
        let begun = Instant::now();
        let mut parts = Parts::default();
        while let Some(part) = self.timely(limits, begun, share.bytes()).await? {
            if part.len() > limits.max_bytes - share.bytes() {
                return Err(Problem::body_too_large(None, limits.max_bytes));
            }
            if !share.grow(part.len()) {
                return Err(Problem::buffers_full(limits.max_buffered));
            }
            parts.push(part, told);
        }
        Ok(Held {
            bytes: parts.join(),
            _share: share,
        })
    }

    /// The next part, in time.
    async fn timely(
        &mut self,
        limits: &BodyLimits,
        begun: Instant,
        bytes: usize,
    ) -> Result<Option<Bytes>, Problem> {
        if self.is_over() {
            return Ok(None);
        }
        let deadline = limits.deadline(begun, Instant::now(), bytes);
        match timeout_at(deadline, self.part()).await {
            Ok(part) => part,
            Err(_) => Err(Problem::body_slow(limits.silence, limits.min_rate)),
        }
    }

    /// The next part; none at the end.
    async fn part(&mut self) -> Result<Option<Bytes>, Problem> {
        poll_fn(|context| self.poll_part(context)).await
    }

    /// The next part; none at the end.
    pub(crate) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Problem>> {
        while let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream()) {
            let frame = match ready!(Pin::new(body).poll_frame(context)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(_)) => return Poll::Ready(Err(Problem::body_broken())),
                Some(Ok(frame)) => frame,
            };
            // Trailers are of no use to a script.
            if let Ok(part) = frame.into_data() {
                return Poll::Ready(Ok(Some(part)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Throws away what is still to come, so that a caller who sends all of it before it
    /// looks finds the answer and not a broken connection. Ends at the limits of a body
    /// that is read; then the connection closes.
    pub(crate) fn discard(mut self, limits: &BodyLimits, caller: &Arc<Caller>) {
        // Reading on would be taken for the leave to send.
        if self.asks_first || self.is_over() {
            return;
        }
        let (mut left, silence) = (limits.max_bytes, limits.silence);
        let under = caller.discarding();
        tokio::spawn(timeout(silence, async move {
            let _under = under;
            while let Ok(Some(part)) = self.part().await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_keep_coming_and_come_fast_enough() {
        let silence = Duration::from_secs(30);
        let limits = BodyLimits {
            max_bytes: 1_000_000,
            silence,
            min_rate: 1000,
            max_buffered: 1_000_000,
            books: Arc::default(),
        };
        let begun = Instant::now();
        let left = |after: u64, bytes| {
            let now = begun + Duration::from_secs(after);
            let deadline = limits.deadline(begun, now, bytes);
            deadline.saturating_duration_since(now).as_secs()
        };
        assert_eq!(left(0, 0), 30, "no byte is owed at once");
        assert_eq!(left(10, 0), 20, "nothing in 30 s is too slow");
        assert_eq!(left(10, 5_000), 25, "5,000 bytes buy 5 s");
        assert_eq!(left(100, 1_000_000), 30, "never more than the silence");
        assert_eq!(left(100, 60_000), 0, "too slow by now");
        assert_eq!(left(100, usize::MAX), 30);
    }
}
