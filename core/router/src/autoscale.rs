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
    queue: Queue,
}

/// What the last look saw of the queue.
#[derive(Debug, Clone, Copy)]
enum Queue {
    Empty,
    /// Somebody waited: another look comes after this pause, which doubles, since
    /// the first of a crowd tells little of those behind.
    Waiting(Duration),
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
            queue: Queue::Empty,
        }
    }

    /// What it goes by.
    pub fn policy(&self) -> &ScalePolicy {
        self.scaler.policy()
    }

    /// Returns when it is time to decide: at every refresh, when a request begins
    /// to wait where nobody waited, and some times more, further and further apart,
    /// while somebody waits. Dropping the future loses nothing but at most one such
    /// hint, which the next refresh makes good.
    pub async fn due(&mut self) {
        let (queue, last) = (self.queue, self.last);
        tokio::select! {
            _ = self.ticks.tick() => {}
            () = pressed(&self.route, queue, last) => {}
        }
    }

    /// Decides on what is seen now, with `starting` replicas on their way and room
    /// for `room` more on the node.
    pub fn decide(&mut self, starting: u32, room: u32) -> ScaleDecision {
        let now = Instant::now();
        self.last = Some(now);
        let (busy, queued, peak, ready) = self.route.take_load();
        self.queue = match (queued, self.queue) {
            (0, _) => Queue::Empty,
            (_, Queue::Empty) => Queue::Waiting(SHORTEST_PAUSE),
            (_, Queue::Waiting(pause)) => Queue::Waiting(pause.saturating_mul(2)),
        };
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

/// Returns when the queue asks for a look.
async fn pressed(route: &Route, queue: Queue, last: Option<Instant>) {
    let pause = match queue {
        Queue::Empty => {
            route.pressed().await;
            SHORTEST_PAUSE
        }
        Queue::Waiting(pause) => pause,
    };
    if let Some(last) = last {
        sleep_until(last + pause).await;
    }
}

#[cfg(test)]
mod tests {
    use lusk_domain::ScaleReason;

    use super::*;
    use crate::route::tests::{busy_route, route};

    const POLICY: ScalePolicy = ScalePolicy {
        min_replicas: 1,
        max_replicas: 100,
        target_utilization: 100,
        slots_per_replica: 1,
        refresh: Duration::from_secs(10),
    };

    #[tokio::test(start_paused = true)]
    async fn an_idle_route_is_looked_at_once_a_refresh() {
        let mut scaler = Autoscaler::new(Arc::new(route("digits")), POLICY);
        let begun = Instant::now();
        for look in 1..5 {
            scaler.due().await;
            scaler.decide(0, 0);
            assert_eq!(begun.elapsed(), POLICY.refresh * look);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_seen_whole_soon_after_its_first_one() {
        let route = busy_route().await;
        let mut scaler = Autoscaler::new(Arc::clone(&route), POLICY);
        let begun = Instant::now();
        let first = route.score(crate::route::tests::request("/first"));
        let mut first = Box::pin(first);
        assert!(futures::poll!(&mut first).is_pending());
        scaler.due().await;
        assert_eq!(scaler.decide(0, 100).replicas, 2);
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "the first one is heard at once"
        );
        let mut crowd: Vec<_> = (0..5)
            .map(|_| Box::pin(route.score(crate::route::tests::request("/more"))))
            .collect();
        for one in &mut crowd {
            assert!(futures::poll!(one).is_pending());
        }
        scaler.due().await;
        let decision = scaler.decide(1, 100);
        assert_eq!(
            (decision.replicas, decision.reason),
            (7, ScaleReason::Demand)
        );
        assert_eq!(begun.elapsed(), SHORTEST_PAUSE);
        let mut looks = Vec::new();
        while begun.elapsed() < POLICY.refresh {
            scaler.due().await;
            scaler.decide(6, 100);
            looks.push(begun.elapsed().as_millis());
        }
        assert_eq!(
            looks,
            [30, 70, 150, 310, 630, 1270, 2550, 5110, 10_000],
            "further and further apart"
        );
    }
}
