//! Care for the replicas of a revision that serves: probes them outside the
//! scoring path, replaces those that died.
//!
//! A replica counts as dead after as many failed probes in a row as the
//! original's liveness probe allows, the first one after the initial delay. Its
//! place is taken by a new one, at once the first time, then with growing
//! pauses, as the original's cluster does.
//!
//! Where the service is scaled by load, replicas are started and given up as the
//! autoscaler decides, within the room that the node has.

mod starts;

use std::{collections::BTreeMap, future::pending, sync::Arc, time::Duration};

use futures::future::join_all;
use lusk_contract::{Clock, LogStream, Replica, ReplicaHost, ReplicaPlan, Revision};
use lusk_domain::{LivenessProbe, RuntimeKind, ScaleDecision, ScalePolicy, ScaleReason, Settings};
use lusk_router::{Autoscaler, Route};
use tokio::{
    task::JoinError,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use crate::{
    ScalingLine, capacity::Reservation, rollout::start_limit, running::Numbers, scaling::Scaling,
};
use starts::Starts;

/// Pause before the second replacement in a row; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest pause between replacements.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A replica that lived so long was well: its successor starts at once.
const WELL_AFTER: Duration = Duration::from_mins(10);

/// A start that broke off by a fault of lusk itself is not repeated at once.
const AFTER_A_FAULT: u32 = 2;

/// See the module.
pub(crate) struct Care {
    pub(crate) host: Arc<dyn ReplicaHost>,
    pub(crate) revision: Arc<Revision>,
    pub(crate) route: Arc<Route>,
    pub(crate) numbers: Arc<Numbers>,
    /// What the replicas hold of the node, those under way included.
    pub(crate) reserved: Arc<Reservation>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) scaling: Arc<Scaling>,
    /// How it is scaled; none keeps the number of replicas.
    pub(crate) policy: Option<ScalePolicy>,
    pub(crate) settings: Settings,
    /// Replicas that were not ready when the others were.
    pub(crate) missing: u32,
}

/// What is under way or known of a service's replicas.
struct Ward {
    health: BTreeMap<u32, Health>,
    /// Successors of dead replicas.
    replacements: Starts<Replacement>,
    /// Replicas that the load asks for.
    growth: Starts<Result<Replacement, String>>,
    /// Starts for the load that failed in a row, and until when none is tried.
    failures: u32,
    rest_until: Instant,
}

impl Ward {
    /// Replicas on their way.
    fn starting(&self) -> usize {
        self.replacements.len() + self.growth.len()
    }

    /// Gives up to `count` starts up, those for the load first; says how many.
    fn give_up(&mut self, count: usize) -> usize {
        let grown = self.growth.give_up(count);
        grown + self.replacements.give_up(count - grown)
    }
}

/// What is known of a replica that serves.
#[derive(Debug, Clone, Copy)]
struct Health {
    started: Instant,
    failures: u32,
    successes: u32,
    /// Replacements in a row before this one.
    replaced: u32,
}

impl Health {
    fn since(started: Instant, replaced: u32) -> Self {
        Self {
            started,
            failures: 0,
            successes: 0,
            replaced,
        }
    }

    /// Takes one probe's result; says whether the replica is dead now.
    fn is_dead_after(&mut self, ok: bool, probe: &LivenessProbe) -> bool {
        if ok {
            self.successes += 1;
            if self.successes >= probe.success_threshold {
                self.failures = 0;
            }
            return false;
        }
        self.successes = 0;
        self.failures += 1;
        self.failures >= probe.failure_threshold
    }

    /// How often in a row its place was filled, this time included.
    fn next_replacement(&self) -> u32 {
        if self.started.elapsed() >= WELL_AFTER {
            1
        } else {
            self.replaced.saturating_add(1)
        }
    }
}

/// A replacement that is ready.
struct Replacement {
    number: u32,
    replica: Arc<dyn Replica>,
    health: Health,
}

impl Care {
    /// Cares until it is dropped; `started` is when the first replicas were.
    pub(crate) async fn run(self, started: Instant) {
        let this = Arc::new(self);
        let period = Duration::from_secs(this.probe().period_seconds.max(1).into());
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = this.route.replicas().into_iter();
        let mut ward = Ward {
            health: first
                .map(|(number, _)| (number, Health::since(started, 0)))
                .collect(),
            replacements: Starts::new(),
            growth: Starts::new(),
            failures: 0,
            rest_until: Instant::now(),
        };
        for _ in 0..this.missing {
            ward.replacements.begin(Arc::clone(&this).replace(0));
        }
        let watch = |policy| Autoscaler::new(Arc::clone(&this.route), policy);
        let mut autoscaler = this.policy.map(watch);
        this.route
            .set_wakes(this.policy.is_some_and(|policy| policy.min_replicas == 0));
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    for replaced in this.round(&mut ward.health).await {
                        ward.replacements.begin(Arc::clone(&this).replace(replaced));
                    }
                }
                Some(new) = ward.replacements.next() => this.replaced(&mut ward, new),
                Some(grown) = ward.growth.next() => this.grown(&mut ward, grown),
                () = due(&mut autoscaler) => {
                    if let Some(autoscaler) = &mut autoscaler {
                        this.scale(&mut ward, autoscaler);
                    }
                }
            }
        }
    }

    fn probe(&self) -> &LivenessProbe {
        &self.settings.liveness
    }

    fn take_in(&self, ward: &mut Ward, new: Replacement) {
        ward.health.insert(new.number, new.health);
        self.route.add(new.number, new.replica, self.revision.slots);
    }

    /// A replacement ended: ready, given up, or by a fault.
    fn replaced(self: &Arc<Self>, ward: &mut Ward, ended: Result<Replacement, JoinError>) {
        match ended {
            Ok(new) => {
                if new.health.replaced > 0 {
                    let replica = new.number;
                    self.log(ScalingLine::Replaced { replica });
                }
                self.take_in(ward, new);
            }
            Err(fault) if fault.is_panic() => {
                let again = Arc::clone(self).replace(AFTER_A_FAULT);
                ward.replacements.begin(again);
            }
            Err(_) => self.reserved.release(),
        }
    }

    /// A start for the load ended: ready, failed, given up, or by a fault.
    fn grown(&self, ward: &mut Ward, ended: Result<Result<Replacement, String>, JoinError>) {
        match ended {
            Ok(Ok(new)) => {
                ward.failures = 0;
                self.take_in(ward, new);
                return;
            }
            Err(given_up) if given_up.is_cancelled() => {}
            Ok(Err(_)) | Err(_) => {
                ward.failures = ward.failures.saturating_add(1);
                ward.rest_until = Instant::now() + pause(ward.failures.saturating_add(1));
            }
        }
        self.reserved.release();
    }

    /// Does what the autoscaler decides.
    fn scale(self: &Arc<Self>, ward: &mut Ward, autoscaler: &mut Autoscaler) {
        let starting = u32::try_from(ward.starting()).unwrap_or(u32::MAX);
        let ready = u32::try_from(self.route.replicas().len()).unwrap_or(u32::MAX);
        let there = ready.saturating_add(starting);
        let decision = autoscaler.decide(starting, self.reserved.room());
        if decision.changes() {
            self.tell_decision(&decision, autoscaler.policy());
        }
        if decision.replicas > there {
            self.grow(ward, decision.replicas - there);
        } else if decision.replicas < there {
            self.shrink(ward, there - decision.replicas);
        }
        let is_bound = decision.reason == ScaleReason::CapacityBound;
        let missing = is_bound.then(|| self.reserved.lacks()).flatten();
        self.scaling.add(self.clock.now(), decision, missing);
    }

    fn grow(self: &Arc<Self>, ward: &mut Ward, wanted: u32) {
        if Instant::now() < ward.rest_until {
            return;
        }
        for _ in 0..self.reserved.add(wanted) {
            let this = Arc::clone(self);
            ward.growth.begin(async move { this.start(0).await });
        }
    }

    /// Gives up what does not serve yet, then the youngest replicas; requests that
    /// these run go on.
    fn shrink(&self, ward: &mut Ward, count: u32) {
        let count = count as usize;
        let left = count - ward.give_up(count);
        let replicas = self.route.replicas();
        for (number, _) in replicas.into_iter().rev().take(left) {
            let Some(ended) = self.route.give_up(number) else {
                continue;
            };
            ward.health.remove(&number);
            self.reserved.leave();
            let reserved = Arc::clone(&self.reserved);
            tokio::spawn(async move {
                ended.await;
                reserved.left();
            });
        }
    }

    fn tell_decision(&self, decision: &ScaleDecision, policy: &ScalePolicy) {
        let text = decision.text(policy);
        tracing::info!(service = %self.revision.service, "{text}");
    }

    /// Probes every replica once and takes the dead ones out. Returns, for each
    /// of them, how often in a row its place was filled.
    async fn round(&self, health: &mut BTreeMap<u32, Health>) -> Vec<u32> {
        let delay = if self.is_remote() {
            // It ran before lusk knew of it.
            Duration::ZERO
        } else {
            Duration::from_secs(self.probe().initial_delay_seconds.into())
        };
        let due = self.route.replicas().into_iter().filter(|(number, _)| {
            health
                .get(number)
                .is_some_and(|health| health.started.elapsed() >= delay)
        });
        let probes =
            due.map(|(number, replica)| async move { (number, self.probe_once(&*replica).await) });
        let mut dead = Vec::new();
        for (number, result) in join_all(probes).await {
            let Some(known) = health.get_mut(&number) else {
                continue;
            };
            if !known.is_dead_after(result.is_ok(), self.probe()) {
                continue;
            }
            let cause = result.err().unwrap_or_default();
            self.tell(number, &format!("replica is dead and is replaced: {cause}"));
            let replica = number;
            self.log(ScalingLine::Died { replica, cause });
            self.route.remove(number);
            dead.push(known.next_replacement());
            health.remove(&number);
        }
        dead
    }

    async fn probe_once(&self, replica: &dyn Replica) -> Result<(), String> {
        let limit = Duration::from_secs(self.probe().timeout_seconds.into());
        match timeout(limit, replica.probe()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer to a probe within {} s", limit.as_secs())),
        }
    }

    /// Starts a new replica, and again until one is ready.
    async fn replace(self: Arc<Self>, mut replaced: u32) -> Replacement {
        loop {
            sleep(self.pause(replaced)).await;
            match self.start(replaced).await {
                Ok(ready) => return ready,
                Err(_) => replaced = replaced.saturating_add(1),
            }
        }
    }

    /// Starts one replica; says in the log why it did not start.
    async fn start(&self, replaced: u32) -> Result<Replacement, String> {
        let plan = ReplicaPlan {
            revision: Arc::clone(&self.revision),
            number: self.numbers.next(),
        };
        let number = plan.number;
        let health = Health::since(Instant::now(), replaced);
        let limit = start_limit(&self.settings);
        let cause = match timeout(limit, self.host.start(plan)).await {
            Ok(Ok(replica)) => {
                return Ok(Replacement {
                    number,
                    replica,
                    health,
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not ready within {} s", limit.as_secs()),
        };
        let next = self.pause(replaced.saturating_add(1)).as_secs();
        self.tell(
            number,
            &format!("replica did not start: {cause}; next try in {next} s at the earliest"),
        );
        Err(cause)
    }

    /// What nobody starts costs nothing to look for, so it is never long away.
    fn pause(&self, replaced: u32) -> Duration {
        if self.is_remote() {
            return pause(replaced).min(FIRST_PAUSE);
        }
        pause(replaced)
    }

    fn is_remote(&self) -> bool {
        self.revision.runtime == RuntimeKind::Remote
    }

    fn log(&self, line: ScalingLine) {
        self.scaling.tell(self.clock.now(), line);
    }

    fn tell(&self, replica: u32, text: &str) {
        tracing::warn!(service = %self.revision.service, replica, "{text}");
        self.revision.log.line(replica, LogStream::Host, text);
    }
}

/// Waits for the next decision; for ever where there is none to make.
async fn due(autoscaler: &mut Option<Autoscaler>) {
    match autoscaler {
        Some(autoscaler) => autoscaler.due().await,
        None => pending().await,
    }
}

/// The pause before the `replaced`-th replacement in a row.
fn pause(replaced: u32) -> Duration {
    match replaced {
        0 | 1 => Duration::ZERO,
        more => {
            let doublings = (more - 2).min(16);
            LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<_> = (0..10).map(|replaced| pause(replaced).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_make_a_replica_dead() {
        let probe = LivenessProbe::default();
        let mut health = Health::since(Instant::now(), 0);
        let verdicts =
            [false, false, true, false, false, false].map(|ok| health.is_dead_after(ok, &probe));
        assert_eq!(verdicts, [false, false, false, false, false, true]);
    }
}
