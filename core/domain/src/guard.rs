//! Guards: what must not happen to a version under trial.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, de::Error as _};

/// A rule whose breach rolls a version back: `error_rate>1%` or `p99>250ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Guard {
    /// More than this part of the requests fails (status 5xx), above 0 and below 1.
    ErrorRate(f64),
    /// The part `quantile` of the requests, above 0 and below 1, takes longer than `limit`.
    Latency {
        /// 0.5 for `p50`.
        quantile: f64,
        /// From admission to answer.
        limit: Duration,
    },
}

/// Why a text is no guard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rule to abort by: `error_rate>1%`, or `p50`, `p90`, `p95`, `p99` or `p99.9` with a time, as `p99>250ms`"
)]
pub struct GuardError(String);

/// Percentiles by their names.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];

/// Longest latency limit, the longest scoring timeout there is.
const LONGEST: Duration = Duration::from_secs(300);

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        let refused = || GuardError(text.chars().take(80).collect());
        let (what, limit) = text.split_once('>').ok_or_else(refused)?;
        let (what, limit) = (what.trim(), limit.trim());
        if what == "error_rate" {
            let rate = error_rate(limit).filter(|rate| *rate > 0.0 && *rate < 1.0);
            return rate.map(Self::ErrorRate).ok_or_else(refused);
        }
        let quantile = QUANTILES.iter().find(|(name, _)| *name == what);
        let (_, quantile) = quantile.ok_or_else(refused)?;
        let limit = time(limit).filter(|limit| !limit.is_zero() && *limit <= LONGEST);
        Ok(Self::Latency {
            quantile: *quantile,
            limit: limit.ok_or_else(refused)?,
        })
    }
}

/// `1%` or `0.01`.
fn error_rate(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(percent.trim_end().parse::<f64>().ok()? / 100.0),
        None => text.parse().ok(),
    }
}

/// `250ms` or `1.5s`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.trim_end().parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Rounded where binary fractions show, never where anybody wrote digits.
            Self::ErrorRate(rate) => write!(f, "error_rate>{}%", (rate * 1e8).round() / 1e6),
            Self::Latency { quantile, limit } => {
                let name = QUANTILES.iter().find(|(_, value)| value == quantile);
                let name = name.map_or("p?", |(name, _)| name);
                write!(f, "{name}>{}ms", limit.as_secs_f64() * 1e3)
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
        for text in [
            "",
            "error_rate",
            "error_rate>",
            "error_rate>0%",
            "error_rate>100%",
            "error_rate<1%",
            "error_rate>NaN",
            "p98>1s",
            "p99>0ms",
            "p99>301s",
            "p99>250",
            "p99>-1s",
            "p99>infs",
        ] {
            let error = text.parse::<Guard>().unwrap_err().to_string();
            assert!(error.contains("error_rate>1%"), "{text}: {error}");
        }
    }
}
