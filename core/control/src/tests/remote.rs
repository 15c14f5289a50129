//! Services whose replicas somebody else runs.

use std::time::Duration;

use lusk_domain::{
    AutoScalerChange, OperationState, ReplicaUrl, ResourceChange, RuntimeKind, ServiceState,
};

use super::{House, create, end, fakes::Mood, name};
use crate::{ControlError, CreateService, UpdateService};

fn urls(texts: &[&str]) -> Option<Vec<ReplicaUrl>> {
    Some(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn request(house: &House, texts: &[&str]) -> CreateService {
    CreateService {
        entry: None,
        remote: urls(texts),
        ..house.request("away", "unused")
    }
}

fn paths(error: ControlError) -> Vec<String> {
    match error {
        ControlError::Invalid { violations } => violations
            .into_iter()
            .map(|violation| violation.path)
            .collect(),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_replicas_as_urls_and_nothing_is_reserved() {
    let mut house = House::new();
    let control = house.start().await;
    // More than the node has room for.
    let many: Vec<_> = (1..=40).map(|port| format!("http://a:{port}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let operation = create(&control, request(&house, &many)).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    let view = control.service(&name("away")).await.unwrap().unwrap();
    assert_eq!(view.runtime, RuntimeKind::Remote);
    assert_eq!(view.status.available_replicas, 40);
    assert_eq!(view.status.desired_replicas, 40);
    assert_eq!(view.record.spec.settings.resources.cpu, 0.0);

    let change = UpdateService {
        remote: urls(&["https://b", "http://b"]),
        ..UpdateService::default()
    };
    let accepted = control.update(&name("away"), change).await.unwrap();
    end(&control, accepted.id).await;
    let view = control.service(&name("away")).await.unwrap().unwrap();
    assert_eq!(view.status.available_replicas, 2);
    assert_eq!(view.record.spec.settings.num_replicas, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_means_nothing_for_outside_replicas_is_refused() {
    let mut house = House::new();
    let control = house.start().await;
    let mut scaled = request(&house, &["http://a", "http://b"]);
    scaled.settings.num_replicas = Some(3);
    scaled.settings.container_resource_requirements = Some(ResourceChange {
        cpu: Some(1.0),
        ..ResourceChange::default()
    });
    let mut grown = request(&house, &["http://a"]);
    grown.settings.auto_scaler = Some(AutoScalerChange {
        autoscale_enabled: Some(true),
        ..AutoScalerChange::default()
    });
    let with_script = CreateService {
        entry: house.request("away", "text").entry,
        ..request(&house, &["http://a"])
    };
    let with_model = CreateService {
        models: vec!["m:1".parse().unwrap()],
        ..request(&house, &["http://a"])
    };
    let over: Vec<_> = (0..1001).map(|n| format!("http://a/{n}")).collect();
    let over: Vec<_> = over.iter().map(String::as_str).collect();
    for (request, expected) in [
        (
            scaled,
            &["numReplicas", "containerResourceRequirements"][..],
        ),
        (grown, &["autoScaler"]),
        (with_script, &["remoteReplicas"]),
        (with_model, &["models"]),
        (
            request(&house, &["http://a", "http://a:80/"]),
            &["remoteReplicas"],
        ),
        (request(&house, &over), &["remoteReplicas"]),
        (request(&house, &[]), &["remoteReplicas", "models"]),
    ] {
        let error = control.create(request).await.unwrap_err();
        assert_eq!(paths(error), expected);
    }
    assert!(control.services().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_script_does_not_become_an_outside_replica_by_an_update() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    create(&control, request(&house, &["http://a"])).await;
    let to_remote = UpdateService {
        remote: urls(&["http://a"]),
        ..UpdateService::default()
    };
    let to_script = UpdateService {
        entry: house.request("unused", "two").entry,
        ..UpdateService::default()
    };
    for (service, change) in [("digits", to_remote), ("away", to_script)] {
        let error = control.update(&name(service), change).await.unwrap_err();
        assert_eq!(paths(error), ["remoteReplicas"]);
    }
    let overwrite = CreateService {
        overwrite: true,
        ..house.request("away", "three")
    };
    create(&control, overwrite).await;
    let view = control.service(&name("away")).await.unwrap().unwrap();
    assert_eq!(view.runtime, RuntimeKind::Python);
    assert!(view.record.spec.settings.resources.cpu > 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_keeps_no_other_from_coming_back() {
    let mut house = House::new();
    let control = house.start().await;
    let two = request(&house, &["http://a", "http://b"]);
    house.host.be(Mood::Halved);
    // Who deploys is there to be told.
    let operation = create(&control, two.clone()).await;
    assert_eq!(operation.state, OperationState::Failed);
    house.host.be(Mood::Well);
    create(
        &control,
        CreateService {
            overwrite: true,
            ..two
        },
    )
    .await;

    house.host.be(Mood::Halved);
    house.host.asked.lock().unwrap().clear();
    let control = house.start().await;
    let view = control.service(&name("away")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(view.status.desired_replicas, 2);
    // The third number is even, so it is well.
    while house.router.route("away").unwrap().replicas().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*house.host.asked.lock().unwrap(), [0, 1, 2]);
    house.host.be(Mood::Fails);
    let control = house.start().await;
    let view = control.service(&name("away")).await.unwrap().unwrap();
    // It is looked for on and on.
    assert_eq!(view.state, ServiceState::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_out_after_three_probes_and_in_when_it_is_back() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, request(&house, &["http://a", "http://b"])).await;
    let route = house.router.route("away").unwrap();
    let first = route.replicas()[0].0;
    house.host.be(Mood::Hangs);
    house.host.sick.lock().unwrap().insert(first);
    let begun = tokio::time::Instant::now();
    while route.replicas().len() == 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The delay of the first probe is for what lusk starts.
    assert!(begun.elapsed() <= Duration::from_secs(31));
    house.host.be(Mood::Well);
    while route.replicas().len() < 2 {
        tokio::task::yield_now().await;
    }
}
