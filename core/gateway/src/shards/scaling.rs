//! Looks once a second how the shards do, and has as many run as are needed.

use std::{sync::Arc, time::Duration};

use lusk_domain::{ShardDecision, ShardLoad, ShardPolicy, ShardScaler, ShardStep};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{board::Board, crew::Crew, meter::Times};
use crate::listener::Answer;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Scaling {
    scaler: ShardScaler,
    board: Arc<Board>,
    began: Instant,
    /// The look before: when it was, and the counts of then.
    last: (Instant, Times, Duration),
}

impl Scaling {
    pub(crate) fn new(policy: ShardPolicy, board: Arc<Board>) -> Self {
        let now = Instant::now();
        Self {
            scaler: ShardScaler::new(policy),
            began: now,
            last: (now, board.times(), board.cpu()),
            board,
        }
    }

    /// Never returns.
    pub(crate) async fn run<A: Answer>(mut self, crew: &mut Crew<A>) {
        let mut looks = interval_at(Instant::now() + PERIOD, PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let load = self.look(crew.running());
            let decision = self.scaler.decide(load);
            self.act(decision, crew).await;
            // Callers come and go as they like.
            crew.balance();
        }
    }

    /// What was seen since the look before.
    fn look(&mut self, running: usize) -> ShardLoad {
        let now = (Instant::now(), self.board.times(), self.board.cpu());
        let times = now.1.since(&self.last.1);
        let load = ShardLoad {
            at: now.0 - self.began,
            requests: times.count(),
            routing_p99: times.p99(),
            cpu: percent(
                now.2.saturating_sub(self.last.2),
                now.0 - self.last.0,
                running,
            ),
            shards: u32::try_from(running).unwrap_or(u32::MAX),
            pods: self.board.pods(),
        };
        self.last = now;
        load
    }

    async fn act<A: Answer>(&self, decision: ShardDecision, crew: &mut Crew<A>) {
        let (step, pods) = (decision.step, decision.load.pods);
        let text = decision.text(self.scaler.policy());
        match step {
            ShardStep::Keep => return tracing::trace!(decision = text, "router scaling"),
            ShardStep::AskOut => self.board.set_pods(pods + 1),
            ShardStep::TakeBackOut => self.board.set_pods(pods.saturating_sub(1)),
            ShardStep::Add => {
                if let Err(error) = crew.set(crew.running() + 1).await {
                    return tracing::warn!(%error, decision = text, "no shard could be added");
                }
            }
            ShardStep::Remove => {
                // Nothing is started.
                let _ = crew.set(crew.running() - 1).await;
            }
        }
        self.board.count(step);
        tracing::info!(decision = text, "router scaled");
    }
}

/// CPU time in percent of what so many threads could have used.
fn percent(cpu: Duration, time: Duration, threads: usize) -> u32 {
    let all = time.as_secs_f64() * threads.max(1) as f64;
    match all > 0.0 {
        // Saturates; a share is never below zero.
        true => (cpu.as_secs_f64() / all * 100.0) as u32,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_what_all_that_run_could_have_used() {
        let second = Duration::from_secs(1);
        assert_eq!(percent(second, second, 1), 100);
        assert_eq!(percent(second, second, 4), 25);
        assert_eq!(percent(second, 2 * second, 0), 50);
        assert_eq!(percent(second, Duration::ZERO, 1), 0);
    }
}
