//! Connections that wait for their next request.
//!
//! One stack for each runtime, for a connection cannot outlive the runtime that it
//! was made in, and stays among the threads that know it. The newest goes first, so
//! that those too many grow old and are closed.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, sleep},
};

use crate::wire::Wire;

/// How long a connection waits for its next request: less than the 2 s of
/// gunicorn, the shortest default of the servers that are met here.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Shelves {
    /// Most connections of each.
    bound: usize,
    shelves: Mutex<Vec<Shelf>>,
}

struct Shelf {
    runtime: Id,
    /// The one put down last stands last.
    idle: Vec<Idle>,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

impl Shelves {
    pub(crate) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            bound,
            shelves: Mutex::default(),
        })
    }

    /// A connection that is well as far as this side knows.
    pub(crate) async fn take(&self) -> Option<Wire> {
        let runtime = Handle::current().id();
        let oldest = Instant::now().checked_sub(IDLE_LIMIT);
        poll_fn(|context| {
            while let Some(mut idle) = self.pop(runtime) {
                let is_fresh = oldest.is_none_or(|oldest| idle.since > oldest);
                if is_fresh && idle.wire.looks_well(context) {
                    return Poll::Ready(Some(idle.wire));
                }
            }
            Poll::Ready(None)
        })
        .await
    }

    fn pop(&self, runtime: Id) -> Option<Idle> {
        let mut shelves = self.lock();
        let shelf = shelves.iter_mut().find(|shelf| shelf.runtime == runtime)?;
        shelf.idle.pop()
    }

    /// Keeps a connection for the next request, if there is room.
    pub(crate) fn put(self: &Arc<Self>, wire: Wire) {
        let Ok(handle) = Handle::try_current() else {
            return;
        };
        let runtime = handle.id();
        let since = Instant::now();
        let idle = Idle { wire, since };
        let mut shelves = self.lock();
        match shelves.iter_mut().find(|shelf| shelf.runtime == runtime) {
            Some(shelf) if shelf.idle.len() < self.bound => shelf.idle.push(idle),
            Some(_) => drop(shelves),
            None => {
                let idle = vec![idle];
                shelves.push(Shelf { runtime, idle });
                drop(shelves);
                let shelves = Arc::downgrade(self);
                handle.spawn(sweep(Broom {
                    shelves,
                    runtime,
                    is_done: false,
                }));
            }
        }
    }

    /// Closes what has waited too long. True when nothing waits any more, and the
    /// shelf is gone.
    fn expire(&self, runtime: Id) -> bool {
        let Some(oldest) = Instant::now().checked_sub(IDLE_LIMIT) else {
            return false;
        };
        let mut shelves = self.lock();
        let Some(at) = shelves.iter().position(|shelf| shelf.runtime == runtime) else {
            return true;
        };
        let idle = &mut shelves[at].idle;
        let stale = idle.partition_point(|idle| idle.since <= oldest);
        let closed: Vec<_> = idle.drain(..stale).collect();
        let is_empty = idle.is_empty();
        if is_empty {
            shelves.swap_remove(at);
        }
        // Closing takes its time: not while others wait for the lock.
        drop(shelves);
        drop(closed);
        is_empty
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the shelf of one runtime, and takes it away with that.
struct Broom {
    shelves: Weak<Shelves>,
    runtime: Id,
    /// The shelf is gone; a new one may stand there, which is not this one's.
    is_done: bool,
}

async fn sweep(mut broom: Broom) {
    while !broom.is_done {
        sleep(IDLE_LIMIT).await;
        broom.is_done = match broom.shelves.upgrade() {
            Some(shelves) => shelves.expire(broom.runtime),
            None => true,
        };
    }
}

impl Drop for Broom {
    fn drop(&mut self) {
        let Some(shelves) = self.shelves.upgrade().filter(|_| !self.is_done) else {
            return;
        };
        let mut all = shelves.lock();
        let at = all.iter().position(|shelf| shelf.runtime == self.runtime);
        let shelf = at.map(|at| all.swap_remove(at));
        drop(all);
        drop(shelf);
    }
}
