//! The workers of one replica. Whoever ends is replaced.
//!
//! Each worker has a task that waits for its end, whether it was idle or at
//! work, and then starts the next one. Failures in a row (ends that nobody
//! wished, and starts that failed, with no answer between them) make the
//! pauses longer and in the end the replica broken.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use lusk_contract::{LogStream, ScriptSchema, StartError};

use super::{
    launch::Launch,
    life::{Blame, Life},
    streak::{MAX_FAILURES, pause_after},
    worker::{Witness, Worker},
};
use crate::{pool::Pool, wording};

/// Lines of the log that tell why a replica is broken.
const TOLD_LINES: usize = 20;

/// The workers.
pub(super) struct Crew {
    launch: Arc<Launch>,
    pool: Pool<Worker>,
    failures: AtomicU32,
    /// Why the replica is broken.
    trouble: Mutex<Option<String>>,
}

impl Crew {
    /// Starts `count` workers, the first one alone: what is wrong with the
    /// script is said once.
    pub(super) async fn start(
        launch: Launch,
        count: usize,
    ) -> Result<(Arc<Self>, Vec<Witness>, ScriptSchema), StartError> {
        let launch = Arc::new(launch);
        let (first, witness, schema) = Worker::start(&launch).await?;
        let (mut idle, mut witnesses) = (vec![first], vec![witness]);
        let others = (1..count).map(|_| Worker::start(&launch));
        for (worker, witness, _) in futures::future::try_join_all(others).await? {
            idle.push(worker);
            witnesses.push(witness);
        }
        let crew = Self {
            launch,
            pool: Pool::new(idle),
            failures: AtomicU32::new(0),
            trouble: Mutex::default(),
        };
        Ok((Arc::new(crew), witnesses, schema))
    }

    /// A worker that is alive, for one request.
    pub(super) async fn take(&self) -> Result<Worker, String> {
        loop {
            let worker = self.pool.take().await?;
            if !worker.life().is_over() {
                return Ok(worker);
            }
        }
    }

    /// Takes a worker back that answered.
    pub(super) fn hand_back(&self, worker: Worker) {
        self.failures.store(0, Ordering::Relaxed);
        self.put(worker);
    }

    /// Ends the workers that are idle.
    pub(super) fn dismiss(&self) {
        while self.pool.remove(|_| true).is_some() {}
    }

    /// Why the replica is broken.
    pub(super) fn trouble(&self) -> Option<String> {
        self.held_trouble().clone()
    }

    /// Waits for the end of a worker and replaces it, again and again.
    pub(super) async fn tend(self: Arc<Self>, mut witness: Witness) {
        loop {
            let life = Arc::clone(&witness.life);
            life.ended().await;
            drop(self.remove(&life));
            let death = witness.last_words().await;
            if death.blame != Some(Blame::Abandoned) {
                self.failed(&format!("a worker ended: {}", death.cause));
            }
            witness = self.hire().await;
        }
    }

    /// Starts a worker, however often it takes.
    async fn hire(&self) -> Witness {
        loop {
            tokio::time::sleep(pause_after(self.failures.load(Ordering::Relaxed))).await;
            match Worker::start(&self.launch).await {
                Ok((worker, witness, _)) => {
                    *self.held_trouble() = None;
                    self.pool.set_broken(None);
                    self.put(worker);
                    return witness;
                }
                Err(error) => self.failed(&format!("a worker did not start: {error}")),
            }
        }
    }

    fn failed(&self, what: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let revision = &self.launch.revision;
        let log = &revision.log;
        log.line(self.launch.number, LogStream::Host, what);
        if failures < MAX_FAILURES {
            return;
        }
        let reason = format!(
            "CrashLoopBackOff: {failures} failures in a row, the last one: {what}; tried again after {}",
            wording::duration(pause_after(failures))
        );
        *self.held_trouble() = Some(format!("{reason}\n{}", log.tail(TOLD_LINES)));
        // Callers are not shown the log.
        self.pool.set_broken(Some(reason));
    }

    fn put(&self, worker: Worker) {
        let life = Arc::clone(worker.life());
        self.pool.put(worker);
        // Its end may have been seen while it was not in the pool.
        if life.is_over() {
            drop(self.remove(&life));
        }
    }

    fn remove(&self, life: &Arc<Life>) -> Option<Worker> {
        self.pool.remove(|worker| Arc::ptr_eq(worker.life(), life))
    }

    fn held_trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
