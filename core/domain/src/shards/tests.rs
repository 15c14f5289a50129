//! Shards in simulated time: seconds in, steps out.

use proptest::prelude::*;

use super::*;

const POLICY: ShardPolicy = ShardPolicy {
    max_shards: 3,
    max_pods: 2,
    threshold: SHARD_THRESHOLD,
};

/// One second: requests, p99 in microseconds, percent of the CPU.
type Second = (u64, u64, u32);

const CALM: Second = (5_000, 200, 50);
const SLOW: Second = (20_000, 9_000, 95);
const QUIET: Second = (10, 100, 2);

/// A node that does what it is told.
struct Node {
    scaler: ShardScaler,
    at: Duration,
    shards: u32,
    pods: u32,
}

impl Node {
    fn new(policy: ShardPolicy, shards: u32, pods: u32) -> Self {
        Self {
            scaler: ShardScaler::new(policy),
            at: Duration::ZERO,
            shards,
            pods,
        }
    }

    fn second(&mut self, (requests, micros, cpu): Second) -> ShardDecision {
        self.at += Duration::from_secs(1);
        let decision = self.scaler.decide(ShardLoad {
            at: self.at,
            requests,
            routing_p99: Duration::from_micros(micros),
            cpu,
            shards: self.shards,
            pods: self.pods,
        });
        match decision.step {
            ShardStep::Keep => {}
            ShardStep::Add => self.shards += 1,
            ShardStep::AskOut => self.pods += 1,
            ShardStep::TakeBackOut => self.pods -= 1,
            ShardStep::Remove => self.shards -= 1,
        }
        decision
    }

    /// The steps of so many seconds that change something, each with its second.
    fn changes(&mut self, second: Second, seconds: u32) -> Vec<(u32, ShardStep)> {
        let all = (1..=seconds).map(|at| (at, self.second(second).step));
        all.filter(|(_, step)| *step != ShardStep::Keep).collect()
    }
}

#[test]
fn a_step_in_load_brings_shards_to_the_most_and_then_pods() {
    let mut node = Node::new(POLICY, 1, 0);
    assert_eq!(node.changes(CALM, 10), []);
    let expected = [
        (1, ShardStep::Add),
        (3, ShardStep::Add),
        (5, ShardStep::AskOut),
        (35, ShardStep::AskOut),
    ];
    assert_eq!(node.changes(SLOW, 200), expected);
    assert_eq!(node.second(SLOW).reason, ShardReason::Bound);
}

#[test]
fn a_minute_of_quiet_gives_back_first_the_pods_and_then_the_shards() {
    let mut node = Node::new(POLICY, 3, 2);
    let expected = [
        (60, ShardStep::TakeBackOut),
        (120, ShardStep::TakeBackOut),
        (180, ShardStep::Remove),
        (240, ShardStep::Remove),
    ];
    assert_eq!(node.changes(QUIET, 400), expected);
    assert_eq!((node.shards, node.pods), (1, 0));
}

#[test]
fn what_lies_on_the_edge_changes_nothing() {
    let mut node = Node::new(POLICY, 2, 0);
    assert_eq!(node.changes((20_000, 3_000, QUIET_CPU), 300), []);
    assert_eq!(node.second(CALM).reason, ShardReason::Enough);
}

#[test]
fn one_spike_adds_one_shard_and_is_forgotten_after_a_minute() {
    let mut node = Node::new(POLICY, 1, 0);
    assert_eq!(node.second(SLOW).step, ShardStep::Add);
    assert_eq!(node.changes(QUIET, 59), []);
    assert_eq!(node.second(QUIET).step, ShardStep::Remove);
}

#[test]
fn a_busy_second_begins_the_minute_anew() {
    let mut node = Node::new(POLICY, 2, 0);
    assert_eq!(node.changes(QUIET, 59), []);
    assert_eq!(node.second(CALM).step, ShardStep::Keep);
    assert_eq!(node.changes(QUIET, 60), [(60, ShardStep::Remove)]);
}

#[test]
fn a_few_slow_requests_are_no_reason() {
    let mut node = Node::new(POLICY, 1, 0);
    assert_eq!(node.changes((MIN_REQUESTS - 1, 500_000, 1), 100), []);
    assert_eq!(node.second((MIN_REQUESTS, 500_000, 1)).step, ShardStep::Add);
}

#[test]
fn slow_routing_with_an_idle_cpu_gives_nothing_back() {
    let mut node = Node::new(POLICY, 3, 2);
    assert_eq!(node.changes((20_000, 9_000, 5), 200), []);
}

#[test]
fn where_there_is_no_cluster_no_pod_is_asked_for() {
    let alone = ShardPolicy {
        max_pods: 0,
        ..POLICY
    };
    let mut node = Node::new(alone, 3, 0);
    assert_eq!(node.changes(SLOW, 100), []);
}

#[test]
fn numbers_outside_the_bounds_are_mended_at_once() {
    let mut node = Node::new(POLICY, 5, 3);
    let expected = [
        (1, ShardStep::TakeBackOut),
        (2, ShardStep::Remove),
        (3, ShardStep::Remove),
    ];
    assert_eq!(node.changes(CALM, 10), expected);
    assert_eq!(Node::new(POLICY, 0, 0).second(QUIET).step, ShardStep::Add);
}

#[test]
fn a_decision_says_what_was_seen_and_why() {
    let mut node = Node::new(POLICY, 1, 0);
    let text = node.second(SLOW).text(&POLICY);
    assert_eq!(
        text,
        "1 -> 2 shards: routing takes longer than 3ms (20000 requests, p99 9ms, CPU 95 %)"
    );
    let text = node.second(SLOW).text(&POLICY);
    assert!(text.contains("too new"), "{text}");
}

fn any_second() -> impl Strategy<Value = Second> {
    (0_u64..1_000, 0_u64..6_000, 0_u32..100)
}

proptest! {
    #[test]
    fn no_trace_leaves_the_bounds(
        seconds in prop::collection::vec(any_second(), 0..400),
        max_shards in 1_u32..5,
        max_pods in 0_u32..3,
    ) {
        let policy = ShardPolicy { max_shards, max_pods, ..POLICY };
        let mut node = Node::new(policy, 1, 0);
        for second in seconds {
            node.second(second);
            prop_assert!((1..=max_shards).contains(&node.shards));
            prop_assert!(node.pods <= max_pods);
        }
    }

    #[test]
    fn up_comes_before_out_and_in_before_down(
        loads in prop::collection::vec((any_second(), 1_u32..90), 0..40),
    ) {
        let mut node = Node::new(POLICY, 1, 0);
        for (second, times) in loads {
            for _ in 0..times {
                let (shards, pods) = (node.shards, node.pods);
                match node.second(second).step {
                    ShardStep::AskOut => prop_assert_eq!(shards, POLICY.max_shards),
                    ShardStep::Remove => prop_assert_eq!(pods, 0),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn nothing_is_given_back_within_a_minute_of_a_change(
        loads in prop::collection::vec((any_second(), 1_u32..90), 0..40),
    ) {
        let mut node = Node::new(POLICY, 1, 0);
        let mut changed = Duration::ZERO;
        for (second, times) in loads {
            for _ in 0..times {
                let step = node.second(second).step;
                if matches!(step, ShardStep::Remove | ShardStep::TakeBackOut) {
                    prop_assert!(node.at - changed >= QUIET_AFTER);
                }
                if step != ShardStep::Keep {
                    changed = node.at;
                }
            }
        }
    }
}
