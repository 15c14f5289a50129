//! Replicas that the load asks for, and those that it does not need any more.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::SignedDuration;
use lusk_domain::{AutoScalerChange, OperationState, ScaleReason, SettingsChange, StepOutcome};
use lusk_router::{RouteError, Scored};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{House, create, end, fakes::Mood, name, told};
use crate::{Control, ControlError, UpdateService};

const TENTH: u64 = 100_000_000;

/// One slot each, a queue that is patient.
fn scaled(min: u32, max: u32, refresh: u32) -> SettingsChange {
    SettingsChange {
        auto_scaler: Some(AutoScalerChange {
            autoscale_enabled: Some(true),
            min_replicas: Some(min),
            max_replicas: Some(max),
            refresh_period_in_seconds: Some(refresh),
            target_utilization: Some(100),
        }),
        container_resource_requirements: Some(lusk_domain::ResourceChange {
            memory_in_gb: Some(0.1),
            ..Default::default()
        }),
        scoring_timeout_ms: Some(300_000),
        max_queue_wait_ms: Some(300_000),
        ..SettingsChange::default()
    }
}

async fn deploy(house: &House, control: &Arc<Control>, settings: SettingsChange) {
    let mut request = house.request("digits", "one");
    request.settings = settings;
    let ended = create(control, request).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

/// Requests under way.
fn send(house: &House, count: usize) -> Vec<JoinHandle<Result<Scored, RouteError>>> {
    let route = house.router.route("digits").unwrap();
    let one = |_| {
        let route = Arc::clone(&route);
        tokio::spawn(async move { route.score(super::fakes::request()).await })
    };
    (0..count).map(one).collect()
}

fn ready(house: &House) -> usize {
    house.router.route("digits").unwrap().replicas().len()
}

async fn becomes_ready(house: &House, replicas: usize) -> Duration {
    let begun = Instant::now();
    while ready(house) != replicas {
        assert!(begun.elapsed().as_secs() < 3600, "{} ready", ready(house));
        sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

fn hold(house: &House, replicas: impl IntoIterator<Item = u32>) {
    house.host.held.send_replace(replicas.into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_not_needed_ends_its_request_before_it_goes() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 10, 1)).await;
    hold(&house, 0..10);
    let mut requests = send(&house, 4);
    becomes_ready(&house, 4).await;
    assert_eq!(control.ledger.held().bytes, 4 * TENTH);
    // Only the youngest goes on working.
    hold(&house, [3]);
    for request in requests.drain(..3) {
        request.await.unwrap().unwrap();
    }
    let waited = becomes_ready(&house, 1).await;
    assert!((55..=62).contains(&waited.as_secs()), "{waited:?}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        house.host.alive.load(Ordering::SeqCst),
        2,
        "one works still"
    );
    assert_eq!(control.ledger.held().bytes, 2 * TENTH, "and counts");
    hold(&house, []);
    requests.remove(0).await.unwrap().unwrap();
    let mut freed = control.ledger.freed();
    while control.ledger.held().bytes != TENTH {
        freed.changed().await.unwrap();
    }
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_start_goes_before_what_serves() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 4, 1)).await;
    hold(&house, [0]);
    house.host.be(Mood::Hangs);
    let requests = send(&house, 4);
    while house.host.asked.lock().unwrap().len() < 4 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(control.ledger.held().bytes, 4 * TENTH);
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(Duration::from_secs(70)).await;
    assert_eq!(ready(&house), 1, "the one that serves stays");
    assert_eq!(control.ledger.held().bytes, TENTH);
    house.host.be(Mood::Well);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn starts_that_fail_give_their_room_back() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 4, 1)).await;
    hold(&house, [0]);
    house.host.be(Mood::Fails);
    let requests = send(&house, 4);
    while house.host.asked.lock().unwrap().len() < 4 {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(control.ledger.held().bytes, TENTH);
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_under_load_starts_as_many_as_serve() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 10, 1)).await;
    hold(&house, 0..3);
    let requests = send(&house, 3);
    becomes_ready(&house, 3).await;
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let accepted = control.update(&name("digits"), change).await.unwrap();
    let oldest = || house.router.route("digits").unwrap().replicas()[0].0;
    while oldest() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready(&house), 3);
    assert_eq!(control.ledger.held().bytes, 6 * TENTH);
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(control.ledger.held().bytes, 3 * TENTH);
    // A node that starts again has no load yet.
    control.shutdown().await;
    let control = house.start().await;
    assert_eq!(control.ledger.held().bytes, TENTH);
}

#[tokio::test(start_paused = true)]
async fn an_update_of_a_service_that_fills_the_node_begins_with_fewer() {
    let mut house = House::new();
    let control = house.start().await;
    let mut settings = scaled(1, 10, 1);
    if let Some(one) = &mut settings.container_resource_requirements {
        one.memory_in_gb = Some(1.0);
    }
    deploy(&house, &control, settings).await;
    hold(&house, 0..3);
    let requests = send(&house, 3);
    becomes_ready(&house, 3).await;
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let accepted = control.update(&name("digits"), change).await.unwrap();
    let text = told(&control, accepted.id, StepOutcome::Warning).await;
    assert_eq!(
        text,
        "room for 1 of 3 replicas beside those that serve; the load brings more once these are gone"
    );
    let oldest = || house.router.route("digits").unwrap().replicas()[0].0;
    while oldest() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready(&house), 1);
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(house.answer("digits").await.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_update_begins_with_no_fewer_than_the_least() {
    let mut house = House::new();
    let control = house.start().await;
    let mut settings = scaled(3, 10, 1);
    if let Some(one) = &mut settings.container_resource_requirements {
        one.memory_in_gb = Some(1.0);
    }
    deploy(&house, &control, settings).await;
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let refused = control.update(&name("digits"), change).await.unwrap_err();
    assert!(matches!(refused, ControlError::NoRoomForBoth(_)));
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_service_outlives_its_revisions() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 10, 1)).await;
    hold(&house, 0..2);
    let requests = send(&house, 2);
    becomes_ready(&house, 2).await;
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let log = async || {
        let report = control.scaling(&name("digits")).await.unwrap().unwrap();
        report.events
    };
    let before = log().await;
    assert!(before.iter().all(|event| event.revision == 1), "{before:?}");
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let accepted = control.update(&name("digits"), change).await.unwrap();
    end(&control, accepted.id).await;
    let after = log().await;
    assert_eq!(after[..before.len()], before);
    let line = after[before.len()..]
        .iter()
        .find(|event| event.decision().is_none());
    assert_eq!(
        line.unwrap().text(),
        "revision 2 took over with 2 replicas",
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bound_service_says_what_is_missing_and_who_holds_it() {
    let mut house = House::new();
    let control = house.start().await;
    let mut settings = scaled(1, 10, 1);
    if let Some(one) = &mut settings.container_resource_requirements {
        one.memory_in_gb = Some(1.5);
    }
    deploy(&house, &control, settings).await;
    hold(&house, 0..5);
    let requests = send(&house, 3);
    becomes_ready(&house, 2).await;
    sleep(Duration::from_secs(3)).await;
    let missing = "no room for 1 replica: 1.5 GB of memory (1 GB of 4 GB are free) to reserve; \
                   the room is held by `digits`";
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    let text = view.status.error.unwrap().message;
    assert!(text.contains(missing), "{text}");
    let report = control.scaling(&name("digits")).await.unwrap().unwrap();
    let mut lines = report.events.iter().map(|event| event.text());
    assert!(lines.any(|line| line.contains(missing)), "{report:?}");
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_may_sleep_holds_nothing_until_it_is_called() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(0, 2, 1)).await;
    becomes_ready(&house, 0).await;
    let mut freed = control.ledger.freed();
    while control.ledger.held().bytes > 0 {
        freed.changed().await.unwrap();
    }
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 0);
    let begun = Instant::now();
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    assert!(
        begun.elapsed() < Duration::from_millis(20),
        "no refresh is waited for"
    );
    assert_eq!(control.ledger.held().bytes, TENTH);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_wakes_up_can_be_deleted_at_once() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(0, 2, 1)).await;
    becomes_ready(&house, 0).await;
    house.host.be(Mood::Hangs);
    let asked = || house.host.asked.lock().unwrap().len();
    let before = asked();
    let requests = send(&house, 3);
    while asked() == before {
        sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    let deleted = control.delete(&name("digits")).await.unwrap().unwrap();
    let ended = end(&control, deleted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    for request in requests {
        assert_eq!(request.await.unwrap().err(), Some(RouteError::Draining));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waited");
    assert_eq!(control.ledger.held().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn looks_come_as_often_as_the_service_asks() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 2, 7)).await;
    hold(&house, 0..10);
    // The first one that waits is heard at once; a slot that is merely busy is
    // seen at the next look.
    let begun = Instant::now();
    let requests = send(&house, 1);
    sleep(Duration::from_secs(20)).await;
    let report = control.scaling(&name("digits")).await.unwrap().unwrap();
    let seconds: Vec<_> = report
        .events
        .iter()
        .filter_map(|event| event.decision())
        .map(|decision| decision.load.at.as_secs())
        .collect();
    assert_eq!(seconds, [7], "{report:?}");
    assert_eq!(begun.elapsed().as_secs(), 20);
    hold(&house, []);
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_start_and_warm_up_are_no_load() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(3, 10, 1)).await;
    sleep(Duration::from_secs(200)).await;
    let report = control.scaling(&name("digits")).await.unwrap().unwrap();
    let decisions = || report.events.iter().filter_map(|event| event.decision());
    let loads = decisions().map(|decision| decision.load);
    assert!(
        loads
            .clone()
            .all(|load| load.busy + load.queued + load.peak == 0),
        "{report:?}"
    );
    assert!(
        decisions().all(|decision| decision.reason == ScaleReason::Enough),
        "{report:?}"
    );
    assert_eq!(ready(&house), 3);
}

/// Plays one story and tells when what happened, by the monotonic clock.
async fn story(jumps: &[SignedDuration]) -> Vec<(u128, u32)> {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 10, 1)).await;
    hold(&house, 0..10);
    let requests = send(&house, 3);
    let mut jumps = jumps.iter().cycle();
    for step in 0..100 {
        if step == 30 {
            hold(&house, []);
        }
        if let Some(by) = jumps.next() {
            house.clock.jump(*by);
        }
        sleep(Duration::from_secs(1)).await;
    }
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let report = control.scaling(&name("digits")).await.unwrap().unwrap();
    let decisions = report.events.iter().filter_map(|event| event.decision());
    let told: Vec<_> = decisions
        .map(|decision| (decision.load.at.as_millis(), decision.replicas))
        .collect();
    let asked: BTreeSet<_> = house.host.asked.lock().unwrap().iter().copied().collect();
    assert_eq!(asked.len(), 3, "no replica was taken for dead");
    told
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_changes_no_decision() {
    let hour = SignedDuration::from_hours(1);
    let calm = story(&[]).await;
    assert!(calm.iter().any(|(_, replicas)| *replicas == 3), "{calm:?}");
    assert_eq!(calm.last().unwrap().1, 1, "{calm:?}");
    for jumps in [
        vec![hour * 5, -hour * 9],
        vec![-hour],
        vec![hour * 24 * 365],
    ] {
        assert_eq!(story(&jumps).await, calm, "{jumps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_between_two_operations_confuses_no_start() {
    let mut house = House::new();
    let control = house.start().await;
    deploy(&house, &control, scaled(1, 2, 1)).await;
    house.host.be(Mood::Hangs);
    house.clock.jump(-SignedDuration::from_hours(30));
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let update = control.update(&name("digits"), change).await.unwrap();
    house.host.be(Mood::Well);
    house.records = Arc::new(house.records.copy());
    house.clock.jump(SignedDuration::from_hours(60));
    let control = house.start().await;
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let ended = control.operation(update.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
}
