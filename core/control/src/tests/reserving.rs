//! What services hold of the node: never more than it has, never less than lives.

use std::sync::{Arc, atomic::Ordering};

use lusk_domain::{
    FailureCode, OperationState, ResourceChange, ServiceState, SettingsChange, StepOutcome,
};
use proptest::prelude::*;

use super::{House, create, end, fakes::Mood, name, told};
use crate::{Control, ControlError, UpdateService};

const GIGABYTE: u64 = 1_000_000_000;

/// So many replicas of so many tenths of a gigabyte.
fn memory(tenths: u32, replicas: u32) -> SettingsChange {
    SettingsChange {
        num_replicas: Some(replicas),
        container_resource_requirements: Some(ResourceChange {
            memory_in_gb: Some(f64::from(tenths) / 10.0),
            ..ResourceChange::default()
        }),
        ..SettingsChange::default()
    }
}

fn change(tenths: u32, replicas: u32) -> UpdateService {
    UpdateService {
        settings: memory(tenths, replicas),
        ..UpdateService::default()
    }
}

/// Creates a service that holds so much.
async fn service(house: &House, control: &Arc<Control>, service: &str, tenths: u32, replicas: u32) {
    let mut request = house.request(service, service);
    request.settings = memory(tenths, replicas);
    let ended = create(control, request).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_update_that_never_fits_beside_what_serves_is_refused_at_once() {
    let mut house = House::new();
    let control = house.start().await;
    service(&house, &control, "digits", 25, 1).await;
    let again = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let refused = control.update(&name("digits"), again).await.unwrap_err();
    assert!(matches!(refused, ControlError::NoRoomForBoth(_)));
    assert_eq!(refused.code(), FailureCode::Unschedulable);
    let text = refused.to_string();
    for part in ["holds 2.5 GB", "needs 2.5 GB", "4 GB of 4 GB", "or delete"] {
        assert!(text.contains(part), "{text}");
    }
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(view.record.revision, 1, "nothing was begun");
    assert_eq!(house.host.revisions.lock().unwrap().len(), 1);
    // An overwrite is an update too.
    let mut overwrite = house.request("digits", "two");
    overwrite.settings = memory(16, 1);
    overwrite.overwrite = true;
    control.create(overwrite.clone()).await.unwrap_err();
    overwrite.settings = memory(15, 1);
    let ended = create(&control, overwrite).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(house.answer("digits").await.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_asks_for_more_than_the_node_has_is_refused_at_once() {
    let mut house = House::new();
    let control = house.start().await;
    service(&house, &control, "digits", 1, 1).await;
    let wish = UpdateService {
        settings: super::deploying::cores(200.0),
        ..UpdateService::default()
    };
    let refused = control.update(&name("digits"), wish).await.unwrap_err();
    assert_eq!(refused.code(), FailureCode::Unschedulable);
    assert_eq!(
        refused.to_string(),
        "service `digits` cannot be updated: no room for 1 replica: 200 cores (2 of 2 are free) \
         to reserve; the whole node has less, ask for less"
    );
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(view.record.revision, 1, "nothing was begun");
    let accepted = control.update(&name("digits"), change(2, 1)).await.unwrap();
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded, "the turn is free");
}

#[tokio::test(start_paused = true)]
async fn what_another_service_holds_for_good_counts_against_an_update() {
    let mut house = House::new();
    let control = house.start().await;
    service(&house, &control, "digits", 10, 1).await;
    service(&house, &control, "other", 21, 1).await;
    let refused = control.update(&name("digits"), change(10, 1)).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("1.9 GB of 4 GB are free beside other services"),
        "{text}"
    );
    let deleted = control.delete(&name("other")).await.unwrap().unwrap();
    end(&control, deleted.id).await;
    let accepted = control
        .update(&name("digits"), change(10, 1))
        .await
        .unwrap();
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_update_waits_for_what_another_one_holds_for_the_moment() {
    let mut house = House::new();
    let control = house.start().await;
    service(&house, &control, "digits", 10, 1).await;
    service(&house, &control, "other", 10, 1).await;
    house.host.be(Mood::Hangs);
    let first = control.update(&name("other"), change(15, 1)).await.unwrap();
    told(&control, first.id, StepOutcome::Done).await;
    let second = control
        .update(&name("digits"), change(10, 1))
        .await
        .unwrap();
    let text = told(&control, second.id, StepOutcome::Warning).await;
    assert!(
        text.contains("1 GB of memory (0.5 GB of 4 GB are free)"),
        "{text}"
    );
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Transitioning, "it serves");
    assert!(view.status.error.is_none(), "{view:?}");
    house.host.be(Mood::Well);
    for operation in [first, second] {
        let ended = end(&control, operation.id).await;
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    }
    assert_eq!(control.ledger.held().bytes, 25 * GIGABYTE / 10);
}

#[tokio::test(start_paused = true)]
async fn a_revision_counts_until_its_last_request_has_ended() {
    let mut house = House::new();
    let control = house.start().await;
    service(&house, &control, "digits", 10, 1).await;
    house.host.held.send_replace([0].into());
    let route = house.router.route("digits").unwrap();
    let slow = tokio::spawn(async move { route.score(super::fakes::request()).await });
    while house.router.route("digits").unwrap().status().busy == 0 {
        tokio::task::yield_now().await;
    }
    let accepted = control.update(&name("digits"), change(5, 1)).await.unwrap();
    // Thirty seconds of patience pass; the request still runs.
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(control.ledger.held().bytes, 15 * GIGABYTE / 10);
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 2);
    house.host.held.send_replace(Default::default());
    slow.await.unwrap().unwrap();
    let mut freed = control.ledger.freed();
    while control.ledger.held().bytes != GIGABYTE / 2 {
        freed.changed().await.unwrap();
    }
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 1);
}

/// What somebody does to one of two services.
#[derive(Debug, Clone, Copy)]
enum Act {
    Create {
        tenths: u32,
        replicas: u32,
    },
    Update {
        tenths: u32,
        replicas: u32,
    },
    /// An update whose replicas do not start.
    Fail {
        tenths: u32,
        replicas: u32,
    },
    Delete,
    Restart,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let size = || (1..25_u32, 1..4_u32);
    let act = prop_oneof![
        size().prop_map(|(tenths, replicas)| Act::Create { tenths, replicas }),
        size().prop_map(|(tenths, replicas)| Act::Update { tenths, replicas }),
        size().prop_map(|(tenths, replicas)| Act::Fail { tenths, replicas }),
        Just(Act::Delete),
        Just(Act::Restart),
    ];
    (0..2_usize, act)
}

/// Does it and waits for its end.
async fn play(house: &mut House, control: &mut Arc<Control>, service: &str, act: Act) {
    let accepted = match act {
        Act::Create { tenths, replicas } => {
            let mut request = house.request(service, service);
            request.settings = memory(tenths, replicas);
            control.create(request).await.ok()
        }
        Act::Update { tenths, replicas } => {
            let wish = change(tenths, replicas);
            control.update(&name(service), wish).await.ok()
        }
        Act::Fail { tenths, replicas } => {
            house.host.be(Mood::Halved);
            let wish = change(tenths, replicas);
            control.update(&name(service), wish).await.ok()
        }
        Act::Delete => control.delete(&name(service)).await.unwrap(),
        Act::Restart => {
            control.shutdown().await;
            *control = house.start().await;
            None
        }
    };
    if let Some(accepted) = accepted {
        end(control, accepted.id).await;
    }
    house.host.be(Mood::Well);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_done_the_ledger_is_the_sum_of_what_serves(
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut house = House::new();
            let mut control = house.start().await;
            for (index, act) in acts {
                play(&mut house, &mut control, ["one", "two"][index], act).await;
                let (mut bytes, mut replicas) = (0, 0);
                for view in control.services().await.unwrap() {
                    let settings = &view.record.spec.settings;
                    if control.live.now(&view.record.spec.name).running.is_some() {
                        let each = (settings.resources.memory_in_gb * 1e9).round() as u64;
                        bytes += each * u64::from(settings.initial_replicas());
                        replicas += settings.initial_replicas() as usize;
                    }
                }
                assert_eq!(control.ledger.held().bytes, bytes, "after {act:?}");
                assert_eq!(house.host.alive.load(Ordering::SeqCst), replicas);
                assert!(bytes <= 4 * GIGABYTE);
            }
        });
    }
}
