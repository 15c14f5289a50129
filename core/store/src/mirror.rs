//! Answers of mirrored versions beside the live ones: `mirror/<endpoint>/pairs.jsonl`,
//! one older file beside it.
//!
//! One thread compares, writes and reads; who scores only puts a pair into its queue.
//! The queue is bounded by pairs and by bytes; what finds no room, and what cannot be
//! written, is dropped and counted. Nothing is synced, so a crash of the machine may
//! cost the last lines; one of the process leaves at most a torn line, which reading
//! skips.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use jiff::Timestamp;
use lusk_contract::{MirrorLog, MirroredPair};
use lusk_domain::ServiceName;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::space::Space;
use writer::Writer;

mod equal;
mod line;
mod writer;

/// Pairs that wait for the thread.
const QUEUE_PAIRS: usize = 4_096;

/// Bytes of their bodies.
const QUEUE_BYTES: usize = 64 << 20;

/// What the thread is to do.
enum Task {
    Keep(Box<MirroredPair>),
    Tail(ServiceName, usize, oneshot::Sender<io::Result<Vec<Value>>>),
    /// Everything of an endpoint that was asked before this moment.
    Remove(ServiceName, Timestamp),
}

/// The mirrored answers of all endpoints of a data folder.
#[derive(Debug)]
pub struct MirrorFolder {
    tasks: mpsc::Sender<Task>,
    counts: Arc<Counts>,
}

/// What both sides of the queue count.
#[derive(Debug, Default)]
struct Counts {
    pairs: AtomicUsize,
    bytes: AtomicUsize,
    dropped: Mutex<HashMap<ServiceName, u64>>,
}

impl Counts {
    fn dropped(&self) -> MutexGuard<'_, HashMap<ServiceName, u64>> {
        // Whole between two statements.
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_one(&self, endpoint: &ServiceName) {
        let mut dropped = self.dropped();
        match dropped.get_mut(endpoint) {
            Some(count) => *count += 1,
            None => drop(dropped.insert(endpoint.clone(), 1)),
        }
    }

    /// Takes room for a pair; it is given back with [`Counts::give_back`].
    fn take_room(&self, bytes: usize) -> bool {
        let pairs = self.pairs.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is over the bound alone passes through an empty queue.
        let fits = pairs < QUEUE_PAIRS && (pairs == 0 || before + bytes <= QUEUE_BYTES);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.pairs.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn bytes_of(pair: &MirroredPair) -> usize {
    pair.live.body.len() + pair.copy.body.len()
}

impl MirrorFolder {
    /// Answers below `root`, a folder that is made when there is a first one; its
    /// parent exists.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(root: &Path) -> io::Result<Self> {
        let counts = Arc::<Counts>::default();
        let (tasks, queue) = mpsc::channel();
        let space = Space::of(root.parent().unwrap_or(root));
        let mut writer = Writer::new(root, space, counts.clone());
        // Ends with the last sender; until then it has nothing to give up.
        thread::Builder::new()
            .name("mirror-log".to_owned())
            .spawn(move || {
                for task in queue {
                    writer.work(task);
                }
            })?;
        Ok(Self { tasks, counts })
    }
}

#[async_trait::async_trait]
impl MirrorLog for MirrorFolder {
    fn keep(&self, pair: MirroredPair) {
        let bytes = bytes_of(&pair);
        if !self.counts.take_room(bytes) {
            return self.counts.drop_one(&pair.endpoint);
        }
        let task = Task::Keep(Box::new(pair));
        if let Err(mpsc::SendError(Task::Keep(pair))) = self.tasks.send(task) {
            self.counts.give_back(bytes);
            self.counts.drop_one(&pair.endpoint);
        }
    }

    fn dropped(&self, endpoint: &ServiceName) -> u64 {
        self.counts.dropped().get(endpoint).copied().unwrap_or(0)
    }

    async fn tail(&self, endpoint: &ServiceName, pairs: usize) -> io::Result<Vec<Value>> {
        let (answer, answered) = oneshot::channel();
        let lost = || io::Error::other("the thread of the mirror log has ended");
        let task = Task::Tail(endpoint.clone(), pairs, answer);
        self.tasks.send(task).map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }

    fn remove(&self, endpoint: &ServiceName) {
        let task = Task::Remove(endpoint.clone(), Timestamp::now());
        if self.tasks.send(task).is_err() {
            tracing::warn!(%endpoint, "mirrored answers not removed");
        }
    }
}

#[cfg(test)]
mod tests;
