//! Scaling rules of the router itself: how many serving shards it should have, and
//! whether further router pods should help it.
//!
//! Pure arithmetic, as in [`crate::Scaler`]: no clock, no thread. Once a second the
//! caller passes in what it saw of that second. Up comes first (a shard more), then out
//! (a pod more); back the other way, first in, then down. Who looks and who acts is
//! `lusk_gateway::serve_shards`.
//!
//! Invariant: the step keeps the shards in `1..=max_shards` and the pods in
//! `0..=max_pods`.

use std::time::Duration;

/// Routing time at the 99th percentile that is too long, unless the node is told
/// otherwise. The original published no value; its promise was 3 ms on average.
pub const SHARD_THRESHOLD: Duration = Duration::from_millis(3);

/// Requests of one second below which their 99th percentile says nothing: it would be
/// the slowest of them.
const MIN_REQUESTS: u64 = 100;

/// Share of the shards' CPU, in percent, below which they are more than is needed.
const QUIET_CPU: u32 = 30;

/// How long the CPU must stay below [`QUIET_CPU`] before something is given back.
const QUIET_AFTER: Duration = Duration::from_mins(1);

/// Time that a new shard has to show what it is good for: one second to get its
/// callers, one to be measured.
const SHARD_SETTLES: Duration = Duration::from_secs(2);

/// The same of a new pod, which has to be scheduled and started.
const POD_SETTLES: Duration = Duration::from_secs(30);

/// What the scaling goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardPolicy {
    /// Most shards, 1 or more.
    pub max_shards: u32,
    /// Most further pods; 0 where there is no cluster.
    pub max_pods: u32,
    /// Routing time at the 99th percentile from which on it is too long.
    pub threshold: Duration,
}

/// What was seen of the last second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLoad {
    /// The end of that second, since the scaling began; never goes back.
    pub at: Duration,
    /// Requests.
    pub requests: u64,
    /// Their routing time at the 99th percentile; zero where there were none.
    pub routing_p99: Duration,
    /// CPU time of all shards, in percent of what the running ones could have used.
    pub cpu: u32,
    /// Shards that run.
    pub shards: u32,
    /// Further pods that were asked for.
    pub pods: u32,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardStep {
    /// Nothing.
    Keep,
    /// Start a shard.
    Add,
    /// Ask for a pod.
    AskOut,
    /// Give a pod back.
    TakeBackOut,
    /// Stop a shard.
    Remove,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardReason {
    /// Routing takes no longer than it may, and the shards have work.
    Enough,
    /// Routing takes too long.
    Slow,
    /// Routing takes too long, but what was added last is too new to be judged.
    Settling,
    /// Routing takes too long, and there is nothing left to add.
    Bound,
    /// The shards have little to do, but not for long enough.
    Quiet,
    /// The shards have had little to do for long enough.
    Idle,
    /// The number was outside the bounds.
    Bounds,
}

/// A step and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardDecision {
    /// What was seen.
    pub load: ShardLoad,
    /// What to do.
    pub step: ShardStep,
    /// Why.
    pub reason: ShardReason,
}

impl ShardDecision {
    /// The decision in one line.
    pub fn text(&self, policy: &ShardPolicy) -> String {
        let ShardLoad {
            requests,
            routing_p99,
            cpu,
            shards,
            pods,
            ..
        } = self.load;
        let what = match self.step {
            ShardStep::Keep => format!("{shards} shards, {pods} further pods stay"),
            ShardStep::Add => format!("{shards} -> {} shards", shards + 1),
            ShardStep::Remove => format!("{shards} -> {} shards", shards.saturating_sub(1)),
            ShardStep::AskOut => format!("{pods} -> {} further pods", pods + 1),
            ShardStep::TakeBackOut => {
                format!("{pods} -> {} further pods", pods.saturating_sub(1))
            }
        };
        let threshold = policy.threshold;
        let why = match self.reason {
            ShardReason::Enough => "enough".to_owned(),
            ShardReason::Slow => format!("routing takes longer than {threshold:?}"),
            ShardReason::Settling => {
                format!("routing takes longer than {threshold:?}, but the last change is too new")
            }
            ShardReason::Bound => format!(
                "routing takes longer than {threshold:?}, but {} shards and {} further pods are the most",
                policy.max_shards, policy.max_pods
            ),
            ShardReason::Quiet => format!(
                "less than {QUIET_CPU} % of the CPU is used, but not yet for {} s",
                QUIET_AFTER.as_secs()
            ),
            ShardReason::Idle => format!(
                "less than {QUIET_CPU} % of the CPU is used for {} s",
                QUIET_AFTER.as_secs()
            ),
            ShardReason::Bounds => format!("1 to {} shards are allowed", policy.max_shards),
        };
        format!("{what}: {why} ({requests} requests, p99 {routing_p99:?}, CPU {cpu} %)")
    }
}

/// Decides from one second to the next.
#[derive(Debug, Clone)]
pub struct ShardScaler {
    policy: ShardPolicy,
    /// The look before this one.
    last: Duration,
    /// Since when the shards have had little to do.
    quiet_since: Option<Duration>,
    /// Until when what was added last is not judged.
    settled: Duration,
}

impl ShardScaler {
    /// A scaler that has seen nothing.
    pub fn new(policy: ShardPolicy) -> Self {
        Self {
            policy,
            last: Duration::ZERO,
            quiet_since: None,
            settled: Duration::ZERO,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &ShardPolicy {
        &self.policy
    }

    /// Decides on what was seen of the last second.
    pub fn decide(&mut self, load: ShardLoad) -> ShardDecision {
        let (step, reason) = self.step(&load);
        self.last = load.at;
        if step != ShardStep::Keep {
            self.quiet_since = None;
        }
        ShardDecision { load, step, reason }
    }

    fn step(&mut self, load: &ShardLoad) -> (ShardStep, ShardReason) {
        let is_slow = load.requests >= MIN_REQUESTS && load.routing_p99 > self.policy.threshold;
        let is_quiet = !is_slow && load.cpu < QUIET_CPU;
        if !is_quiet {
            self.quiet_since = None;
        }
        match self.out_of_bounds(load) {
            Some(step) => (step, ShardReason::Bounds),
            None if is_slow => self.more(load),
            None if is_quiet => self.less(load),
            None => (ShardStep::Keep, ShardReason::Enough),
        }
    }

    fn out_of_bounds(&self, load: &ShardLoad) -> Option<ShardStep> {
        if load.pods > self.policy.max_pods {
            Some(ShardStep::TakeBackOut)
        } else if load.shards > self.policy.max_shards.max(1) {
            Some(ShardStep::Remove)
        } else if load.shards == 0 {
            Some(ShardStep::Add)
        } else {
            None
        }
    }

    fn more(&mut self, load: &ShardLoad) -> (ShardStep, ShardReason) {
        if load.at < self.settled {
            (ShardStep::Keep, ShardReason::Settling)
        } else if load.shards < self.policy.max_shards {
            self.settled = load.at + SHARD_SETTLES;
            (ShardStep::Add, ShardReason::Slow)
        } else if load.pods < self.policy.max_pods {
            self.settled = load.at + POD_SETTLES;
            (ShardStep::AskOut, ShardReason::Slow)
        } else {
            (ShardStep::Keep, ShardReason::Bound)
        }
    }

    fn less(&mut self, load: &ShardLoad) -> (ShardStep, ShardReason) {
        if load.pods == 0 && load.shards <= 1 {
            return (ShardStep::Keep, ShardReason::Enough);
        }
        // The quiet second began with the look before this one.
        let since = *self.quiet_since.get_or_insert(self.last);
        if load.at.saturating_sub(since) < QUIET_AFTER {
            (ShardStep::Keep, ShardReason::Quiet)
        } else if load.pods > 0 {
            (ShardStep::TakeBackOut, ShardReason::Idle)
        } else {
            (ShardStep::Remove, ShardReason::Idle)
        }
    }
}

#[cfg(test)]
mod tests;
