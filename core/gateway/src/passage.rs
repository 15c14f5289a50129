//! A request's body on its way to a replica that takes it in parts, within the same
//! bounds as one that is collected.
//!
//! One part is in memory at a time, and only that counts in the budget. The caller's
//! time runs while the caller is waited for, not while the replica takes its own.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use lusk_contract::BrokenOff;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    body::{BodyLimits, Upload},
    books::Share,
    caller::Caller,
    problem::Problem,
};

/// See the module. Dropped early, it throws away what the caller still sends.
pub(crate) struct Passage {
    /// None at the end.
    upload: Option<Upload>,
    limits: BodyLimits,
    caller: Arc<Caller>,
    /// Of the part that was given out last.
    share: Option<Share>,
    taken: usize,
    /// How long the caller was waited for, until the wait that is on now.
    waited: Duration,
    waits: Option<Wait>,
    fault: Arc<Fault>,
}

struct Wait {
    since: Instant,
    limit: Pin<Box<Sleep>>,
}

/// What was wrong with a body that broke off.
#[derive(Default)]
pub(crate) struct Fault(Mutex<Option<Problem>>);

impl Fault {
    /// It, once.
    pub(crate) fn take(&self) -> Option<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Passage {
    /// Takes a body over; one that tells that it is too long is refused unread.
    pub(crate) fn new(
        upload: &mut Upload,
        limits: &BodyLimits,
        caller: &Arc<Caller>,
    ) -> Result<(Self, Arc<Fault>), Problem> {
        upload.check_length(limits)?;
        let fault = Arc::new(Fault::default());
        let passage = Self {
            upload: Some(upload.hand_over()),
            limits: limits.clone(),
            caller: Arc::clone(caller),
            share: None,
            taken: 0,
            waited: Duration::ZERO,
            waits: None,
            fault: Arc::clone(&fault),
        };
        Ok((passage, fault))
    }

    /// Whether a part may go on.
    fn admit(&mut self, part: &Bytes) -> Result<(), Problem> {
        if part.len() > self.limits.max_bytes - self.taken {
            return Err(Problem::body_too_large(None, self.limits.max_bytes));
        }
        let mut share = self.limits.books.share(self.limits.max_buffered);
        if !share.grow(part.len()) {
            return Err(Problem::buffers_full(self.limits.max_buffered));
        }
        self.share = Some(share);
        self.taken += part.len();
        Ok(())
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let wait = self.waits.get_or_insert_with(|| {
            let since = Instant::now();
            let begun = since.checked_sub(self.waited).unwrap_or(since);
            let deadline = self.limits.deadline(begun, since, self.taken);
            let limit = Box::pin(sleep_until(deadline));
            Wait { since, limit }
        });
        wait.limit.as_mut().poll(context).is_ready()
    }

    fn break_off(&mut self, problem: Problem) -> BrokenOff {
        let why = problem.message().to_owned();
        let mut fault = self.fault.0.lock().unwrap_or_else(PoisonError::into_inner);
        *fault = Some(problem);
        BrokenOff(why)
    }

    fn end(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.discard(&self.limits, &self.caller);
        }
    }
}

impl Stream for Passage {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // Who asks for the next part has passed the last one on.
        this.share = None;
        let Some(upload) = &mut this.upload else {
            return Poll::Ready(None);
        };
        let polled = upload.poll_part(context);
        if polled.is_ready()
            && let Some(wait) = this.waits.take()
        {
            this.waited += wait.since.elapsed();
        }
        let problem = match polled {
            Poll::Ready(Ok(None)) => {
                this.upload = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Ok(Some(part))) => match this.admit(&part) {
                Ok(()) => return Poll::Ready(Some(Ok(part))),
                Err(problem) => problem,
            },
            Poll::Ready(Err(problem)) => problem,
            Poll::Pending if this.is_late(context) => {
                Problem::body_slow(this.limits.silence, this.limits.min_rate)
            }
            Poll::Pending => return Poll::Pending,
        };
        let broken = this.break_off(problem);
        this.end();
        Poll::Ready(Some(Err(broken)))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.end();
    }
}
