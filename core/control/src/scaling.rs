//! What an autoscaler saw and decided: the log that explains each change, and
//! from which every decision can be replayed.
//!
//! The log is the service's: it outlives the revisions, each of which replays by
//! itself, and the node forgets it when it stops.

mod line;

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use lusk_domain::{ComputeType, Load, ScaleDecision, ScalePolicy, ScaleReason, ServiceSpec};

use crate::running::Running;
pub use line::{ScalingEvent, ScalingLine};

/// Lines kept of a running service; older ones go.
const MOST_LINES: usize = 2_000;

/// The log of one running service.
#[derive(Debug, Clone)]
pub struct ScalingReport {
    /// What the autoscaler goes by; none where the number of replicas is fixed.
    pub policy: Option<ScalePolicy>,
    /// Every look that saw something new or changed something, and what else made
    /// replicas come and go, oldest first.
    pub events: Vec<ScalingEvent>,
}

/// The lines of a service, those of its earlier revisions included.
#[derive(Debug, Default)]
struct Log(Mutex<VecDeque<ScalingEvent>>);

impl Log {
    fn push(&self, event: ScalingEvent) {
        let mut events = lock(&self.0);
        if events.len() == MOST_LINES {
            events.pop_front();
        }
        events.push_back(event);
    }
}

/// What was decided last.
#[derive(Debug)]
struct Last {
    decision: ScaleDecision,
    missing: Option<String>,
}

/// One revision's part of the log.
#[derive(Debug)]
pub(crate) struct Scaling {
    revision: u64,
    policy: Option<ScalePolicy>,
    replicas: u32,
    last: Mutex<Option<Last>>,
    log: Arc<Log>,
}

impl Scaling {
    /// The log of a revision that starts with `replicas`.
    pub(crate) fn new(revision: u64, policy: Option<ScalePolicy>, replicas: u32) -> Self {
        Self {
            revision,
            policy,
            replicas,
            last: Mutex::default(),
            log: Arc::default(),
        }
    }

    /// Goes on with the log of the revision `before`, from which this one took over.
    pub(crate) fn after(mut self, before: &Self, at: Timestamp) -> Self {
        self.log = Arc::clone(&before.log);
        let replicas = self.replicas;
        self.tell(at, ScalingLine::TookOver { replicas });
        self
    }

    /// Adds a decision, unless it only repeats the one before; `missing` is what the
    /// node lacks, if that bound it.
    pub(crate) fn add(&self, at: Timestamp, decision: ScaleDecision, missing: Option<String>) {
        let Some(policy) = self.policy else { return };
        let mut last = lock(&self.last);
        let is_new = |last: &Last| {
            let before = last.decision;
            let same_load = Load {
                at: decision.load.at,
                ..before.load
            };
            decision.changes() || same_load != decision.load || before.reason != decision.reason
        };
        let is_new = last.as_ref().is_none_or(is_new);
        *last = Some(Last {
            decision,
            missing: missing.clone(),
        });
        drop(last);
        if is_new {
            let line = ScalingLine::Decision {
                decision,
                policy,
                missing,
            };
            self.tell(at, line);
        }
    }

    /// Adds a line.
    pub(crate) fn tell(&self, at: Timestamp, what: ScalingLine) {
        let revision = self.revision;
        self.log.push(ScalingEvent { at, revision, what });
    }

    /// Replicas that there should be now.
    pub(crate) fn replicas(&self) -> u32 {
        let last = lock(&self.last);
        let last = last.as_ref().map(|last| last.decision.replicas);
        last.unwrap_or(self.replicas)
    }

    /// Why there are fewer replicas than the load asks for.
    pub(crate) fn bound(&self) -> Option<String> {
        let policy = self.policy?;
        let last = lock(&self.last);
        let Last { decision, missing } = last.as_ref()?;
        if decision.reason != ScaleReason::CapacityBound {
            return None;
        }
        let text = decision.text(&policy);
        Some(match missing {
            Some(missing) => format!("{text}; {missing}"),
            None => text,
        })
    }

    pub(crate) fn report(&self) -> ScalingReport {
        ScalingReport {
            policy: self.policy,
            events: lock(&self.log.0).iter().cloned().collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a service is scaled; a local one, made for debugging, never is.
pub(crate) fn policy(spec: &ServiceSpec) -> Option<ScalePolicy> {
    match spec.compute {
        ComputeType::Aks => ScalePolicy::of(&spec.settings),
        ComputeType::Local { .. } => None,
    }
}

/// Replicas that a new revision starts with: as many of these as there is room for.
///
/// At most those that the load has made of the one that serves, so that an update
/// under load has no fewer where the node can hold both; the load brings the rest
/// once the old ones are gone. At least one of a service that may sleep, because a
/// script must be seen to start.
pub(crate) fn first_replicas(spec: &ServiceSpec, serving: Option<&Running>) -> RangeInclusive<u32> {
    let Some(policy) = policy(spec) else {
        let fixed = spec.settings.initial_replicas();
        return fixed..=fixed;
    };
    let fewest = policy.min_replicas.max(1);
    let serving = serving.map_or(0, |running| running.route.replicas().len());
    let serving = u32::try_from(serving).unwrap_or(u32::MAX);
    fewest..=serving.clamp(fewest, policy.max_replicas.max(1))
}
