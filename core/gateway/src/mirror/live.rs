//! The live answer of a request that was copied, on its way to the log.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::StatusCode;
use lusk_contract::{BrokenOff, Flow, MirroredAnswer, Parts, RelayReply};
use lusk_domain::VersionName;
use lusk_router::{Route, RouteError};
use tokio::{sync::oneshot, time::Instant};

use super::{Answered, Kept};

/// Tells what the caller gets. Dropped without a word, nothing is kept.
pub(crate) struct Live {
    version: VersionName,
    begun: Instant,
    tell: oneshot::Sender<MirroredAnswer>,
}

impl Live {
    /// Of a route that is about to run the request.
    pub(super) fn begin(route: &Route) -> Option<(oneshot::Receiver<MirroredAnswer>, Self)> {
        let (tell, told) = oneshot::channel();
        let live = Self {
            version: route.info().name.version()?,
            begun: Instant::now(),
            tell,
        };
        Some((told, live))
    }

    /// There was no answer.
    pub(crate) fn failed(self, error: &RouteError) {
        self.tell(Err(error.to_string()));
    }

    /// This is the answer; it comes back, listened to where it is still on its way.
    pub(crate) fn answered(self, mut reply: RelayReply) -> RelayReply {
        let status = status(reply.status);
        reply.body = match reply.body {
            Flow::Whole(bytes) => {
                self.tell(Ok((status, bytes.clone())));
                Flow::Whole(bytes)
            }
            Flow::Parts { length, parts } => {
                let overheard = Overheard {
                    parts,
                    left: length,
                    status,
                    kept: Kept::default(),
                    live: Some(self),
                };
                Flow::Parts {
                    length,
                    parts: Box::pin(overheard),
                }
            }
        };
        reply
    }

    fn tell(self, result: Result<(u16, Bytes), String>) {
        let took = self.begun.elapsed();
        let answer = Answered { result, took }.by(self.version);
        // Nobody waits for it when the node ends.
        let _ = self.tell.send(answer);
    }
}

/// The status that a caller gets of what a script says.
pub(super) fn status(status: StatusCode) -> u16 {
    crate::score::status_of(status).as_u16()
}

/// Passes parts on and remembers them. Dropped before its end it says nothing: what the
/// caller did not take is no answer to compare.
struct Overheard {
    parts: Parts,
    /// Bytes to come, where that is known: nobody may ask again after the last one.
    left: Option<u64>,
    status: u16,
    kept: Kept,
    live: Option<Live>,
}

impl Overheard {
    fn end(&mut self) {
        if let Some(live) = self.live.take() {
            let body = std::mem::take(&mut self.kept).into_bytes();
            live.tell(Ok((self.status, body)));
        }
    }
}

impl Stream for Overheard {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let part = ready!(this.parts.poll_next_unpin(context));
        match &part {
            None => this.end(),
            Some(Ok(part)) => {
                this.kept.push(part);
                let length = part.len() as u64;
                this.left = this.left.map(|left| left.saturating_sub(length));
                if this.left == Some(0) {
                    this.end();
                }
            }
            Some(Err(broken)) => {
                if let Some(live) = this.live.take() {
                    live.tell(Err(broken.to_string()));
                }
            }
        }
        Poll::Ready(part)
    }
}
