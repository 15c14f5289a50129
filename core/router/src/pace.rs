//! How long a service's script usually takes, to choose where it runs.
//!
//! A hand-over to another thread costs some microseconds and a wake-up; a script that
//! computes for long in a thread that serves other callers costs them its whole time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Longest usual run that may hold up a thread which serves other callers.
const SHORT: Duration = Duration::from_micros(200);

/// A moving average of runs.
#[derive(Debug, Default)]
pub struct Pace {
    /// Nanoseconds; 0 is unknown.
    usual: AtomicU64,
}

impl Pace {
    /// Whether a run usually takes no longer than 200 µs; not so before the first one.
    pub fn is_short(&self) -> bool {
        let usual = self.usual.load(Relaxed);
        usual != 0 && u128::from(usual) <= SHORT.as_nanos()
    }

    /// Takes in how long a run took. Updates that two threads lose to each other only
    /// make the average a little older.
    pub fn learn(&self, took: Duration) {
        let seen = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let old = self.usual.load(Relaxed);
        let new = match old {
            0 => seen,
            _ => old - old / 8 + seen / 8,
        };
        self.usual.store(new.max(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_short_is_short() {
        let pace = Pace::default();
        assert!(!pace.is_short());
        pace.learn(Duration::from_micros(20));
        assert!(pace.is_short());
        pace.learn(Duration::from_micros(400));
        assert!(pace.is_short(), "one slow run makes no slow script");
        for _ in 0..20 {
            pace.learn(Duration::from_millis(1));
        }
        assert!(!pace.is_short());
        for _ in 0..40 {
            pace.learn(Duration::from_micros(20));
        }
        assert!(pace.is_short());
        pace.learn(Duration::MAX);
        assert!(!pace.is_short());
    }
}
