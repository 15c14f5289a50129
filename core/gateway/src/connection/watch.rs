//! What is to be done about a connection of HTTP/1 on which nothing happens.
//!
//! Looks now and then at what the [`Caller`] counts, so that a request pays for no timer
//! of its own; the times are kept to within one rest between two looks. Those are short
//! at first, that a connection with a single request is soon parked, and longer for one
//! that stays busy.

use std::time::Duration;

use tokio::time::Instant;

use crate::caller::{Caller, Progress};

/// Longest time between two looks, in times of `park_after`.
const LONGEST: u32 = 8;

/// Looks at one stretch of requests.
#[derive(Debug)]
pub(super) struct Watch {
    park_after: Duration,
    /// Times `park_after`, until the next look.
    rest: u32,
    /// It was busy at the look before.
    was_busy: bool,
    header_timeout: Duration,
    /// Requests before this stretch.
    calls: u32,
    seen: Progress,
    /// When something had happened last.
    moved: Instant,
    /// When the connection was ready for the headers of a request.
    ready: Instant,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing to be done before then.
    Again(Instant),
    /// Idle after an answer for as long as it takes to be parked.
    Idle,
    /// No request has come, or not all of its headers.
    Late,
}

impl Watch {
    pub(super) fn new(
        caller: &Caller,
        park_after: Duration,
        header_timeout: Duration,
        now: Instant,
    ) -> Self {
        let seen = caller.progress();
        Self {
            park_after,
            rest: 1,
            was_busy: false,
            header_timeout,
            calls: seen.calls,
            seen,
            moved: now,
            ready: now,
        }
    }

    pub(super) fn first_look(&self) -> Instant {
        self.ready + self.park_after.min(self.header_timeout)
    }

    pub(super) fn look(&mut self, caller: &Caller, now: Instant) -> Look {
        let progress = caller.progress();
        let is_quiet = caller.is_quiet();
        let is_busy = !is_quiet || progress != self.seen;
        if is_busy {
            self.moved = now;
        }
        self.rest = match is_busy && self.was_busy {
            true => (self.rest * 2).min(LONGEST),
            false => 1,
        };
        self.was_busy = is_busy;
        if !is_quiet || progress.calls != self.seen.calls {
            self.ready = now;
        }
        self.seen = progress;
        if now >= self.ready + self.header_timeout {
            return Look::Late;
        }
        // Only after an answer: the time for headers begins anew with a stretch, and
        // must not do so for one who sends them slowly.
        if progress.calls != self.calls && now >= self.moved + self.park_after {
            return Look::Idle;
        }
        let rest = self.park_after * self.rest;
        Look::Again((now + rest).min(self.ready + self.header_timeout))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Version;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connection::line::Wire;

    const REST: Duration = Duration::from_millis(250);
    const HEADERS: Duration = Duration::from_secs(1);

    async fn watched() -> (Arc<Caller>, Wire, Watch, Instant) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (caller, wire) = Caller::split(TcpStream::connect(address).await.expect("there"));
        let now = Instant::now();
        let watch = Watch::new(&caller, REST, HEADERS, now);
        (caller, wire, watch, now)
    }

    #[tokio::test]
    async fn a_caller_without_a_request_is_late_to_the_moment() {
        let (caller, _wire, mut watch, start) = watched().await;
        assert_eq!(watch.first_look(), start + REST);
        let almost = start + HEADERS - Duration::from_millis(1);
        // What it sends meanwhile are no headers yet.
        caller.has_read(1);
        assert_eq!(watch.look(&caller, almost), Look::Again(start + HEADERS));
        assert_eq!(watch.look(&caller, start + HEADERS), Look::Late);
    }

    #[tokio::test]
    async fn a_connection_is_idle_a_rest_after_its_answer() {
        let (caller, _wire, mut watch, start) = watched().await;
        let under = caller.begin(Version::HTTP_11);
        let long = start + HEADERS * 10;
        assert_eq!(watch.look(&caller, long), Look::Again(long + REST));
        drop(under);
        let now = long + REST / 2;
        assert_eq!(watch.look(&caller, now), Look::Again(now + REST));
        assert_eq!(watch.look(&caller, long + REST), Look::Idle);
    }

    #[tokio::test]
    async fn who_stays_busy_is_looked_at_less() {
        let (caller, _wire, mut watch, mut now) = watched().await;
        watch.header_timeout = HEADERS * 100;
        for rests in [1, 2, 4, 8, 8] {
            drop(caller.begin(Version::HTTP_11));
            now += REST;
            assert_eq!(watch.look(&caller, now), Look::Again(now + REST * rests));
        }
        now += REST * 8;
        assert_eq!(watch.look(&caller, now), Look::Idle);
    }

    #[tokio::test]
    async fn what_moves_is_not_idle() {
        let (caller, _wire, mut watch, start) = watched().await;
        drop(caller.begin(Version::HTTP_11));
        let now = start + REST;
        assert_eq!(watch.look(&caller, now), Look::Again(now + REST));
        caller.has_written(1);
        let now = now + REST;
        assert_eq!(watch.look(&caller, now), Look::Again(now + REST * 2));
        assert_eq!(watch.look(&caller, now + REST * 2), Look::Idle);
    }
}
