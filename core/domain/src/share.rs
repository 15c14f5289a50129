//! Shares of traffic, exact to a hundredth of a percent.

use std::{fmt, iter::Sum, str::FromStr};

use serde::{Deserialize, Serialize, de::Error as _};

/// Part of an endpoint's traffic: 0 to 100 percent with two decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u16);

/// Why a number is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a share of traffic: 0 to 100 percent with at most two decimals")]
pub struct ShareError {
    /// What was given, cut to 80 characters.
    pub value: String,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// 50 percent.
    pub const HALF: Self = Self(5_000);

    /// Everything, 100 percent.
    pub const ALL: Self = Self(10_000);

    /// So many hundredths of a percent; none over 10,000.
    pub fn from_hundredths(hundredths: u32) -> Option<Self> {
        let hundredths = u16::try_from(hundredths).ok()?;
        (hundredths <= Self::ALL.0).then_some(Self(hundredths))
    }

    /// In hundredths of a percent, 0 to 10,000.
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// In percent, 0 to 100.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    /// From percent. What arithmetic on binary fractions loses is forgiven; a third
    /// decimal is not.
    fn try_from(percent: f64) -> Result<Self, ShareError> {
        let hundredths = (percent * 100.0).round();
        let is_share = (0.0..=f64::from(Self::ALL.0)).contains(&hundredths)
            && (percent * 100.0 - hundredths).abs() < 1e-6;
        match is_share {
            true => Ok(Self(hundredths as u16)),
            false => Err(ShareError {
                value: percent.to_string(),
            }),
        }
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let percent = number.parse::<f64>().ok();
        percent
            .and_then(|percent| Self::try_from(percent).ok())
            .ok_or_else(|| ShareError {
                value: text.chars().take(80).collect(),
            })
    }
}

impl fmt::Display for Share {
    /// Percent without needless decimals and without a sign: `20`, `12.5`, `0.01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percent().fmt(f)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} %")
    }
}

impl Sum<Share> for u32 {
    /// In hundredths of a percent: sums may be over everything.
    fn sum<I: Iterator<Item = Share>>(shares: I) -> Self {
        shares.map(|share| u32::from(share.0)).sum()
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.percent())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Self::try_from(percent).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_0_to_100_percent_with_two_decimals() {
        for (text, hundredths) in [
            ("0", 0),
            ("20", 2_000),
            ("12.5", 1_250),
            ("0.01", 1),
            ("33.33", 3_333),
            (" 10 % ", 1_000),
            ("1e1", 1_000),
            ("100.00", 10_000),
        ] {
            assert_eq!(text.parse::<Share>().unwrap().hundredths(), hundredths);
        }
        for text in [
            "", "-0.01", "100.01", "0.001", "12.345", "NaN", "inf", "ten",
        ] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_share_survives_text_and_json(hundredths in 0..=10_000_u32) {
            let share = Share::from_hundredths(hundredths).unwrap();
            prop_assert_eq!(share.to_string().parse::<Share>().unwrap(), share);
            let json = serde_json::to_string(&share).unwrap();
            prop_assert_eq!(serde_json::from_str::<Share>(&json).unwrap(), share);
        }
    }
}
