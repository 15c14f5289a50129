//! What a start makes of the records that the last process left.

use std::sync::atomic::Ordering;

use lusk_domain::{ComputeType, OperationKind, OperationState, ServiceState};

use super::{House, create, deploying::cores, end, fakes::Mood, name};
use crate::UpdateService;

#[tokio::test(start_paused = true)]
async fn every_service_comes_back_with_its_keys() {
    let mut house = House::new();
    let control = house.start().await;
    for service in ["one", "two", "three"] {
        create(&control, house.request(service, service)).await;
    }
    let keys = control.keys(&name("two")).await.unwrap().unwrap();
    let control = house.start().await;
    for service in ["one", "two", "three"] {
        assert_eq!(house.answer(service).await.as_deref(), Some(service));
    }
    assert_eq!(control.keys(&name("two")).await.unwrap().unwrap(), keys);
    assert_eq!(house.router.route("two").unwrap().access().keys, keys);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_update_falls_back_to_what_was_healthy() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    house.host.be(Mood::Hangs);
    let change = UpdateService {
        entry: Some(house.entry("two")),
        ..UpdateService::default()
    };
    let update = control.update(&name("digits"), change).await.unwrap();
    house.host.be(Mood::Well);
    // The first control room is left as a killed process would leave it.
    house.records = std::sync::Arc::new(house.records.copy());
    let control = house.start().await;
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let ended = control.operation(update.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
    assert!(ended.error.unwrap().message.contains("the node stopped"));
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(Some(view.record.spec), view.record.healthy_spec);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_create_is_a_failed_service() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Hangs);
    let created = control
        .create(house.request("digits", "one"))
        .await
        .unwrap();
    house.records = std::sync::Arc::new(house.records.copy());
    let control = house.start().await;
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Failed);
    assert!(
        view.record
            .error
            .unwrap()
            .message
            .contains("the node stopped")
    );
    let ended = control.operation(created.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
    control.delete(&name("digits")).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_delete_stays_deleted() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let deleted = control.delete(&name("digits")).await.unwrap().unwrap();
    let killed = house.records.copy();
    killed
        .operations
        .lock()
        .unwrap()
        .get_mut(&deleted.id)
        .unwrap()
        .state = OperationState::Running;
    house.records = std::sync::Arc::new(killed);
    let control = house.start().await;
    assert!(control.services().await.unwrap().is_empty());
    assert!(house.answer("digits").await.is_none());
    let ended = control.operation(deleted.id).await.unwrap().unwrap();
    assert_eq!(
        (ended.kind, ended.state),
        (OperationKind::Delete, OperationState::Succeeded)
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_come_up_says_why_and_stops_nobody() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    house.host.be(Mood::Fails);
    let control = house.start().await;
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Failed);
    assert!(view.record.error.unwrap().message.contains("ValueError"));
    // The record still knows what was healthy: the next start finds it.
    house.host.be(Mood::Well);
    let control = house.start().await;
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert!(view.record.error.is_none());
    assert_eq!(
        house.host.alive.load(Ordering::SeqCst),
        2,
        "one of each process"
    );
}

#[tokio::test(start_paused = true)]
async fn a_local_service_comes_back_on_its_port() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("debug", "one");
    request.compute = ComputeType::Local { port: Some(8890) };
    create(&control, request).await;
    house.doors.die();
    let control = house.start().await;
    assert_eq!(house.doors.open_ports(), [8890]);
    let view = control.service(&name("debug")).await.unwrap().unwrap();
    assert_eq!(view.local_address.unwrap().port(), 8890);
}

#[tokio::test(start_paused = true)]
async fn restored_services_hold_their_room() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.settings = cores(1.5);
    create(&control, request).await;
    let control = house.start().await;
    let mut second = house.request("other", "one");
    second.settings = cores(1.0);
    let accepted = control.create(second).await.unwrap();
    assert_eq!(
        end(&control, accepted.id).await.state,
        OperationState::Failed
    );
}
