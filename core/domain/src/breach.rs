//! When a guard trips: a window over what a version does, and a test that does not
//! take bad luck for a bad version.
//!
//! Over the last [`WINDOW`], once at least [`FEWEST`] requests are in it, so many bad
//! ones must be there that a version which is bad exactly as often as the guard
//! tolerates would do so badly with a chance below [`BAD_LUCK`] (binomial, exact).
//!
//! That is the chance of one look. Guards look every second, for days, at windows that
//! overlap. Simulated with a limit of 1 % and five requests a second (fifty), a version
//! that fails in 1 % is rolled back in 1 of 1,000 hours (6), one that fails in 0.8 % in
//! none of 3,000. One over its limit is found after 14 s in the median where it fails in
//! 10 % (5 %: 47 s; 3 %: 4 minutes); closer to the limit it takes more requests.
//! Time is what the caller says it is.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{Guard, binomial::upper_tail};

/// What a guard looks back on.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Fewer requests than this in the window say nothing.
pub(crate) const FEWEST: u64 = 10;

/// What a guard takes for bad luck: looks of which a version at its limit has one in
/// 100,000.
pub(crate) const BAD_LUCK: f64 = 1e-5;

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
        let bad = sample.bad.min(sample.requests);
        sample.requests >= FEWEST && upper_tail(bad, sample.requests, self.tolerated()) < BAD_LUCK
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
    fn what_may_be_bad_luck_trips_nothing() {
        let guard = guard("error_rate>1%");
        // At 1 %: 1 of 20 in 18 of 100 looks, 4 in 2 of 100,000, 5 in 1 of a million.
        assert!(!guard.is_breached_by(sample(20, 1)));
        assert!(!guard.is_breached_by(sample(20, 4)));
        assert!(guard.is_breached_by(sample(20, 5)));
        assert!(!guard.is_breached_by(sample(9, 9)), "too few requests");
        assert!(guard.is_breached_by(sample(10, 10)));
        assert!(!guard.is_breached_by(sample(1_000_000, 10_400)));
        assert!(guard.is_breached_by(sample(1_000_000, 10_430)));
        assert!(!guard.is_breached_by(sample(0, 0)));
    }

    #[test]
    fn a_percentile_is_a_part_that_may_be_slower() {
        let guard = guard("p90>250ms");
        assert!(!guard.is_breached_by(sample(100, 10)));
        assert!(!guard.is_breached_by(sample(100, 20)));
        assert!(guard.is_breached_by(sample(100, 30)));
    }

    /// Draws that are the same everywhere: SplitMix64 (Steele, Lea & Flood 2014).
    struct Draws(u64);

    impl Draws {
        /// From 0 up to 1.
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// The second of an hour in which `error_rate>1%` trips, at five requests a second.
    fn trips_at(failing: f64, seed: u64) -> Option<u64> {
        let (mut window, mut draws) = (GuardWindow::new(guard("error_rate>1%")), Draws(seed));
        let mut reading = Sample::default();
        window.take(Duration::ZERO, reading);
        (1..=3_600).find(|second| {
            reading.requests += 5;
            reading.bad += (0..5).filter(|_| draws.next() < failing).count() as u64;
            window.take(Duration::from_secs(*second), reading).is_some()
        })
    }

    #[test]
    fn in_an_hour_of_looks_a_version_within_its_limit_stays() {
        for seed in 0..20 {
            assert_eq!(trips_at(0.005, seed), None, "seed {seed}");
            assert_eq!(trips_at(0.008, seed), None, "seed {seed}");
        }
    }

    #[test]
    fn a_version_ten_times_over_its_limit_trips_within_a_window() {
        let mut seconds: Vec<_> = (0..20).map(|seed| trips_at(0.1, seed)).collect();
        seconds.sort_unstable();
        let within = |limit| {
            let is_within = |second: &&Option<u64>| second.is_some_and(|second| second <= limit);
            seconds.iter().filter(is_within).count()
        };
        assert_eq!(within(60), 20, "{seconds:?}");
        // 19 of 20 in the long run.
        assert!(within(30) >= 18, "{seconds:?}");
        assert_eq!(
            trips_at(1.0, 0),
            Some(2),
            "all fail: with the tenth request"
        );
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
        // Now all fail. At 10 % 17 of 60 come in 6 of 100,000 looks, 19 in 3 of a million.
        let tripped = (121..).find_map(|at| {
            let bad = 50 + (at - 120);
            window.take(second(at), sample(100 + at, bad))
        });
        let tripped = tripped.unwrap();
        assert_eq!(tripped.window, WINDOW);
        assert_eq!(tripped.sample.requests, 60);
        assert_eq!(tripped.sample.bad, 19, "{tripped}");
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
