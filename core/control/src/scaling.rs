//! What an autoscaler saw and decided: the log that explains each change, and
//! from which every decision can be replayed.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use lusk_domain::{ComputeType, Load, ScaleDecision, ScalePolicy, ScaleReason, ServiceSpec};

use crate::running::Running;

/// Decisions kept of a running service; older ones go.
const MOST_DECISIONS: usize = 2_000;

/// A decision and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingEvent {
    /// When.
    pub at: Timestamp,
    /// What was seen and decided.
    pub decision: ScaleDecision,
}

/// The log of one running service.
#[derive(Debug, Clone)]
pub struct ScalingReport {
    /// What the autoscaler goes by; none where the number of replicas is fixed.
    pub policy: Option<ScalePolicy>,
    /// Every look that saw something new or changed something, oldest first.
    pub events: Vec<ScalingEvent>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scaling {
    policy: Option<ScalePolicy>,
    replicas: u32,
    events: Mutex<VecDeque<ScalingEvent>>,
}

impl Scaling {
    /// The log of a service that starts with `replicas`.
    pub(crate) fn new(policy: Option<ScalePolicy>, replicas: u32) -> Self {
        Self {
            policy,
            replicas,
            events: Mutex::default(),
        }
    }

    /// Adds a decision, unless it only repeats the one before.
    pub(crate) fn add(&self, at: Timestamp, decision: ScaleDecision) {
        let mut events = self.lock();
        let is_new = |last: &ScalingEvent| {
            let before = last.decision;
            let same_load = Load {
                at: decision.load.at,
                ..before.load
            };
            decision.changes() || same_load != decision.load || before.reason != decision.reason
        };
        if events.back().is_none_or(is_new) {
            if events.len() == MOST_DECISIONS {
                events.pop_front();
            }
            events.push_back(ScalingEvent { at, decision });
        }
    }

    /// Replicas that there should be now.
    pub(crate) fn replicas(&self) -> u32 {
        let last = self.lock().back().copied();
        last.map_or(self.replicas, |last| last.decision.replicas)
    }

    /// Why there are fewer replicas than the load asks for.
    pub(crate) fn bound(&self) -> Option<String> {
        let policy = self.policy?;
        let last = self.lock().back().copied()?;
        let is_bound = last.decision.reason == ScaleReason::CapacityBound;
        is_bound.then(|| last.decision.text(&policy))
    }

    pub(crate) fn report(&self) -> ScalingReport {
        ScalingReport {
            policy: self.policy,
            events: self.lock().iter().copied().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ScalingEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
