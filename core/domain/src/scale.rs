//! Scaling rules: how many replicas a service should have.
//!
//! Pure arithmetic: no clock, no task, no lock. The caller passes in what it saw
//! and when. Who looks is `lusk_router::autoscale`; who starts and stops replicas
//! is `lusk_control::care`.
//!
//! Demand is the number of requests that run or wait. What was seen holds until
//! something else is seen, so a log of changes replays to the same decisions.
//!
//! Invariant: every decision lies in `min_replicas..=max_replicas`, and never
//! above what the node has room for unless that many are there already.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Settings;

/// How far back the demand counts that replicas are added for.
pub const GROW_WINDOW: Duration = Duration::from_secs(1);

/// How long demand must stay low before a replica is given up: growing is eager,
/// shrinking is careful, as in the original.
pub const SHRINK_AFTER: Duration = Duration::from_mins(1);

/// What an autoscaler goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalePolicy {
    /// Fewest replicas; 0 lets a service sleep.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// Percent of the slots that should be busy, 1 to 100.
    pub target_utilization: u32,
    /// Requests that one replica runs at a time.
    pub slots_per_replica: u32,
    /// Time between two regular looks.
    pub refresh: Duration,
}

impl ScalePolicy {
    /// The policy of a service; none where the number of replicas is fixed.
    pub fn of(settings: &Settings) -> Option<Self> {
        let scaler = &settings.auto_scaler;
        let is_fixed = settings.num_replicas.is_some() || !scaler.autoscale_enabled;
        (!is_fixed).then(|| Self {
            min_replicas: scaler.min_replicas,
            max_replicas: scaler.max_replicas.max(scaler.min_replicas),
            target_utilization: scaler.target_utilization.clamp(1, 100),
            slots_per_replica: settings.max_concurrent_requests_per_container.max(1),
            refresh: Duration::from_secs(scaler.refresh_period_in_seconds.max(1).into()),
        })
    }

    /// Replicas needed so that `demand` requests keep the target's share of their
    /// slots busy, within the bounds.
    ///
    /// Rounds up: one replica short is a queue, one over is idle memory. At 70 %
    /// of one slot each, 7 requests ask for 10.
    pub fn replicas_for(&self, demand: u32) -> u32 {
        let busy = u64::from(demand) * 100;
        let each = u64::from(self.slots_per_replica) * u64::from(self.target_utilization);
        let wanted = u32::try_from(busy.div_ceil(each)).unwrap_or(u32::MAX);
        wanted.clamp(self.min_replicas, self.max_replicas)
    }
}

/// What was seen of a service at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Time since the autoscaler began; never goes back.
    pub at: Duration,
    /// Requests that run.
    pub busy: u32,
    /// Requests that wait.
    pub queued: u32,
    /// Most requests that ran or waited at a time since the last look.
    pub peak: u32,
    /// Replicas that are ready.
    pub ready: u32,
    /// Replicas that are being started. They count as there: a slow starter must
    /// not make more of its kind.
    pub starting: u32,
    /// Further replicas that the node has room for.
    pub room: u32,
}

impl Load {
    /// The demand that this look tells of.
    fn demand(&self) -> u32 {
        self.peak.max(self.busy.saturating_add(self.queued))
    }

    /// Replicas that are there or will be.
    fn replicas(&self) -> u32 {
        self.ready.saturating_add(self.starting)
    }
}

/// Why a decision is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScaleReason {
    /// As many as are needed.
    Enough,
    /// Too few for the demand of the last second.
    Demand,
    /// More than the demand of the last minute needs.
    Idle,
    /// Below the least number.
    Minimum,
    /// Above the greatest number.
    Maximum,
    /// The node has no room for what the demand asks for.
    CapacityBound,
}

/// How many replicas there should be, and how that came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDecision {
    /// What was seen.
    pub load: Load,
    /// Most that the demand of the last second asks for.
    pub wanted: u32,
    /// Most that the demand of the last minute asks for.
    pub kept: u32,
    /// The number to have.
    pub replicas: u32,
    /// Why.
    pub reason: ScaleReason,
}

impl ScaleDecision {
    /// Whether something is to be started or stopped.
    pub fn changes(&self) -> bool {
        self.replicas != self.load.replicas()
    }

    /// The decision in one line.
    pub fn text(&self, policy: &ScalePolicy) -> String {
        let Load {
            busy,
            queued,
            peak,
            ready,
            starting,
            ..
        } = self.load;
        let (slots, target) = (policy.slots_per_replica, policy.target_utilization);
        let seen = format!(
            "{busy} busy, {queued} queued, peak {peak}; {ready} ready, {starting} starting"
        );
        let why = match self.reason {
            ScaleReason::Enough => "enough".to_owned(),
            ScaleReason::Demand => format!(
                "the demand of the last {} s needs {} at {target} % of {slots} each",
                GROW_WINDOW.as_secs(),
                self.wanted
            ),
            ScaleReason::Idle => format!(
                "the demand of the last {} s needs {} at {target} % of {slots} each",
                SHRINK_AFTER.as_secs(),
                self.kept
            ),
            ScaleReason::Minimum => format!("minReplicas is {}", policy.min_replicas),
            ScaleReason::Maximum => format!("maxReplicas is {}", policy.max_replicas),
            ScaleReason::CapacityBound => format!(
                "the demand needs {}, the node has room for {} more",
                self.wanted, self.load.room
            ),
        };
        format!(
            "{} -> {} replicas: {why} ({seen})",
            self.load.replicas(),
            self.replicas
        )
    }
}

/// Decides from one look to the next.
#[derive(Debug, Clone)]
pub struct Scaler {
    policy: ScalePolicy,
    /// Demand by the time since when it holds, oldest first; values that a later
    /// and higher one hides are gone.
    peaks: VecDeque<(Duration, u32)>,
    /// Requests that ran or waited at the last look.
    last: Option<u32>,
    /// The first look.
    began: Option<Duration>,
}

impl Scaler {
    /// A scaler that has seen nothing. It gives up nothing before it has watched
    /// for [`SHRINK_AFTER`].
    pub fn new(policy: ScalePolicy) -> Self {
        Self {
            policy,
            peaks: VecDeque::new(),
            last: None,
            began: None,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &ScalePolicy {
        &self.policy
    }

    /// Decides on what is seen now.
    pub fn decide(&mut self, load: Load) -> ScaleDecision {
        let watched = self.see(load);
        let wanted = self.policy.replicas_for(self.highest(load.at, GROW_WINDOW));
        let kept = self
            .policy
            .replicas_for(self.highest(load.at, SHRINK_AFTER));
        let there = load.replicas();
        let bounds = (self.policy.min_replicas, self.policy.max_replicas);
        let (replicas, reason) = if there < wanted {
            let room = there.saturating_add(load.room);
            if room < wanted {
                (room, ScaleReason::CapacityBound)
            } else if there < bounds.0 {
                (wanted, ScaleReason::Minimum)
            } else {
                (wanted, ScaleReason::Demand)
            }
        } else if there > bounds.1 {
            (bounds.1, ScaleReason::Maximum)
        } else if there > kept && watched {
            (kept, ScaleReason::Idle)
        } else {
            (there, ScaleReason::Enough)
        };
        ScaleDecision {
            load,
            wanted,
            kept,
            replicas,
            reason,
        }
    }

    /// Takes a look in; says whether a whole [`SHRINK_AFTER`] was watched.
    fn see(&mut self, load: Load) -> bool {
        let began = *self.began.get_or_insert(load.at);
        let demand = load.demand();
        // What was seen before held until now.
        let held = self.last.unwrap_or(0);
        self.push(load.at, demand.max(held));
        self.last = Some(load.busy.saturating_add(load.queued));
        let oldest = load.at.saturating_sub(SHRINK_AFTER);
        while self.peaks.front().is_some_and(|(at, _)| *at < oldest) {
            self.peaks.pop_front();
        }
        load.at.saturating_sub(began) >= SHRINK_AFTER
    }

    fn push(&mut self, at: Duration, demand: u32) {
        while self.peaks.back().is_some_and(|(_, older)| *older <= demand) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((at, demand));
    }

    /// The highest demand of the last `window`.
    fn highest(&self, now: Duration, window: Duration) -> u32 {
        let since = now.saturating_sub(window);
        let inside = self.peaks.iter().filter(|(at, _)| *at >= since);
        inside.map(|(_, demand)| *demand).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
