//! Scaling in simulated time: traces in, decisions out.

use proptest::prelude::*;

use super::*;

fn policy(min: u32, max: u32) -> ScalePolicy {
    ScalePolicy {
        min_replicas: min,
        max_replicas: max,
        target_utilization: 70,
        slots_per_replica: 1,
        refresh: Duration::from_secs(1),
    }
}

fn load(at_ms: u64, demand: u32, ready: u32) -> Load {
    Load {
        at: Duration::from_millis(at_ms),
        busy: demand.min(ready),
        queued: demand.saturating_sub(ready),
        peak: demand,
        ready,
        starting: 0,
        room: 1_000,
    }
}

/// Plays a demand for each 100 ms. Replicas take `start_ms` to start; gives the
/// number of replicas, starting ones included, after each look.
fn play(policy: ScalePolicy, start_ms: u64, demand: &[u32]) -> Vec<u32> {
    let mut scaler = Scaler::new(policy);
    let mut ready = policy.min_replicas;
    let mut starting: Vec<u64> = Vec::new();
    let mut seen = Vec::new();
    for (step, demand) in (0_u64..).zip(demand) {
        let now = step * 100;
        let up = starting.iter().filter(|due| **due <= now).count();
        starting.retain(|due| *due > now);
        ready += u32::try_from(up).unwrap();
        let decision = scaler.decide(Load {
            starting: u32::try_from(starting.len()).unwrap(),
            ..load(now, *demand, ready)
        });
        let there = ready + u32::try_from(starting.len()).unwrap();
        if decision.replicas > there {
            let more = decision.replicas - there;
            starting.extend((0..more).map(|_| now + start_ms));
        } else {
            let less = there - decision.replicas;
            let begun = starting.len().min(less as usize);
            starting.truncate(starting.len() - begun);
            ready -= less - u32::try_from(begun).unwrap();
        }
        seen.push(decision.replicas);
    }
    seen
}

fn seconds(demand: u32, seconds: usize) -> Vec<u32> {
    vec![demand; seconds * 10]
}

#[test]
fn seven_requests_at_seventy_percent_ask_for_ten() {
    assert_eq!(policy(1, 100).replicas_for(7), 10);
    assert_eq!(policy(1, 100).replicas_for(0), 1);
    assert_eq!(policy(0, 100).replicas_for(0), 0);
    assert_eq!(policy(1, 8).replicas_for(u32::MAX), 8);
    let wide = ScalePolicy {
        slots_per_replica: 4,
        ..policy(1, 100)
    };
    assert_eq!(wide.replicas_for(7), 3);
}

#[test]
fn a_step_is_followed_at_once_and_kept_for_a_minute() {
    let trace = [seconds(0, 1), seconds(7, 10), seconds(0, 70)].concat();
    let seen = play(policy(1, 20), 50, &trace);
    assert_eq!(seen[10], 10, "the first look after the step");
    let low = seen.iter().rposition(|replicas| *replicas == 10).unwrap();
    let last_busy = 11 * 10 - 1;
    assert!((low - last_busy).abs_diff(600) <= 10, "{low}");
    assert_eq!(*seen.last().unwrap(), 1);
}

#[test]
fn a_slow_starter_does_not_make_more_of_its_kind() {
    let trace = seconds(3, 40);
    let seen = play(policy(1, 100), 20_000, &trace);
    assert!(seen.iter().all(|replicas| *replicas == 5), "{seen:?}");
}

#[test]
fn a_sawtooth_keeps_what_its_peaks_need() {
    let tooth: Vec<u32> = (0..100).map(|step| step / 10).collect();
    let trace: Vec<u32> = tooth.iter().cycle().take(3_000).copied().collect();
    let seen = play(policy(1, 100), 50, &trace);
    assert!(
        seen[700..].iter().all(|replicas| *replicas == 13),
        "{seen:?}"
    );
}

#[test]
fn constant_load_at_the_edge_does_not_flap() {
    let seen = play(policy(1, 100), 50, &seconds(7, 300));
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[test]
fn a_spike_between_two_looks_counts() {
    let mut scaler = Scaler::new(policy(1, 100));
    scaler.decide(load(0, 0, 1));
    let spiked = Load {
        peak: 14,
        ..load(1_000, 0, 1)
    };
    assert_eq!(scaler.decide(spiked).replicas, 20);
}

#[test]
fn a_full_node_bounds_growth_and_says_so() {
    let mut scaler = Scaler::new(policy(1, 100));
    let tight = Load {
        room: 2,
        ..load(0, 10, 1)
    };
    let decision = scaler.decide(tight);
    assert_eq!(decision.replicas, 3);
    assert_eq!(decision.reason, ScaleReason::CapacityBound);
    assert_eq!(
        decision.text(scaler.policy()),
        "1 -> 3 replicas: the demand needs 15, the node has room for 2 more \
         (1 busy, 9 queued, peak 10; 1 ready, 0 starting)"
    );
}

#[test]
fn a_sleeping_service_wakes_at_its_first_request() {
    let mut scaler = Scaler::new(policy(0, 10));
    assert_eq!(scaler.decide(load(0, 0, 0)).replicas, 0);
    assert_eq!(scaler.decide(load(10, 1, 0)).replicas, 2);
    let trace = [seconds(1, 1), seconds(0, 70)].concat();
    assert_eq!(*play(policy(0, 10), 50, &trace).last().unwrap(), 0);
}

#[test]
fn bounds_of_a_changed_policy_are_kept() {
    let mut scaler = Scaler::new(policy(3, 5));
    let low = scaler.decide(load(0, 0, 1));
    assert_eq!((low.replicas, low.reason), (3, ScaleReason::Minimum));
    let high = scaler.decide(load(1, 0, 9));
    assert_eq!((high.replicas, high.reason), (5, ScaleReason::Maximum));
}

#[test]
fn a_fixed_number_of_replicas_has_no_policy() {
    let mut settings = Settings::default();
    assert_eq!(ScalePolicy::of(&settings).unwrap().max_replicas, 10);
    settings.num_replicas = Some(2);
    assert_eq!(ScalePolicy::of(&settings), None);
}

prop_compose! {
    fn any_look()(step in 0_u64..5_000, busy in 0_u32..50, queued in 0_u32..200, peak in 0_u32..300,
                  ready in 0_u32..30, starting in 0_u32..5, room in 0_u32..20)
        -> (u64, Load) {
        (step, Load { at: Duration::ZERO, busy, queued, peak, ready, starting, room })
    }
}

proptest! {
    #[test]
    fn decisions_stay_within_their_bounds(
        min in 0_u32..5, more in 0_u32..20, target in 1_u32..=100, slots in 1_u32..8,
        looks in prop::collection::vec(any_look(), 1..60),
    ) {
        let policy = ScalePolicy {
            target_utilization: target,
            slots_per_replica: slots,
            ..policy(min, min + more)
        };
        let mut scaler = Scaler::new(policy);
        let mut now = 0;
        for (step, look) in looks {
            now += step;
            let look = Load { at: Duration::from_millis(now), ..look };
            let decision = scaler.decide(look);
            let there = look.ready + look.starting;
            prop_assert!(decision.replicas <= policy.max_replicas.max(there));
            prop_assert!(decision.replicas <= there + look.room);
            prop_assert!(decision.wanted <= decision.kept);
            if decision.replicas < there {
                // What is given up was needed by nothing in the last minute.
                prop_assert!(decision.replicas >= decision.kept.min(policy.max_replicas));
            }
        }
    }

    #[test]
    fn a_log_replays_to_the_same_decisions(
        looks in prop::collection::vec(any_look(), 1..60),
    ) {
        let mut now = 0;
        let log: Vec<Load> = looks.into_iter().map(|(step, look)| {
            now += step;
            Load { at: Duration::from_millis(now), ..look }
        }).collect();
        let run = || {
            let mut scaler = Scaler::new(policy(1, 20));
            log.iter().map(|look| scaler.decide(*look)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}
