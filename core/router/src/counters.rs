//! What a route has done so far: numbers that only grow.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use lusk_domain::{Guard, Histogram, Sample, Tally, histogram};

/// Upper bounds of the latency buckets in seconds; one more bucket takes the rest.
///
/// From half a millisecond (a no-op script) to 300 s, the longest scoring timeout.
pub const LATENCY_BOUNDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0,
];

const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// A reading of a route's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by the first digit of their status, 1xx first. What the replica did
    /// not answer counts as the class of its error.
    pub by_class: [u64; 5],
    /// Requests whose caller went away before the answer; in no class.
    pub abandoned: u64,
    /// Requests that waited too long for a slot, or found the queue full.
    pub overloaded: u64,
    /// Requests that found no ready replica.
    pub not_ready: u64,
    /// Requests that passed the scoring timeout.
    pub timed_out: u64,
    /// Requests that were tried on a second replica.
    pub retried: u64,
    /// Requests per bucket of [`LATENCY_BOUNDS`], not summed up; the last one is
    /// over all bounds. Abandoned requests are not in it.
    pub latency: [u64; BUCKETS],
    /// Sum of all latencies.
    pub latency_sum: Duration,
    /// Requests that had a slot; abandoned ones are not in it.
    pub runs: u64,
    /// Sum of the times that these held their slots.
    pub run_sum: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The caller went away.
    Abandoned,
    /// Sent elsewhere: not this route's to count.
    Elsewhere,
    /// Answered with a status of this class (1 to 5).
    Answered(u16),
    /// No slot in time.
    Overloaded,
    /// No ready replica.
    NotReady,
    /// The scoring timeout passed.
    TimedOut,
}

/// The live counters. Each stands for itself: a reading may fall between two of them.
#[derive(Debug)]
pub(crate) struct Meter {
    by_class: [AtomicU64; 5],
    abandoned: AtomicU64,
    overloaded: AtomicU64,
    not_ready: AtomicU64,
    timed_out: AtomicU64,
    retried: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_nanos: AtomicU64,
    /// The same latencies, fine enough for percentiles; 3.7 KB.
    fine: Box<[AtomicU64; histogram::BUCKETS]>,
    /// The bits of the sum of their squares in s².
    latency_squares: AtomicU64,
    runs: AtomicU64,
    run_nanos: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            by_class: Default::default(),
            abandoned: AtomicU64::default(),
            overloaded: AtomicU64::default(),
            not_ready: AtomicU64::default(),
            timed_out: AtomicU64::default(),
            retried: AtomicU64::default(),
            latency: Default::default(),
            latency_nanos: AtomicU64::default(),
            fine: Box::new([const { AtomicU64::new(0) }; histogram::BUCKETS]),
            latency_squares: AtomicU64::new(0.0_f64.to_bits()),
            runs: AtomicU64::default(),
            run_nanos: AtomicU64::default(),
        }
    }
}

impl Meter {
    /// Counts a request that took `latency`; `ran_for` of it, if it had a slot.
    pub(crate) fn record(&self, outcome: Outcome, latency: Duration, ran_for: Option<Duration>) {
        let class = match outcome {
            Outcome::Elsewhere => return,
            Outcome::Abandoned => {
                self.abandoned.fetch_add(1, Relaxed);
                return;
            }
            Outcome::Answered(class) => class,
            Outcome::Overloaded => count_server_error(&self.overloaded),
            Outcome::NotReady => count_server_error(&self.not_ready),
            Outcome::TimedOut => count_server_error(&self.timed_out),
        };
        self.by_class[usize::from(class.clamp(1, 5) - 1)].fetch_add(1, Relaxed);
        let seconds = latency.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.latency[bucket].fetch_add(1, Relaxed);
        self.latency_nanos.fetch_add(nanos(latency), Relaxed);
        self.fine[histogram::bucket(latency)].fetch_add(1, Relaxed);
        self.add_square(seconds * seconds);
        if let Some(ran_for) = ran_for {
            self.runs.fetch_add(1, Relaxed);
            self.run_nanos.fetch_add(nanos(ran_for), Relaxed);
        }
    }

    pub(crate) fn count_retry(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    /// Lock-free: who loses a race tries again with the sum of who won.
    fn add_square(&self, square: f64) {
        let add = |bits| Some((f64::from_bits(bits) + square).to_bits());
        let _ = self.latency_squares.fetch_update(Relaxed, Relaxed, add);
    }

    /// What versions are compared by. Reads some 500 numbers: not for every request.
    pub(crate) fn tally(&self) -> Tally {
        let Sample { requests, bad } = self.failed();
        Tally {
            requests,
            failures: bad,
            latencies: Histogram::from_counts(
                self.fine.each_ref().map(|count| count.load(Relaxed)),
            ),
            latency_sum: Duration::from_nanos(self.latency_nanos.load(Relaxed)),
            latency_squares: f64::from_bits(self.latency_squares.load(Relaxed)),
        }
    }

    /// What a guard looks at.
    pub(crate) fn sample(&self, guard: &Guard) -> Sample {
        match guard {
            Guard::ErrorRate(_) => self.failed(),
            Guard::Latency { limit, .. } => self.slower_than(*limit),
        }
    }

    fn failed(&self) -> Sample {
        let [.., failed] = &self.by_class;
        // Read first, so that it is never the larger one.
        let bad = failed.load(Relaxed);
        let requests = self.by_class.iter().map(|count| count.load(Relaxed)).sum();
        Sample { requests, bad }
    }

    fn slower_than(&self, limit: Duration) -> Sample {
        let (within, over) = self.fine.split_at(histogram::first_over(limit));
        let sum = |counts: &[AtomicU64]| counts.iter().map(|count| count.load(Relaxed)).sum();
        let (bad, within): (u64, u64) = (sum(over), sum(within));
        Sample {
            requests: within + bad,
            bad,
        }
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            by_class: self.by_class.each_ref().map(|count| count.load(Relaxed)),
            abandoned: self.abandoned.load(Relaxed),
            overloaded: self.overloaded.load(Relaxed),
            not_ready: self.not_ready.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            retried: self.retried.load(Relaxed),
            latency: self.latency.each_ref().map(|count| count.load(Relaxed)),
            latency_sum: Duration::from_nanos(self.latency_nanos.load(Relaxed)),
            runs: self.runs.load(Relaxed),
            run_sum: Duration::from_nanos(self.run_nanos.load(Relaxed)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn count_server_error(counter: &AtomicU64) -> u16 {
    counter.fetch_add(1, Relaxed);
    5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let meter = Meter::default();
        meter.record(Outcome::Answered(2), Duration::from_millis(1), None);
        meter.record(Outcome::Answered(2), Duration::from_micros(1001), None);
        meter.record(Outcome::Answered(4), Duration::from_secs(301), None);
        let read = meter.read();
        assert_eq!(read.latency[1], 1);
        assert_eq!(read.latency[2], 1);
        assert_eq!(read.latency[LATENCY_BOUNDS.len()], 1);
        assert_eq!(read.by_class, [0, 2, 0, 1, 0]);
        assert_eq!(read.latency_sum, Duration::from_micros(301_002_001));
    }

    #[test]
    fn refusals_count_as_server_errors_and_abandoned_requests_in_no_class() {
        let meter = Meter::default();
        for outcome in [
            Outcome::Overloaded,
            Outcome::NotReady,
            Outcome::TimedOut,
            Outcome::Abandoned,
            Outcome::Elsewhere,
        ] {
            meter.record(outcome, Duration::ZERO, None);
        }
        let read = meter.read();
        assert_eq!(read.by_class, [0, 0, 0, 0, 3]);
        assert_eq!(
            (
                read.overloaded,
                read.not_ready,
                read.timed_out,
                read.abandoned
            ),
            (1, 1, 1, 1)
        );
        assert_eq!(read.latency.iter().sum::<u64>(), 3);
        let tally = meter.tally();
        assert_eq!((tally.requests, tally.failures), (3, 3));
        assert_eq!(tally.latencies.count(), 3);
    }

    #[test]
    fn a_tally_is_that_of_the_same_requests_counted_one_by_one() {
        let (meter, mut expected) = (Meter::default(), Tally::default());
        for request in 0..1_000_u64 {
            let latency = Duration::from_micros(request * request);
            let has_failed = request.is_multiple_of(7);
            let class = if has_failed { 5 } else { 2 };
            meter.record(Outcome::Answered(class), latency, None);
            expected.add(has_failed, latency);
        }
        assert_eq!(meter.tally(), expected);
    }

    #[test]
    fn no_square_is_lost_among_threads() {
        let meter = Meter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        meter.record(Outcome::Answered(2), Duration::from_secs(2), None);
                    }
                });
            }
        });
        assert_eq!(meter.tally().latency_squares, 160_000.0);
    }

    #[test]
    fn a_guard_sees_what_it_is_against() {
        let meter = Meter::default();
        for (class, ms) in [(2, 100), (2, 300), (5, 100), (4, 400)] {
            let latency = Duration::from_millis(ms);
            meter.record(Outcome::Answered(class), latency, None);
        }
        meter.record(Outcome::Abandoned, Duration::from_secs(9), None);
        let sample = |guard: &str| meter.sample(&guard.parse().unwrap());
        assert_eq!(
            sample("error_rate>1%"),
            Sample {
                requests: 4,
                bad: 1
            }
        );
        assert_eq!(
            sample("p99>250ms"),
            Sample {
                requests: 4,
                bad: 2
            }
        );
        assert_eq!(
            sample("p99>300s"),
            Sample {
                requests: 4,
                bad: 0
            }
        );
    }
}
