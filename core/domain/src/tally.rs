//! What a version did so far, as far as versions are compared by it.

use std::time::Duration;

use crate::{
    estimate::{self, Estimate, Moments, quantile_ranks},
    histogram::{Histogram, lower_bound, upper_bound},
};

/// Numbers that only grow. Requests whose caller went away before the answer are in none
/// of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed: status 5xx, for lack of a free slot or a ready replica, or by
    /// the scoring timeout.
    pub failures: u64,
    /// From admission to answer, of all requests, failed ones included.
    pub latencies: Histogram,
    /// Their sum.
    pub latency_sum: Duration,
    /// The sum of their squares in s².
    pub latency_squares: f64,
}

impl Tally {
    /// What came after the reading `earlier` of the same version.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
            latencies: self.latencies.since(&earlier.latencies),
            latency_sum: self.latency_sum.saturating_sub(earlier.latency_sum),
            latency_squares: (self.latency_squares - earlier.latency_squares).max(0.0),
        }
    }

    /// Counts one request; for tests and for those that count without a route.
    pub fn add(&mut self, has_failed: bool, latency: Duration) {
        self.requests += 1;
        self.failures += u64::from(has_failed);
        self.latencies.add(latency);
        self.latency_sum += latency;
        self.latency_squares += latency.as_secs_f64().powi(2);
    }

    /// The part of failed requests; none of nothing.
    pub(crate) fn error_rate(&self) -> Option<Estimate> {
        let failures = self.failures.min(self.requests);
        (self.requests > 0).then(|| estimate::proportion(failures, self.requests))
    }

    /// Count, mean and variance of the latencies in milliseconds.
    pub(crate) fn moments(&self) -> Option<Moments> {
        let sum = self.latency_sum.as_secs_f64() * 1e3;
        Moments::of_sums(self.latencies.count(), sum, self.latency_squares * 1e6)
    }

    /// The mean latency in milliseconds; none of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.latencies.count();
        (count > 0).then(|| self.latency_sum.as_secs_f64() * 1e3 / count as f64)
    }

    /// A percentile of the latencies in milliseconds, within 3.2 %; none of nothing.
    pub(crate) fn percentile(&self, quantile: f64) -> Option<f64> {
        self.latencies.quantile(quantile).map(milliseconds)
    }

    /// The percentile behind the latencies: from the lower end of the bucket of one
    /// order statistic to the upper end of that of another (Conover 1999), which is
    /// wider than by the latencies themselves, never narrower.
    pub(crate) fn percentile_estimate(&self, quantile: f64) -> Option<Estimate> {
        let (low, high) = quantile_ranks(self.latencies.count(), quantile)?;
        Some(Estimate {
            value: self.percentile(quantile)?,
            low: milliseconds(lower_bound(self.latencies.bucket_of(low)?)),
            high: milliseconds(upper_bound(self.latencies.bucket_of(high)?)),
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latencies of 1 to `count` ms.
    fn ramp(count: u64) -> Tally {
        let mut tally = Tally::default();
        (1..=count).for_each(|ms| tally.add(false, Duration::from_millis(ms)));
        tally
    }

    #[test]
    fn nothing_has_no_estimates() {
        let nothing = Tally::default();
        assert_eq!(nothing.error_rate(), None);
        assert_eq!(nothing.mean(), None);
        assert_eq!(nothing.moments(), None);
        assert_eq!(nothing.percentile(0.5), None);
        assert_eq!(nothing.percentile_estimate(0.5), None);
    }

    #[test]
    fn moments_of_latencies_are_exact() {
        let moments = ramp(9).moments().unwrap();
        assert!((moments.mean - 5.0).abs() < 1e-9);
        assert!((moments.variance - 7.5).abs() < 1e-9);
    }

    #[test]
    fn a_percentiles_interval_spans_its_order_statistics() {
        // Normal approximation: 500 -+ 1.96 * 15.8 = 469.0 to 531.0.
        assert_eq!(quantile_ranks(1_000, 0.5), Some((469, 532)));
        let median = ramp(1_000).percentile_estimate(0.5).unwrap();
        assert!(
            (median.value / 500.0 - 1.0).abs() < 1.0 / 32.0,
            "{median:?}"
        );
        assert!(median.low <= 469.0 && median.low > 469.0 * 15.0 / 16.0);
        assert!(median.high > 532.0 && median.high <= 532.0 * 17.0 / 16.0);
        assert!(ramp(367).percentile_estimate(0.99).is_none());
        assert!(ramp(368).percentile_estimate(0.99).is_some());
    }

    #[test]
    fn a_reading_less_an_earlier_one_is_what_came_between() {
        let earlier = ramp(10);
        let mut later = earlier.clone();
        later.add(true, Duration::from_millis(4));
        let between = later.since(&earlier);
        assert_eq!((between.requests, between.failures), (1, 1));
        assert_eq!(between.latency_sum, Duration::from_millis(4));
        assert!((between.latency_squares - 1.6e-5).abs() < 1e-12);
        assert_eq!(between.latencies.count(), 1);
        assert_eq!(earlier.since(&later), Tally::default());
    }
}
