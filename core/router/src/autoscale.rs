//! When to look at a route's load, and what was seen.
//!
//! The decision is `lusk_domain::Scaler`'s; starting and stopping replicas is the
//! caller's.

use std::{sync::Arc, time::Duration};

use lusk_domain::{Load, ScaleDecision, ScalePolicy, Scaler};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::Route;

/// Shortest time between two looks: a queue that empties and fills all the time
/// must not keep a core busy with deciding.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Watches one route.
#[derive(Debug)]
pub struct Autoscaler {
    route: Arc<Route>,
    scaler: Scaler,
    ticks: Interval,
    began: Instant,
    last: Option<Instant>,
}

impl Autoscaler {
    /// Watches `route` from now on.
    pub fn new(route: Arc<Route>, policy: ScalePolicy) -> Self {
        let began = Instant::now();
        let mut ticks = interval_at(began + policy.refresh, policy.refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            route,
            scaler: Scaler::new(policy),
            ticks,
            began,
            last: None,
        }
    }

    /// What it goes by.
    pub fn policy(&self) -> &ScalePolicy {
        self.scaler.policy()
    }

    /// Returns when it is time to decide: at every refresh, and when a request
    /// begins to wait where nobody waited. Dropping the future loses nothing but
    /// at most one such hint, which the next refresh makes good.
    pub async fn due(&mut self) {
        tokio::select! {
            _ = self.ticks.tick() => {}
            () = self.route.pressed() => {
                if let Some(last) = self.last {
                    sleep_until(last + SHORTEST_PAUSE).await;
                }
            }
        }
    }

    /// Decides on what is seen now, with `starting` replicas on their way and room
    /// for `room` more on the node.
    pub fn decide(&mut self, starting: u32, room: u32) -> ScaleDecision {
        let now = Instant::now();
        self.last = Some(now);
        let (busy, queued, peak, ready) = self.route.take_load();
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        self.scaler.decide(Load {
            at: now.duration_since(self.began),
            busy: count(busy),
            queued: count(queued),
            peak: count(peak),
            ready: count(ready),
            starting,
            room,
        })
    }
}
