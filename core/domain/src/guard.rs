//! Guards: what must not happen to a version under trial.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, de::Error as _};

/// A rule whose breach rolls a version back: `error_rate>1%` or `p99>250ms`.
///
/// Invariant of what was read from a text: it is written as a text that reads the same.
/// A guard is stored so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Guard {
    /// More than this part of the requests fails (status 5xx): 0.00001 to 0.99999, in
    /// steps of 0.00001.
    ErrorRate(f64),
    /// The part `quantile` of the requests, above 0 and below 1, takes longer than `limit`.
    Latency {
        /// 0.5 for `p50`.
        quantile: f64,
        /// From admission to answer: 1 µs to 300 s, in steps of 1 µs.
        limit: Duration,
    },
}

/// Why a text is no guard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Neither an error rate nor a percentile.
    #[error(
        "`{0}` is not a rule to abort by: `error_rate>1%`, or `p50`, `p90`, `p95`, `p99` or `p99.9` with a time, as `p99>250ms`"
    )]
    Unknown(String),
    /// An error rate that is none, or is out of bounds.
    #[error(
        "`{0}` has no error rate to abort by: 0.001% to 99.999% with at most three decimals, as `error_rate>1%`"
    )]
    Rate(String),
    /// A time that is none, or is out of bounds.
    #[error(
        "`{0}` has no time to abort by: 0.001ms to 300s in whole microseconds, as `p99>250ms` or `p99>1.5s`"
    )]
    Time(String),
}

/// Percentiles by their names.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];

/// Error rates are counted in hundred-thousandths: three decimals of a percent.
const RATE_STEPS: u64 = 100_000;

/// Longest latency limit in microseconds, the longest scoring timeout there is.
const LONGEST_MICROS: u64 = 300_000_000;

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        let seen = || text.chars().take(80).collect();
        let parts = text.split_once('>');
        let (what, limit) = parts.ok_or_else(|| GuardError::Unknown(seen()))?;
        let (what, limit) = (what.trim(), limit.trim());
        if what == "error_rate" {
            let rate = error_rate(limit).filter(|steps| (1..RATE_STEPS).contains(steps));
            let rate = rate.ok_or_else(|| GuardError::Rate(seen()))?;
            return Ok(Self::ErrorRate(rate as f64 / RATE_STEPS as f64));
        }
        let quantile = QUANTILES.iter().find(|(name, _)| *name == what);
        let (_, quantile) = quantile.ok_or_else(|| GuardError::Unknown(seen()))?;
        let limit = micros(limit).filter(|micros| (1..=LONGEST_MICROS).contains(micros));
        let limit = limit.ok_or_else(|| GuardError::Time(seen()))?;
        Ok(Self::Latency {
            quantile: *quantile,
            limit: Duration::from_micros(limit),
        })
    }
}

/// `1%` or `0.01`, in [`RATE_STEPS`].
fn error_rate(text: &str) -> Option<u64> {
    match text.strip_suffix('%') {
        Some(percent) => decimal(percent.trim_end(), 3),
        None => decimal(text, 5),
    }
}

/// `250ms` or `1.5s`.
fn micros(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(number) => decimal(number.trim_end(), 3),
        None => decimal(text.strip_suffix('s')?.trim_end(), 6),
    }
}

/// A number with at most so many decimals, zeros at its end aside, in units of the last
/// of them. Binary fractions would round what was written.
fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErrorRate(rate) => {
                let steps = (rate * RATE_STEPS as f64).round();
                write!(f, "error_rate>{}%", steps / 1e3)
            }
            Self::Latency { quantile, limit } => {
                let name = QUANTILES.iter().find(|(_, value)| value == quantile);
                let name = name.map_or("p?", |(name, _)| name);
                write!(f, "{name}>{}ms", limit.as_micros() as f64 / 1e3)
            }
        }
    }
}

impl Serialize for Guard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_guard_survives_its_text() {
        for text in [
            "error_rate>1%",
            "error_rate>0.05%",
            "p99>250ms",
            "p50>1500ms",
            "p99.9>2.5ms",
        ] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), text);
        }
        assert_eq!("error_rate > 0.01".parse(), Ok(Guard::ErrorRate(0.01)));
        let limit = Duration::from_millis(1_500);
        assert_eq!(
            "p95>1.5 s".parse(),
            Ok(Guard::Latency {
                quantile: 0.95,
                limit
            })
        );
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in ["", "error_rate", "error_rate<1%", "p98>1s", "P99>1s"] {
            let error = text.parse::<Guard>().unwrap_err();
            assert_eq!(error, GuardError::Unknown(text.to_owned()));
            assert!(error.to_string().contains("error_rate>1%"), "{error}");
        }
    }

    #[test]
    fn limits_out_of_bounds_are_refused_with_the_bounds() {
        for limit in [
            "",
            "%",
            ".",
            "0%",
            "0",
            "100%",
            "1",
            "0.0009%",
            "0.0000001%",
            "99.9991%",
            "1.0005%",
            "0.000001",
            "NaN",
            "inf",
            "-1%",
            "+1%",
            "1e-3%",
            "1.2.3%",
            "99999999999999999999%",
        ] {
            let text = format!("error_rate>{limit}");
            let error = text.parse::<Guard>().unwrap_err();
            assert_eq!(error, GuardError::Rate(text.clone()));
            assert!(error.to_string().contains("0.001% to 99.999%"), "{error}");
        }
        for limit in [
            "",
            "s",
            "0ms",
            "301s",
            "300.000001s",
            "0.0005ms",
            "250",
            "-1s",
            "infs",
            "1e3ms",
            "99999999999999999999s",
        ] {
            let text = format!("p99>{limit}");
            let error = text.parse::<Guard>().unwrap_err();
            assert_eq!(error, GuardError::Time(text.clone()));
            assert!(error.to_string().contains("0.001ms to 300s"), "{error}");
        }
    }

    #[test]
    fn the_bounds_themselves_are_taken() {
        for (text, stored) in [
            ("error_rate>0.00001", "error_rate>0.001%"),
            ("error_rate>99.99900%", "error_rate>99.999%"),
            ("error_rate>.5%", "error_rate>0.5%"),
            ("p50>0.000001s", "p50>0.001ms"),
            ("p50>300s", "p50>300000ms"),
            ("p50>299999.999ms", "p50>299999.999ms"),
        ] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), stored);
        }
    }

    fn survives(guard: Guard) -> bool {
        let stored = serde_json::to_string(&guard).unwrap();
        serde_json::from_str::<Guard>(&stored).is_ok_and(|read| read == guard)
    }

    #[test]
    fn every_error_rate_survives_the_store() {
        for steps in 1..RATE_STEPS {
            let text = format!("error_rate>{}.{:03}%", steps / 1_000, steps % 1_000);
            assert!(survives(text.parse().unwrap()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_survives_the_store(
            what in "error_rate|p50|p90|p95|p99|p99\\.9",
            number in "[0-9]{0,3}(\\.[0-9]{0,7})?|[0-9.eE+-]{1,12}|[0-9]{1,6}\\.[0-9]{1,3}",
            unit in "|%|s|ms| %| s| ms",
        ) {
            if let Ok(guard) = format!("{what}>{number}{unit}").parse::<Guard>() {
                prop_assert!(survives(guard), "{guard}");
            }
        }

        #[test]
        fn every_time_survives_the_store(micros in 1..=LONGEST_MICROS) {
            let text = format!("p99>{}.{:06}s", micros / 1_000_000, micros % 1_000_000);
            let guard = text.parse::<Guard>().unwrap();
            prop_assert!(survives(guard), "{guard}");
            let limit = Duration::from_micros(micros);
            prop_assert_eq!(guard, Guard::Latency { quantile: 0.99, limit });
        }
    }
}
