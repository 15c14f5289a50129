//! An answer on its way through: its request is not over before its last part, and no
//! later than its deadline, whether or not anybody asks for the next part.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::{Stream, stream::StreamExt as _};
use lusk_contract::{BrokenOff, Parts};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{
    Route,
    turn::{Lease, Record},
};
use crate::counters::Outcome;

/// What a request holds. What the replica does ends first, then its slot is free, then
/// it is counted: abandoned, unless it ends another way.
struct Held {
    parts: Parts,
    lease: Lease<Arc<Route>>,
    record: Record<Arc<Route>>,
}

impl Held {
    fn end(self, outcome: Outcome) {
        let Self {
            parts,
            lease,
            mut record,
        } = self;
        drop(parts);
        drop(lease);
        record.outcome = outcome;
    }

    /// At the deadline.
    fn cut(self) -> BrokenOff {
        let why = self.lease.route.timed_out().to_string();
        self.lease.replica().cut(&why);
        self.end(Outcome::TimedOut);
        BrokenOff(why)
    }
}

enum State {
    Running {
        // Boxed: it is large, and the other states are small.
        held: Box<Held>,
        /// Who waits for the next part.
        waits: Option<Waker>,
    },
    /// The deadline has passed; whoever asks next is to know.
    Cut(BrokenOff),
    Over,
}

/// Shared by the answer and its timer.
struct Cell(Mutex<State>);

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held, if anything still is.
    fn take(&self) -> Option<Box<Held>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Running { held, .. } => Some(held),
            State::Cut(_) | State::Over => None,
        }
    }

    /// The deadline has passed.
    fn cut(&self) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Running { held, waits } => {
                *state = State::Cut(held.cut());
                drop(state);
                if let Some(waker) = waits {
                    waker.wake();
                }
            }
            other => *state = other,
        }
    }
}

/// See the module. Dropped early, it counts as abandoned; past the deadline it
/// breaks off.
pub(super) struct Passing {
    cell: Arc<Cell>,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    /// How it ends when it ends well.
    outcome: Outcome,
    deadline: Instant,
    /// A connection whose caller does not read asks for nothing.
    timer: AbortHandle,
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
        let held = Box::new(Held {
            parts,
            lease,
            record,
        });
        let waits = None;
        let cell = Arc::new(Cell(Mutex::new(State::Running { held, waits })));
        let timed = Arc::clone(&cell);
        let timer = tokio::spawn(async move {
            sleep_until(deadline).await;
            timed.cut();
        });
        Self {
            cell,
            left: length,
            outcome,
            deadline,
            timer: timer.abort_handle(),
        }
    }

    fn end(&self, outcome: Outcome) {
        if let Some(held) = self.cell.take() {
            held.end(outcome);
        }
    }
}

impl Stream for Passing {
    type Item = <Parts as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Looked at each time: parts may come without a pause for ever.
        if Instant::now() >= self.deadline {
            self.cell.cut();
        }
        let polled = {
            let mut state = self.cell.lock();
            match &mut *state {
                State::Running { held, waits } => {
                    let polled = held.parts.poll_next_unpin(context);
                    if polled.is_pending() {
                        *waits = Some(context.waker().clone());
                    }
                    polled
                }
                State::Cut(why) => {
                    let why = why.clone();
                    *state = State::Over;
                    return Poll::Ready(Some(Err(why)));
                }
                State::Over => return Poll::Ready(None),
            }
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(part))) => {
                let length = part.len() as u64;
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(length);
                }
                // Nobody may ask again after the last byte that was announced.
                if self.left == Some(0) {
                    self.end(self.outcome);
                }
            }
            Poll::Ready(Some(Err(_))) => self.end(Outcome::Answered(5)),
            Poll::Ready(None) => self.end(self.outcome),
        }
        polled
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.timer.abort();
        drop(self.cell.take());
    }
}
