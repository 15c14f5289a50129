use std::collections::BTreeMap;

use lusk_contract::{
    Blobs as _,
    conformance::{
        self,
        records::{draft, operation, service},
    },
};
use lusk_domain::{OperationState, ServiceName};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path()).unwrap()
}

#[tokio::test]
async fn keeps_the_promises_of_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    conformance::records::suite(&store, &store.blobs()).await;
    conformance::environments::suite(&store).await;
    conformance::endpoints::suite(&store).await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let model = draft(&store.blobs(), "digits", b"weights").await;
    let model = store.register_model(model).await.unwrap();
    let record = service("digits", vec![model.id.clone()], None);
    let running = operation(7, &record.spec.name, OperationState::Running, 0);
    store.put_service(&record, &running).await.unwrap();
    drop(store);

    let store = open(&folder);
    assert_eq!(store.model(&model.id).await.unwrap(), Some(model.clone()));
    assert_eq!(store.services().await.unwrap(), [record]);
    assert_eq!(store.unfinished_operations().await.unwrap(), [running]);
    let digest = model.draft.files[0].digest;
    let content = conformance::blobs::fetch(&store.blobs(), digest).await;
    assert_eq!(content, b"weights");
}

/// Lets `digest`'s blob look as if it were stored two hours ago.
fn make_old(folder: &TempDir, digest: Digest) {
    let hex = digest.to_hex();
    let path = folder.path().join("blobs/sha256").join(&hex[..2]).join(hex);
    let then = std::time::SystemTime::now() - 2 * UNNAMED_FOR;
    std::fs::File::open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

#[tokio::test]
async fn only_old_content_that_nobody_names_is_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let named = store
        .register_model(draft(&store.blobs(), "named", b"named").await)
        .await
        .unwrap();
    let named = named.draft.files[0].digest;
    let young = conformance::blobs::store(&store.blobs(), b"young")
        .await
        .digest;
    let old = conformance::blobs::store(&store.blobs(), b"old")
        .await
        .digest;
    make_old(&folder, named);
    make_old(&folder, old);

    // Stored by this process a moment ago: its record may be on its way.
    assert_eq!(store.collect_garbage().await.unwrap(), Collected::default());
    drop(store);
    let store = open(&folder);
    let there = |digest| store.inner.blobs.stored_size(digest).is_some();
    assert!(there(named));
    assert!(there(young));
    assert!(!there(old), "old content without a name outlived a start");

    make_old(&folder, young);
    assert_eq!(store.blobs().size(young).await.unwrap(), Some(5));
    assert_eq!(
        store.collect_garbage().await.unwrap(),
        Collected::default(),
        "somebody was told that it is there"
    );
    store.inner.blobs.delivered(young);
    let collected = store.collect_garbage().await.unwrap();
    assert_eq!(collected, Collected { blobs: 1, bytes: 5 });
}

#[tokio::test]
async fn storing_old_content_again_makes_it_young() {
    let folder = tempfile::tempdir().unwrap();
    let digest = conformance::blobs::store(&open(&folder).blobs(), b"again")
        .await
        .digest;
    make_old(&folder, digest);
    // Between these two the process may be killed.
    let blobs = BlobFolder::open(&folder.path().join("blobs"), &folder.path().join("tmp")).unwrap();
    let blobs = LocalBlobs::new(Arc::new(blobs));
    conformance::blobs::store(&blobs, b"again").await;
    let store = open(&folder);
    assert!(store.inner.blobs.stored_size(digest).is_some());
}

#[test]
fn a_newer_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let newer = |_: &Table, change: &mut Change| change.put(SCHEMA_KEY.to_vec(), &99);
    store.inner.db.write(Purpose::Grow, newer).unwrap();
    drop(store);
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Newer {
                found: 99,
                known: SCHEMA
            }
        ),
        "{refused}"
    );
}

#[test]
fn each_migration_runs_once_in_order() {
    fn second(_: &Table, change: &mut Change) -> Result<(), RecordError> {
        change.put(b"t/".to_vec(), &"second")
    }
    fn third(table: &Table, change: &mut Change) -> Result<(), RecordError> {
        let text: Option<String> = table.get(b"t/")?;
        change.put(
            b"t/".to_vec(),
            &format!("{} third", text.unwrap_or_default()),
        )
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let db = &store.inner.db;
    db.write(Purpose::Grow, |_, change| {
        change.put(SCHEMA_KEY.to_vec(), &1)
    })
    .unwrap();
    for _ in 0..2 {
        migrate(db, &[second, third]).unwrap();
        let text = db.read(|table| table.get::<String>(b"t/")).unwrap();
        assert_eq!(text.as_deref(), Some("second third"));
        let layout = db.read(|table| table.get::<u32>(SCHEMA_KEY)).unwrap();
        assert_eq!(layout, Some(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_never_ends_up_without_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for round in 0..20 {
        let model = store
            .register_model(draft(&store.blobs(), "raced", b"raced").await)
            .await
            .unwrap();
        let record = service("racer", vec![model.id.clone()], None);
        let done = operation(round, &record.spec.name, OperationState::Succeeded, 0);
        let (put, deleted) = tokio::join!(
            store.put_service(&record, &done),
            store.delete_model(&model.id),
        );
        assert!(put.is_ok() != deleted.is_ok(), "{put:?} {deleted:?}");
        if put.is_ok() {
            let again = operation(
                1_000 + round,
                &record.spec.name,
                OperationState::Succeeded,
                1,
            );
            store
                .delete_service(&record.spec.name, &again)
                .await
                .unwrap();
            store.delete_model(&model.id).await.unwrap();
        }
    }
}

/// What a random caller does; names and models are small numbers.
#[derive(Debug, Clone)]
enum Act {
    Register(u8),
    DeleteModel(u8, u32),
    Put(u8, u8, u32),
    DeleteService(u8),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3u8).prop_map(Act::Register),
        4 => (0..3u8, 1..8u32).prop_map(|(name, version)| Act::DeleteModel(name, version)),
        3 => (0..3u8, 0..3u8, 1..8u32).prop_map(|(service, name, version)| Act::Put(service, name, version)),
        2 => (0..3u8).prop_map(Act::DeleteService),
        1 => Just(Act::Restart),
    ]
}

fn model_id(name: u8, version: u32) -> ModelId {
    format!("model-{name}:{version}").parse().unwrap()
}

fn service_name(number: u8) -> ServiceName {
    format!("service-{number}").parse().unwrap()
}

/// The same rules on maps.
#[derive(Default)]
struct Expected {
    versions: BTreeMap<u8, u32>,
    models: BTreeMap<ModelId, Model>,
    services: BTreeMap<ServiceName, ServiceRecord>,
}

impl Expected {
    fn uses(&self, id: &ModelId) -> bool {
        self.services
            .values()
            .any(|record| record.spec.models.contains(id))
    }
}

async fn perform(act: Act, store: &Store, expected: &mut Expected, number: u128) {
    match act {
        Act::Register(name) => {
            let draft = draft(&store.blobs(), &format!("model-{name}"), &[name]).await;
            let model = store.register_model(draft).await.unwrap();
            let version = expected.versions.entry(name).or_default();
            *version += 1;
            assert_eq!(model.id, model_id(name, *version));
            expected.models.insert(model.id.clone(), model);
        }
        Act::DeleteModel(name, version) => {
            let id = model_id(name, version);
            match store.delete_model(&id).await {
                Ok(()) => {
                    assert!(!expected.uses(&id));
                    assert!(expected.models.remove(&id).is_some());
                }
                Err(RecordError::NoModel(_)) => assert!(!expected.models.contains_key(&id)),
                Err(RecordError::ModelInUse { .. }) => assert!(expected.uses(&id)),
                Err(other) => panic!("{other}"),
            }
        }
        Act::Put(name, model, version) => {
            let id = model_id(model, version);
            let record = service(service_name(name).as_str(), vec![id.clone()], None);
            let done = operation(number, &record.spec.name, OperationState::Succeeded, 0);
            match store.put_service(&record, &done).await {
                Ok(()) => {
                    assert!(expected.models.contains_key(&id));
                    expected.services.insert(record.spec.name.clone(), record);
                }
                Err(RecordError::NoModel(_)) => assert!(!expected.models.contains_key(&id)),
                Err(other) => panic!("{other}"),
            }
        }
        Act::DeleteService(name) => {
            let name = service_name(name);
            let done = operation(number, &name, OperationState::Succeeded, 0);
            store.delete_service(&name, &done).await.unwrap();
            expected.services.remove(&name);
        }
        Act::Restart => unreachable!("the loop restarts"),
    }
}

async fn compare(store: &Store, expected: &Expected) {
    let models = store.models(&ModelFilter::default()).await.unwrap();
    let kept: Vec<Model> = expected.models.values().cloned().collect();
    assert_eq!(models, kept);
    for file in models.iter().flat_map(|model| &model.draft.files) {
        assert!(
            store.inner.blobs.stored_size(file.digest).is_some(),
            "a model lost its content"
        );
    }
    let services = store.services().await.unwrap();
    let kept: Vec<ServiceRecord> = expected.services.values().cloned().collect();
    assert_eq!(services, kept);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_calls_keeps_the_rules(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut store = open(&folder);
            let mut expected = Expected::default();
            for (number, act) in acts.into_iter().enumerate() {
                if matches!(act, Act::Restart) {
                    drop(store);
                    store = open(&folder);
                } else {
                    perform(act, &store, &mut expected, number as u128).await;
                }
            }
            compare(&store, &expected).await;
        });
    }
}
