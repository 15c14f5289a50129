//! Requests that are refused, and that nothing is left of them.

use lusk_domain::{
    AutoScalerChange, ComputeType, FailureCode, ModelId, RuntimeKind, SettingsChange, Step,
};

use super::{House, create, end, fakes::Mood, name};
use crate::{ControlError, CreateService, UpdateService};

/// The broken rules of a create.
async fn refusal(house: &mut House, request: CreateService) -> Vec<String> {
    let control = house.start().await;
    let error = control.create(request).await.unwrap_err();
    assert_eq!(error.failure().code, FailureCode::BadRequest);
    assert!(control.services().await.unwrap().is_empty());
    match error {
        ControlError::Invalid { violations } => {
            violations.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_operation_on_a_service_is_a_conflict() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Hangs);
    let first = control
        .create(house.request("digits", "one"))
        .await
        .unwrap();
    let mut overwrite = house.request("digits", "two");
    overwrite.overwrite = true;
    let entry = overwrite.entry.clone();
    let update = UpdateService {
        entry,
        ..UpdateService::default()
    };
    let refused = [
        control.create(overwrite).await.unwrap_err(),
        control.update(&name("digits"), update).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(&error, ControlError::Busy { operation, .. } if *operation == first.id));
        assert_eq!(error.failure().status_code, 409);
    }
    // Another service is free to go.
    house.host.be(Mood::Well);
    create(&control, house.request("other", "one")).await;
    end(&control, first.id).await;
    control.delete(&name("digits")).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_free_as_soon_as_the_end_is_shown() {
    let mut house = House::new();
    let control = house.start().await;
    let free = || {
        control
            .live
            .take_turn(&name("digits"), uuid::Uuid::nil())
            .is_ok()
    };
    house.host.be(Mood::Fails);
    create(&control, house.request("digits", "one")).await;
    assert!(free(), "after a failure");
    house.host.be(Mood::Well);
    let mut again = house.request("digits", "one");
    again.overwrite = true;
    create(&control, again).await;
    assert!(free(), "after a success");
    let deleted = control.delete(&name("digits")).await.unwrap().unwrap();
    end(&control, deleted.id).await;
    assert!(free(), "after a delete");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_a_conflict() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let error = control
        .create(house.request("digits", "two"))
        .await
        .unwrap_err();
    assert!(matches!(error, ControlError::Exists(_)));
    assert_eq!(error.failure().status_code, 409);
}

#[tokio::test(start_paused = true)]
async fn the_model_over_the_limit_is_named() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    request.models = (1..=1_001)
        .map(|v| format!("m:{v}").parse().unwrap())
        .collect();
    let broken = refusal(&mut house, request).await;
    assert_eq!(
        broken,
        [
            "`models`: 1001 models are given, at most 1000 fit in a service; the first one over is `m:1001`"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_models_are_served() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    for index in 0..1_000 {
        request
            .models
            .push(house.model(&format!("m{index}"), "weights").await);
    }
    let control = house.start().await;
    let ended = create(&control, request).await;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let revision = house.host.last_revision();
    assert_eq!(revision.models.len(), 1_000);
    assert_eq!(revision.variables["AZUREML_MODEL_DIR"], "azureml-models");
    assert!(ended.events.iter().any(|event| event.step == Step::Traffic));
}

#[tokio::test(start_paused = true)]
async fn everything_wrong_is_told_at_once() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    let unknown: ModelId = "nobody:3".parse().unwrap();
    request.models = vec![unknown];
    request.settings = SettingsChange {
        num_replicas: Some(0),
        scoring_timeout_ms: Some(300_001),
        auto_scaler: Some(AutoScalerChange::default()),
        ..SettingsChange::default()
    };
    let broken = refusal(&mut house, request).await;
    assert_eq!(
        broken,
        [
            "`models`: no model `nobody:3` is registered",
            "`numReplicas`: 0 is below the smallest value, 1",
            "`scoringTimeoutMs`: 300001 ms is over the limit of 300000 ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn copies_that_cost_memory_are_bounded() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    request.settings = SettingsChange {
        num_replicas: Some(u32::MAX),
        max_concurrent_requests_per_container: Some(1_001),
        ..SettingsChange::default()
    };
    let broken = refusal(&mut house, request).await;
    assert_eq!(
        broken,
        [
            "`numReplicas`: 4294967295 is over the limit of 1000",
            "`maxConcurrentRequestsPerContainer`: 1001 is over the limit of 1000",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_given_twice_is_refused() {
    let mut house = House::new();
    let model = house.model("digits", "model.onnx").await;
    let mut request = house.request("digits", "one");
    request.models = vec![model.clone(), model.clone(), model];
    let broken = refusal(&mut house, request).await;
    assert_eq!(broken, ["`models`: `digits:1` is given twice"]);
}

#[tokio::test(start_paused = true)]
async fn entry_scripts_and_environments_are_checked() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    let entry = request.entry.as_mut().unwrap();
    entry.script = "../score.py".to_owned();
    entry.source_directory = Some("a/b".to_owned());
    entry.environment.name = Some("AzureML-Minimal".to_owned());
    entry
        .environment
        .environment_variables
        .insert("A=B".to_owned(), String::new());
    entry.snapshot.digest = lusk_domain::Digest::of(b"elsewhere");
    request.compute = ComputeType::Local { port: Some(0) };
    let broken = refusal(&mut house, request).await;
    let paths: Vec<_> = broken
        .iter()
        .map(|text| text.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "entryScript",
            "sourceDirectory",
            "environment.name",
            "environment.environmentVariables",
            "port",
            "snapshot"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_cannot_run_the_script_is_refused() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    request.entry.as_mut().unwrap().runtime = Some(RuntimeKind::Javascript);
    assert_eq!(
        refusal(&mut house, request).await,
        ["`runtime`: `javascript` does not run `score.py`; leave it out, or give another script"]
    );
    let mut request = house.request("digits", "one");
    let entry = request.entry.as_mut().unwrap();
    entry.runtime = Some(RuntimeKind::Python);
    entry.environment.python.user_managed_dependencies = true;
    let broken = refusal(&mut house, request).await;
    assert!(broken[0].contains("userManagedDependencies"), "{broken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_debugger_is_for_processes_of_local_services() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    let entry = request.entry.as_mut().unwrap();
    entry.debug_port = Some(5678);
    assert_eq!(entry.runtime(), RuntimeKind::Process);
    entry.runtime = Some(RuntimeKind::Python);
    let broken = refusal(&mut house, request.clone()).await;
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken[0].contains("local services only"), "{broken:?}");
    assert!(broken[1].contains("not to `python`"), "{broken:?}");
    request.compute = ComputeType::Local { port: None };
    request.entry.as_mut().unwrap().runtime = None;
    let control = house.start().await;
    let ended = create(&control, request).await;
    assert_eq!(ended.error, None);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_is_not_in_the_snapshot_fails_the_deployment() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    request.entry.as_mut().unwrap().script = "main.py".to_owned();
    let ended = create(&control, request).await;
    assert!(
        ended
            .error
            .unwrap()
            .message
            .contains("`src/main.py` is not a file of the snapshot")
    );
    assert_eq!(ended.events.last().unwrap().step, Step::Snapshot);
}

#[tokio::test(start_paused = true)]
async fn without_code_exactly_one_onnx_model_is_served() {
    let mut house = House::new();
    let mut request = house.request("digits", "one");
    request.entry = None;
    let broken = refusal(&mut house, request.clone()).await;
    assert!(
        broken[0].contains("needs a model or an entry script"),
        "{broken:?}"
    );
    let pickle = house.model("pickle", "model.pkl").await;
    request.models = vec![pickle.clone()];
    let broken = refusal(&mut house, request.clone()).await;
    assert!(
        broken[0].contains("`pickle:1` cannot be served without code: it holds 0 files"),
        "{broken:?}"
    );
    let onnx = house.model("onnx", "model.onnx").await;
    request.models = vec![pickle, onnx.clone()];
    let broken = refusal(&mut house, request.clone()).await;
    assert!(
        broken[0].contains("2 models cannot be served without code"),
        "{broken:?}"
    );
    request.models = vec![onnx];
    let control = house.start().await;
    let ended = create(&control, request).await;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert!(ended.events.iter().all(|event| event.step != Step::Image));
}

#[tokio::test(start_paused = true)]
async fn an_update_of_nothing_or_of_nobody_is_refused() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("digits", "one")).await;
    let nothing = control
        .update(&name("digits"), UpdateService::default())
        .await
        .unwrap_err();
    assert!(
        nothing.to_string().contains("nothing to change"),
        "{nothing}"
    );
    let change = UpdateService {
        description: Some(String::new()),
        ..UpdateService::default()
    };
    let nobody = control.update(&name("nobody"), change).await.unwrap_err();
    assert!(matches!(nobody, ControlError::NoService(_)));
}

#[tokio::test(start_paused = true)]
async fn a_model_in_use_is_not_deleted() {
    let mut house = House::new();
    let control = house.start().await;
    let mut request = house.request("digits", "one");
    let model = house.model("digits", "model.onnx").await;
    request.models = vec![model.clone()];
    create(&control, request).await;
    let error = control.delete_model(&model).await.unwrap_err();
    assert_eq!(error.failure().status_code, 412);
    assert!(error.to_string().contains("`digits`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_gives_up_the_deployment_that_is_under_way() {
    let mut house = House::new();
    let control = house.start().await;
    house.host.be(Mood::Hangs);
    let begun = control.create(house.request("digits", "one")).await;
    let begun = begun.unwrap();
    let deleted = control.delete(&name("digits")).await.unwrap().unwrap();
    let given_up = end(&control, begun.id).await;
    let error = given_up.error.unwrap();
    assert!(error.message.contains("deleted during"), "{error}");
    end(&control, deleted.id).await;
    assert!(control.services().await.unwrap().is_empty());
}
