//! Which version of an endpoint gets how much of its traffic.
//!
//! Invariants of every [`TrafficTable`]: 1 to 6 versions; exactly one is the default,
//! at most one the control; assigned shares sum up to at most 100 percent. What is
//! assigned to nobody goes to the default on top of its own share, so that what the
//! versions get sums up to exactly 100 percent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Share, VersionName};

/// Most versions of one endpoint, as in the original.
pub const MAX_VERSIONS: usize = 6;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Written")]
pub struct TrafficTable {
    shares: BTreeMap<VersionName, Share>,
    default: VersionName,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<VersionName>,
}

/// A table as it is stored, its rules not looked at yet.
#[derive(Deserialize)]
struct Written {
    shares: BTreeMap<VersionName, Share>,
    default: VersionName,
    control: Option<VersionName>,
}

/// What is wished for a version; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stake {
    /// Its own share.
    pub share: Option<Share>,
    /// True makes it the default. False changes nothing: a version stops being the
    /// default only because another becomes it.
    pub is_default: Option<bool>,
    /// True makes it the control, false takes that from it.
    pub is_control: Option<bool>,
}

/// Why a change of a table was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// More than everything was assigned.
    #[error(
        "the versions would claim {} percent of traffic ({arithmetic}), at most 100 exist: lower \
         another version's share first",
        *claimed as f64 / 100.0
    )]
    OverCommitted {
        /// The sum in hundredths of a percent.
        claimed: u32,
        /// How it comes about: `blue 80 + green 30`.
        arithmetic: String,
    },
    /// The endpoint is full.
    #[error(
        "an endpoint has at most {MAX_VERSIONS} versions, delete one first: {}",
        list(versions)
    )]
    TooMany {
        /// Those there are.
        versions: Vec<VersionName>,
    },
    /// The name is taken.
    #[error("version `{0}` exists already, update it instead")]
    Exists(VersionName),
    /// Two versions would have what only one can have.
    #[error("`{}` and `{}` cannot both be the {what}", both[0], both[1])]
    Both {
        /// `default` or `control`.
        what: &'static str,
        /// Who is to be it.
        both: [VersionName; 2],
    },
    /// No such version.
    #[error("there is no version `{version}`, there are {}", list(versions))]
    Unknown {
        /// What was asked for.
        version: VersionName,
        /// Those there are.
        versions: Vec<VersionName>,
    },
    /// The default cannot go while others stay.
    #[error(
        "version `{version}` is the default and gets what no other version is assigned: make \
         another one the default first ({})",
        list(others)
    )]
    DefaultStays {
        /// The default.
        version: VersionName,
        /// Who could become it.
        others: Vec<VersionName>,
    },
    /// The last version goes with its endpoint only.
    #[error("version `{0}` is the last one: delete the endpoint")]
    LastStays(VersionName),
    /// Nothing to go back to.
    #[error("no version is the control, there is nothing to go back to: mark one as control")]
    NoControl,
}

impl TrafficTable {
    /// A table of one version, which is the default.
    pub fn new(first: VersionName, share: Share, is_control: bool) -> Self {
        Self {
            control: is_control.then(|| first.clone()),
            shares: BTreeMap::from([(first.clone(), share)]),
            default: first,
        }
    }

    /// Assigned shares, by name.
    pub fn shares(&self) -> impl ExactSizeIterator<Item = (&VersionName, Share)> {
        self.shares.iter().map(|(name, share)| (name, *share))
    }

    /// The version that gets what is assigned to nobody.
    pub fn default(&self) -> &VersionName {
        &self.default
    }

    /// The version that others are compared with.
    pub fn control(&self) -> Option<&VersionName> {
        self.control.as_ref()
    }

    /// A version's assigned share.
    pub fn share(&self, version: &VersionName) -> Option<Share> {
        self.shares.get(version).copied()
    }

    /// What a version really gets; nothing when it is unknown.
    pub fn effective(&self, version: &VersionName) -> Share {
        let own = self.share(version).unwrap_or_default();
        if *version != self.default {
            return own;
        }
        let claimed: u32 = self.shares.values().copied().sum();
        let rest = u32::from(Share::ALL.hundredths()) - claimed;
        Share::from_hundredths(u32::from(own.hundredths()) + rest).unwrap_or(Share::ALL)
    }

    /// The table with one more version.
    ///
    /// # Errors
    /// The name is taken, six are there, or shares sum up to too much.
    pub fn with_added(&self, version: &VersionName, stake: Stake) -> Result<Self, TrafficError> {
        if self.shares.contains_key(version) {
            return Err(TrafficError::Exists(version.clone()));
        }
        if self.shares.len() >= MAX_VERSIONS {
            return Err(TrafficError::TooMany {
                versions: self.names(),
            });
        }
        let mut next = self.clone();
        next.shares.insert(version.clone(), Share::NONE);
        next.put(version, stake);
        next.checked()
    }

    /// The table with one version's stake changed.
    ///
    /// # Errors
    /// No such version, or shares sum up to too much.
    pub fn with_stake(&self, version: &VersionName, stake: Stake) -> Result<Self, TrafficError> {
        self.require(version)?;
        let mut next = self.clone();
        next.put(version, stake);
        next.checked()
    }

    /// The table with the stakes of several versions changed in one step; only the sum
    /// of all of them has to fit.
    ///
    /// # Errors
    /// No such version, two defaults or two controls, or shares sum up to too much.
    pub fn with_stakes(&self, stakes: &BTreeMap<VersionName, Stake>) -> Result<Self, TrafficError> {
        stakes.keys().try_for_each(|name| self.require(name))?;
        only(stakes, "default", |stake| stake.is_default)?;
        only(stakes, "control", |stake| stake.is_control)?;
        let mut next = self.clone();
        for (name, stake) in stakes {
            next.put(name, *stake);
        }
        next.checked()
    }

    /// The table with all assigned shares replaced; versions that are not named get none.
    ///
    /// # Errors
    /// No such version, or shares sum up to too much.
    pub fn with_shares(&self, shares: &BTreeMap<VersionName, Share>) -> Result<Self, TrafficError> {
        shares.keys().try_for_each(|name| self.require(name))?;
        let mut next = self.clone();
        for (name, share) in &mut next.shares {
            *share = shares.get(name).copied().unwrap_or_default();
        }
        next.checked()
    }

    /// The table without a version. A control that goes leaves none.
    ///
    /// # Errors
    /// No such version, the default while there are others, or the last one.
    pub fn without(&self, version: &VersionName) -> Result<Self, TrafficError> {
        self.require(version)?;
        if self.shares.len() == 1 {
            return Err(TrafficError::LastStays(version.clone()));
        }
        if *version == self.default {
            let others = self.names().into_iter().filter(|name| name != version);
            return Err(TrafficError::DefaultStays {
                version: version.clone(),
                others: others.collect(),
            });
        }
        let mut next = self.clone();
        next.shares.remove(version);
        next.control = next.control.filter(|control| control != version);
        Ok(next)
    }

    /// The table in which a treatment has won: it is default and control and has all
    /// the traffic that its predecessor as default had.
    ///
    /// # Errors
    /// No such version.
    pub fn promoted(&self, version: &VersionName) -> Result<Self, TrafficError> {
        self.require(version)?;
        let mut next = self.clone();
        if *version != self.default {
            next.shares.insert(self.default.clone(), Share::NONE);
        }
        next.default = version.clone();
        next.control = Some(version.clone());
        Ok(next)
    }

    /// The table in which a treatment, or each, has lost: it gets nothing, and what it
    /// had as default goes to the control.
    ///
    /// # Errors
    /// No control, or no such version.
    pub fn rolled_back(&self, version: Option<&VersionName>) -> Result<Self, TrafficError> {
        let control = self.control.as_ref().ok_or(TrafficError::NoControl)?;
        if let Some(version) = version {
            self.require(version)?;
        }
        let has_lost = |name: &VersionName| name != control && version.is_none_or(|it| it == name);
        let mut next = self.clone();
        for (name, share) in &mut next.shares {
            if has_lost(name) {
                *share = Share::NONE;
            }
        }
        if has_lost(&self.default) {
            next.default = control.clone();
        }
        Ok(next)
    }

    fn put(&mut self, version: &VersionName, stake: Stake) {
        if let Some(share) = stake.share {
            self.shares.insert(version.clone(), share);
        }
        if stake.is_default == Some(true) {
            self.default = version.clone();
        }
        match stake.is_control {
            Some(true) => self.control = Some(version.clone()),
            Some(false) if self.control.as_ref() == Some(version) => self.control = None,
            _ => {}
        }
    }

    fn checked(self) -> Result<Self, TrafficError> {
        let claimed: u32 = self.shares.values().copied().sum();
        if claimed <= u32::from(Share::ALL.hundredths()) {
            return Ok(self);
        }
        let parts = self
            .shares
            .iter()
            .filter(|(_, share)| **share > Share::NONE);
        let parts: Vec<_> = parts
            .map(|(name, share)| format!("{name} {share}"))
            .collect();
        Err(TrafficError::OverCommitted {
            claimed,
            arithmetic: parts.join(" + "),
        })
    }

    fn require(&self, version: &VersionName) -> Result<(), TrafficError> {
        match self.shares.contains_key(version) {
            true => Ok(()),
            false => Err(TrafficError::Unknown {
                version: version.clone(),
                versions: self.names(),
            }),
        }
    }

    fn names(&self) -> Vec<VersionName> {
        self.shares.keys().cloned().collect()
    }
}

impl TryFrom<Written> for TrafficTable {
    type Error = TrafficError;

    fn try_from(written: Written) -> Result<Self, TrafficError> {
        let table = Self {
            shares: written.shares,
            default: written.default,
            control: written.control,
        };
        if table.shares.len() > MAX_VERSIONS {
            return Err(TrafficError::TooMany {
                versions: table.names(),
            });
        }
        table.require(&table.default)?;
        if let Some(control) = &table.control {
            table.require(control)?;
        }
        table.checked()
    }
}

/// At most one of `stakes` asks for `what`.
fn only(
    stakes: &BTreeMap<VersionName, Stake>,
    what: &'static str,
    asks: fn(&Stake) -> Option<bool>,
) -> Result<(), TrafficError> {
    let mut asking = stakes
        .iter()
        .filter(|(_, stake)| asks(stake) == Some(true))
        .map(|(name, _)| name.clone());
    match (asking.next(), asking.next()) {
        (Some(one), Some(other)) => Err(TrafficError::Both {
            what,
            both: [one, other],
        }),
        _ => Ok(()),
    }
}

fn list(names: &[VersionName]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
