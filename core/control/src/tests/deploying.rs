//! From a request to a service that answers, and what is left when it fails.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use lusk_contract::Records as _;
use lusk_domain::{
    AuthMode, ComputeType, CondaDependency, CondaSpec, DockerPlatform, FailureCode, KeyKind,
    ModelChange, OperationKind, OperationState, ResourceChange, RuntimeKind, Secret, ServiceState,
    SettingsChange, Step, StepOutcome,
};

use super::{House, create, end, fakes::Mood, name, told};
use crate::{ControlError, UpdateService};

fn new_entry(house: &House, text: &str) -> UpdateService {
    UpdateService {
        entry: Some(house.entry(text)),
        ..UpdateService::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_service_becomes_healthy_and_tells_each_step() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.models = vec![house.model("digits", "model.onnx").await];
    let accepted = control.create(request).await.unwrap();
    assert_eq!(accepted.state, OperationState::Running);
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let told: Vec<_> = ended
        .events
        .iter()
        .map(|e| (e.step, e.text.as_str()))
        .collect();
    assert_eq!(
        told[0],
        (
            Step::Capacity,
            "0.1 cores and 0.5 GB reserved for 1 replica"
        )
    );
    assert_eq!(told[1], (Step::Snapshot, "1 file, 3 bytes"));
    assert!(
        told[2].1.starts_with("building azureml/azureml_"),
        "{told:?}"
    );
    assert_eq!(told[3], (Step::Image, "numpy is carried by lusk"));
    assert!(told[4].1.ends_with("… built"), "{told:?}");
    assert_eq!(
        told[5],
        (Step::Model, "digits:1 loaded on cpu (fake, 1 thread)")
    );
    assert_eq!(told[6], (Step::Replicas, "1 of 1 ready"));
    assert_eq!(told[7], (Step::Traffic, "requests go to revision 1"));
    assert_eq!(told.len(), 8);
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(
        (view.status.desired_replicas, view.status.available_replicas),
        (1, 1)
    );
    assert!(view.image.is_some());
}

#[tokio::test(start_paused = true)]
async fn native_code_in_a_dependency_makes_the_service_a_process() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    let environment = &mut request.entry.as_mut().unwrap().environment;
    environment.python.conda_dependencies = Some(CondaSpec {
        dependencies: vec![CondaDependency::Package("native".to_owned())],
        ..CondaSpec::default()
    });
    let ended = create(&control, request).await;
    let said = ended.events.iter().map(|event| event.text.as_str());
    let said = said.collect::<Vec<_>>().join("\n");
    assert!(
        said.contains("runtime `process`: native code in native"),
        "{said}"
    );
    let prepared = house.host.revisions.lock().unwrap().pop().unwrap();
    assert_eq!(prepared.runtime, RuntimeKind::Process);
    assert!(prepared.image.is_some());
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.runtime, RuntimeKind::Process);
    assert!(view.image_digest.unwrap().starts_with("sha256:"));
}

#[tokio::test(start_paused = true)]
async fn the_script_is_told_where_things_lie() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.models = vec![house.model("digits", "sub/model.onnx").await];
    let variables = &mut request
        .entry
        .as_mut()
        .unwrap()
        .environment
        .environment_variables;
    variables.insert(
        "AML_CORS_ORIGINS".to_owned(),
        "https://a.example".to_owned(),
    );
    variables.insert("AML_APP_ROOT".to_owned(), "/elsewhere".to_owned());
    create(&control, request).await;
    let revision = house.host.last_revision();
    let variable = |name: &str| revision.variables[name].as_str();
    assert_eq!(variable("AML_APP_ROOT"), "/var/azureml-app");
    assert_eq!(variable("AZUREML_MODEL_DIR"), "azureml-models/digits/1");
    assert_eq!(variable("AZUREML_ENTRY_SCRIPT"), "src/score.py");
    assert_eq!(variable("AZUREML_SOURCE_DIRECTORY"), "src");
    assert_eq!(variable("SERVICE_NAME"), "digits");
    assert_eq!(revision.script, "src/score.py");
    let model = revision
        .app_root
        .join("azureml-models/digits/1/sub/model.onnx");
    assert_eq!(std::fs::read(model).unwrap(), b"digits");
    let route = house.router.route("digits").unwrap();
    assert_eq!(route.info().cors.as_deref(), Some("https://a.example"));
    assert_eq!(route.access().mode, AuthMode::Key);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_environment_is_not_built_again() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("one", "1")).await;
    let second = create(&control, house.request("two", "2")).await;
    let image = second
        .events
        .iter()
        .find(|event| event.step == Step::Image)
        .unwrap();
    assert!(image.text.starts_with("sha256:"), "{}", image.text);
    assert!(
        image
            .text
            .ends_with("… found in the local cache, nothing to build")
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_create_says_why_with_the_last_lines_of_init() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Fails);
    let ended = create(&control, house.request("digits", "one")).await;
    assert_eq!(ended.state, OperationState::Failed);
    let error = ended.error.unwrap();
    assert_eq!(error.code, FailureCode::KubernetesDeploymentFailed);
    assert_eq!(
        error.message,
        "service `digits`: replica 0 did not start: init() raised ValueError"
    );
    let codes: Vec<_> = error
        .details
        .iter()
        .map(|detail| detail.code.as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "CrashLoopBackOff",
            "UserScriptInitFailed",
            "Traceback",
            "ContainerLog"
        ]
    );
    assert_eq!(error.details[3].message, "loading the model");
    let failed = ended.events.last().unwrap();
    assert_eq!(
        (failed.step, failed.outcome),
        (Step::Replicas, StepOutcome::Failed)
    );
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Failed);
    assert_eq!(view.record.error.unwrap().message, error.message);
    assert!(house.answer("digits").await.is_none());
    // A failed service can be deleted, or updated into a healthy one.
    house.host.be(Mood::Well);
    let accepted = control
        .update(&name("digits"), new_entry(&house, "two"))
        .await
        .unwrap();
    assert_eq!(
        end(&control, accepted.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(house.answer("digits").await.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_cannot_be_built_fails_the_image_step() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.entry.as_mut().unwrap().environment.docker.platform = Some(DockerPlatform {
        os: "Windows".to_owned(),
        architecture: "amd64".to_owned(),
    });
    let ended = create(&control, request).await;
    assert_eq!(
        ended.error.unwrap().code,
        FailureCode::EnvironmentBuildFailed
    );
    assert_eq!(ended.events.last().unwrap().step, Step::Image);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_is_ready_is_given_up() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Hangs);
    let ended = create(&control, house.request("digits", "one")).await;
    let error = ended.error.unwrap();
    assert_eq!(error.code, FailureCode::DeploymentTimedOut);
    assert!(error.message.contains("not ready after 340 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_operation_and_frees_the_service() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Panics);
    let ended = create(&control, house.request("digits", "one")).await;
    assert_eq!(ended.error.unwrap().code, FailureCode::InternalServerError);
    control.delete(&name("digits")).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_update_switches_over_and_removes_what_ran_before() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let first = house.host.last_revision().app_root.clone();
    let accepted = control
        .update(&name("digits"), new_entry(&house, "two"))
        .await
        .unwrap();
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(
        ended.events.last().unwrap().text,
        "revision 1 drained and removed"
    );
    assert_eq!(house.answer("digits").await.as_deref(), Some("two"));
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 1);
    assert_eq!(
        *house.host.asked.lock().unwrap(),
        [0, 1],
        "numbers are not shared"
    );
    assert!(!first.exists());
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_keeps_the_old_revision_serving() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let before = house
        .records
        .service(&name("digits"))
        .await
        .unwrap()
        .unwrap();
    house.host.be(Mood::Fails);
    let accepted = control
        .update(&name("digits"), new_entry(&house, "two"))
        .await
        .unwrap();
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.state, OperationState::Failed);
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Healthy);
    assert_eq!(view.record.spec, before.spec);
    assert_eq!(view.record.error, ended.error);
    assert_eq!(view.record.revision, 2);
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_cannot_be_recorded_is_none() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    house.host.be(Mood::Hangs);
    let accepted = control
        .update(&name("digits"), new_entry(&house, "two"))
        .await
        .unwrap();
    house.records.full.store(true, Ordering::SeqCst);
    house.host.be(Mood::Well);
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.error.unwrap().code, FailureCode::StorageFailed);
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    house.records.full.store(false, Ordering::SeqCst);
    // After a restart it is what it was when it last could be written.
    let control = house.start().await;
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
    let ended = control.operation(accepted.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
}

#[tokio::test(start_paused = true)]
async fn overwrite_replaces_the_specification_and_keeps_the_keys() {
    let mut house = House::new();
    let control = house.start().await;
    let mut first = house.request("digits", "one");
    first.tags = BTreeMap::from([("team".to_owned(), "vision".to_owned())]);
    create(&control, first).await;
    let keys = control.keys(&name("digits")).await.unwrap().unwrap();
    let mut second = house.request("digits", "two");
    second.overwrite = true;
    let ended = create(&control, second).await;
    assert_eq!(
        (ended.kind, ended.state),
        (OperationKind::Update, OperationState::Succeeded)
    );
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.record.keys, keys);
    assert!(view.record.spec.tags.is_empty());
    assert_eq!(house.answer("digits").await.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn keys_given_with_an_overwrite_count_when_it_is_healthy() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let old = control.keys(&name("digits")).await.unwrap().unwrap();
    let mut overwrite = house.request("digits", "two");
    overwrite.overwrite = true;
    overwrite.primary_key = Some(Secret::new("given"));
    house.host.be(Mood::Fails);
    create(&control, overwrite.clone()).await;
    assert_eq!(control.keys(&name("digits")).await.unwrap().unwrap(), old);
    house.host.be(Mood::Well);
    create(&control, overwrite).await;
    let new = control.keys(&name("digits")).await.unwrap().unwrap();
    assert_eq!(new.primary_key.reveal(), "given");
    assert_eq!(new.secondary_key, old.secondary_key);
    assert_eq!(house.router.route("digits").unwrap().access().keys, new);
}

#[tokio::test(start_paused = true)]
async fn labels_change_without_a_deployment() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let change = UpdateService {
        description: Some("handwriting".to_owned()),
        add_properties: BTreeMap::from([("origin".to_owned(), "lab".to_owned())]),
        ..UpdateService::default()
    };
    let ended = control
        .update(&name("digits"), change.clone())
        .await
        .unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    assert_eq!(house.host.asked.lock().unwrap().len(), 1);
    let record = control
        .service(&name("digits"))
        .await
        .unwrap()
        .unwrap()
        .record;
    assert_eq!(record.spec.description.as_deref(), Some("handwriting"));
    assert_eq!(record.healthy_spec.as_ref(), Some(&record.spec));
    assert_eq!(record.revision, 1);
    let again = control.update(&name("digits"), change).await.unwrap_err();
    assert!(
        again
            .to_string()
            .contains("`properties.origin`: is set to `lab` already"),
        "{again}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_script_again_is_a_deployment() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let accepted = control
        .update(&name("digits"), new_entry(&house, "one"))
        .await
        .unwrap();
    assert_eq!(
        end(&control, accepted.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(*house.host.asked.lock().unwrap(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_counts_at_once() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.primary_key = Some(Secret::new("given"));
    create(&control, request).await;
    let route = house.router.route("digits").unwrap();
    assert_eq!(route.access().keys.primary_key.reveal(), "given");
    let second = route.access().keys.secondary_key.clone();
    let done = control
        .regenerate_key(&name("digits"), KeyKind::Primary, None)
        .await
        .unwrap();
    assert_eq!(done.state, OperationState::Succeeded);
    let keys = control.keys(&name("digits")).await.unwrap().unwrap();
    assert_eq!(keys.primary_key.reveal().len(), 32);
    assert_eq!(keys.secondary_key, second);
    assert_eq!(route.access().keys, keys);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_service_is_gone_and_its_room_free() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.settings = cores(2.0);
    create(&control, request).await;
    let deleted = control.delete(&name("digits")).await.unwrap().unwrap();
    assert!(control.service(&name("digits")).await.unwrap().is_none());
    assert!(house.router.route("digits").is_none());
    assert_eq!(
        end(&control, deleted.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 0);
    assert!(control.delete(&name("digits")).await.unwrap().is_none());
    let mut again = house.request("digits", "two");
    again.settings = cores(2.0);
    assert_eq!(
        create(&control, again).await.state,
        OperationState::Succeeded
    );
}

pub(super) fn cores(cpu: f64) -> SettingsChange {
    SettingsChange {
        container_resource_requirements: Some(ResourceChange {
            cpu: Some(cpu),
            ..ResourceChange::default()
        }),
        ..SettingsChange::default()
    }
}

#[tokio::test(start_paused = true)]
async fn without_room_a_service_waits_five_minutes_and_fails() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.settings = cores(8.0);
    let accepted = control.create(request).await.unwrap();
    let begun = tokio::time::Instant::now();
    let text = told(&control, accepted.id, StepOutcome::Warning).await;
    assert_eq!(
        text,
        "no room for 1 replica: 8 cores (2 of 2 are free) to reserve; the whole node has less, ask for less; waiting up to 300 s"
    );
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Unschedulable);
    assert!(view.status.error.unwrap().message.contains("8 cores"));
    let ended = end(&control, accepted.id).await;
    assert_eq!(ended.error.unwrap().code, FailureCode::Unschedulable);
    assert!(begun.elapsed().as_secs() >= 300);
    let view = control.service(&name("digits")).await.unwrap().unwrap();
    assert_eq!(view.state, ServiceState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_service_takes_room_that_becomes_free() {
    let mut house = House::new();
    let control = house.start().await;
    for service in ["first", "second"] {
        let mut request = house.request(service, service);
        request.settings = cores(1.5);
        let accepted = control.create(request).await.unwrap();
        if service == "first" {
            end(&control, accepted.id).await;
            continue;
        }
        told(&control, accepted.id, StepOutcome::Warning).await;
        control.delete(&name("first")).await.unwrap().unwrap();
        assert_eq!(
            end(&control, accepted.id).await.state,
            OperationState::Succeeded
        );
    }
    assert_eq!(house.answer("second").await.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_deployment_gives_its_room_back() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Fails);
    let mut request = house.request("first", "one");
    request.settings = cores(2.0);
    create(&control, request).await;
    house.host.be(Mood::Well);
    let mut request = house.request("second", "one");
    request.settings = cores(1.0);
    create(&control, request).await;
    house.host.be(Mood::Fails);
    let grow = UpdateService {
        settings: cores(2.0),
        ..UpdateService::default()
    };
    let accepted = control.update(&name("second"), grow).await.unwrap();
    end(&control, accepted.id).await;
    house.host.be(Mood::Well);
    let mut request = house.request("third", "one");
    request.settings = cores(1.0);
    let ended = create(&control, request).await;
    assert_eq!(ended.state, OperationState::Succeeded);
    assert!(
        ended
            .events
            .iter()
            .all(|event| !event.text.contains("no room"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_stops_nothing() {
    let mut house = House::new();
    let control = house.start().await;
    let request = house.request("digits", "one");
    {
        let mut gone = Box::pin(control.create(request));
        // One look is enough to set it off.
        let _ = futures::poll!(&mut gone);
    }
    for _ in 0..1_000_000 {
        tokio::task::yield_now().await;
        let services = control.services().await.unwrap();
        if services
            .first()
            .is_some_and(|view| view.state == ServiceState::Healthy)
        {
            return;
        }
    }
    panic!("the service is not healthy");
}

#[tokio::test(start_paused = true)]
async fn a_local_service_has_a_port_and_keeps_it_over_updates() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("debug", "one");
    request.compute = ComputeType::Local { port: None };
    create(&control, request).await;
    assert!(house.router.route("debug").is_none());
    let view = control.service(&name("debug")).await.unwrap().unwrap();
    let port = view.local_address.unwrap().port();
    assert_eq!(house.doors.route(port).access().mode, AuthMode::None);
    let accepted = control
        .update(&name("debug"), new_entry(&house, "two"))
        .await
        .unwrap();
    assert_eq!(
        end(&control, accepted.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(house.doors.open_ports(), [port]);
    let reply = house
        .doors
        .route(port)
        .score(super::fakes::request())
        .await
        .unwrap()
        .reply;
    assert_eq!(reply.body, "two");
    let deleted = control.delete(&name("debug")).await.unwrap().unwrap();
    end(&control, deleted.id).await;
    assert!(house.doors.open_ports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopping_node_gives_deployments_up_and_refuses_new_ones() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    house.host.be(Mood::Hangs);
    let accepted = control
        .update(&name("digits"), new_entry(&house, "two"))
        .await
        .unwrap();
    control.shutdown().await;
    assert_eq!(house.host.alive.load(Ordering::SeqCst), 0);
    let ended = control.operation(accepted.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
    let refused = control
        .create(house.request("other", "one"))
        .await
        .unwrap_err();
    assert!(matches!(refused, ControlError::ShuttingDown));
    house.host.be(Mood::Well);
    let _control = house.start().await;
    assert_eq!(house.answer("digits").await.as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_others_at_most_half_of_what_a_request_may_take() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.models = vec![house.model("digits", "model.onnx").await];
    let tags = [("maxBatchSize", "8"), ("maxBatchDelayMs", "300")];
    let change = ModelChange {
        add_tags: tags.map(|(tag, value)| (tag.into(), value.into())).into(),
        ..ModelChange::default()
    };
    let changed = house.records.change_model(&request.models[0], change).await;
    changed.unwrap();
    for (timeout, waits) in [(200, 100), (600, 300)] {
        let settings = SettingsChange {
            scoring_timeout_ms: Some(timeout),
            ..SettingsChange::default()
        };
        let ended = if waits == 100 {
            request.settings = settings;
            create(&control, request.clone()).await
        } else {
            let change = UpdateService {
                settings,
                ..UpdateService::default()
            };
            let accepted = control.update(&name("digits"), change).await.unwrap();
            end(&control, accepted.id).await
        };
        let batching = house.host.last_revision().models[0].batching.unwrap();
        assert_eq!(batching.max_delay.as_millis(), waits);
        let told = ended
            .events
            .iter()
            .map(|it| (it.step, it.outcome, &it.text));
        let warnings = told.filter(|it| (it.0, it.1) == (Step::Model, StepOutcome::Warning));
        let warnings: Vec<_> = warnings.map(|it| it.2.as_str()).collect();
        let short = "model digits:1: maxBatchDelayMs is 300, more than half of scoringTimeoutMs, \
                     which is 200: calls wait for 100 ms";
        let expected: &[&str] = if timeout == 200 { &[short] } else { &[] };
        assert_eq!(warnings, expected);
    }
}
