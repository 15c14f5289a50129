//! One service's way from a request to its answer: slot, deadline, retry, count.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use lusk_contract::{Replica, ScoreReply, ScoreRequest, ScriptError, ScriptSchema, Standing};
use lusk_domain::{AuthMode, Guard as VersionGuard, KeyPair, Sample, ServiceName, Tally};
use tokio::{sync::Notify, time::Instant};

use crate::{
    Counters, Pace,
    counters::Meter,
    pool::{Admission, Loan, Pool, Serial, Ticket},
};

mod passing;
mod turn;

use turn::Waiting;
pub use turn::{Relayed, Turn};

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From admission to answer, queue included.
    pub scoring_timeout: Duration,
    /// In the queue for a free slot.
    pub max_queue_wait: Duration,
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct Access {
    /// How callers prove who they are.
    pub mode: AuthMode,
    /// The keys, of use in [`AuthMode::Key`].
    pub keys: KeyPair,
}

/// What does not change about a route.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    /// The service.
    pub name: ServiceName,
    /// Time limits.
    pub limits: Limits,
    /// `AML_CORS_ORIGINS` of the service: a comma list of origins, or `*`.
    pub cors: Option<String>,
    /// What the script says of its input and output.
    pub schema: ScriptSchema,
    /// `SERVICE_VERSION`.
    pub version: String,
    /// Title of the swagger document.
    pub title: String,
    /// The user's own swagger documents, by version: `2`, `3` or `3.1`.
    pub swagger_files: BTreeMap<String, PathBuf>,
}

/// An answer and how it came about.
#[derive(Debug)]
pub struct Scored {
    /// The script's answer.
    pub reply: ScoreReply,
    /// A first replica had not begun; this is from a second one.
    pub retried: bool,
    /// Time spent in the queue.
    pub queued_for: Duration,
}

/// Why a request got no answer from a replica. Exhaustive, so that the gateway's choice
/// of a status stays complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No replica is there to take it.
    #[error("no replica is ready")]
    NoReadyReplicas,
    /// No slot became free in time, or too many wait already.
    #[error(
        "no slot became free within {waited:?} (limit {limit:?}): {busy} of {slots} slots busy, {queued} requests queued"
    )]
    Overloaded {
        /// Time this request waited; zero when the queue was full.
        waited: Duration,
        /// The longest wait allowed.
        limit: Duration,
        /// Slots in use.
        busy: usize,
        /// Slots there are.
        slots: usize,
        /// Requests in the queue, this one not counted.
        queued: usize,
    },
    /// The scoring timeout passed; the script was interrupted if it ran.
    #[error("no answer within the scoring timeout of {limit:?}")]
    TimedOut {
        /// The timeout.
        limit: Duration,
    },
    /// The script gave no answer.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// This route takes nothing new: its name may lead to another one by now.
    #[error("the route takes no new requests")]
    Draining,
}

/// Where a route stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteStatus {
    /// Replicas that take requests.
    pub ready_replicas: usize,
    /// Replicas that do not answer and get no requests until they do.
    pub resting_replicas: usize,
    /// Their slots.
    pub slots: usize,
    /// Slots in use, those of replicas that are going included.
    pub busy: usize,
    /// Requests waiting for a slot.
    pub queued: usize,
    /// Whether new requests are refused.
    pub draining: bool,
    /// Counts since the route was made.
    pub counters: Counters,
}

/// See the module.
pub struct Route {
    info: RouteInfo,
    access: ArcSwap<Access>,
    pool: Arc<Mutex<Pool>>,
    /// Its replicas pass bodies on as they come.
    relays: AtomicBool,
    meter: Meter,
    made: Instant,
    pace: Pace,
    idle: Notify,
    /// Told when a request begins to wait where nobody waited.
    pressed: Notify,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.info.name)
            .finish_non_exhaustive()
    }
}

impl Route {
    /// A route without replicas.
    pub fn new(info: RouteInfo, access: Access) -> Self {
        Self {
            info,
            access: ArcSwap::from_pointee(access),
            pool: Arc::default(),
            relays: AtomicBool::new(false),
            meter: Meter::default(),
            made: Instant::now(),
            pace: Pace::default(),
            idle: Notify::new(),
            pressed: Notify::new(),
        }
    }

    /// What does not change about it.
    pub fn info(&self) -> &RouteInfo {
        &self.info
    }

    /// How long its runs usually take, as whoever calls it has seen.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Who may call now.
    pub fn access(&self) -> Guard<Arc<Access>> {
        self.access.load()
    }

    /// Changes who may call, from the next request on.
    pub fn set_access(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// Adds a replica that takes up to `slots` requests at a time; those who wait get
    /// its slots at once.
    pub fn add(&self, number: u32, replica: Arc<dyn Replica>, slots: usize) {
        self.relays.store(replica.relays(), Relaxed);
        let serial = self.lock().add(number, Arc::clone(&replica), slots);
        let pool = Arc::downgrade(&self.pool);
        replica.tell(Arc::new(Seat { pool, serial }));
    }

    /// Whether its replicas pass bodies on as they come, so that there is no need to
    /// collect them before.
    pub fn relays(&self) -> bool {
        self.relays.load(Relaxed)
    }

    /// Gives a replica no more requests; what it runs goes on to its end.
    pub fn remove(&self, number: u32) -> Option<Arc<dyn Replica>> {
        let mut pool = self.lock();
        let replica = pool.remove(number);
        self.tell_if_idle(pool);
        replica
    }

    /// Like [`Route::remove`]; what comes back ends with the last request that the
    /// replica runs.
    pub fn give_up(&self, number: u32) -> Option<impl Future<Output = ()> + Send + use<>> {
        let ended = {
            let mut pool = self.lock();
            let ended = pool.end_of(number)?;
            pool.remove(number)?;
            self.tell_if_idle(pool);
            ended
        };
        Some(async move {
            // Nothing is ever sent: the channel closes.
            let _ = ended.await;
        })
    }

    /// Replicas that take requests, by number.
    pub fn replicas(&self) -> Vec<(u32, Arc<dyn Replica>)> {
        self.lock().replicas()
    }

    /// Lets requests wait for a first replica although none is there, as long as
    /// they may run; who calls this starts one when [`Route::pressed`] says so.
    pub fn set_wakes(&self, wakes: bool) {
        self.lock().set_wakes(wakes);
    }

    /// Returns when a request begins to wait where nobody waited before, at once
    /// if that happened since the last call.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Requests that run, requests that wait, the most of both at a time since the
    /// last call, and ready replicas.
    pub(crate) fn take_load(&self) -> (usize, usize, usize, usize) {
        let mut pool = self.lock();
        let peak = pool.take_peak();
        (pool.busy(), pool.queued(), peak, pool.ready())
    }

    /// Where it stands.
    pub fn status(&self) -> RouteStatus {
        let counters = self.meter.read();
        let pool = self.lock();
        RouteStatus {
            ready_replicas: pool.ready(),
            resting_replicas: pool.resting(),
            slots: pool.slots(),
            busy: pool.busy(),
            queued: pool.queued(),
            draining: pool.is_draining(),
            counters,
        }
    }

    /// What it did so far, fine enough to compare it with another one; see
    /// [`Route::status`] for what is cheap to read.
    pub fn tally(&self) -> Tally {
        self.meter.tally()
    }

    /// What it did so far, as far as `guard` cares.
    pub fn sample(&self, guard: &VersionGuard) -> Sample {
        self.meter.sample(guard)
    }

    /// How long ago it was made; what it counts is as old.
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// Waits for a slot. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// No replica, no slot in time, or a route that takes nothing new.
    pub async fn turn(&self) -> Result<Turn<&Self>, RouteError> {
        Turn::take(self).await
    }

    /// Like [`Route::turn`], for a request that goes on when the caller of this has
    /// returned.
    ///
    /// # Errors
    /// Those of [`Route::turn`].
    pub async fn own_turn(self: &Arc<Self>) -> Result<Turn<Arc<Self>>, RouteError> {
        Turn::take(Arc::clone(self)).await
    }

    /// Like [`Route::own_turn`], for a copy of a request: one that gets no slot is not
    /// counted as a request of this route.
    ///
    /// # Errors
    /// Those of [`Route::turn`].
    pub async fn turn_for_copy(self: &Arc<Self>) -> Result<Turn<Arc<Self>>, RouteError> {
        Turn::take_for_copy(Arc::clone(self)).await
    }

    /// Waits for a slot and runs one request on it; [`Route::turn`] and
    /// [`Turn::score`] in one.
    ///
    /// # Errors
    /// Those of both.
    pub async fn score(&self, request: ScoreRequest) -> Result<Scored, RouteError> {
        self.turn().await?.score(request).await
    }

    /// Refuses new requests and returns when nobody waits and nothing runs any more.
    /// Those who wait are sent elsewhere, with [`RouteError::Draining`], once no
    /// replica is left: who calls this adds none. The route stays closed, also when
    /// the future is dropped.
    pub async fn drain(&self) {
        self.lock().begin_drain();
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            // Listening begins before the look, so that no end falls between the two.
            idle.as_mut().enable();
            if self.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// A slot, now or after a wait in the queue, and how long that was; `ticket` is
    /// taken here where there is none yet. Nobody may wait between this and the lease.
    async fn slot(
        &self,
        ticket: Option<Ticket>,
        avoid: Option<Serial>,
        deadline: Instant,
    ) -> Result<(Ticket, Loan, Duration), RouteError> {
        let (ticket, admission, is_first, is_asleep) = {
            let mut pool = self.lock();
            let ticket = ticket.unwrap_or_else(|| pool.ticket());
            let admission = pool.admit(ticket, avoid);
            (ticket, admission, pool.queued() == 1, pool.is_asleep())
        };
        match admission {
            Admission::Granted(loan) => Ok((ticket, loan, Duration::ZERO)),
            Admission::Queued(granted) => {
                if is_first {
                    self.pressed.notify_one();
                }
                let since = Instant::now();
                let patience = if is_asleep {
                    deadline
                } else {
                    since + self.info.limits.max_queue_wait
                };
                let waiting = Waiting {
                    route: self,
                    ticket,
                    granted,
                    since,
                    patience,
                };
                let (loan, waited) = waiting.wait(deadline).await?;
                Ok((ticket, loan, waited))
            }
            Admission::Full => Err(self.overloaded(Duration::ZERO)),
            Admission::NoReplicas => Err(RouteError::NoReadyReplicas),
            Admission::Draining => Err(RouteError::Draining),
        }
    }

    fn overloaded(&self, waited: Duration) -> RouteError {
        let pool = self.lock();
        RouteError::Overloaded {
            waited,
            limit: self.info.limits.max_queue_wait,
            busy: pool.busy(),
            slots: pool.slots(),
            queued: pool.queued(),
        }
    }

    fn timed_out(&self) -> RouteError {
        RouteError::TimedOut {
            limit: self.info.limits.scoring_timeout,
        }
    }

    fn give_back(&self, loan: &Loan) {
        let mut pool = self.lock();
        pool.give_back(loan);
        self.tell_if_idle(pool);
    }

    fn tell_if_idle(&self, pool: MutexGuard<'_, Pool>) {
        let ended = pool.is_draining() && pool.is_idle();
        drop(pool);
        if ended {
            self.idle.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // Every change of the pool is complete before anything in it can panic.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A replica's place in the pool, for the replica to speak of.
#[derive(Debug)]
struct Seat {
    pool: Weak<Mutex<Pool>>,
    serial: Serial,
}

impl Standing for Seat {
    fn set(&self, takes_requests: bool) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        match takes_requests {
            true => pool.wake(self.serial),
            false => pool.rest(self.serial),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
