//! Versions under trial: what is compared, and when a guard rolls one back.

use std::{
    collections::BTreeMap, path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lusk_domain::{Comparison, OperationState, RolledBack, Share};
use tokio::time::sleep;

use super::{
    House,
    endpoints::{blue_and_green, change, more, open, share, shop, version},
    name,
};
use crate::{ChangeEndpoint, ChangeVersion, Control, UpdateService};

/// Requests to one version, well or failing.
async fn send(house: &House, version: &str, requests: usize) {
    let route = house.router.route(&format!("shop/{version}")).unwrap();
    for _ in 0..requests {
        let _ = route.score(super::fakes::request()).await;
    }
}

/// The script of the youngest revision, without which requests fail.
fn script(house: &House) -> PathBuf {
    let revision = house.host.last_revision();
    revision.app_root.join(&revision.script)
}

/// Requests to green, the youngest version, that all fail.
async fn fail(house: &House, requests: usize) {
    let script = script(house);
    let text = std::fs::read(&script).unwrap();
    std::fs::remove_file(&script).unwrap();
    send(house, "green", requests).await;
    std::fs::write(&script, text).unwrap();
}

async fn arm(control: &Arc<Control>, guard: &str) {
    let guards = BTreeMap::from([(version("green"), Some(guard.parse().unwrap()))]);
    let armed = ChangeEndpoint {
        guards,
        ..ChangeEndpoint::default()
    };
    let ended = change(control, armed).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

async fn update(control: &Arc<Control>, house: &House, name: &str, text: &str) {
    let update = UpdateService {
        entry: Some(house.entry(text)),
        ..UpdateService::default()
    };
    let updated = ChangeEndpoint {
        version: Some((version(name), ChangeVersion::Update(Box::new(update)))),
        ..ChangeEndpoint::default()
    };
    let ended = change(control, updated).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

async fn give(control: &Arc<Control>, percent: f64) {
    let given = ChangeEndpoint {
        stakes: BTreeMap::from([(version("green"), share(percent))]),
        ..ChangeEndpoint::default()
    };
    change(control, given).await;
}

async fn compared(control: &Control) -> Comparison {
    control.comparison(&name("shop")).await.unwrap().unwrap()
}

/// Requests and failures of blue, then green.
async fn counts(control: &Control) -> Vec<(u64, u64)> {
    let versions = compared(control).await.versions;
    let counts = versions.iter().map(|one| (one.requests, one.failures));
    counts.collect()
}

/// What a guard did within some looks.
async fn rolled_back(control: &Control) -> Option<RolledBack> {
    for _ in 0..5 {
        sleep(Duration::from_secs(1)).await;
        let view = control.endpoint(&name("shop")).await.unwrap().unwrap();
        if view.record.rolled_back.is_some() {
            return view.record.rolled_back;
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_comparison_begins_anew_with_the_shares() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    send(&house, "blue", 4).await;
    send(&house, "green", 3).await;
    fail(&house, 2).await;
    assert_eq!(counts(&control).await, [(4, 0), (5, 2)]);
    let before = compared(&control).await.since;
    house.clock.jump(SignedDuration::from_hours(1));
    give(&control, 30.0).await;
    assert_eq!(counts(&control).await, [(0, 0), (0, 0)]);
    send(&house, "green", 1).await;
    let after = compared(&control).await;
    assert_eq!(counts(&control).await, [(0, 0), (1, 0)]);
    assert!(after.since >= before + SignedDuration::from_hours(1));
    assert!(after.versions.iter().all(|one| one.since == after.since));
    assert!(after.until >= after.since);
    assert_eq!(after.versions[1].share, Share::try_from(30.0).unwrap());
}

#[tokio::test(start_paused = true)]
async fn labels_and_guards_leave_a_comparison_alone() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    send(&house, "blue", 4).await;
    arm(&control, "error_rate>1%").await;
    let described = ChangeEndpoint {
        description: Some("a shop".to_owned()),
        ..ChangeEndpoint::default()
    };
    change(&control, described).await;
    assert_eq!(counts(&control).await, [(4, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_begins_the_comparison_of_all_versions_anew() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    send(&house, "blue", 4).await;
    send(&house, "green", 3).await;
    let before = compared(&control).await.since;
    house.clock.jump(SignedDuration::from_hours(1));
    update(&control, &house, "green", "green, better").await;
    assert_eq!(counts(&control).await, [(0, 0), (0, 0)]);
    send(&house, "blue", 2).await;
    send(&house, "green", 1).await;
    assert_eq!(counts(&control).await, [(2, 0), (1, 0)]);
    assert!(compared(&control).await.since >= before + SignedDuration::from_hours(1));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_comparison_begins_anew() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    send(&house, "blue", 4).await;
    control.shutdown().await;
    let restarted = Timestamp::now();
    let control = house.start().await;
    assert_eq!(counts(&control).await, [(0, 0), (0, 0)]);
    send(&house, "green", 1).await;
    assert_eq!(counts(&control).await, [(0, 0), (1, 0)]);
    assert!(compared(&control).await.since >= restarted);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_endpoint_or_has_no_version_is_not_compared() {
    let mut house = House::new();
    let control = house.start().await;
    assert!(control.comparison(&name("shop")).await.unwrap().is_none());
    let mut empty = shop(&house, "blue");
    empty.version = None;
    control.create_endpoint(empty).await.unwrap();
    let error = control.comparison(&name("shop")).await.unwrap_err();
    assert!(error.to_string().contains("no version"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_fails_too_often_is_rolled_back_with_the_reason() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    // Before the guard looked: of no weight.
    fail(&house, 50).await;
    arm(&control, "error_rate>1%").await;
    send(&house, "green", 20).await;
    fail(&house, 6).await;
    let done = rolled_back(&control).await.unwrap();
    let reason = "rolled back by `error_rate>1%`: 6 of 26 requests (23.1 %) failed in the last 1 s";
    assert_eq!(done.reason, reason);
    assert_eq!(done.version, version("green"));
    let operation = control.operation(done.operation).await.unwrap().unwrap();
    assert_eq!(operation.state, OperationState::Succeeded);
    assert!(
        operation
            .events
            .iter()
            .any(|event| event.text.contains(reason)),
        "{operation:?}"
    );
    let record = control
        .endpoint(&name("shop"))
        .await
        .unwrap()
        .unwrap()
        .record;
    let table = record.traffic.unwrap();
    assert_eq!(table.effective(&version("green")), Share::NONE);
    assert!(record.guards.is_empty(), "disarmed");
}

#[tokio::test(start_paused = true)]
async fn bad_luck_and_too_few_requests_roll_nothing_back() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    arm(&control, "error_rate>1%").await;
    send(&house, "green", 19).await;
    fail(&house, 1).await;
    assert_eq!(rolled_back(&control).await, None, "1 of 20");
    fail(&house, 3).await;
    assert_eq!(rolled_back(&control).await, None, "4 of 23");
    sleep(Duration::from_secs(70)).await;
    fail(&house, 9).await;
    assert_eq!(rolled_back(&control).await, None, "9 requests");
    fail(&house, 1).await;
    assert!(rolled_back(&control).await.is_some(), "10 of 10");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_version_before_do_not_count_against_the_next_one() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    arm(&control, "error_rate>1%").await;
    fail(&house, 9).await;
    update(&control, &house, "green", "green, better").await;
    fail(&house, 9).await;
    assert_eq!(rolled_back(&control).await, None);
    fail(&house, 1).await;
    let reason = rolled_back(&control).await.unwrap().reason;
    assert!(reason.contains("10 of 10 requests"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_slow_too_often_is_rolled_back() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    arm(&control, "p90>250ms").await;
    let all: std::collections::BTreeSet<_> = (0..20).collect();
    for _ in 0..10 {
        house.host.held.send_replace(all.clone());
        let route = house.router.route("shop/green").unwrap();
        let asked = tokio::spawn(async move { route.score(super::fakes::request()).await });
        sleep(Duration::from_millis(300)).await;
        house.host.held.send_replace(Default::default());
        asked.await.unwrap().unwrap();
    }
    let reason = rolled_back(&control).await.unwrap().reason;
    let expected = "`p90>250ms`: 10 of 10 requests (100.0 %) took longer than 250 ms";
    assert!(reason.contains(expected), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_tried_again() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    arm(&control, "error_rate>1%").await;
    house.records.full.store(true, Ordering::SeqCst);
    fail(&house, 20).await;
    assert_eq!(rolled_back(&control).await, None);
    house.records.full.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    fail(&house, 20).await;
    assert!(rolled_back(&control).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn guards_look_again_after_a_restart_and_end_with_the_node() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    arm(&control, "error_rate>1%").await;
    control.shutdown().await;
    assert!(control.tasks.is_empty(), "no look goes on");
    let control = house.start().await;
    // Which of both was restored last is open, so all scripts go.
    for revision in house.host.revisions.lock().unwrap().iter() {
        let _ = std::fs::remove_file(revision.app_root.join(&revision.script));
    }
    send(&house, "green", 10).await;
    assert!(rolled_back(&control).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_comes_with_its_version_looks_from_the_first_request_on() {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    let guarded = ChangeEndpoint {
        guards: BTreeMap::from([(version("green"), Some("error_rate>1%".parse().unwrap()))]),
        ..more(&house, "green", share(10.0))
    };
    change(&control, guarded).await;
    fail(&house, 10).await;
    let reason = rolled_back(&control).await.unwrap().reason;
    assert!(reason.contains("10 of 10 requests"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn what_copies_did_does_not_count_once_a_version_goes_live() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 0.0).await;
    arm(&control, "error_rate>1%").await;
    fail(&house, 9).await;
    give(&control, 20.0).await;
    fail(&house, 9).await;
    assert_eq!(rolled_back(&control).await, None, "9 since it is live");
    // Its share may change: that is no new beginning.
    give(&control, 30.0).await;
    fail(&house, 1).await;
    let reason = rolled_back(&control).await.unwrap().reason;
    assert!(reason.contains("10 of 10 requests"), "{reason}");
}
