//! Why the node has no room, in words.

use std::{cmp::Ordering::Equal, fmt};

use lusk_domain::ServiceName;

use super::ROUNDING;
use crate::{
    Capacity,
    text::{count, gigabytes, rounded},
};

/// Most services that are named when the room is taken.
const MOST_HOLDERS: usize = 5;

/// There is no room now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shortage {
    pub(super) service: ServiceName,
    pub(super) replicas: u32,
    pub(super) need: Capacity,
    pub(super) free: Capacity,
    pub(super) total: Capacity,
    /// Everybody who holds something.
    pub(super) holders: Vec<(ServiceName, Capacity)>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas = count(self.replicas, "replica");
        let missing = self.missing().join(" and ");
        write!(f, "no room for {replicas}: {missing} to reserve; ")?;
        let (need, all) = (self.need, self.total);
        if need.cores > all.cores + ROUNDING || need.bytes > all.bytes {
            return f.write_str("the whole node has less, ask for less");
        }
        self.tell_holders(f)
    }
}

impl Shortage {
    fn missing(&self) -> Vec<String> {
        let Self {
            need, free, total, ..
        } = self;
        let cores = (need.cores > free.cores + ROUNDING).then(|| {
            let (need, free) = (rounded(need.cores), rounded(free.cores.max(0.0)));
            format!("{need} cores ({free} of {} are free)", rounded(total.cores))
        });
        let memory = (need.bytes > free.bytes).then(|| {
            let (need, free) = (gigabytes(need.bytes), gigabytes(free.bytes));
            let total = gigabytes(total.bytes);
            format!("{need} of memory ({free} of {total} are free)")
        });
        cores.into_iter().chain(memory).collect()
    }

    /// Who holds the room, first who has most of what is missing, and the way out.
    fn tell_holders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut holders: Vec<_> = self.holders.iter().collect();
        let lacks_cores = self.need.cores > self.free.cores + ROUNDING;
        let size = |taken: &Capacity| match lacks_cores {
            true => (taken.cores, taken.bytes as f64),
            false => (taken.bytes as f64, taken.cores),
        };
        holders
            .sort_by(|(_, one), (_, other)| size(other).partial_cmp(&size(one)).unwrap_or(Equal));
        let shown = holders.iter().take(MOST_HOLDERS).map(|(name, taken)| {
            let (cores, memory) = (rounded(taken.cores), gigabytes(taken.bytes));
            let own = match *name == self.service {
                true => "its own replicas that still run: ",
                false => "",
            };
            format!("`{name}` ({own}{cores} cores, {memory})")
        });
        let shown: Vec<_> = shown.collect();
        write!(f, "the room is held by {}", shown.join(", "))?;
        match holders.len() - shown.len() {
            0 => {}
            more => write!(f, " and {}", count(more as u64, "other service"))?,
        }
        f.write_str(": delete one, give it less, or ask for less")
    }
}

/// Two revisions of a service never fit beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both {
    pub(super) service: ServiceName,
    /// Bytes that the one which serves holds.
    pub(super) old: u64,
    /// Bytes that the new one needs.
    pub(super) new: u64,
    /// Bytes that are there for the two.
    pub(super) free: u64,
    /// Bytes of the node.
    pub(super) total: u64,
    /// No other service holds anything.
    pub(super) is_alone: bool,
}

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (gigabytes(self.old), gigabytes(self.new));
        let both = gigabytes(self.old.saturating_add(self.new));
        let (free, total) = (gigabytes(self.free), gigabytes(self.total));
        let (beside, way_out) = match self.is_alone {
            true => ("there", ""),
            false => ("free beside other services", "delete another service, "),
        };
        write!(
            f,
            "service `{}` has no room for two revisions: the one that serves holds {old} of \
             memory until the new one has taken over, which needs {new}; together {both}, of \
             which {free} of {total} are {beside}; {way_out}ask for less memory or fewer \
             replicas, or delete the service and deploy it anew",
            self.service
        )
    }
}
