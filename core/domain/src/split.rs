//! Which version answers the next request: exact shares, not chance.
//!
//! A table of shares becomes one sequence of versions that repeats. After any number
//! of requests each version has had its share of them to less than one request, and so
//! in any stretch to less than two (Tijdeman's solution of the chairman assignment
//! problem, Discrete Mathematics 32, 1980). A caller may also be kept at one version:
//! then a hash of what names the caller picks, and a change of the table moves few:
//! nobody changes between versions whose shares stay in proportion (weighted rendezvous
//! hashing).

use sha2::{Digest as _, Sha256};

use crate::{Share, TrafficTable, VersionName};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    versions: Vec<(VersionName, Share)>,
    /// Indices of versions; at most 10,000 of them.
    sequence: Vec<u8>,
}

impl Split {
    /// The split that a table asks for.
    pub fn new(table: &TrafficTable) -> Self {
        let versions: Vec<_> = table
            .shares()
            .map(|(name, _)| (name.clone(), table.effective(name)))
            .filter(|(_, share)| *share > Share::NONE)
            .collect();
        let sequence = sequence(&versions);
        Self { versions, sequence }
    }

    /// The version of the `turn`th request.
    pub fn at(&self, turn: u64) -> &VersionName {
        let place = turn % self.sequence.len() as u64;
        &self.versions[usize::from(self.sequence[place as usize])].0
    }

    /// The version of everybody who is named so.
    pub fn of(&self, caller: &[u8]) -> &VersionName {
        let weight = |(name, share): &(VersionName, Share)| {
            // In (0, 1): never the logarithm of 0.
            let chance = (hash(caller, name) as f64 + 0.5) / (u64::MAX as f64 + 1.0);
            -f64::from(share.hundredths()) / chance.ln()
        };
        let best = self
            .versions
            .iter()
            .max_by(|one, other| weight(one).total_cmp(&weight(other)));
        // Shares sum up to everything, so somebody has one.
        best.map_or(self.at(0), |(name, _)| name)
    }

    /// Versions that get something, and how much.
    pub fn versions(&self) -> &[(VersionName, Share)] {
        &self.versions
    }
}

fn hash(caller: &[u8], version: &VersionName) -> u64 {
    let mut hash = Sha256::new();
    hash.update(version.as_str());
    hash.update([0]);
    hash.update(caller);
    let digest = hash.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Serves, of those who are due at all, the one whose time runs out first.
fn sequence(versions: &[(VersionName, Share)]) -> Vec<u8> {
    let weights: Vec<u64> = versions
        .iter()
        .map(|(_, share)| share.hundredths().into())
        .collect();
    let divisor = weights.iter().copied().fold(0, gcd);
    let weights: Vec<u64> = weights
        .iter()
        .map(|weight| weight / divisor.max(1))
        .collect();
    let total: u64 = weights.iter().sum();
    // Everything below is multiplied by this, so that it stays whole.
    let scale = (2 * weights.len().saturating_sub(1)).max(1) as u64;
    let mut served = vec![0_u64; weights.len()];
    (1..=total)
        .map(|turn| {
            let is_due =
                |at: &usize| scale * weights[*at] * turn >= scale * served[*at] * total + total;
            let latest = |at: usize| scale * (served[at] + 1) - 1;
            let next = (0..weights.len()).filter(is_due).min_by(|one, other| {
                // latest / weight, without the division.
                (latest(*one) * weights[*other]).cmp(&(latest(*other) * weights[*one]))
            });
            let next = next.unwrap_or_default();
            served[next] += 1;
            next as u8
        })
        .collect()
}

fn gcd(one: u64, other: u64) -> u64 {
    match other {
        0 => one,
        _ => gcd(other, one % other),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Stake;

    /// A table whose first version is the default and gets what is left.
    fn table(hundredths: &[u32]) -> TrafficTable {
        let version = |at: usize| format!("version-{at}").parse().unwrap();
        let mut table = TrafficTable::new(version(0), Share::NONE, false);
        for (at, share) in hundredths.iter().enumerate() {
            let stake = Stake {
                share: Share::from_hundredths(*share),
                ..Stake::default()
            };
            table = table.with_added(&version(at + 1), stake).unwrap();
        }
        table
    }

    fn count(split: &Split, turns: std::ops::Range<u64>) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for turn in turns {
            *counts.entry(split.at(turn).as_str()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_version_with_everything_gets_everything() {
        let split = Split::new(&table(&[]));
        assert_eq!(split.sequence, [0]);
        assert_eq!(split.of(b"anybody").as_str(), "version-0");
        assert_eq!(split.at(u64::MAX).as_str(), "version-0");
    }

    #[test]
    fn twenty_percent_of_a_thousand_are_two_hundred() {
        let split = Split::new(&table(&[2_000]));
        assert_eq!(split.sequence.len(), 5);
        assert_eq!(count(&split, 7..1_007)["version-1"], 200);
    }

    #[test]
    fn callers_stay_and_shares_hold() {
        let before = Split::new(&table(&[2_000, 1_000]));
        let after = Split::new(&table(&[3_000, 1_000]));
        let mut moved = 0;
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for caller in 0..20_000_u32 {
            let caller = caller.to_be_bytes();
            *counts.entry(before.of(&caller).as_str()).or_default() += 1;
            if before.of(&caller) != after.of(&caller) {
                moved += 1;
            }
        }
        // The tenth that has to move and not twice as many; shares are five standard
        // deviations off at most.
        assert!((1_790..=3_000).contains(&moved), "{moved}");
        assert!((3_720..=4_280).contains(&counts["version-1"]), "{counts:?}");
        assert!((1_790..=2_210).contains(&counts["version-2"]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn any_stretch_of_requests_has_its_shares(
            hundredths in proptest::collection::vec(0..=2_000_u32, 0..=5),
            begin in 0..20_000_u64,
            length in 1..3_000_u64,
        ) {
            let table = table(&hundredths);
            let split = Split::new(&table);
            let counts = count(&split, begin..begin + length);
            for (name, _) in table.shares() {
                let expected = table.effective(name).percent() / 100.0 * length as f64;
                let got = counts.get(name.as_str()).copied().unwrap_or_default() as f64;
                prop_assert!((got - expected).abs() < 2.0, "{name}: {got} of {length}, not {expected}");
            }
        }

        #[test]
        fn a_caller_always_has_a_version_with_a_share(
            hundredths in proptest::collection::vec(0..=2_000_u32, 0..=5),
            caller in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let table = table(&hundredths);
            let split = Split::new(&table);
            let version = split.of(&caller);
            prop_assert!(table.effective(version) > Share::NONE);
            prop_assert_eq!(version, split.of(&caller));
        }
    }
}
