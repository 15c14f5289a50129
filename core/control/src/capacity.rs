//! The node's ledger: which service has reserved how much.
//!
//! A service that is updated keeps its old reservation while the new revision
//! starts, and both count once, at the larger of the two: the old replicas give
//! theirs back within the switch. Otherwise a full node could never be updated.

use std::{
    cmp::Ordering::Equal,
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lusk_domain::{ServiceName, Settings};
use tokio::sync::watch;

use crate::{
    Capacity,
    text::{count, gigabytes, rounded},
};

/// Cores that rounding may lose: a tenth ten times is one.
const ROUNDING: f64 = 1e-6;

/// Most services that are named when the room is taken.
const MOST_HOLDERS: usize = 5;

/// What each service has reserved.
type Held = BTreeMap<ServiceName, Capacity>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    total: Capacity,
    held: Mutex<Held>,
    freed: watch::Sender<()>,
}

impl Ledger {
    pub(crate) fn new(total: Capacity) -> Self {
        Self {
            total,
            held: Mutex::default(),
            freed: watch::Sender::new(()),
        }
    }

    /// Hears when something was given back.
    pub(crate) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }

    /// Reserves for `replicas` of `service`, beside nothing but what it has itself.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(crate) fn hold(
        &self,
        service: &ServiceName,
        settings: &Settings,
        replicas: u32,
    ) -> Result<(), String> {
        let need = need(settings, replicas);
        let mut held = self.lock();
        let free = self.free_beside(service, &held);
        if need.cores > free.cores + ROUNDING || need.bytes > free.bytes {
            let shortage = self.shortage(replicas, need, free);
            let all = self.total;
            if need.cores > all.cores + ROUNDING || need.bytes > all.bytes {
                return Err(format!("{shortage}; the whole node has less, ask for less"));
            }
            return Err(format!("{shortage}; {}", holders(service, &held)));
        }
        let own = held.entry(service.clone()).or_insert(need);
        own.cores = own.cores.max(need.cores);
        own.bytes = own.bytes.max(need.bytes);
        Ok(())
    }

    /// Leaves `service` with just what so many replicas of these settings need,
    /// or with nothing.
    pub(crate) fn settle(&self, service: &ServiceName, kept: Option<(&Settings, u32)>) {
        {
            let mut held = self.lock();
            match kept {
                Some((settings, replicas)) => {
                    held.insert(service.clone(), need(settings, replicas))
                }
                None => held.remove(service),
            };
        }
        self.freed.send_replace(());
    }

    /// Replicas of these settings that the node has room for in all, those that
    /// `service` has included.
    pub(crate) fn room(&self, service: &ServiceName, settings: &Settings) -> u32 {
        self.room_in(service, settings, &self.lock())
    }

    /// Reserves for up to `wanted` replicas in all; says for how many.
    pub(crate) fn grow(&self, service: &ServiceName, settings: &Settings, wanted: u32) -> u32 {
        let mut held = self.lock();
        let granted = wanted.min(self.room_in(service, settings, &held));
        held.insert(service.clone(), need(settings, granted));
        granted
    }

    fn room_in(&self, service: &ServiceName, settings: &Settings, held: &Held) -> u32 {
        let free = self.free_beside(service, held);
        let one = need(settings, 1);
        let by_cores = (free.cores + ROUNDING) / one.cores;
        let by_bytes = free.bytes as f64 / one.bytes as f64;
        // Nothing needed is room without end; the cast saturates.
        by_cores.min(by_bytes).max(0.0) as u32
    }

    fn free_beside(&self, service: &ServiceName, held: &Held) -> Capacity {
        let mut free = self.total;
        for (_, taken) in held.iter().filter(|(name, _)| *name != service) {
            free.cores -= taken.cores;
            free.bytes = free.bytes.saturating_sub(taken.bytes);
        }
        free
    }

    fn shortage(&self, replicas: u32, need: Capacity, free: Capacity) -> String {
        let cores = (need.cores > free.cores + ROUNDING).then(|| {
            format!(
                "{} cores ({} of {} are free)",
                rounded(need.cores),
                rounded(free.cores.max(0.0)),
                rounded(self.total.cores)
            )
        });
        let memory = (need.bytes > free.bytes).then(|| {
            format!(
                "{} of memory ({} of {} are free)",
                gigabytes(need.bytes),
                gigabytes(free.bytes),
                gigabytes(self.total.bytes)
            )
        });
        let missing: Vec<_> = cores.into_iter().chain(memory).collect();
        format!(
            "no room for {}: {} to reserve",
            count(replicas, "replica"),
            missing.join(" and ")
        )
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who holds the room, the largest first, and the way out.
fn holders(service: &ServiceName, held: &Held) -> String {
    let mut others: Vec<_> = held.iter().filter(|(name, _)| *name != service).collect();
    let size = |taken: &Capacity| (taken.cores, taken.bytes as f64);
    others.sort_by(|(_, one), (_, other)| size(other).partial_cmp(&size(one)).unwrap_or(Equal));
    let shown = others.iter().take(MOST_HOLDERS).map(|(name, taken)| {
        let (cores, memory) = (rounded(taken.cores), gigabytes(taken.bytes));
        format!("`{name}` ({cores} cores, {memory})")
    });
    let shown: Vec<_> = shown.collect();
    let more = match others.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {}", count(more as u64, "other service")),
    };
    format!(
        "the room is held by {}{more}: delete one, give it less, or ask for less",
        shown.join(", ")
    )
}

fn need(settings: &Settings, replicas: u32) -> Capacity {
    Capacity {
        cores: settings.resources.cpu * f64::from(replicas),
        bytes: (settings.resources.memory_in_gb * f64::from(replicas) * 1e9) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cpu: f64, memory_in_gb: f64) -> Settings {
        let mut settings = Settings::default();
        settings.resources.cpu = cpu;
        settings.resources.memory_in_gb = memory_in_gb;
        settings
    }

    fn node() -> Ledger {
        Ledger::new(Capacity {
            cores: 2.0,
            bytes: 4_000_000_000,
        })
    }

    fn name(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    #[test]
    fn reserves_until_the_node_is_full_and_names_what_is_missing() {
        let ledger = node();
        ledger.hold(&name("one"), &settings(0.5, 1.0), 3).unwrap();
        let missing = ledger
            .hold(&name("two"), &settings(0.6, 0.7), 2)
            .unwrap_err();
        assert_eq!(
            missing,
            "no room for 2 replicas: 1.2 cores (0.5 of 2 are free) and 1.4 GB of memory (1 GB of 4 GB are free) to reserve; the room is held by `one` (1.5 cores, 3 GB): delete one, give it less, or ask for less"
        );
        let alone = node().hold(&name("two"), &settings(3.0, 0.1), 1);
        assert!(
            alone
                .unwrap_err()
                .ends_with("the whole node has less, ask for less")
        );
        ledger.settle(&name("one"), None);
        ledger.hold(&name("two"), &settings(0.6, 0.7), 2).unwrap();
    }

    #[test]
    fn the_largest_holders_are_named() {
        let ledger = Ledger::new(Capacity {
            cores: 8.0,
            bytes: 8_000_000_000,
        });
        for index in 1..8_u32 {
            let own = settings(f64::from(index) * 0.1, 0.1);
            ledger.hold(&name(&format!("s-{index}")), &own, 1).unwrap();
        }
        let missing = ledger
            .hold(&name("new"), &settings(8.0, 0.1), 1)
            .unwrap_err();
        assert!(
            missing.contains("held by `s-7` (0.7 cores, 0.1 GB), `s-6` ("),
            "{missing}"
        );
        assert!(missing.contains("`s-3` (0.3 cores, 0.1 GB) and 2 other services:"));
    }

    #[test]
    fn who_asks_for_more_than_the_node_is_not_sent_to_others() {
        let ledger = node();
        ledger.hold(&name("one"), &settings(0.5, 1.0), 1).unwrap();
        let missing = ledger.hold(&name("two"), &settings(9.0, 0.1), 1);
        assert!(!missing.unwrap_err().contains("`one`"));
    }

    #[test]
    fn tenths_fill_a_core() {
        let ledger = node();
        for index in 0..20 {
            ledger
                .hold(&name(&format!("s-{index}")), &settings(0.1, 0.1), 1)
                .unwrap();
        }
        ledger
            .hold(&name("more"), &settings(0.1, 0.1), 1)
            .unwrap_err();
    }

    #[test]
    fn an_update_counts_its_old_revision_once() {
        let ledger = node();
        ledger.hold(&name("one"), &settings(1.5, 1.0), 1).unwrap();
        ledger.hold(&name("one"), &settings(2.0, 0.5), 1).unwrap();
        ledger
            .hold(&name("two"), &settings(0.1, 3.1), 1)
            .unwrap_err();
        ledger.settle(&name("one"), Some((&settings(1.5, 1.0), 1)));
        ledger.hold(&name("two"), &settings(0.5, 3.0), 1).unwrap();
    }

    #[test]
    fn a_service_grows_as_far_as_the_others_leave_room() {
        let ledger = node();
        let each = settings(0.5, 0.5);
        ledger.hold(&name("one"), &each, 1).unwrap();
        ledger.hold(&name("two"), &settings(0.7, 0.1), 1).unwrap();
        assert_eq!(ledger.room(&name("one"), &each), 2);
        assert_eq!(ledger.grow(&name("one"), &each, 5), 2);
        ledger.settle(&name("two"), None);
        assert_eq!(ledger.grow(&name("one"), &each, 3), 3);
        assert_eq!(ledger.room(&name("two"), &settings(0.5, 0.1)), 1);
        assert_eq!(ledger.room(&name("two"), &settings(0.0, 0.0)), u32::MAX);
    }
}
