//! Promises of [`Records`](crate::Records).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use lusk_domain::{
    ComputeType, Digest, Entry, Environment, KeyPair, ModelChange, ModelDraft, ModelError,
    ModelFile, ModelId, ModelRequirements, Operation, OperationKind, OperationState, Secret,
    ServiceName, ServiceRecord, ServiceSpec, ServiceState, Settings, Snapshot,
};
use uuid::Uuid;

use super::blobs::store;
use crate::{Blobs, ModelFilter, RecordError, Records};

/// Runs every check against `records` and the blobs they name, all empty.
pub async fn suite(records: &dyn Records, blobs: &dyn Blobs) {
    versions_count_up_and_are_never_reused(records, blobs).await;
    concurrent_registrations_get_versions_of_their_own(records, blobs).await;
    a_draft_without_content_is_refused(records, blobs).await;
    models_are_listed_by_name_then_version(records, blobs).await;
    a_change_is_whole_or_nothing(records, blobs).await;
    a_model_in_use_stays(records, blobs).await;
    a_service_needs_its_models(records, blobs).await;
    a_service_and_its_operation_are_written_together(records, blobs).await;
    a_model_with_many_files_comes_back_whole(records, blobs).await;
    blobs_nobody_names_go(records, blobs).await;
    the_newest_operations_are_kept(records).await;
    unfinished_operations_are_told(records).await;
}

/// A draft named `name` of one stored file with `content`.
pub async fn draft(blobs: &dyn Blobs, name: &str, content: &[u8]) -> ModelDraft {
    let stored = store(blobs, content).await;
    ModelDraft {
        name: name.parse().expect("a good name"),
        files: vec![ModelFile {
            path: "model.onnx".to_owned(),
            digest: stored.digest,
            size: stored.size,
        }],
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        framework: None,
        framework_version: None,
        resource_requirements: ModelRequirements::default(),
        sample_input_data: None,
        sample_output_data: None,
        experiment_name: None,
        run_id: None,
    }
}

/// A healthy record of a service that uses `models`.
pub fn service(name: &str, models: Vec<ModelId>, entry: Option<Entry>) -> ServiceRecord {
    let spec = ServiceSpec {
        name: name.parse().expect("a good name"),
        compute: ComputeType::Aks,
        compute_name: None,
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        models,
        entry,
        remote: Vec::new(),
        settings: Settings::default(),
    };
    ServiceRecord {
        healthy_spec: Some(spec.clone()),
        spec,
        keys: KeyPair {
            primary_key: Secret::new("first"),
            secondary_key: Secret::new("second"),
        },
        state: ServiceState::Healthy,
        error: None,
        created_time: Timestamp::UNIX_EPOCH,
        updated_time: Timestamp::UNIX_EPOCH,
        revision: 1,
        operation: Uuid::from_u128(1),
    }
}

/// An operation on `name`, accepted `age` seconds after the epoch.
pub fn operation(id: u128, name: &ServiceName, state: OperationState, age: i64) -> Operation {
    Operation {
        id: Uuid::from_u128(id),
        kind: OperationKind::Create,
        service: name.clone(),
        state,
        created_time: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(age),
        end_time: None,
        error: None,
        events: Vec::new(),
    }
}

/// An entry script in a snapshot of `content`.
async fn entry(blobs: &dyn Blobs, content: &[u8]) -> Entry {
    let stored = store(blobs, content).await;
    Entry {
        script: "score.py".to_owned(),
        source_directory: None,
        snapshot: Snapshot {
            digest: stored.digest,
            files: 1,
            bytes: stored.size,
        },
        environment: Environment::default(),
        runtime: None,
        debug_port: None,
    }
}

async fn register(records: &dyn Records, blobs: &dyn Blobs, name: &str, content: &[u8]) -> ModelId {
    let draft = draft(blobs, name, content).await;
    records
        .register_model(draft)
        .await
        .expect("the model is registered")
        .id
}

async fn put(
    records: &dyn Records,
    record: &ServiceRecord,
    operation_id: u128,
) -> Result<(), RecordError> {
    let operation = operation(
        operation_id,
        &record.spec.name,
        OperationState::Succeeded,
        0,
    );
    records.put_service(record, &operation).await
}

async fn delete(records: &dyn Records, name: &str, operation_id: u128) {
    let name: ServiceName = name.parse().expect("a good name");
    let operation = operation(operation_id, &name, OperationState::Succeeded, 1);
    records
        .delete_service(&name, &operation)
        .await
        .expect("the service is deleted");
}

async fn versions_count_up_and_are_never_reused(records: &dyn Records, blobs: &dyn Blobs) {
    let first = register(records, blobs, "counting", b"one").await;
    assert_eq!(first.to_string(), "counting:1");
    let second = register(records, blobs, "counting", b"two").await;
    assert_eq!(second.to_string(), "counting:2");
    records
        .delete_model(&second)
        .await
        .expect("the model is deleted");
    assert_eq!(records.model(&second).await.expect("a read"), None);
    assert!(records.model(&first).await.expect("a read").is_some());
    let third = register(records, blobs, "counting", b"three").await;
    assert_eq!(third.to_string(), "counting:3");
    for id in [&first, &third] {
        records
            .delete_model(id)
            .await
            .expect("the model is deleted");
    }
    let fourth = register(records, blobs, "counting", b"four").await;
    assert_eq!(fourth.to_string(), "counting:4");
    let gone = records.delete_model(&first).await;
    assert!(matches!(gone, Err(RecordError::NoModel(id)) if id == first));
}

async fn concurrent_registrations_get_versions_of_their_own(
    records: &dyn Records,
    blobs: &dyn Blobs,
) {
    let draft = draft(blobs, "rush", b"rush").await;
    let rush = (0..16).map(|_| records.register_model(draft.clone()));
    let models = futures::future::try_join_all(rush)
        .await
        .expect("all are registered");
    let mut versions: Vec<u32> = models.iter().map(|model| model.id.version.0).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=16).collect::<Vec<_>>());
}

async fn a_draft_without_content_is_refused(records: &dyn Records, blobs: &dyn Blobs) {
    let mut absent = draft(blobs, "absent", b"present").await;
    let missing = Digest::of(b"never stored by the suite of records");
    absent.files[0].digest = missing;
    let refused = records.register_model(absent.clone()).await;
    assert!(
        matches!(&refused, Err(RecordError::NoBlob { path, digest }) if path == "model.onnx" && *digest == missing),
        "{refused:?}"
    );
    absent.files.clear();
    let refused = records.register_model(absent).await;
    assert!(
        matches!(&refused, Err(RecordError::Model(ModelError::Empty { .. }))),
        "{refused:?}"
    );
    let id = register(records, blobs, "absent", b"present").await;
    assert_eq!(id.version.0, 1, "a refused draft took a version");
}

async fn models_are_listed_by_name_then_version(records: &dyn Records, blobs: &dyn Blobs) {
    for (name, count) in [("list-b", 1), ("list-a", 11), ("list-a.x", 1)] {
        for number in 0..count {
            let mut draft = draft(blobs, name, b"listed").await;
            draft.run_id = Some("run-7".to_owned());
            draft.framework = (number == 10).then(|| "Onnx".to_owned());
            draft.tags = BTreeMap::from([("number".to_owned(), number.to_string())]);
            draft.properties = BTreeMap::from([("owner".to_owned(), name.to_owned())]);
            records
                .register_model(draft)
                .await
                .expect("the model is registered");
        }
    }
    let of_run = ModelFilter {
        run_id: Some("run-7".to_owned()),
        ..ModelFilter::default()
    };
    let all = listed(records, &of_run).await;
    let mut expected: Vec<String> = (1..=11)
        .map(|version| format!("list-a:{version}"))
        .collect();
    expected.extend(["list-a.x:1".to_owned(), "list-b:1".to_owned()]);
    assert_eq!(all, expected);

    let latest = ModelFilter {
        latest: true,
        ..of_run.clone()
    };
    assert_eq!(
        listed(records, &latest).await,
        ["list-a:11", "list-a.x:1", "list-b:1"]
    );
    let named = ModelFilter {
        name: Some("list-a.x".parse().expect("a good name")),
        ..of_run.clone()
    };
    assert_eq!(listed(records, &named).await, ["list-a.x:1"]);
    let tagged = ModelFilter {
        tags: BTreeMap::from([("number".to_owned(), Some("3".to_owned()))]),
        ..of_run.clone()
    };
    assert_eq!(listed(records, &tagged).await, ["list-a:4"]);
    let with_tag = ModelFilter {
        tags: BTreeMap::from([("number".to_owned(), None)]),
        ..of_run.clone()
    };
    assert_eq!(listed(records, &with_tag).await.len(), 13);
    let owned = ModelFilter {
        properties: BTreeMap::from([("owner".to_owned(), Some("list-b".to_owned()))]),
        ..of_run.clone()
    };
    assert_eq!(listed(records, &owned).await, ["list-b:1"]);
    let framed = ModelFilter {
        framework: Some("Onnx".to_owned()),
        ..of_run
    };
    assert_eq!(listed(records, &framed).await, ["list-a:11"]);
}

async fn listed(records: &dyn Records, filter: &ModelFilter) -> Vec<String> {
    let models = records.models(filter).await.expect("a list");
    models.iter().map(|model| model.id.to_string()).collect()
}

async fn a_change_is_whole_or_nothing(records: &dyn Records, blobs: &dyn Blobs) {
    let mut draft = draft(blobs, "changing", b"changing").await;
    draft.properties = BTreeMap::from([("fixed".to_owned(), "1".to_owned())]);
    let before = records
        .register_model(draft)
        .await
        .expect("the model is registered");
    let change = ModelChange {
        description: Some("new".to_owned()),
        add_tags: BTreeMap::from([("stage".to_owned(), "test".to_owned())]),
        ..ModelChange::default()
    };
    let broken = ModelChange {
        add_properties: BTreeMap::from([("fixed".to_owned(), "2".to_owned())]),
        ..change.clone()
    };
    let refused = records.change_model(&before.id, broken).await;
    assert!(matches!(
        refused,
        Err(RecordError::Model(ModelError::PropertyExists { .. }))
    ));
    let kept = records.model(&before.id).await.expect("a read");
    assert_eq!(kept.as_ref(), Some(&before));
    let after = records
        .change_model(&before.id, change)
        .await
        .expect("the model is changed");
    assert_eq!(after.draft.description.as_deref(), Some("new"));
    assert_eq!(
        records.model(&before.id).await.expect("a read"),
        Some(after)
    );
    let nobody: ModelId = "changing:99".parse().expect("a good id");
    let refused = records.change_model(&nobody, ModelChange::default()).await;
    assert!(matches!(refused, Err(RecordError::NoModel(id)) if id == nobody));
}

async fn a_model_in_use_stays(records: &dyn Records, blobs: &dyn Blobs) {
    let old = register(records, blobs, "used", b"old").await;
    let new = register(records, blobs, "used", b"new").await;
    let mut record = service("user-one", vec![old.clone()], None);
    put(records, &record, 100)
        .await
        .expect("the service is recorded");
    put(records, &service("user-two", vec![old.clone()], None), 101)
        .await
        .expect("recorded");
    let refused = records.delete_model(&old).await;
    let Err(RecordError::ModelInUse { model, users }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(model, old);
    let users: Vec<&str> = users.iter().map(ServiceName::as_str).collect();
    assert_eq!(users, ["user-one", "user-two"]);

    delete(records, "user-two", 102).await;
    record.spec.models = vec![new];
    put(records, &record, 103)
        .await
        .expect("the service is recorded");
    let refused = records.delete_model(&old).await;
    assert!(
        matches!(refused, Err(RecordError::ModelInUse { .. })),
        "the specification to fall back to lost its model"
    );
    record.healthy_spec = Some(record.spec.clone());
    put(records, &record, 104)
        .await
        .expect("the service is recorded");
    records
        .delete_model(&old)
        .await
        .expect("nobody uses the model");
    delete(records, "user-one", 105).await;
}

async fn a_service_needs_its_models(records: &dyn Records, blobs: &dyn Blobs) {
    let id = register(records, blobs, "needed", b"needed").await;
    records
        .delete_model(&id)
        .await
        .expect("the model is deleted");
    let record = service("needy", vec![id.clone()], None);
    let refused = put(records, &record, 110).await;
    assert!(
        matches!(&refused, Err(RecordError::NoModel(missing)) if *missing == id),
        "{refused:?}"
    );
    assert_eq!(
        records.service(&record.spec.name).await.expect("a read"),
        None
    );
    let operation = records
        .operation(Uuid::from_u128(110))
        .await
        .expect("a read");
    assert_eq!(
        operation, None,
        "the operation was written without its service"
    );
}

async fn a_service_and_its_operation_are_written_together(
    records: &dyn Records,
    blobs: &dyn Blobs,
) {
    let mut record = service("written", Vec::new(), Some(entry(blobs, b"written").await));
    put(records, &record, 120)
        .await
        .expect("the service is recorded");
    assert_eq!(
        records
            .service(&record.spec.name)
            .await
            .expect("a read")
            .as_ref(),
        Some(&record)
    );
    let operation = records
        .operation(Uuid::from_u128(120))
        .await
        .expect("a read");
    assert_eq!(
        operation.map(|operation| operation.service),
        Some(record.spec.name.clone())
    );
    record.keys.primary_key = Secret::new("changed");
    record.revision = 2;
    put(records, &record, 121)
        .await
        .expect("the service is recorded");
    assert_eq!(
        records
            .service(&record.spec.name)
            .await
            .expect("a read")
            .as_ref(),
        Some(&record)
    );
    put(records, &service("a-written", Vec::new(), None), 122)
        .await
        .expect("recorded");
    let names = service_names(records).await;
    assert_eq!(names, ["a-written", "written"]);
    delete(records, "a-written", 123).await;
    delete(records, "written", 124).await;
    assert!(service_names(records).await.is_empty());
    let operation = records
        .operation(Uuid::from_u128(124))
        .await
        .expect("a read");
    assert!(operation.is_some(), "the delete operation was not written");
}

async fn service_names(records: &dyn Records) -> Vec<String> {
    let services = records.services().await.expect("a list");
    services
        .iter()
        .map(|record| record.spec.name.to_string())
        .collect()
}

async fn a_model_with_many_files_comes_back_whole(records: &dyn Records, blobs: &dyn Blobs) {
    let mut draft = draft(blobs, "folder", b"many").await;
    let file = draft.files[0].clone();
    let path = |number| format!("model/{number:05}/{}.bin", "x".repeat(100));
    draft.files = (0..5_000)
        .map(|number| ModelFile {
            path: path(number),
            ..file.clone()
        })
        .collect();
    let model = records
        .register_model(draft)
        .await
        .expect("the model is registered");
    assert_eq!(
        records.model(&model.id).await.expect("a read"),
        Some(model.clone())
    );
    records
        .delete_model(&model.id)
        .await
        .expect("the model is deleted");
    assert_eq!(records.model(&model.id).await.expect("a read"), None);
}

async fn blobs_nobody_names_go(records: &dyn Records, blobs: &dyn Blobs) {
    let only_here = Digest::of(b"named once");
    let shared = Digest::of(b"named twice");
    let mut first = draft(blobs, "naming", b"named once").await;
    first.files.extend(
        draft(blobs, "naming", b"named twice")
            .await
            .files
            .into_iter()
            .map(|file| ModelFile {
                path: "shared.onnx".to_owned(),
                ..file
            }),
    );
    let first = records
        .register_model(first)
        .await
        .expect("the model is registered")
        .id;
    let second = register(records, blobs, "naming", b"named twice").await;
    records
        .delete_model(&first)
        .await
        .expect("the model is deleted");
    assert_eq!(blobs.size(only_here).await.expect("size is told"), None);
    assert!(blobs.size(shared).await.expect("size is told").is_some());
    assert!(records.model(&second).await.expect("a read").is_some());

    let snapshot = entry(blobs, b"a snapshot").await;
    let digest = snapshot.snapshot.digest;
    for (name, id) in [("snap-one", 130), ("snap-two", 131)] {
        let record = service(name, Vec::new(), Some(snapshot.clone()));
        put(records, &record, id)
            .await
            .expect("the service is recorded");
    }
    delete(records, "snap-one", 132).await;
    assert!(blobs.size(digest).await.expect("size is told").is_some());
    delete(records, "snap-two", 133).await;
    let gone_or_asked_for = blobs.size(digest).await.expect("size is told");
    assert!(gone_or_asked_for.is_none() || asking_keeps(blobs, digest).await);
}

/// An implementer may keep a blob that somebody asked about a moment ago: a
/// client that is told "it is there" does not upload it again.
async fn asking_keeps(blobs: &dyn Blobs, digest: Digest) -> bool {
    blobs.read(digest).await.is_ok()
}

async fn the_newest_operations_are_kept(records: &dyn Records) {
    let name: ServiceName = "busy".parse().expect("a good name");
    let other: ServiceName = "busy-2".parse().expect("a good name");
    let quiet = operation(9_999, &other, OperationState::Succeeded, 0);
    records.put_operation(&quiet).await.expect("recorded");
    for number in 0..60 {
        let done = operation(
            10_000 + number,
            &name,
            OperationState::Succeeded,
            number as i64,
        );
        records.put_operation(&done).await.expect("recorded");
        records.put_operation(&done).await.expect("recorded again");
    }
    for number in 0..60 {
        let kept = records
            .operation(Uuid::from_u128(10_000 + number))
            .await
            .expect("a read");
        assert_eq!(kept.is_some(), number >= 10, "operation {number}");
    }
    assert_eq!(
        records.operation(quiet.id).await.expect("a read"),
        Some(quiet)
    );
}

async fn unfinished_operations_are_told(records: &dyn Records) {
    let name: ServiceName = "pending".parse().expect("a good name");
    let mut running = operation(20_000, &name, OperationState::Running, 1);
    let waiting = operation(20_001, &name, OperationState::NotStarted, 2);
    for operation in [&running, &waiting] {
        records.put_operation(operation).await.expect("recorded");
    }
    let mut unfinished = records.unfinished_operations().await.expect("a list");
    unfinished.sort_by_key(|operation| operation.id);
    assert_eq!(unfinished, [running.clone(), waiting.clone()]);
    running.state = OperationState::Failed;
    records.put_operation(&running).await.expect("recorded");
    let unfinished = records.unfinished_operations().await.expect("a list");
    assert_eq!(unfinished, std::slice::from_ref(&waiting));
    let cancelled = Operation {
        state: OperationState::Cancelled,
        ..waiting
    };
    records.put_operation(&cancelled).await.expect("recorded");
    assert!(
        records
            .unfinished_operations()
            .await
            .expect("a list")
            .is_empty()
    );
}
