//! What is known of an outside replica from its answers.
//!
//! Failures in a row put it out: it is asked nothing more, so that requests do
//! not wait for a server that is away, until it answers a probe. Probes go on in
//! the background meanwhile, faster than the caretaker's.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Failures in a row that put a replica out. More than the one that a poisonous
/// request causes, few enough to be through in a moment under load.
pub(crate) const MOST_FAILURES: u32 = 5;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    is_out: AtomicBool,
    at_work: AtomicUsize,
}

impl Health {
    /// Whether it is asked nothing now.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// It answered, whatever it said. Says whether it was out.
    pub(crate) fn answered(&self) -> bool {
        // Read first: answers come often, and the line is shared.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.is_out() && self.is_out.swap(false, Ordering::Relaxed)
    }

    /// It did not answer.
    pub(crate) fn failed(&self) -> Setback {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= MOST_FAILURES && !self.is_out.swap(true, Ordering::Relaxed) {
            return Setback::Out;
        }
        match failures {
            1 => Setback::First,
            _ => Setback::Another,
        }
    }

    /// Counts a request as running until the guard is dropped.
    pub(crate) fn work(&self) -> Work<'_> {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        Work(self)
    }

    /// Whether requests are running.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::Relaxed) > 0
    }
}

/// What a failure is after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The first after an answer.
    First,
    /// One of several.
    Another,
    /// The one that puts the replica out.
    Out,
}

/// A request that is running.
pub(crate) struct Work<'a>(&'a Health);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_put_a_replica_out() {
        let health = Health::default();
        for _ in 0..3 {
            assert_eq!(health.failed(), Setback::First);
            for _ in 2..MOST_FAILURES {
                assert_eq!(health.failed(), Setback::Another);
            }
            assert!(!health.answered());
        }
        for _ in 1..MOST_FAILURES {
            health.failed();
        }
        assert_eq!(health.failed(), Setback::Out);
        assert_eq!(health.failed(), Setback::Another);
        assert!(health.is_out());
        assert!(health.answered());
        assert!(!health.is_out());
        assert!(!health.answered());
    }
}
