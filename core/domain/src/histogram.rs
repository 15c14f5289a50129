//! A histogram of times, fine enough for percentiles.
//!
//! Log-linear, as HdrHistogram's: each octave (a doubling) has [`PER_OCTAVE`] buckets of
//! the same width. So every bucket from [`LINEAR`] on is narrower than a sixteenth of
//! its lower bound, and its midpoint is within 1/32 (3.2 %) of every time in it. Below,
//! buckets are 64 ns wide; from 309 s on, beyond the longest scoring timeout of 300 s,
//! there is one for all.
//!
//! Invariant: counts only grow, so the difference of two readings is a histogram too.

use std::time::Duration;

/// Buckets of one doubling.
const PER_OCTAVE: u64 = 16;

/// Widths are powers of two of this many nanoseconds, as a shift: 64 ns.
const UNIT_SHIFT: u32 = 6;

/// Below this many nanoseconds (about 1 µs) all buckets are one unit wide.
pub const LINEAR: u64 = PER_OCTAVE << UNIT_SHIFT;

/// Buckets, the last of which has no upper bound: 3.7 KB of counts.
pub const BUCKETS: usize = 467;

/// The bucket of a time, below [`BUCKETS`].
pub fn bucket(time: Duration) -> usize {
    let units = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) >> UNIT_SHIFT;
    if units < PER_OCTAVE {
        return units as usize;
    }
    let octave = u64::from(units.ilog2() - PER_OCTAVE.ilog2());
    let within = (units >> octave) - PER_OCTAVE;
    let bucket = (octave + 1) * PER_OCTAVE + within;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// Where a bucket begins; the next one begins where it ends.
pub fn lower_bound(bucket: usize) -> Duration {
    let bucket = bucket.min(BUCKETS - 1) as u64;
    let units = match bucket / PER_OCTAVE {
        0 => bucket,
        octave => (PER_OCTAVE + bucket % PER_OCTAVE) << (octave - 1),
    };
    Duration::from_nanos(units << UNIT_SHIFT)
}

/// Where a bucket ends; the last one ends where it begins, as nothing better is known.
pub fn upper_bound(bucket: usize) -> Duration {
    lower_bound(bucket + 1)
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::from_counts([0; BUCKETS])
    }
}

impl Histogram {
    /// The histogram of these counts, by [`bucket`].
    pub fn from_counts(counts: [u64; BUCKETS]) -> Self {
        Self {
            counts: Box::new(counts),
        }
    }

    /// Counts one more time.
    pub fn add(&mut self, time: Duration) {
        self.counts[bucket(time)] += 1;
    }

    /// How many times are in it.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What came after the reading `earlier` of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts.clone();
        for (count, before) in counts.iter_mut().zip(earlier.counts.iter()) {
            *count = count.saturating_sub(*before);
        }
        Self { counts }
    }

    /// The bucket of the `rank`-th smallest time, counted from 1; none beyond all.
    pub fn bucket_of(&self, rank: u64) -> Option<usize> {
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            rank >= 1 && seen >= rank
        };
        self.counts.iter().position(reached)
    }

    /// The time that the part `quantile` (0 to 1) of all do not exceed, within 3.2 %;
    /// none of nothing.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        self.bucket_of(rank).map(midpoint)
    }
}

/// The time that stands for all of a bucket.
fn midpoint(bucket: usize) -> Duration {
    (lower_bound(bucket) + upper_bound(bucket)) / 2
}

/// The first bucket that holds only times over `limit`. What shares the bucket of
/// `limit` itself is not in it, so counting from there on counts none too many, and
/// misses only times up to a sixteenth above the limit.
pub fn first_over(limit: Duration) -> usize {
    (bucket(limit) + 1).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_lie_side_by_side_from_zero_to_beyond_the_longest_timeout() {
        assert_eq!(lower_bound(0), Duration::ZERO);
        for index in 0..BUCKETS - 1 {
            let (from, to) = (lower_bound(index), upper_bound(index));
            assert!(from < to, "{index}");
            assert_eq!(bucket(from), index);
            assert_eq!(bucket(to - Duration::from_nanos(1)), index);
        }
        assert_eq!(bucket(Duration::from_secs(300)), BUCKETS - 2);
        assert_eq!(bucket(lower_bound(BUCKETS - 1)), BUCKETS - 1);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(upper_bound(BUCKETS - 1), lower_bound(BUCKETS - 1));
        assert_eq!(size_of::<[u64; BUCKETS]>(), 3_736);
    }

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=100 {
            histogram.add(Duration::from_millis(ms));
        }
        for (quantile, ms) in [
            (0.0, 1.0),
            (0.5, 50.0),
            (0.9, 90.0),
            (0.99, 99.0),
            (1.0, 100.0),
        ] {
            let found = histogram.quantile(quantile).unwrap().as_secs_f64() * 1e3;
            assert!(
                (found / ms - 1.0).abs() <= 1.0 / 32.0,
                "{quantile}: {found} ms"
            );
        }
        assert_eq!(histogram.bucket_of(0), None);
        assert_eq!(histogram.bucket_of(101), None);
    }

    #[test]
    fn only_what_is_surely_slower_counts_as_slower() {
        let limit = Duration::from_millis(250);
        assert!(bucket(limit) < first_over(limit));
        assert!(bucket(limit.mul_f64(1.0625)) >= first_over(limit));
        assert_eq!(first_over(Duration::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_within_a_thirty_second(nanos in LINEAR..300_000_000_000) {
            let mut histogram = Histogram::default();
            histogram.add(Duration::from_nanos(nanos));
            let read = histogram.quantile(0.5).unwrap().as_nanos() as f64;
            prop_assert!((read / nanos as f64 - 1.0).abs() <= 1.0 / 32.0);
        }

        #[test]
        fn the_difference_of_two_readings_is_what_came_between(
            before in prop::collection::vec(0_u64..400_000_000_000, 0..50),
            after in prop::collection::vec(0_u64..400_000_000_000, 0..50),
        ) {
            let mut histogram = Histogram::default();
            before.iter().for_each(|nanos| histogram.add(Duration::from_nanos(*nanos)));
            let earlier = histogram.clone();
            let mut between = Histogram::default();
            for nanos in &after {
                histogram.add(Duration::from_nanos(*nanos));
                between.add(Duration::from_nanos(*nanos));
            }
            prop_assert_eq!(histogram.count(), (before.len() + after.len()) as u64);
            prop_assert_eq!(histogram.since(&earlier), between);
        }
    }
}
