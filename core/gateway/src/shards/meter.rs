//! What a shard counts: routing times, and the CPU of its thread.
//!
//! Only the shard's own thread writes, so nothing is shared between shards; who reads
//! looks at it from outside, once a second or when the metrics page is asked for.

use std::{
    array,
    ops::Add,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// Steps of a decade of routing times.
const STEPS: [u64; 10] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80];

/// Decades, the first one from 1 µs on.
const DECADES: usize = 7;

/// Buckets with an upper bound; one more takes what lies above.
const BOUNDED: usize = STEPS.len() * DECADES;

/// Upper bounds of the buckets in nanoseconds, from 1 µs to 8 s.
const BOUNDS: [u64; BOUNDED] = bounds();

const fn bounds() -> [u64; BOUNDED] {
    let mut bounds = [0; BOUNDED];
    let (mut at, mut unit) = (0, 100);
    while at < BOUNDED {
        bounds[at] = STEPS[at % STEPS.len()] * unit;
        at += 1;
        if at.is_multiple_of(STEPS.len()) {
            unit *= 10;
        }
    }
    bounds
}

/// Counts of one shard.
#[derive(Debug)]
pub(crate) struct Meter {
    buckets: [AtomicU64; BOUNDED + 1],
    /// Nanoseconds of all requests together.
    sum: AtomicU64,
    /// Nanoseconds that what is ready waits for its turn in the thread at the moment.
    wait: AtomicU64,
    /// Nanoseconds of CPU that the thread has used.
    cpu: AtomicU64,
    /// Whether it accepts connections.
    runs: AtomicBool,
    /// Its connections.
    callers: AtomicUsize,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            wait: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            runs: AtomicBool::new(false),
            callers: AtomicUsize::new(0),
        }
    }
}

impl Meter {
    /// Counts a request. What it waited for its first turn is not in `took`, for the
    /// request was not known then; the wait of this moment stands for it.
    pub(crate) fn record(&self, took: Duration) {
        let took = nanos(took).saturating_add(self.wait.load(Relaxed));
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        add(&self.buckets[bucket], 1);
        add(&self.sum, took);
    }

    /// Says how long what is ready waits for its turn, and how much CPU was used.
    pub(crate) fn note(&self, wait: Duration, cpu: Duration) {
        self.wait.store(nanos(wait), Relaxed);
        self.cpu.store(nanos(cpu), Relaxed);
    }

    /// CPU time that the thread has used.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Relaxed))
    }

    /// Whether the shard accepts connections.
    pub(crate) fn runs(&self) -> bool {
        self.runs.load(Relaxed)
    }

    pub(crate) fn set_runs(&self, runs: bool) {
        self.runs.store(runs, Relaxed);
    }

    /// Its connections.
    pub(crate) fn callers(&self) -> usize {
        self.callers.load(Relaxed)
    }

    pub(crate) fn set_callers(&self, callers: usize) {
        self.callers.store(callers, Relaxed);
    }

    pub(crate) fn times(&self) -> Times {
        Times {
            buckets: array::from_fn(|at| self.buckets[at].load(Relaxed)),
            sum: self.sum.load(Relaxed),
        }
    }
}

/// There is one writer.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Routing times: how many requests took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Times {
    buckets: [u64; BOUNDED + 1],
    sum: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            buckets: [0; BOUNDED + 1],
            sum: 0,
        }
    }
}

impl Times {
    /// Requests.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All their times together.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Those that came after `before` was read.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            buckets: array::from_fn(|at| self.buckets[at].wrapping_sub(before.buckets[at])),
            sum: self.sum.wrapping_sub(before.sum),
        }
    }

    /// How many took no longer than `limit`; exact where that is a bound.
    pub(crate) fn within(&self, limit: Duration) -> u64 {
        let limit = nanos(limit);
        let inside = BOUNDS.partition_point(|bound| *bound <= limit);
        self.buckets[..inside].iter().sum()
    }

    /// The time that 99 of 100 did not exceed, as exactly as the buckets tell (to a
    /// third), never in another bucket than the true one; zero when there are none.
    pub(crate) fn p99(&self) -> Duration {
        let count = self.count();
        let rank = (count * 99).div_ceil(100);
        let mut below = 0;
        for (at, inside) in self.buckets.iter().copied().enumerate() {
            if inside > 0 && below + inside >= rank {
                let floor = at.checked_sub(1).map_or(0, |at| BOUNDS[at]);
                let ceiling = BOUNDS.get(at).copied().unwrap_or(floor);
                let share = u128::from(ceiling - floor) * u128::from(rank - below);
                let above = u64::try_from(share / u128::from(inside)).unwrap_or(0);
                // What lies above all bounds lies above the last one.
                let above = above.max(u64::from(rank > 0));
                return Duration::from_nanos(floor + above);
            }
            below += inside;
        }
        Duration::ZERO
    }
}

impl Add<&Self> for Times {
    type Output = Self;

    fn add(self, other: &Self) -> Self {
        Self {
            buckets: array::from_fn(|at| self.buckets[at].wrapping_add(other.buckets[at])),
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(micros: &[u64]) -> Times {
        let meter = Meter::default();
        for micros in micros {
            meter.record(Duration::from_micros(*micros));
        }
        meter.times()
    }

    #[test]
    fn buckets_ascend_from_a_microsecond_and_have_the_usual_threshold_as_a_bound() {
        assert!(BOUNDS.is_sorted());
        assert_eq!((BOUNDS[0], BOUNDS[BOUNDED - 1]), (1_000, 8_000_000_000));
        assert!(BOUNDS.contains(&nanos(lusk_domain::SHARD_THRESHOLD)));
    }

    #[test]
    fn the_99th_percentile_leaves_out_one_of_a_hundred() {
        let mut all = vec![100; 99];
        all.push(50_000);
        let p99 = times(&all).p99();
        assert!(p99 <= Duration::from_micros(100), "{p99:?}");
        all.push(50_000);
        let p99 = times(&all).p99();
        assert!(p99 > Duration::from_millis(40), "{p99:?}");
        assert_eq!(times(&[]).p99(), Duration::ZERO);
    }

    #[test]
    fn what_lies_on_a_bound_is_not_above_it() {
        let bound = lusk_domain::SHARD_THRESHOLD;
        let micros = u64::try_from(bound.as_micros()).unwrap();
        assert!(times(&vec![micros; 200]).p99() <= bound);
        assert!(times(&vec![micros + 1; 200]).p99() > bound);
        assert!(times(&[600_000_000; 200]).p99() > Duration::from_secs(8));
    }

    #[test]
    fn counts_of_a_second_are_the_difference_of_two_looks() {
        let meter = Meter::default();
        meter.record(Duration::from_millis(1));
        let before = meter.times();
        meter.record(Duration::from_micros(3));
        let second = meter.times().since(&before);
        assert_eq!(
            (second.count(), second.sum()),
            (1, Duration::from_micros(3))
        );
        assert_eq!(second.within(Duration::from_micros(3)), 1);
        assert_eq!(second.within(Duration::from_micros(2)), 0);
        assert_eq!((second + &before).count(), 2);
    }

    #[test]
    fn a_request_is_charged_with_the_wait_of_the_moment() {
        let meter = Meter::default();
        meter.note(Duration::from_millis(5), Duration::from_secs(2));
        meter.record(Duration::from_micros(10));
        assert_eq!(meter.times().sum(), Duration::from_micros(5_010));
        assert_eq!(meter.cpu(), Duration::from_secs(2));
    }
}
