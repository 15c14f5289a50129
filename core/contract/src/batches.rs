//! What batchers of models tell of themselves.

use std::{fmt, time::Duration};

use lusk_domain::{BatchSettings, Closed, ServiceName};

/// Upper bounds of the buckets of [`BatchCounts::by_rows`]; one more takes the
/// calls that were too large to be joined.
pub const BATCH_ROW_BOUNDS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// What was computed since the service is loaded, across its revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Batches by why they closed, in the order of [`Closed::ALL`].
    pub by_reason: [u64; Closed::ALL.len()],
    /// Batches by rows; not summed up.
    pub by_rows: [u64; BATCH_ROW_BOUNDS.len() + 1],
    /// Calls in these batches.
    pub calls: u64,
    /// Rows in these batches.
    pub rows: u64,
    /// Calls that left before their batch closed, because nobody waited any more.
    pub gone: u64,
    /// Time that these calls waited for others, all together.
    pub waited: Duration,
    /// The longest of these waits.
    pub longest: Duration,
}

impl BatchCounts {
    /// All batches.
    pub fn batches(&self) -> u64 {
        self.by_reason.iter().sum()
    }
}

/// One model of a service whose calls are to be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReport {
    /// The service.
    pub service: ServiceName,
    /// The model's id; with the file where a model has several.
    pub model: String,
    /// What the model's tags asked for when the service was deployed.
    pub settings: BatchSettings,
    /// Why calls are not joined all the same.
    pub without_effect: Option<String>,
    /// Calls waiting in the open batch now.
    pub waiting: usize,
    /// What was computed.
    pub counts: BatchCounts,
}

/// Who knows of batchers.
pub trait Batches: Send + Sync + fmt::Debug {
    /// All models of running services whose tags ask for batches, by service and
    /// model.
    fn batches(&self) -> Vec<BatchReport>;
}

/// A node that joins nothing.
impl Batches for () {
    fn batches(&self) -> Vec<BatchReport> {
        Vec::new()
    }
}
