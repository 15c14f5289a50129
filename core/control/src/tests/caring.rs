//! Replicas that die while a service serves.

use std::time::Duration;

use lusk_domain::{LivenessProbeChange, ServiceState, SettingsChange};
use tokio::time::{Instant, sleep};

use super::{House, create, fakes::Mood, name};
use crate::{Control, CreateService};

/// Waits, in simulated time, until a service has this state.
async fn becomes(control: &Control, service: &str, state: ServiceState) -> Duration {
    let begun = Instant::now();
    loop {
        let view = control.service(&name(service)).await.unwrap().unwrap();
        if view.state == state {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < Duration::from_hours(1),
            "still {:?}",
            view.state
        );
        sleep(Duration::from_millis(100)).await;
    }
}

fn request(house: &House, replicas: u32) -> CreateService {
    let mut request = house.request("digits", "one");
    request.settings = SettingsChange {
        num_replicas: Some(replicas),
        liveness_probe_requirements: Some(LivenessProbeChange {
            initial_delay_seconds: Some(30),
            ..LivenessProbeChange::default()
        }),
        ..SettingsChange::default()
    };
    request
}

#[tokio::test(start_paused = true)]
async fn a_dead_replica_is_replaced_after_the_probe_gave_it_up() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, request(&house, 1)).await;
    let begun = Instant::now();
    house.host.be(Mood::Fails);
    house.host.sick.lock().unwrap().insert(0);
    becomes(&control, "digits", ServiceState::Unhealthy).await;
    // Initial delay 30 s, then three failures 10 s apart.
    assert_eq!(begun.elapsed().as_secs(), 50);
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert!(view.status.error.unwrap().message.contains("no replica"));
    house.host.be(Mood::Well);
    becomes(&control, "digits", ServiceState::Healthy).await;
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let log = control.logs(&name("digits"), 100).await.unwrap().unwrap();
    assert!(
        log.contains("replica is dead and is replaced: as told"),
        "{log}"
    );
    let report = control.scaling(&name("digits")).await.unwrap().unwrap();
    let lines = report.events.iter().map(|event| event.text());
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "replica 0 died and is replaced: as told");
    assert!(
        lines[1].ends_with("took the place of one that did not answer"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_others_serve_while_one_is_replaced() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, request(&house, 3)).await;
    house.host.be(Mood::Fails);
    house.host.sick.lock().unwrap().insert(1);
    sleep(Duration::from_mins(5)).await;
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(
        (view.status.desired_replicas, view.status.available_replicas),
        (3, 2)
    );
    house.host.be(Mood::Well);
    sleep(Duration::from_mins(6)).await;
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.status.available_replicas, 3);
}
