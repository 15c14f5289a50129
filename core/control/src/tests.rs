//! The promises of the control room, checked through its public calls with
//! fakes for everything that does something.

mod caring;
mod deploying;
mod endpoints;
mod fakes;
mod refusing;
mod remote;
mod reserving;
mod restoring;
mod scaling;
mod watching;

use std::{collections::BTreeMap, sync::Arc};

use lusk_contract::{Records as _, testing::StubImages};
use lusk_domain::{
    ComputeType, Digest, Entry, Environment, Model, ModelDraft, ModelFile, ModelId, Operation,
    ServiceName, SettingsChange, StepOutcome,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Capacity, Control, CreateService, Parts, snapshot};
use fakes::{FakeBlobs, FakeClock, FakeDoors, FakeHost, FakeLogs, FakeRecords};

/// A node of fakes. Its records outlive its control rooms.
struct House {
    records: Arc<FakeRecords>,
    blobs: Arc<FakeBlobs>,
    images: Arc<StubImages>,
    host: Arc<FakeHost>,
    logs: Arc<FakeLogs>,
    doors: Arc<FakeDoors>,
    folders: Vec<TempDir>,
    router: Arc<lusk_router::Router>,
    clock: Arc<FakeClock>,
}

impl House {
    fn new() -> Self {
        Self {
            records: Arc::default(),
            blobs: Arc::default(),
            images: Arc::default(),
            host: Arc::default(),
            logs: Arc::default(),
            doors: Arc::default(),
            folders: Vec::new(),
            router: Arc::default(),
            clock: Arc::default(),
        }
    }

    /// A fresh process over the same records.
    async fn start(&mut self) -> Arc<Control> {
        let tmp = TempDir::new().unwrap();
        self.router = Arc::default();
        let parts = Parts {
            records: Arc::clone(&self.records) as _,
            blobs: Arc::clone(&self.blobs) as _,
            images: Arc::clone(&self.images) as _,
            host: Arc::clone(&self.host) as _,
            logs: Arc::clone(&self.logs) as _,
            clock: Arc::clone(&self.clock) as _,
            router: Arc::clone(&self.router),
            doors: Arc::clone(&self.doors) as _,
            tmp: tmp.path().to_owned(),
            workspace: "local".parse().unwrap(),
            capacity: Capacity {
                cores: 2.0,
                bytes: 4_000_000_000,
            },
        };
        self.folders.push(tmp);
        Control::start(parts).await.unwrap()
    }

    /// Registers a model with one file.
    async fn model(&self, name: &str, file: &str) -> ModelId {
        let content = name.as_bytes();
        self.blobs.put(content);
        let draft = ModelDraft {
            name: name.parse().unwrap(),
            files: vec![ModelFile {
                path: file.to_owned(),
                digest: Digest::of(content),
                size: content.len() as u64,
            }],
            description: None,
            tags: BTreeMap::new(),
            properties: BTreeMap::new(),
            framework: None,
            framework_version: None,
            resource_requirements: Default::default(),
            sample_input_data: None,
            sample_output_data: None,
            experiment_name: None,
            run_id: None,
        };
        let model: Model = self.records.register_model(draft).await.unwrap();
        model.id
    }

    /// An entry script `score.py` with `text` in it, below the folder `src`.
    fn entry(&self, text: &str) -> Entry {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("score.py"), text).unwrap();
        let packed = snapshot::pack(folder.path(), Some("src"), None).unwrap();
        self.blobs
            .put(&std::fs::read(packed.archive.path()).unwrap());
        Entry {
            script: "score.py".to_owned(),
            source_directory: Some("src".to_owned()),
            snapshot: packed.snapshot,
            environment: Environment::default(),
            runtime: None,
            debug_port: None,
        }
    }

    /// A request for a service with a script and no model.
    fn request(&self, service: &str, text: &str) -> CreateService {
        CreateService {
            name: name(service),
            compute: ComputeType::Aks,
            compute_name: None,
            description: None,
            tags: BTreeMap::new(),
            properties: BTreeMap::new(),
            models: Vec::new(),
            entry: Some(self.entry(text)),
            remote: None,
            settings: SettingsChange::default(),
            primary_key: None,
            secondary_key: None,
            overwrite: false,
        }
    }

    /// Texts of revisions that answer for a service, `None` without a route.
    async fn answer(&self, service: &str) -> Option<String> {
        let route = self.router.route(service)?;
        let reply = route.score(fakes::request()).await.ok()?.reply;
        Some(String::from_utf8(reply.body.to_vec()).unwrap())
    }
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

/// Waits for the end of an operation.
async fn end(control: &Control, id: Uuid) -> Operation {
    control
        .wait_operation(id, usize::MAX)
        .await
        .unwrap()
        .unwrap()
}

/// Creates a service and waits for the end.
async fn create(control: &Arc<Control>, request: CreateService) -> Operation {
    let accepted = control.create(request).await.unwrap();
    end(control, accepted.id).await
}

/// Waits until an operation has told something with this outcome.
async fn told(control: &Control, id: Uuid, outcome: StepOutcome) -> String {
    let mut seen = 0;
    loop {
        let operation = control.wait_operation(id, seen).await.unwrap().unwrap();
        if let Some(event) = operation
            .events
            .iter()
            .find(|event| event.outcome == outcome)
        {
            return event.text.clone();
        }
        assert!(!operation.state.is_final(), "{operation:?}");
        seen = operation.events.len();
    }
}
