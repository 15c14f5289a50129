//! Says now and then how far a long transfer is.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lusk_contract::Progress;
use lusk_domain::{Step, StepOutcome};

/// Time between two events.
const EVERY: Duration = Duration::from_secs(1);

/// Bytes of one transfer.
pub(crate) struct Tally<'a> {
    progress: &'a dyn Progress,
    /// `fetched from …`, `sent to …`.
    what: String,
    total: u64,
    moved: AtomicU64,
    told: Mutex<Instant>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(progress: &'a dyn Progress, what: String, total: u64) -> Self {
        Self {
            progress,
            what,
            total,
            moved: AtomicU64::new(0),
            told: Mutex::new(Instant::now()),
        }
    }

    /// Bytes that were moved.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Counts bytes that are on their way.
    pub(crate) fn add(&self, bytes: u64) {
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < EVERY {
            return;
        }
        *told = Instant::now();
        drop(told);
        let text = format!("{} of {} {}", mib(moved), mib(self.total), self.what);
        self.progress
            .event(Step::Image, StepOutcome::Running, &text);
    }
}

/// Bytes for people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
