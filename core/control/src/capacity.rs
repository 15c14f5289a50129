//! The node's ledger: which service has reserved how much.
//!
//! A service that is updated keeps its old reservation while the new revision
//! starts, and both count once, at the larger of the two: the old replicas give
//! theirs back within the switch. Otherwise a full node could never be updated.

use std::{
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    total: Capacity,
    held: Mutex<BTreeMap<ServiceName, Capacity>>,
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

    /// Reserves for the replicas that `settings` start with, beside nothing but
    /// what `service` itself has.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(crate) fn hold(&self, service: &ServiceName, settings: &Settings) -> Result<(), String> {
        let need = need(settings);
        let mut held = self.lock();
        let others = held.iter().filter(|(name, _)| *name != service);
        let mut free = self.total;
        for (_, taken) in others {
            free.cores -= taken.cores;
            free.bytes = free.bytes.saturating_sub(taken.bytes);
        }
        if need.cores > free.cores + ROUNDING || need.bytes > free.bytes {
            return Err(self.shortage(settings, need, free));
        }
        let own = held.entry(service.clone()).or_insert(need);
        own.cores = own.cores.max(need.cores);
        own.bytes = own.bytes.max(need.bytes);
        Ok(())
    }

    /// Leaves `service` with just what `settings` need, or with nothing.
    pub(crate) fn settle(&self, service: &ServiceName, settings: Option<&Settings>) {
        {
            let mut held = self.lock();
            match settings {
                Some(settings) => held.insert(service.clone(), need(settings)),
                None => held.remove(service),
            };
        }
        self.freed.send_replace(());
    }

    fn shortage(&self, settings: &Settings, need: Capacity, free: Capacity) -> String {
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
            count(settings.initial_replicas(), "replica"),
            missing.join(" and ")
        )
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Capacity>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn need(settings: &Settings) -> Capacity {
    let replicas = settings.initial_replicas();
    Capacity {
        cores: settings.resources.cpu * f64::from(replicas),
        bytes: (settings.resources.memory_in_gb * f64::from(replicas) * 1e9) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cpu: f64, memory_in_gb: f64, replicas: u32) -> Settings {
        let mut settings = Settings {
            num_replicas: Some(replicas),
            ..Settings::default()
        };
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
        ledger.hold(&name("one"), &settings(0.5, 1.0, 3)).unwrap();
        let missing = ledger
            .hold(&name("two"), &settings(0.6, 0.7, 2))
            .unwrap_err();
        assert_eq!(
            missing,
            "no room for 2 replicas: 1.2 cores (0.5 of 2 are free) and 1.4 GB of memory (1 GB of 4 GB are free) to reserve"
        );
        ledger.settle(&name("one"), None);
        ledger.hold(&name("two"), &settings(0.6, 0.7, 2)).unwrap();
    }

    #[test]
    fn tenths_fill_a_core() {
        let ledger = node();
        for index in 0..20 {
            ledger
                .hold(&name(&format!("s-{index}")), &settings(0.1, 0.1, 1))
                .unwrap();
        }
        ledger
            .hold(&name("more"), &settings(0.1, 0.1, 1))
            .unwrap_err();
    }

    #[test]
    fn an_update_counts_its_old_revision_once() {
        let ledger = node();
        ledger.hold(&name("one"), &settings(1.5, 1.0, 1)).unwrap();
        ledger.hold(&name("one"), &settings(2.0, 0.5, 1)).unwrap();
        ledger
            .hold(&name("two"), &settings(0.1, 3.1, 1))
            .unwrap_err();
        ledger.settle(&name("one"), Some(&settings(1.5, 1.0, 1)));
        ledger.hold(&name("two"), &settings(0.5, 3.0, 1)).unwrap();
    }
}
