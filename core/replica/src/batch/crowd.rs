//! Who is about: requests that run in a service's replicas, and those of them
//! that wait in open batches. When all wait, nobody else can come.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// A running request, in the upper half of the count.
const RUNNING: u64 = 1 << 32;

/// The requests of one revision.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Both counts in one word, so that they are always read together.
    counts: AtomicU64,
    idle: Notify,
}

impl Crowd {
    /// One more request runs, for as long as the guard lives.
    pub(crate) fn enter(crowd: &Arc<Self>) -> Running {
        crowd.counts.fetch_add(RUNNING, Ordering::AcqRel);
        Running(Arc::clone(crowd))
    }

    /// `more` of them wait, `fewer` wait no more. Told under the lock of the batch,
    /// so that nobody resumes before it was said to wait.
    pub(super) fn wait(&self, more: usize, fewer: usize) {
        let change = (more as u64).wrapping_sub(fewer as u64);
        self.counts.fetch_add(change, Ordering::AcqRel);
        self.tell();
    }

    /// Whether all that run wait. Calls from outside a request, such as those of
    /// an `init()`, wait without running.
    pub(super) fn is_idle(&self) -> bool {
        let counts = self.counts.load(Ordering::Acquire);
        let (running, waiting) = (counts >> 32, counts & (RUNNING - 1));
        waiting > 0 && running <= waiting
    }

    /// Whether one runs, or none, and nobody waits.
    pub(super) fn is_one(&self) -> bool {
        self.counts.load(Ordering::Acquire) <= RUNNING
    }

    /// Ends at the next time that all wait; counts from when it is first enabled
    /// or polled.
    pub(super) fn idle(&self) -> Notified<'_> {
        self.idle.notified()
    }

    fn tell(&self) {
        if self.is_idle() {
            self.idle.notify_waiters();
        }
    }
}

/// A request that runs.
#[derive(Debug)]
pub(crate) struct Running(Arc<Crowd>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.counts.fetch_sub(RUNNING, Ordering::AcqRel);
        self.0.tell();
    }
}
