//! Threads that compute one call together.
//!
//! A call takes a crew for itself and gives it back. So calls never wait behind
//! parts of each other, as they would in one pool for all. All crews at work have
//! at most as many threads as the machine has cores: a call that comes when they
//! are taken computes with what is left, at the least in its own thread, and
//! never waits. Which calls come at the same time is bounded elsewhere, by the
//! cores that services reserve for their replicas; what is spread evenly among
//! the threads that run then is the scheduler's part.
//!
//! Crews belong to no session: idle ones are kept for whoever comes next, again
//! with at most as many threads as there are cores. They sleep, and end with the
//! last session.

mod vigil;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use vigil::Vigil;

/// The crews of one backend.
#[derive(Debug)]
pub(crate) struct Crews {
    cores: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Threads of the crews at work.
    busy: usize,
    /// Crews without work, the one that worked last at the end.
    idle: Vec<Arc<ThreadPool>>,
}

impl Crews {
    /// Crews on a machine of `cores`; none has threads yet.
    pub(crate) fn new(cores: NonZeroUsize) -> Self {
        Self {
            cores,
            state: Mutex::default(),
        }
    }

    /// The cores of the machine.
    pub(crate) fn cores(&self) -> NonZeroUsize {
        self.cores
    }

    /// Runs `work`, on a crew of up to `threads` threads if so many are free.
    ///
    /// `work` must not panic. tract finds the crew by `current_tract_executor`.
    pub(crate) fn run<T: Send>(&self, threads: usize, work: impl FnOnce() -> T + Send) -> T {
        let Some(crew) = self.take(threads) else {
            return work();
        };
        let executor = Executor::MultiThread(Arc::clone(&crew.pool));
        // All of it runs in the crew: to hand over each operator instead would
        // wake the caller as often as the model has operators.
        crew.pool.install(|| {
            let _awake = Vigil::begin();
            multithread_tract_scope(executor, work)
        })
    }

    /// A crew of at least two; none if not so many are wanted or free.
    fn take(&self, threads: usize) -> Option<Crew<'_>> {
        if threads < 2 {
            return None;
        }
        let threads = {
            let mut state = self.state();
            let threads = threads.min(self.cores.get() - state.busy);
            if threads < 2 {
                return None;
            }
            state.busy += threads;
            let fits = |pool: &Arc<ThreadPool>| pool.current_num_threads() == threads;
            if let Some(position) = state.idle.iter().rposition(fits) {
                let pool = state.idle.remove(position);
                return Some(Crew { crews: self, pool });
            }
            threads
        };
        let built = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("crew-{number}"))
            .build();
        match built {
            Ok(pool) => Some(Crew {
                crews: self,
                pool: Arc::new(pool),
            }),
            Err(error) => {
                tracing::debug!(%error, threads, "no crew, the call runs in its own thread");
                self.state().busy -= threads;
                None
            }
        }
    }

    /// Nothing can panic while the lock is held, so its content is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A crew at work; given back when dropped.
struct Crew<'a> {
    crews: &'a Crews,
    pool: Arc<ThreadPool>,
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        let surplus: Vec<_> = {
            let mut state = self.crews.state();
            state.busy -= self.pool.current_num_threads();
            state.idle.push(Arc::clone(&self.pool));
            let mut kept = 0;
            let first = state.idle.iter().rposition(|pool| {
                kept += pool.current_num_threads();
                kept > self.crews.cores.get()
            });
            state
                .idle
                .drain(..first.map_or(0, |last| last + 1))
                .collect()
        };
        // Outside the lock: their threads are told to end.
        drop(surplus);
    }
}

#[cfg(test)]
mod tests;
