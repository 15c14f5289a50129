//! One request's turn at a route: its slot, its deadline, its second try, its count.

use std::{ops::Deref, sync::Arc, time::Duration};

use lusk_contract::{
    Flow, NotRelayed, RelayReply, RelayRequest, Replica, ScoreReply, ScoreRequest, ScriptError,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{Route, RouteError, Scored, passing::Passing};
use crate::{
    counters::Outcome,
    pool::{Loan, Ticket},
};

/// A slot that waits for its request. Dropping it frees the slot and counts the
/// request as abandoned.
pub struct Turn<R: Deref<Target = Route>> {
    // The lease goes first: its slot is free before the request is counted.
    lease: Lease<R>,
    ticket: Ticket,
    deadline: Instant,
    record: Record<R>,
}

/// An answer that a replica passed on, and how it came about.
#[derive(Debug)]
pub struct Relayed {
    /// The answer. The slot is in use, and the request runs, until its body ends.
    pub reply: RelayReply,
    /// A first replica had not begun; this is from a second one.
    pub retried: bool,
}

impl<R: Deref<Target = Route> + Clone> Turn<R> {
    pub(super) async fn take(route: R) -> Result<Self, RouteError> {
        let mut record = Record::start(route.clone());
        let deadline = record.started + route.info.limits.scoring_timeout;
        match route.slot(None, None, deadline).await {
            Ok((ticket, loan, queued_for)) => {
                record.queued_for = Some(queued_for);
                Ok(Self {
                    lease: Lease {
                        route,
                        loan,
                        queued_for,
                    },
                    ticket,
                    deadline,
                    record,
                })
            }
            Err(error) => {
                record.outcome = failed(&error);
                Err(error)
            }
        }
    }

    /// Like [`Turn::take`], for a copy that nobody waits for: that it finds no slot says
    /// nothing of the version, and is not counted.
    pub(super) async fn take_for_copy(route: R) -> Result<Self, RouteError> {
        let mut record = Record::start(route.clone());
        record.outcome = Outcome::Elsewhere;
        let deadline = record.started + route.info.limits.scoring_timeout;
        let (ticket, loan, queued_for) = route.slot(None, None, deadline).await?;
        record.outcome = Outcome::Abandoned;
        record.queued_for = Some(queued_for);
        let lease = Lease {
            route,
            loan,
            queued_for,
        };
        Ok(Self {
            lease,
            ticket,
            deadline,
            record,
        })
    }

    /// Runs the request. Dropping the future interrupts the script. A replica that had
    /// not begun is followed by another one, once.
    ///
    /// # Errors
    /// No answer in time, or the script's own error.
    pub async fn score(self, request: ScoreRequest) -> Result<Scored, RouteError> {
        let Self {
            lease,
            ticket,
            deadline,
            mut record,
        } = self;
        let result = score_on(lease, ticket, deadline, request).await;
        record.outcome = match &result {
            Ok(scored) => {
                record.queued_for = Some(scored.queued_for);
                Outcome::Answered(scored.reply.status.as_u16() / 100)
            }
            Err(error) => failed(error),
        };
        result
    }
}

impl Turn<Arc<Route>> {
    /// Like [`Turn::score`] with bodies that come and go in parts: the slot stays in
    /// use, the deadline holds and the request is not counted until the last part of
    /// the answer was taken, or it is dropped. A second replica gets the request only
    /// where the first took nothing of its body.
    ///
    /// # Errors
    /// No answer in time, or none at all.
    pub async fn relay(self, request: RelayRequest) -> Result<Relayed, RouteError> {
        let Self {
            lease,
            ticket,
            deadline,
            mut record,
        } = self;
        let (lease, mut relayed) = match relay_on(lease, ticket, deadline, request).await {
            Ok(answered) => answered,
            Err(error) => {
                record.outcome = failed(&error);
                return Err(error);
            }
        };
        let outcome = Outcome::Answered(relayed.reply.status.as_u16() / 100);
        relayed.reply.body = match relayed.reply.body {
            Flow::Whole(bytes) => {
                drop(lease);
                record.outcome = outcome;
                Flow::Whole(bytes)
            }
            Flow::Parts { length, parts } => {
                let passing = Passing::new(parts, length, outcome, deadline, lease, record);
                Flow::Parts {
                    length,
                    parts: Box::pin(passing),
                }
            }
        };
        Ok(relayed)
    }
}

async fn score_on<R: Deref<Target = Route> + Clone>(
    first: Lease<R>,
    ticket: Ticket,
    deadline: Instant,
    request: ScoreRequest,
) -> Result<Scored, RouteError> {
    let has_second = first.route.lock().ready() > 1;
    let spare = has_second.then(|| request.clone());
    let refused = match run(&first, request, deadline).await {
        Ok(reply) => return Ok(first.scored(reply, false, Duration::ZERO)),
        Err(RouteError::Script(ScriptError::NotBegun(why))) => why,
        Err(error) => return Err(error),
    };
    let Some(spare) = spare else {
        return Err(ScriptError::NotBegun(refused).into());
    };
    let waited = first.queued_for;
    let second = next(first, ticket, deadline, refused).await?;
    let reply = run(&second, spare, deadline).await?;
    Ok(second.scored(reply, true, waited))
}

async fn relay_on(
    first: Lease<Arc<Route>>,
    ticket: Ticket,
    deadline: Instant,
    request: RelayRequest,
) -> Result<(Lease<Arc<Route>>, Relayed), RouteError> {
    let not_relayed = match pass(&first, request, deadline).await? {
        Ok(reply) => {
            let retried = false;
            return Ok((first, Relayed { reply, retried }));
        }
        Err(not_relayed) => not_relayed,
    };
    let (why, request) = match (not_relayed.error, not_relayed.request) {
        (ScriptError::NotBegun(why), Some(request)) => (why, request),
        (error, _) => return Err(error.into()),
    };
    let second = next(first, ticket, deadline, why).await?;
    let passed = pass(&second, *request, deadline).await?;
    let reply = passed.map_err(|not_relayed| not_relayed.error)?;
    let retried = true;
    Ok((second, Relayed { reply, retried }))
}

async fn run<R: Deref<Target = Route>>(
    lease: &Lease<R>,
    request: ScoreRequest,
    deadline: Instant,
) -> Result<ScoreReply, RouteError> {
    match timeout_at(deadline, lease.loan.replica.score(request)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(lease.route.timed_out()),
    }
}

async fn pass(
    lease: &Lease<Arc<Route>>,
    request: RelayRequest,
    deadline: Instant,
) -> Result<Result<RelayReply, NotRelayed>, RouteError> {
    let relayed = timeout_at(deadline, lease.loan.replica.relay(request)).await;
    relayed.map_err(|_| lease.route.timed_out())
}

/// A slot of another replica for a request that the first one `refused`.
async fn next<R: Deref<Target = Route> + Clone>(
    first: Lease<R>,
    ticket: Ticket,
    deadline: Instant,
    refused: String,
) -> Result<Lease<R>, RouteError> {
    let (route, avoid) = (first.route.clone(), first.loan.serial);
    drop(first);
    let (_, loan, queued_for) = match route.slot(Some(ticket), Some(avoid), deadline).await {
        // There is no other replica: the first one's reason says more.
        Err(RouteError::NoReadyReplicas | RouteError::Draining) => {
            return Err(ScriptError::NotBegun(refused).into());
        }
        other => other?,
    };
    route.meter.count_retry();
    tracing::debug!(service = %route.info.name, why = refused, "trying another replica");
    Ok(Lease {
        route,
        loan,
        queued_for,
    })
}

pub(super) fn failed(error: &RouteError) -> Outcome {
    match error {
        RouteError::NoReadyReplicas => Outcome::NotReady,
        RouteError::Overloaded { .. } => Outcome::Overloaded,
        RouteError::TimedOut { .. } => Outcome::TimedOut,
        RouteError::Draining => Outcome::Elsewhere,
        RouteError::Script(ScriptError::BadRequest(_)) => Outcome::Answered(4),
        // The door has found the fault, and counts it.
        RouteError::Script(ScriptError::CutShort(_)) => Outcome::Elsewhere,
        RouteError::Script(_) => Outcome::Answered(5),
    }
}

/// Counts a request when it ends, whichever way.
pub(super) struct Record<R: Deref<Target = Route>> {
    route: R,
    started: Instant,
    /// The part of its time that it waited, of one that had a slot.
    queued_for: Option<Duration>,
    pub(super) outcome: Outcome,
}

impl<R: Deref<Target = Route>> Record<R> {
    fn start(route: R) -> Self {
        Self {
            route,
            started: Instant::now(),
            queued_for: None,
            outcome: Outcome::Abandoned,
        }
    }
}

impl<R: Deref<Target = Route>> Drop for Record<R> {
    fn drop(&mut self) {
        let latency = self.started.elapsed();
        let ran_for = self.queued_for.map(|waited| latency.saturating_sub(waited));
        self.route.meter.record(self.outcome, latency, ran_for);
    }
}

/// A slot in use; dropping it frees the slot.
pub(super) struct Lease<R: Deref<Target = Route>> {
    pub(super) route: R,
    loan: Loan,
    queued_for: Duration,
}

impl<R: Deref<Target = Route>> Lease<R> {
    pub(super) fn replica(&self) -> &dyn Replica {
        &*self.loan.replica
    }

    fn scored(&self, reply: ScoreReply, retried: bool, waited_before: Duration) -> Scored {
        Scored {
            reply,
            retried,
            queued_for: self.queued_for + waited_before,
        }
    }
}

impl<R: Deref<Target = Route>> Drop for Lease<R> {
    fn drop(&mut self) {
        self.route.give_back(&self.loan);
    }
}

/// A place in the queue; dropping it leaves the queue.
pub(super) struct Waiting<'a> {
    pub(super) route: &'a Route,
    pub(super) ticket: Ticket,
    pub(super) granted: oneshot::Receiver<Loan>,
    pub(super) since: Instant,
    /// When it is given up.
    pub(super) patience: Instant,
}

impl Waiting<'_> {
    pub(super) async fn wait(mut self, deadline: Instant) -> Result<(Loan, Duration), RouteError> {
        let route = self.route;
        let patience = self.patience;
        match timeout_at(deadline.min(patience), &mut self.granted).await {
            Ok(Ok(loan)) => Ok((loan, self.since.elapsed())),
            Ok(Err(_)) => Err(RouteError::Draining),
            _ if patience > deadline => Err(route.timed_out()),
            _ => {
                let waited = self.since.elapsed();
                drop(self);
                let ready = route.lock().ready();
                Err(match ready {
                    0 => RouteError::NoReadyReplicas,
                    _ => route.overloaded(waited),
                })
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut pool = self.route.lock();
        if pool.leave(self.ticket) {
            self.route.tell_if_idle(pool);
            return;
        }
        drop(pool);
        // No longer in the queue: a slot was sent, and perhaps nobody took it.
        if let Ok(loan) = self.granted.try_recv() {
            self.route.give_back(&loan);
        }
    }
}
