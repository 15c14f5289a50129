//! What a route has done so far: numbers that only grow.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

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
#[derive(Debug, Default)]
pub(crate) struct Meter {
    by_class: [AtomicU64; 5],
    abandoned: AtomicU64,
    overloaded: AtomicU64,
    not_ready: AtomicU64,
    timed_out: AtomicU64,
    retried: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_nanos: AtomicU64,
    runs: AtomicU64,
    run_nanos: AtomicU64,
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
        if let Some(ran_for) = ran_for {
            self.runs.fetch_add(1, Relaxed);
            self.run_nanos.fetch_add(nanos(ran_for), Relaxed);
        }
    }

    pub(crate) fn count_retry(&self) {
        self.retried.fetch_add(1, Relaxed);
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
    }
}
