//! What is known of an outside replica from its answers.
//!
//! Failures in a row put it out: it is asked nothing more, so that requests do
//! not wait for a server that is away, until it answers a probe. Probes go on in
//! the background meanwhile, faster than the caretaker's.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};

use lusk_contract::Standing;

/// Failures in a row that put a replica out. More than the one that a poisonous
/// request causes, few enough to be through in a moment under load.
pub(crate) const MOST_FAILURES: u32 = 5;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    is_out: AtomicBool,
    at_work: AtomicUsize,
    /// Who wants to know when it goes out and comes back; locked while it does, so
    /// that they hear it in that order.
    told: Mutex<Vec<Arc<dyn Standing>>>,
}

impl Health {
    /// Whether it is asked nothing now.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Tells `standing` what is and what will be.
    pub(crate) fn tell(&self, standing: Arc<dyn Standing>) {
        let mut told = self.told();
        if self.is_out() {
            standing.set(false);
        }
        told.push(standing);
    }

    /// It answered, whatever it said. Says whether it was out.
    pub(crate) fn answered(&self) -> bool {
        // Read first: answers come often, and the line is shared.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.is_out() && self.set_out(false)
    }

    /// It did not answer.
    pub(crate) fn failed(&self) -> Setback {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= MOST_FAILURES && self.set_out(true) {
            return Setback::Out;
        }
        match failures {
            1 => Setback::First,
            _ => Setback::Another,
        }
    }

    /// It is not there: no second failure is needed to know that.
    pub(crate) fn is_gone(&self) -> Setback {
        self.failures.fetch_add(1, Ordering::Relaxed);
        match self.set_out(true) {
            true => Setback::Out,
            false => Setback::Another,
        }
    }

    /// Says whether that is news.
    fn set_out(&self, is_out: bool) -> bool {
        let told = self.told();
        let is_news = self.is_out.swap(is_out, Ordering::Relaxed) != is_out;
        if is_news {
            for standing in &*told {
                standing.set(!is_out);
            }
        }
        is_news
    }

    fn told(&self) -> MutexGuard<'_, Vec<Arc<dyn Standing>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request as running, until [`Health::rest`].
    pub(crate) fn work(&self) {
        self.at_work.fetch_add(1, Ordering::Relaxed);
    }

    /// One request less runs.
    pub(crate) fn rest(&self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
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

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<bool>>);

    impl Standing for Heard {
        fn set(&self, takes_requests: bool) {
            self.0.lock().unwrap().push(takes_requests);
        }
    }

    #[test]
    fn going_out_and_coming_back_is_told_once_each() {
        let health = Health::default();
        let (early, late) = (Arc::<Heard>::default(), Arc::<Heard>::default());
        health.tell(early.clone());
        assert_eq!(health.is_gone(), Setback::Out);
        assert_eq!(health.is_gone(), Setback::Another);
        health.tell(late.clone());
        assert!(health.answered());
        assert!(!health.answered());
        assert_eq!(*early.0.lock().unwrap(), [false, true]);
        assert_eq!(*late.0.lock().unwrap(), [false, true]);
    }
}
