//! When a guard trips: a window over what a version does, and a test that does not
//! take bad luck for a bad version.
//!
//! Over the last [`WINDOW`], once at least [`FEWEST`] requests are in it, the part of
//! bad ones must be above the guard's limit with 95 % confidence, one-sided
//! ([`least_proportion`]). Time is what the caller says it is.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{Guard, estimate::least_proportion};

/// What a guard looks back on.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Fewer requests than this in the window say nothing.
pub(crate) const FEWEST: u64 = 10;

/// What a version did since it serves, or in a window: counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those of them that the guard is against.
    pub bad: u64,
}

/// A guard tripped, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Breach {
    /// What tripped.
    pub guard: Guard,
    /// What was in the window.
    pub sample: Sample,
    /// How long the window was: [`WINDOW`], or since the guard looks.
    pub window: Duration,
}

impl fmt::Display for Breach {
    /// `` `error_rate>1%`: 32 of 410 requests (7.8 %) failed in the last 60 s``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { requests, bad } = self.sample;
        let percent = bad as f64 / requests.max(1) as f64 * 100.0;
        let seconds = self.window.as_secs_f64().ceil();
        write!(
            f,
            "`{}`: {bad} of {requests} requests ({percent:.1} %) ",
            self.guard
        )?;
        match self.guard {
            Guard::ErrorRate(_) => f.write_str("failed")?,
            Guard::Latency { limit, .. } => {
                write!(f, "took longer than {} ms", limit.as_secs_f64() * 1e3)?;
            }
        }
        write!(f, " in the last {seconds} s")
    }
}

impl Guard {
    /// The part of requests that may be bad.
    pub fn tolerated(&self) -> f64 {
        match self {
            Self::ErrorRate(rate) => *rate,
            Self::Latency { quantile, .. } => 1.0 - quantile,
        }
    }

    /// Whether a sample shows that too much is bad.
    pub fn is_breached_by(&self, sample: Sample) -> bool {
        sample.requests >= FEWEST
            && least_proportion(sample.bad.min(sample.requests), sample.requests) > self.tolerated()
    }
}

/// One guard's view of one version.
#[derive(Debug, Clone)]
pub struct GuardWindow {
    guard: Guard,
    /// Readings of counters that only grow, with their times, oldest first. All but the
    /// first are within the window: at most 61 with one reading a second.
    readings: VecDeque<(Duration, Sample)>,
}

impl GuardWindow {
    /// Looks from its first reading on.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            readings: VecDeque::new(),
        }
    }

    /// What it guards against.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// Takes the reading of the time `at`, which only grows; says whether the guard
    /// trips now.
    pub fn take(&mut self, at: Duration, reading: Sample) -> Option<Breach> {
        self.readings.push_back((at, reading));
        while let Some((second, _)) = self.readings.get(1)
            && at.saturating_sub(*second) >= WINDOW
        {
            self.readings.pop_front();
        }
        let (from, first) = self.readings.front()?;
        let breach = Breach {
            guard: self.guard,
            sample: Sample {
                requests: reading.requests.saturating_sub(first.requests),
                bad: reading.bad.saturating_sub(first.bad),
            },
            window: at.saturating_sub(*from),
        };
        self.guard.is_breached_by(breach.sample).then_some(breach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(text: &str) -> Guard {
        text.parse().unwrap()
    }

    fn sample(requests: u64, bad: u64) -> Sample {
        Sample { requests, bad }
    }

    #[test]
    fn one_failure_in_twenty_is_bad_luck_and_three_are_not() {
        let guard = guard("error_rate>1%");
        assert!(!guard.is_breached_by(sample(20, 1)));
        assert!(guard.is_breached_by(sample(20, 3)));
        assert!(!guard.is_breached_by(sample(9, 9)), "too few requests");
        assert!(guard.is_breached_by(sample(10, 10)));
        assert!(
            !guard.is_breached_by(sample(1_000_000, 10_000)),
            "at the limit"
        );
        assert!(guard.is_breached_by(sample(1_000_000, 10_400)));
        assert!(!guard.is_breached_by(sample(0, 0)));
    }

    #[test]
    fn a_percentile_is_a_part_that_may_be_slower() {
        let guard = guard("p90>250ms");
        assert!(!guard.is_breached_by(sample(100, 10)));
        assert!(!guard.is_breached_by(sample(100, 14)));
        assert!(guard.is_breached_by(sample(100, 18)));
    }

    #[test]
    fn only_the_last_minute_counts() {
        let mut window = GuardWindow::new(guard("error_rate>10%"));
        let second = Duration::from_secs;
        // 50 failures before the guard looked.
        assert_eq!(window.take(second(0), sample(100, 50)), None);
        // One request a second, none fails.
        for at in 1..=120 {
            assert_eq!(window.take(second(at), sample(100 + at, 50)), None);
        }
        assert_eq!(window.readings.len(), 61);
        // Now all fail: some more than 6 of 60 show more than 10 %.
        let tripped = (121..).find_map(|at| {
            let bad = 50 + (at - 120);
            window.take(second(at), sample(100 + at, bad))
        });
        let tripped = tripped.unwrap();
        assert_eq!(tripped.window, WINDOW);
        assert_eq!(tripped.sample.requests, 60);
        assert!((10..=13).contains(&tripped.sample.bad), "{tripped}");
    }

    #[test]
    fn old_failures_leave_the_window() {
        let mut window = GuardWindow::new(guard("error_rate>10%"));
        let second = Duration::from_secs;
        assert_eq!(window.take(second(0), sample(0, 0)), None);
        assert_eq!(window.take(second(1), sample(5, 5)), None, "too few");
        for at in 2..62 {
            assert_eq!(window.take(second(at), sample(5, 5)), None);
        }
        // Twelve requests more, of which one fails: 1 of 12, not 6 of 17.
        assert_eq!(window.take(second(62), sample(17, 6)), None);
    }

    #[test]
    fn a_breach_says_what_was_seen() {
        let breach = Breach {
            guard: guard("error_rate>1%"),
            sample: sample(410, 32),
            window: WINDOW,
        };
        let text = "`error_rate>1%`: 32 of 410 requests (7.8 %) failed in the last 60 s";
        assert_eq!(breach.to_string(), text);
        let breach = Breach {
            guard: guard("p99>2.5ms"),
            sample: sample(12, 6),
            window: Duration::from_millis(4_001),
        };
        let text = "`p99>2.5ms`: 6 of 12 requests (50.0 %) took longer than 2.5 ms in the last 5 s";
        assert_eq!(breach.to_string(), text);
    }
}
