//! What is known of the shards outside of them: for the metrics page, and for a cluster
//! that may start further router pods.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use lusk_domain::ShardStep;

use super::meter::{Meter, Times};

/// Steps that are counted, with their names on the metrics page.
const COUNTED: [(ShardStep, &str); 4] = [
    (ShardStep::Add, "add"),
    (ShardStep::Remove, "remove"),
    (ShardStep::AskOut, "ask_out"),
    (ShardStep::TakeBackOut, "take_back_out"),
];

/// See the module. Empty where there are no shards.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// In the order of their numbers; for each look from outside, never for a request.
    meters: Mutex<Vec<Arc<Meter>>>,
    steps: [AtomicU64; COUNTED.len()],
    pods: AtomicU64,
}

impl Board {
    /// Adds a shard that was started.
    pub(crate) fn add(&self, meter: Arc<Meter>) {
        self.lock().push(meter);
    }

    /// Shards that were started.
    pub(crate) fn started(&self) -> usize {
        self.lock().len()
    }

    /// Shards that run.
    pub(crate) fn running(&self) -> usize {
        self.lock().iter().filter(|meter| meter.runs()).count()
    }

    /// Routing times of all shards since the start.
    pub(crate) fn times(&self) -> Times {
        let meters = self.lock();
        meters
            .iter()
            .fold(Times::default(), |all, meter| all + &meter.times())
    }

    /// CPU time that all shards have used.
    pub(crate) fn cpu(&self) -> Duration {
        self.lock().iter().map(|meter| meter.cpu()).sum()
    }

    /// Counts a step.
    pub(crate) fn count(&self, step: ShardStep) {
        for ((counted, _), count) in COUNTED.iter().zip(&self.steps) {
            if *counted == step {
                count.fetch_add(1, Relaxed);
            }
        }
    }

    /// How often each step was taken.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.steps.iter().map(|count| count.load(Relaxed));
        COUNTED.iter().map(|(_, name)| *name).zip(counts)
    }

    /// Further router pods that the shards ask for.
    pub(crate) fn pods(&self) -> u32 {
        u32::try_from(self.pods.load(Relaxed)).unwrap_or(u32::MAX)
    }

    pub(crate) fn set_pods(&self, pods: u32) {
        self.pods.store(pods.into(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
