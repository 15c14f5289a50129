//! Care for the replicas of a revision that serves: probes them outside the
//! scoring path, replaces those that died.
//!
//! A replica counts as dead after as many failed probes in a row as the
//! original's liveness probe allows, the first one after the initial delay. Its
//! place is taken by a new one, at once the first time, then with growing
//! pauses, as the original's cluster does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use lusk_contract::{LogStream, Replica, ReplicaHost, ReplicaPlan, Revision};
use lusk_domain::LivenessProbe;
use lusk_router::Route;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use crate::running::Numbers;

/// Pause before the second replacement in a row; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest pause between replacements.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A replica that lived so long was well: its successor starts at once.
const WELL_AFTER: Duration = Duration::from_mins(10);

/// See the module.
pub(crate) struct Care {
    pub(crate) host: Arc<dyn ReplicaHost>,
    pub(crate) revision: Arc<Revision>,
    pub(crate) route: Arc<Route>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) probe: LivenessProbe,
    pub(crate) start_limit: Duration,
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
        let period = Duration::from_secs(this.probe.period_seconds.max(1).into());
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = this.route.replicas().into_iter();
        let mut health: BTreeMap<u32, Health> = first
            .map(|(number, _)| (number, Health::since(started, 0)))
            .collect();
        let mut replacements = JoinSet::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    for replaced in this.round(&mut health).await {
                        replacements.spawn(Arc::clone(&this).replace(replaced));
                    }
                }
                Some(Ok(new)) = replacements.join_next() => {
                    health.insert(new.number, new.health);
                    this.route.add(new.number, new.replica, this.revision.slots);
                }
            }
        }
    }

    /// Probes every replica once and takes the dead ones out. Returns, for each
    /// of them, how often in a row its place was filled.
    async fn round(&self, health: &mut BTreeMap<u32, Health>) -> Vec<u32> {
        let delay = Duration::from_secs(self.probe.initial_delay_seconds.into());
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
            if !known.is_dead_after(result.is_ok(), &self.probe) {
                continue;
            }
            let cause = result.err().unwrap_or_default();
            self.tell(number, &format!("replica is dead and is replaced: {cause}"));
            self.route.remove(number);
            dead.push(known.next_replacement());
            health.remove(&number);
        }
        dead
    }

    async fn probe_once(&self, replica: &dyn Replica) -> Result<(), String> {
        let limit = Duration::from_secs(self.probe.timeout_seconds.into());
        match timeout(limit, replica.probe()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer to a probe within {} s", limit.as_secs())),
        }
    }

    /// Starts a new replica, and again until one is ready.
    async fn replace(self: Arc<Self>, mut replaced: u32) -> Replacement {
        loop {
            sleep(pause(replaced)).await;
            let plan = ReplicaPlan {
                revision: Arc::clone(&self.revision),
                number: self.numbers.next(),
            };
            let number = plan.number;
            let health = Health::since(Instant::now(), replaced);
            let cause = match timeout(self.start_limit, self.host.start(plan)).await {
                Ok(Ok(replica)) => {
                    return Replacement {
                        number,
                        replica,
                        health,
                    };
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("not ready within {} s", self.start_limit.as_secs()),
            };
            replaced = replaced.saturating_add(1);
            let next = pause(replaced).as_secs();
            self.tell(
                number,
                &format!("replacement did not start: {cause}; next try in {next} s"),
            );
        }
    }

    fn tell(&self, replica: u32, text: &str) {
        tracing::warn!(service = %self.revision.service, replica, "{text}");
        self.revision.log.line(replica, LogStream::Host, text);
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
