//! What all batchers of the node did, for whoever asks.
//!
//! Counts belong to a service's model, not to a batcher: an update of the service
//! makes new batchers that count on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use lusk_contract::{BATCH_ROW_BOUNDS, BatchCounts, BatchReport};
use lusk_domain::{Closed, ServiceName};

use super::Batcher;

/// Counts of one model of one service.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BatchCounts>);

impl Tally {
    /// A batch of `calls` that waited for `waits`.
    pub(super) fn batch(&self, closed: Closed, rows: usize, waits: impl Iterator<Item = Duration>) {
        let mut counts = lock(&self.0);
        counts.by_reason[closed.index()] += 1;
        let bucket = BATCH_ROW_BOUNDS.iter().position(|bound| rows <= *bound);
        counts.by_rows[bucket.unwrap_or(BATCH_ROW_BOUNDS.len())] += 1;
        counts.rows += rows as u64;
        for wait in waits {
            counts.calls += 1;
            counts.waited += wait;
            counts.longest = counts.longest.max(wait);
        }
    }

    /// A call that left.
    pub(super) fn gone(&self) {
        lock(&self.0).gone += 1;
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> BatchCounts {
        lock(&self.0).clone()
    }
}

/// Finds tallies and batchers while somebody uses them.
#[derive(Debug, Default)]
pub(crate) struct BatchBook(Mutex<Vec<Weak<Batcher>>>);

impl BatchBook {
    /// The tally of a service's model.
    pub(super) fn tally(&self, service: &ServiceName, model: &str) -> Arc<Tally> {
        lock(&self.0)
            .iter()
            .filter_map(Weak::upgrade)
            .find(|it| it.service == *service && it.model == model)
            .map_or_else(Arc::default, |it| Arc::clone(&it.tally))
    }

    /// Tells of `batcher` from now on.
    pub(super) fn enter(&self, batcher: &Arc<Batcher>) {
        let mut batchers = lock(&self.0);
        batchers.retain(|it| it.strong_count() > 0);
        batchers.push(Arc::downgrade(batcher));
    }

    /// One report for each model of each service. While an update is under way, it
    /// tells the newer settings.
    pub(crate) fn reports(&self) -> Vec<BatchReport> {
        let alive: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let mut reports: HashMap<_, BatchReport> = HashMap::new();
        for batcher in alive {
            let mut report = batcher.report();
            let key = (report.service.clone(), report.model.clone());
            report.waiting += reports.get(&key).map_or(0, |older| older.waiting);
            reports.insert(key, report);
        }
        let mut reports: Vec<_> = reports.into_iter().collect();
        reports.sort_by(|(a, _), (b, _)| a.cmp(b));
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
