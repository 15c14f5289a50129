//! Joins calls of one model that come at the same time into one computation.
//!
//! Calls of all replicas and slots of a revision meet in its [`Batcher`]. The
//! rules are `lusk_domain::OpenBatch`; here is what waits, computes and answers.
//! The caller that opens a batch leads it: it closes the batch in time and runs it.
//! A caller that goes away takes its call out while the batch is open and disturbs
//! nobody after that; if it leads, a task takes over.
//!
//! Joining must not be felt but in speed. So batches are computed call by call too
//! and compared until there is proof that rows do not depend on one another, and a
//! sample of them for good (see [`trust`]); a batch that fails is computed call by
//! call. A model that gives other answers in batches is not joined any more.
//!
//! Invariant: every call gets one answer. If its driver is lost, with the runtime
//! it ran on, the call computes by itself.

mod book;
mod crowd;
mod rows;
mod trust;

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use lusk_contract::{
    BackendError, BatchReport, LogStream, Revision, ServiceLog, Signature, Tensor,
};
use lusk_domain::{Batch, BatchSettings, Closed, OpenBatch, ServiceName};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::session::TimedSession;
use book::Tally;
use rows::{RowShape, Span};
use trust::{Plan, Trust};

pub(crate) use book::BatchBook;
pub(crate) use crowd::{Crowd, Running};

/// Batches in a row that fail while each of their calls succeeds alone, after
/// which calls are not joined any more.
const MAX_FAILURES: u32 = 3;

/// Lone batches in a row after which a lone call is no longer given time to be
/// joined; and how often it is tried again all the same.
const LONELY: (u32, u32) = (8, 16);

type Outcome = Result<Vec<Tensor>, BackendError>;

/// A call on its way.
struct Call {
    inputs: Vec<Tensor>,
    rows: usize,
    /// Lives until the computation ends: the memory account of the inputs.
    _held: Box<dyn Any + Send + Sync>,
    reply: oneshot::Sender<Outcome>,
}

struct Open {
    queue: OpenBatch<RowShape, Call>,
    /// Where the open batch goes when a call closes it; without it the driver
    /// ends.
    driver: Option<oneshot::Sender<Batch<Call>>>,
    /// Counts the batches that were opened.
    number: u64,
}

/// The batcher of one model of one revision.
pub(crate) struct Batcher {
    service: ServiceName,
    model: String,
    settings: BatchSettings,
    crowd: Arc<Crowd>,
    tally: Arc<Tally>,
    log: Arc<dyn ServiceLog>,
    origin: Instant,
    open: Mutex<Open>,
    /// Why calls are not joined.
    without_effect: OnceLock<String>,
    trust: Trust,
    failures: AtomicU32,
    /// Lone calls since calls were joined last.
    lonely: AtomicU32,
}

/// What a driver finds when it looks at its batch.
enum Look {
    Closed(Batch<Call>),
    Until(Instant),
    /// Another closed it, or all calls left.
    NotMine,
}

impl Batcher {
    /// One for `model`, whose counts go on if it had one already.
    pub(crate) fn new(
        revision: &Revision,
        model: String,
        settings: BatchSettings,
        crowd: Arc<Crowd>,
        book: &BatchBook,
    ) -> Arc<Self> {
        let batcher = Arc::new(Self {
            tally: book.tally(&revision.service, &model),
            service: revision.service.clone(),
            model,
            settings,
            crowd,
            log: Arc::clone(&revision.log),
            origin: Instant::now(),
            open: Mutex::new(Open {
                queue: OpenBatch::new(settings),
                driver: None,
                number: 0,
            }),
            without_effect: OnceLock::new(),
            trust: Trust::default(),
            failures: AtomicU32::new(0),
            lonely: AtomicU32::new(0),
        });
        book.enter(&batcher);
        batcher
    }

    /// Joins nothing if the model's first dimensions are not open.
    pub(crate) fn fit(&self, signature: &Signature) {
        if let Some(obstacle) = rows::obstacle(signature) {
            self.set_without_effect(&obstacle);
        }
    }

    /// Joins nothing, because of `reason`, which follows the model's name.
    pub(crate) fn set_without_effect(&self, reason: &str) {
        let _ = self.without_effect.set(reason.to_owned());
    }

    /// Why the setting has no effect, in a sentence.
    pub(crate) fn remark(&self) -> Option<String> {
        let reason = self.without_effect.get()?;
        Some(format!(
            "model {} {reason}: maxBatchSize is without effect",
            self.model
        ))
    }

    pub(crate) fn settings(&self) -> BatchSettings {
        self.settings
    }

    /// Whether calls may be joined.
    pub(crate) fn is_active(&self) -> bool {
        self.without_effect.get().is_none()
    }

    pub(crate) fn report(&self) -> BatchReport {
        BatchReport {
            service: self.service.clone(),
            model: self.model.clone(),
            settings: self.settings,
            without_effect: self.without_effect.get().cloned(),
            waiting: self.lock().queue.len(),
            counts: self.tally.counts(),
        }
    }

    /// Computes the outputs on `session`, in a batch if others come.
    pub(crate) async fn infer<K: Send + Sync + 'static>(
        self: &Arc<Self>,
        session: &Arc<TimedSession>,
        inputs: Vec<Tensor>,
        held: K,
    ) -> Outcome {
        let counted = rows::rows_of(&inputs);
        let all_rows = counted.as_ref().map_or(1, |(_, rows)| *rows);
        let Some((shape, rows)) = counted.filter(|it| self.settings.takes(it.1)) else {
            let waits = [Duration::ZERO];
            self.tally.batch(Closed::Alone, all_rows, waits.into_iter());
            return session.infer_alone(inputs, held).await;
        };
        if self.is_lonely() {
            let waits = [Duration::ZERO];
            self.tally.batch(Closed::Idle, rows, waits.into_iter());
            return session.infer_alone(inputs, held).await;
        }
        let (reply, answer) = oneshot::channel();
        let call = Call {
            inputs: inputs.clone(),
            rows,
            _held: Box::new(held),
            reply,
        };
        let (ticket, lead) = self.join(session, shape, call);
        let mut place = Place {
            batcher: self,
            ticket: Some(ticket),
        };
        if let Some(lead) = lead {
            lead.await;
        }
        let answered = answer.await;
        place.ticket = None;
        match answered {
            Ok(outcome) => outcome,
            Err(_) => session.infer_alone(inputs, ()).await,
        }
    }

    /// Whether a call is the only one, as those before it were: then it is a batch
    /// by itself, without the work of making one.
    fn is_lonely(&self) -> bool {
        if !self.crowd.is_one() {
            return false;
        }
        let (enough, again) = LONELY;
        let before = self.lonely.fetch_add(1, Ordering::Relaxed);
        before >= enough && !before.is_multiple_of(again)
    }

    /// Puts a call into a batch; the ticket takes it out again. Who opens a batch
    /// leads it.
    fn join(
        self: &Arc<Self>,
        session: &Arc<TimedSession>,
        shape: RowShape,
        call: Call,
    ) -> (u64, Option<Lead>) {
        let now = self.now();
        let mut open = self.lock();
        let joined = open.queue.join(now, shape, call.rows, call);
        let closed: usize = joined.closed.iter().map(|batch| batch.calls.len()).sum();
        let mut leads = Vec::new();
        for batch in joined.closed {
            let unsent = match open.driver.take() {
                Some(driver) => driver.send(batch).err(),
                None => Some(batch),
            };
            if let Some(batch) = unsent {
                let (batcher, session) = (Arc::clone(self), Arc::clone(session));
                leads.push(Lead::of(async move { batcher.run(&session, batch).await }));
            }
        }
        if joined.opened {
            let (sender, receiver) = oneshot::channel();
            open.driver = Some(sender);
            open.number += 1;
            let driver = Driver {
                batcher: Arc::clone(self),
                number: open.number,
            };
            leads.push(Lead::of(driver.drive(Arc::clone(session), receiver)));
        }
        self.crowd.wait(1, closed);
        drop(open);
        // The newest is the caller's own; one that lost its driver before goes by
        // itself, as every lead does that is dropped.
        (joined.ticket, leads.pop())
    }

    /// Closes batch `number` if it is time.
    fn look(&self, number: u64) -> Look {
        let now = self.now();
        let mut open = self.lock();
        let due = match open.queue.due() {
            Some(due) if open.number == number => due,
            _ => return Look::NotMine,
        };
        let reason = if self.crowd.is_idle() {
            Closed::Idle
        } else if due <= now {
            Closed::Delay
        } else {
            return Look::Until(self.origin + due);
        };
        let closed = open.queue.close(reason);
        open.driver = None;
        closed.map_or(Look::NotMine, |batch| {
            self.crowd.wait(0, batch.calls.len());
            Look::Closed(batch)
        })
    }

    async fn run(&self, session: &Arc<TimedSession>, batch: Batch<Call>) {
        let now = self.now();
        let waits = batch.calls.iter().map(|(_, since)| now - *since);
        self.tally.batch(batch.closed, batch.rows, waits);
        let calls = batch.calls.into_iter().map(|(call, _)| call);
        let calls: Vec<Call> = calls.filter(|call| !call.reply.is_closed()).collect();
        if calls.len() > 1 {
            self.lonely.store(0, Ordering::Relaxed);
        }
        if calls.len() > 1
            && self.is_active()
            && let Some(outcomes) = self.run_joined(session, &calls).await
        {
            answer(calls, outcomes);
        } else {
            let outcomes = self.run_each(session, &calls).await;
            answer(calls, outcomes);
        }
    }

    /// `None` if the calls must be computed one by one.
    async fn run_joined(
        &self,
        session: &Arc<TimedSession>,
        calls: &[Call],
    ) -> Option<Vec<Outcome>> {
        let alike = calls.iter().all(|call| call.inputs == calls[0].inputs);
        let mut plan = self.trust.plan(alike);
        if plan == Plan::Apart {
            return None;
        }
        let inputs = rows::join(calls.iter().map(|call| call.inputs.as_slice()))?;
        let spans: Vec<_> = inputs.iter().map(Span::of).collect();
        if self.trust.widens(&spans) {
            plan = Plan::Compared;
        }
        let outputs = match self.compute(session, inputs).await {
            Ok(outputs) => outputs,
            Err(error) => return Some(self.after_failure(session, calls, &error).await),
        };
        self.failures.store(0, Ordering::Relaxed);
        let rows: Vec<usize> = calls.iter().map(|call| call.rows).collect();
        let Some(parted) = rows::part(&outputs, &rows) else {
            self.give_up("answers a batch with another number of rows than it got");
            return None;
        };
        // Another batch may have found out meanwhile that answers are wrong.
        if plan == Plan::Joined && self.is_active() {
            return Some(parted.into_iter().map(Ok).collect());
        }
        Some(self.compare(session, calls, &parted, alike).await)
    }

    /// Computes each call alone too; the single results are what callers get.
    async fn compare(
        &self,
        session: &Arc<TimedSession>,
        calls: &[Call],
        joined: &[Vec<Tensor>],
        alike: bool,
    ) -> Vec<Outcome> {
        let single = self.run_each(session, calls).await;
        let known = single.iter().filter_map(|it| it.as_deref().ok());
        let known: Vec<&[Tensor]> = known.collect();
        let pairs = single.iter().zip(joined);
        let mut pairs = pairs.filter_map(|(single, joined)| Some((single.as_ref().ok()?, joined)));
        if !pairs.all(|(single, joined)| rows::agree(single, joined)) {
            self.give_up("gives other answers in a batch than alone");
        } else if !alike && known.len() == calls.len() && rows::differ(&known) {
            self.trust.proved();
        }
        single
    }

    /// One call may be what the batch failed on; the others must not suffer.
    async fn after_failure(
        &self,
        session: &Arc<TimedSession>,
        calls: &[Call],
        error: &BackendError,
    ) -> Vec<Outcome> {
        tracing::debug!(service = %self.service, model = %self.model, %error, "batch failed");
        let outcomes = self.run_each(session, calls).await;
        if outcomes.iter().all(Result::is_ok) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures >= MAX_FAILURES {
                self.give_up(&format!("fails on batches, not on single calls ({error})"));
            }
        }
        outcomes
    }

    async fn run_each(&self, session: &Arc<TimedSession>, calls: &[Call]) -> Vec<Outcome> {
        let runs = calls
            .iter()
            .map(|call| self.compute(session, call.inputs.clone()));
        join_all(runs).await
    }

    /// A panic is a failure of this computation alone.
    async fn compute(&self, session: &Arc<TimedSession>, inputs: Vec<Tensor>) -> Outcome {
        AssertUnwindSafe(session.infer_alone(inputs, ()))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                Err(BackendError::Failed {
                    model: self.model.clone(),
                    reason: "the backend panicked".to_owned(),
                })
            })
    }

    /// Joins no more, and says why.
    fn give_up(&self, reason: &str) {
        if self.without_effect.set(reason.to_owned()).is_ok() {
            let text = format!(
                "model {} {reason}: calls of it are not joined any more; remove its tag maxBatchSize",
                self.model
            );
            self.log.line(0, LogStream::Host, &text);
            tracing::warn!(service = %self.service, model = %self.model, reason, "calls of a model are not joined any more");
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(calls: Vec<Call>, outcomes: Vec<Outcome>) {
    for (call, outcome) in calls.into_iter().zip(outcomes) {
        // Whoever is gone does not hear it.
        let _ = call.reply.send(outcome);
    }
}

/// A caller's place in the open batch; dropping it takes the call out.
struct Place<'a> {
    batcher: &'a Batcher,
    ticket: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut open = self.batcher.lock();
        let Some(call) = open.queue.leave(ticket) else {
            return;
        };
        if open.queue.is_empty() {
            open.driver = None;
        }
        self.batcher.crowd.wait(0, 1);
        drop(open);
        drop(call);
        self.batcher.tally.gone();
    }
}

/// The work on a batch, done by the caller that opened it: a task of its own would
/// cost more than a small computation. If that caller goes away, it becomes one.
struct Lead(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Lead {
    fn of(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl Future for Lead {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.0 else {
            return Poll::Ready(());
        };
        let ended = work.as_mut().poll(context);
        if ended.is_ready() {
            self.0 = None;
        }
        ended
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// Sees to one batch from its first call to its answers.
struct Driver {
    batcher: Arc<Batcher>,
    number: u64,
}

impl Driver {
    async fn drive(self, session: Arc<TimedSession>, mut closed: oneshot::Receiver<Batch<Call>>) {
        let batcher = &self.batcher;
        let batch = loop {
            let mut idle = pin!(batcher.crowd.idle());
            idle.as_mut().enable();
            // Whoever can come at once has the chance before "nobody" is said.
            yield_now().await;
            let until = match batcher.look(self.number) {
                Look::Closed(batch) => break batch,
                Look::Until(until) => until,
                Look::NotMine => match closed.await {
                    Ok(batch) => break batch,
                    Err(_) => return,
                },
            };
            tokio::select! {
                batch = &mut closed => match batch {
                    Ok(batch) => break batch,
                    Err(_) => return,
                },
                () = sleep_until(until) => {}
                () = idle => {}
            }
        };
        batcher.run(&session, batch).await;
    }
}

impl Drop for Driver {
    /// Nobody else would close the batch if the driver's runtime went away with it.
    fn drop(&mut self) {
        let mut open = self.batcher.lock();
        if open.number != self.number {
            return;
        }
        open.driver = None;
        if let Some(batch) = open.queue.close(Closed::Delay) {
            self.batcher.crowd.wait(0, batch.calls.len());
        }
    }
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("service", &self.service)
            .field("model", &self.model)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
