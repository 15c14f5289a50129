//! Versions of an endpoint compared: how each does, and what is different from the
//! control.
//!
//! Intervals are made for 95 % confidence; the methods and their sources are told in
//! `estimate`. Those of percentiles hold at least that, whatever the latencies are like;
//! those of error rates about that; those of means as far as the mean of so many
//! latencies is distributed normally, which of a few skewed ones it is not. Each is for
//! itself: of twenty differences between two equal versions, one looks significant.

use std::fmt;

use jiff::Timestamp;

use crate::{
    Share, Tally, TrafficTable, VersionName,
    estimate::{self, Estimate, fewest_for},
};

/// Fewer requests than this on either side are not compared: the means of fewer skewed
/// latencies are far from a normal distribution, which Welch's interval goes by.
pub const FEWEST_COMPARED: u64 = 30;

/// What versions are compared by. Less is better of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The part of requests that failed, 0 to 1.
    ErrorRate,
    /// Mean latency in milliseconds.
    Mean,
    /// Latency in milliseconds that half of the requests do not exceed.
    P50,
    /// The same for 90 %.
    P90,
    /// The same for 95 %.
    P95,
    /// The same for 99 %.
    P99,
}

/// One version's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// What was seen.
    pub value: f64,
    /// What is behind it; none where too few requests tell.
    pub estimate: Option<Estimate>,
}

/// How a version's number differs from the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Difference {
    /// Too few requests to say.
    TooFew {
        /// The fewer requests of both.
        seen: u64,
        /// So many are needed of each.
        needed: u64,
    },
    /// The version's number less the baseline's.
    Seen(Estimate),
}

/// What a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The interval is above 0.
    Worse,
    /// The interval is below 0.
    Better,
    /// The interval holds 0.
    NoDifference,
    /// Too few requests to say.
    TooFew,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::NoDifference => "no difference seen",
            Self::TooFew => "too few requests",
        })
    }
}

/// What a version is in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Others are compared with it.
    Control,
    /// Others are compared with it, as the default, for want of a control.
    Default,
    /// It is compared.
    Treatment,
}

/// What one version did.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Its name.
    pub version: VersionName,
    /// From when on it was counted.
    pub since: Timestamp,
    /// What was counted since then.
    pub tally: Tally,
}

/// One version in a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its name.
    pub version: VersionName,
    /// What it is here.
    pub role: Role,
    /// The part of the traffic that it gets.
    pub share: Share,
    /// From when on it was counted.
    pub since: Timestamp,
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Its numbers, each of [`Measure::ALL`]; none before its first request.
    pub levels: Vec<(Measure, Level)>,
    /// How it differs from the baseline, by each of [`Measure::ALL`]; nothing for the
    /// baseline itself.
    pub differences: Vec<(Measure, Difference)>,
}

/// Versions of an endpoint beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The period that is compared, where nothing else is said of a version.
    pub since: Timestamp,
    /// When the numbers were read.
    pub until: Timestamp,
    /// Whom the others are compared with: the control, else the default.
    pub baseline: VersionName,
    /// By name.
    pub versions: Vec<Compared>,
}

impl Measure {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
    ];

    /// The part of requests that a percentile is about.
    fn quantile(self) -> Option<f64> {
        match self {
            Self::ErrorRate | Self::Mean => None,
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
        }
    }

    /// Requests of either side, below which a difference is not told: 30, 36 for p90,
    /// 72 for p95, 368 for p99.
    pub fn fewest(self) -> u64 {
        self.quantile().map_or(0, fewest_for).max(FEWEST_COMPARED)
    }

    /// A version's number; none before its first request.
    fn level(self, tally: &Tally) -> Option<Level> {
        let value = match self {
            Self::ErrorRate => tally.error_rate().map(|rate| rate.value),
            Self::Mean => tally.mean(),
            _ => tally.percentile(self.quantile()?),
        }?;
        Some(Level {
            value,
            estimate: self.estimate(tally),
        })
    }

    fn estimate(self, tally: &Tally) -> Option<Estimate> {
        match self {
            Self::ErrorRate => tally.error_rate(),
            Self::Mean => tally.moments().map(|moments| moments.mean()),
            _ => tally.percentile_estimate(self.quantile()?),
        }
    }

    /// `one` less `other`.
    pub fn difference(self, one: &Tally, other: &Tally) -> Difference {
        let count = |tally: &Tally| tally.requests.min(tally.latencies.count());
        let (seen, needed) = (count(one).min(count(other)), self.fewest());
        let estimate = (seen >= needed).then(|| match self {
            Self::Mean => Some(one.moments()?.less(&other.moments()?)),
            _ => Some(estimate::difference(
                self.estimate(one)?,
                self.estimate(other)?,
            )),
        });
        match estimate.flatten() {
            Some(estimate) => Difference::Seen(estimate),
            None => Difference::TooFew { seen, needed },
        }
    }
}

impl Difference {
    /// What it means.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::TooFew { .. } => Verdict::TooFew,
            Self::Seen(estimate) if !estimate.excludes_zero() => Verdict::NoDifference,
            Self::Seen(estimate) if estimate.low > 0.0 => Verdict::Worse,
            Self::Seen(_) => Verdict::Better,
        }
    }

    /// Whether it is sure that there is one.
    pub fn is_significant(&self) -> bool {
        matches!(self.verdict(), Verdict::Worse | Verdict::Better)
    }
}

impl Comparison {
    /// The versions of `table` by what was `counted` of them between the two times.
    pub fn new(
        table: &TrafficTable,
        counted: &[Counted],
        (since, until): (Timestamp, Timestamp),
    ) -> Self {
        let baseline = table.control().unwrap_or(table.default());
        let others = counted.iter().find(|one| one.version == *baseline);
        let compared = counted.iter().map(|one| {
            let is_baseline = one.version == *baseline;
            let against = others.filter(|_| !is_baseline);
            Compared {
                role: match (is_baseline, table.control()) {
                    (false, _) => Role::Treatment,
                    (true, Some(_)) => Role::Control,
                    (true, None) => Role::Default,
                },
                share: table.effective(&one.version),
                since: one.since,
                requests: one.tally.requests,
                failures: one.tally.failures,
                levels: levels(&one.tally),
                differences: against
                    .map_or_else(Vec::new, |other| differences(&one.tally, &other.tally)),
                version: one.version.clone(),
            }
        });
        Self {
            since,
            until,
            baseline: baseline.clone(),
            versions: compared.collect(),
        }
    }
}

fn levels(tally: &Tally) -> Vec<(Measure, Level)> {
    let level = |measure: Measure| Some((measure, measure.level(tally)?));
    Measure::ALL.into_iter().filter_map(level).collect()
}

fn differences(one: &Tally, other: &Tally) -> Vec<(Measure, Difference)> {
    let difference = |measure: Measure| (measure, measure.difference(one, other));
    Measure::ALL.into_iter().map(difference).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Stake;

    /// `count` requests of 100 ms ± 10, `failures` of which fail, `slower` by so much.
    fn tally(count: u64, failures: u64, slower: f64) -> Tally {
        let mut tally = Tally::default();
        for request in 0..count {
            let ms = 90.0 + (request % 21) as f64;
            tally.add(
                request < failures,
                Duration::from_secs_f64(ms * slower / 1e3),
            );
        }
        tally
    }

    fn verdict(measure: Measure, one: &Tally, other: &Tally) -> Verdict {
        measure.difference(one, other).verdict()
    }

    #[test]
    fn equal_versions_show_no_difference_by_any_measure() {
        let version = tally(1_000, 10, 1.0);
        for measure in Measure::ALL {
            assert_eq!(verdict(measure, &version, &version), Verdict::NoDifference);
            assert!(!measure.difference(&version, &version).is_significant());
        }
    }

    #[test]
    fn a_slower_version_is_worse_and_the_other_way_round_better() {
        let (fast, slow) = (tally(1_000, 10, 1.0), tally(1_000, 10, 1.3));
        for measure in &Measure::ALL[1..] {
            assert_eq!(
                verdict(*measure, &slow, &fast),
                Verdict::Worse,
                "{measure:?}"
            );
            assert_eq!(verdict(*measure, &fast, &slow), Verdict::Better);
        }
        assert_eq!(
            verdict(Measure::ErrorRate, &slow, &fast),
            Verdict::NoDifference
        );
        let Difference::Seen(mean) = Measure::Mean.difference(&slow, &fast) else {
            panic!("too few");
        };
        assert!((mean.value - 30.0).abs() < 0.5, "{mean:?}");
    }

    #[test]
    fn more_failures_are_worse_when_it_is_sure() {
        let control = tally(2_000, 20, 1.0);
        assert_eq!(
            verdict(Measure::ErrorRate, &tally(200, 10, 1.0), &control),
            Verdict::Worse
        );
        assert_eq!(
            verdict(Measure::ErrorRate, &tally(200, 4, 1.0), &control),
            Verdict::NoDifference
        );
    }

    #[test]
    fn too_few_requests_are_told_with_the_number_that_is_needed() {
        let (few, many) = (tally(29, 0, 1.0), tally(5_000, 0, 1.0));
        for (measure, needed) in Measure::ALL.into_iter().zip([30, 30, 30, 36, 72, 368]) {
            let told = Difference::TooFew { seen: 29, needed };
            assert_eq!(measure.difference(&few, &many), told);
            assert_eq!(measure.difference(&many, &few), told);
            let enough = tally(needed, 0, 1.0);
            assert_ne!(verdict(measure, &enough, &many), Verdict::TooFew);
        }
    }

    fn table(is_control: bool) -> TrafficTable {
        let share = |percent: f64| Share::try_from(percent).unwrap();
        let green = Stake {
            share: Some(share(20.0)),
            ..Stake::default()
        };
        TrafficTable::new("blue".parse().unwrap(), Share::NONE, is_control)
            .with_added(&"green".parse().unwrap(), green)
            .unwrap()
    }

    fn compared(is_control: bool) -> Comparison {
        let at = |second| Timestamp::from_second(second).unwrap();
        let counted = ["blue", "green"].map(|version| Counted {
            version: version.parse().unwrap(),
            since: at(7),
            tally: tally(100, 1, 1.0),
        });
        Comparison::new(&table(is_control), &counted, (at(5), at(9)))
    }

    #[test]
    fn treatments_stand_against_the_control() {
        let found = compared(true);
        assert_eq!(found.baseline.as_str(), "blue");
        let [blue, green] = &found.versions[..] else {
            panic!("{found:?}");
        };
        assert_eq!((blue.role, green.role), (Role::Control, Role::Treatment));
        assert_eq!((blue.share.percent(), green.share.percent()), (80.0, 20.0));
        assert!(blue.differences.is_empty());
        assert_eq!(green.differences.len(), Measure::ALL.len());
        assert_eq!((green.requests, green.failures), (100, 1));
        let p99 = green.levels.last().unwrap();
        assert_eq!(p99.0, Measure::P99);
        assert!(p99.1.value > 100.0 && p99.1.estimate.is_none());
    }

    #[test]
    fn without_a_control_the_default_stands_in() {
        let found = compared(false);
        assert_eq!(found.versions[0].role, Role::Default);
        assert_eq!(found.versions[1].role, Role::Treatment);
        assert!(!found.versions[1].differences.is_empty());
    }

    #[test]
    fn a_version_without_requests_has_no_levels() {
        assert!(levels(&Tally::default()).is_empty());
        let few = Difference::TooFew {
            seen: 0,
            needed: 30,
        };
        let none = Measure::ErrorRate.difference(&Tally::default(), &tally(50, 0, 1.0));
        assert_eq!(none, few);
    }
}
