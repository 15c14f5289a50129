//! An answer on its way through: its request is not over before its last part.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    Stream,
    stream::{self, StreamExt as _},
};
use lusk_contract::{BrokenOff, Parts};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Route,
    turn::{Lease, Record},
};
use crate::counters::Outcome;

/// What its request holds: the slot goes first.
struct Held {
    lease: Lease<Arc<Route>>,
    record: Record<Arc<Route>>,
}

/// See the module. Dropped early, it counts as abandoned; past the deadline it
/// breaks off.
pub(super) struct Passing {
    // What the replica does ends first, then its slot is free, then it is counted.
    parts: Parts,
    held: Option<Held>,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    /// How it ends when it ends well.
    outcome: Outcome,
    deadline: Pin<Box<Sleep>>,
}

impl Passing {
    pub(super) fn new(
        parts: Parts,
        length: Option<u64>,
        outcome: Outcome,
        deadline: Instant,
        lease: Lease<Arc<Route>>,
        record: Record<Arc<Route>>,
    ) -> Self {
        Self {
            parts,
            held: Some(Held { lease, record }),
            left: length,
            outcome,
            deadline: Box::pin(sleep_until(deadline)),
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.parts = stream::empty().boxed();
        if let Some(mut held) = self.held.take() {
            drop(held.lease);
            held.record.outcome = outcome;
        }
    }

    fn cut(&mut self) -> BrokenOff {
        let why = match &self.held {
            Some(held) => held.lease.route.timed_out().to_string(),
            None => String::new(),
        };
        self.end(Outcome::TimedOut);
        BrokenOff(why)
    }
}

impl Stream for Passing {
    type Item = <Parts as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.is_none() {
            return Poll::Ready(None);
        }
        // Looked at each time: parts may come without a pause for ever.
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.cut())));
        }
        match self.parts.poll_next_unpin(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(part))) => {
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(part.len() as u64);
                    // Nobody may ask again after the last byte that was announced.
                    if *left == 0 {
                        let outcome = self.outcome;
                        self.end(outcome);
                    }
                }
                Poll::Ready(Some(Ok(part)))
            }
            Poll::Ready(Some(Err(broken))) => {
                self.end(Outcome::Answered(5));
                Poll::Ready(Some(Err(broken)))
            }
            Poll::Ready(None) => {
                let outcome = self.outcome;
                self.end(outcome);
                Poll::Ready(None)
            }
        }
    }
}
