//! Doers that keep everything in memory and do as they are told.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lusk_contract::{
    BlobError, BlobSink, Blobs, Clock, LogStream, ModelFilter, Progress, RecordError, Records,
    Replica, ReplicaHost, ReplicaPlan, Revision, ScoreReply, ScoreRequest, ScriptError, ScriptKind,
    ScriptSchema, ServiceLog, ServiceLogs, StartError, StartErrorKind,
};
use lusk_domain::{
    Digest, EndpointRecord, Environment, EnvironmentName, FailureDetail, Model, ModelChange,
    ModelDraft, ModelId, ModelVersion, Operation, RegisteredEnvironment, ServiceName,
    ServiceRecord, Step, StepOutcome, VersionName,
};
use lusk_router::Route;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{LocalDoor, LocalDoors};

#[derive(Debug, Default)]
pub(super) struct FakeRecords {
    models: Mutex<BTreeMap<ModelId, Model>>,
    pub(super) services: Mutex<BTreeMap<ServiceName, ServiceRecord>>,
    endpoints: Mutex<BTreeMap<ServiceName, EndpointRecord>>,
    pub(super) operations: Mutex<HashMap<Uuid, Operation>>,
    environments: Mutex<Vec<RegisteredEnvironment>>,
    /// Every write fails while set.
    pub(super) full: AtomicBool,
}

impl FakeRecords {
    /// What is on the disk in this moment.
    pub(super) fn copy(&self) -> Self {
        Self {
            models: Mutex::new(self.models.lock().unwrap().clone()),
            services: Mutex::new(self.services.lock().unwrap().clone()),
            operations: Mutex::new(self.operations.lock().unwrap().clone()),
            environments: Mutex::new(self.environments.lock().unwrap().clone()),
            endpoints: Mutex::new(self.endpoints.lock().unwrap().clone()),
            full: AtomicBool::new(false),
        }
    }

    fn room(&self) -> Result<(), RecordError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(RecordError::DiskFull);
        }
        Ok(())
    }
}

#[async_trait]
impl Records for FakeRecords {
    async fn register_model(&self, draft: ModelDraft) -> Result<Model, RecordError> {
        self.room()?;
        let mut models = self.models.lock().unwrap();
        let last = models
            .keys()
            .filter(|id| id.name == draft.name)
            .map(|id| id.version)
            .max();
        let model = Model {
            id: ModelId {
                name: draft.name.clone(),
                version: last.map_or(ModelVersion::FIRST, ModelVersion::next),
            },
            created_time: jiff::Timestamp::UNIX_EPOCH,
            draft,
        };
        models.insert(model.id.clone(), model.clone());
        Ok(model)
    }

    async fn model(&self, id: &ModelId) -> Result<Option<Model>, RecordError> {
        Ok(self.models.lock().unwrap().get(id).cloned())
    }

    async fn models(&self, _: &ModelFilter) -> Result<Vec<Model>, RecordError> {
        Ok(self.models.lock().unwrap().values().cloned().collect())
    }

    async fn change_model(&self, id: &ModelId, change: ModelChange) -> Result<Model, RecordError> {
        let mut models = self.models.lock().unwrap();
        let model = models
            .get_mut(id)
            .ok_or_else(|| RecordError::NoModel(id.clone()))?;
        model.apply(change)?;
        Ok(model.clone())
    }

    async fn delete_model(&self, id: &ModelId) -> Result<(), RecordError> {
        let services = self.services.lock().unwrap();
        let users = services
            .values()
            .filter(|record| record.spec.models.contains(id));
        let users: Vec<_> = users.map(|record| record.spec.name.clone()).collect();
        if !users.is_empty() {
            let model = id.clone();
            return Err(RecordError::ModelInUse { model, users });
        }
        self.models.lock().unwrap().remove(id);
        Ok(())
    }

    async fn register_environment(
        &self,
        name: &EnvironmentName,
        mut environment: Environment,
    ) -> Result<RegisteredEnvironment, RecordError> {
        let mut all = self.environments.lock().unwrap();
        let version = (all.len() + 1).to_string();
        environment.name = Some(name.to_string());
        environment.version = Some(version.clone());
        let registered = RegisteredEnvironment {
            name: name.clone(),
            version,
            created_time: jiff::Timestamp::UNIX_EPOCH,
            environment,
        };
        all.push(registered.clone());
        Ok(registered)
    }

    async fn environment(
        &self,
        name: &EnvironmentName,
        version: Option<&str>,
    ) -> Result<Option<RegisteredEnvironment>, RecordError> {
        let all = self.environments.lock().unwrap();
        let is_it = |one: &&RegisteredEnvironment| {
            one.name == *name && version.is_none_or(|version| one.version == version)
        };
        Ok(all.iter().rev().find(is_it).cloned())
    }

    async fn environments(&self) -> Result<Vec<RegisteredEnvironment>, RecordError> {
        Ok(self.environments.lock().unwrap().clone())
    }

    async fn put_service(
        &self,
        record: &ServiceRecord,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        self.room()?;
        self.services
            .lock()
            .unwrap()
            .insert(record.spec.name.clone(), record.clone());
        self.put_operation(operation).await?;
        // Written, and the caller not yet told: a moment in which it may go away.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn service(&self, name: &ServiceName) -> Result<Option<ServiceRecord>, RecordError> {
        Ok(self.services.lock().unwrap().get(name).cloned())
    }

    async fn services(&self) -> Result<Vec<ServiceRecord>, RecordError> {
        Ok(self.services.lock().unwrap().values().cloned().collect())
    }

    async fn delete_service(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        self.room()?;
        self.services.lock().unwrap().remove(name);
        self.put_operation(operation).await
    }

    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        version: Option<&ServiceRecord>,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        self.room()?;
        let name = record.name.clone();
        self.endpoints.lock().unwrap().insert(name, record.clone());
        match version {
            Some(version) => self.put_service(version, operation).await,
            None => self.put_operation(operation).await,
        }
    }

    async fn endpoint(&self, name: &ServiceName) -> Result<Option<EndpointRecord>, RecordError> {
        Ok(self.endpoints.lock().unwrap().get(name).cloned())
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRecord>, RecordError> {
        Ok(self.endpoints.lock().unwrap().values().cloned().collect())
    }

    async fn delete_version(
        &self,
        record: &EndpointRecord,
        version: &VersionName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        self.put_endpoint(record, None, operation).await?;
        let name = ServiceName::of_version(&record.name, version);
        self.delete_service(&name, operation).await
    }

    async fn delete_endpoint(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        self.room()?;
        self.endpoints.lock().unwrap().remove(name);
        let is_of = |service: &ServiceName| {
            service.version().is_some() && service.endpoint() == name.as_str()
        };
        self.services
            .lock()
            .unwrap()
            .retain(|service, _| !is_of(service));
        self.put_operation(operation).await
    }

    async fn put_operation(&self, operation: &Operation) -> Result<(), RecordError> {
        self.room()?;
        self.operations
            .lock()
            .unwrap()
            .insert(operation.id, operation.clone());
        Ok(())
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>, RecordError> {
        Ok(self.operations.lock().unwrap().get(&id).cloned())
    }

    async fn unfinished_operations(&self) -> Result<Vec<Operation>, RecordError> {
        let operations = self.operations.lock().unwrap();
        Ok(operations
            .values()
            .filter(|operation| !operation.state.is_final())
            .cloned()
            .collect())
    }
}

#[derive(Debug, Default)]
pub(super) struct FakeBlobs(Mutex<HashMap<Digest, Vec<u8>>>);

impl FakeBlobs {
    pub(super) fn put(&self, content: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .insert(Digest::of(content), content.to_vec());
    }

    fn get(&self, digest: Digest) -> Result<Vec<u8>, BlobError> {
        let found = self.0.lock().unwrap().get(&digest).cloned();
        found.ok_or(BlobError::Missing(digest))
    }
}

#[async_trait]
impl Blobs for FakeBlobs {
    async fn create(&self) -> Result<Box<dyn BlobSink>, BlobError> {
        Err(BlobError::Storage(
            "the control room uploads nothing".to_owned(),
        ))
    }

    async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        Ok(self.get(digest).ok().map(|content| content.len() as u64))
    }

    async fn read(
        &self,
        digest: Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let content = Bytes::from(self.get(digest)?);
        Ok(futures::stream::iter([Ok(content)]).boxed())
    }

    async fn place(&self, digest: Digest, path: &Path) -> Result<(), BlobError> {
        let written = std::fs::write(path, self.get(digest)?);
        written.map_err(|error| BlobError::Storage(error.to_string()))
    }
}

/// What the next replicas do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Mood {
    /// Start.
    #[default]
    Well,
    /// Start replicas with even numbers; the others fail.
    Halved,
    /// Print a line and fail in `init()`.
    Fails,
    /// Never become ready.
    Hangs,
    /// Panic.
    Panics,
}

#[derive(Debug)]
pub(super) struct FakeHost {
    mood: watch::Sender<Mood>,
    /// Replicas whose probe fails, by number.
    pub(super) sick: Arc<Mutex<BTreeSet<u32>>>,
    /// Every revision that was prepared.
    pub(super) revisions: Mutex<Vec<Arc<Revision>>>,
    /// Replicas whose requests wait until they are not in it any more, by number.
    pub(super) held: watch::Sender<BTreeSet<u32>>,
    /// Replicas that live.
    pub(super) alive: Arc<AtomicUsize>,
    /// Numbers of all replicas that were asked for.
    pub(super) asked: Mutex<Vec<u32>>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            mood: watch::Sender::new(Mood::Well),
            sick: Arc::default(),
            held: watch::Sender::default(),
            revisions: Mutex::default(),
            alive: Arc::default(),
            asked: Mutex::default(),
        }
    }
}

impl FakeHost {
    pub(super) fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(super) fn last_revision(&self) -> Arc<Revision> {
        Arc::clone(self.revisions.lock().unwrap().last().unwrap())
    }
}

#[async_trait]
impl ReplicaHost for FakeHost {
    async fn prepare(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<(), StartError> {
        for model in &revision.models {
            let text = format!("{} loaded on cpu (fake, 1 thread)", model.id);
            progress.event(Step::Model, StepOutcome::Done, &text);
        }
        self.revisions.lock().unwrap().push(Arc::clone(revision));
        Ok(())
    }

    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError> {
        self.asked.lock().unwrap().push(plan.number);
        let mood = *self.mood.borrow();
        match mood {
            Mood::Well => {}
            Mood::Halved if plan.number.is_multiple_of(2) => {}
            Mood::Halved => return Err(init_failed()),
            Mood::Fails => {
                plan.revision
                    .log
                    .line(plan.number, LogStream::Out, "loading the model");
                return Err(init_failed());
            }
            Mood::Hangs => {
                let mut mood = self.mood.subscribe();
                let well = mood.wait_for(|mood| *mood == Mood::Well).await;
                well.unwrap();
            }
            Mood::Panics => panic!("as told"),
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(FakeReplica {
            number: plan.number,
            revision: plan.revision,
            schema: schema(),
            sick: Arc::clone(&self.sick),
            held: self.held.subscribe(),
            alive: Arc::clone(&self.alive),
        }))
    }
}

fn init_failed() -> StartError {
    StartError {
        kind: StartErrorKind::UserScriptInitFailed,
        message: "init() raised ValueError".to_owned(),
        details: vec![FailureDetail {
            code: "Traceback".to_owned(),
            message: "File \"score.py\", line 3, in init".to_owned(),
        }],
    }
}

fn schema() -> ScriptSchema {
    ScriptSchema {
        kind: ScriptKind::Plain,
        input: serde_json::json!({}),
        output: serde_json::json!({}),
    }
}

#[derive(Debug)]
struct FakeReplica {
    number: u32,
    revision: Arc<Revision>,
    schema: ScriptSchema,
    sick: Arc<Mutex<BTreeSet<u32>>>,
    held: watch::Receiver<BTreeSet<u32>>,
    alive: Arc<AtomicUsize>,
}

#[async_trait]
impl Replica for FakeReplica {
    /// Answers with the text of its entry script.
    async fn score(&self, _: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let mut held = self.held.clone();
        let may_go = held.wait_for(|held| !held.contains(&self.number)).await;
        may_go.map_err(|e| ScriptError::Raised(e.to_string()))?;
        let script = self.revision.app_root.join(&self.revision.script);
        let text = std::fs::read(script).map_err(|e| ScriptError::Raised(e.to_string()))?;
        Ok(ScoreReply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: text.into(),
            run_time: None,
            function_failed: false,
        })
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        if self.sick.lock().unwrap().contains(&self.number) {
            return Err("as told".to_owned());
        }
        Ok(())
    }
}

impl Drop for FakeReplica {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn request() -> ScoreRequest {
    ScoreRequest {
        method: Method::POST,
        target: "/score".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

/// The machine's clock, set wrong by so much.
#[derive(Debug, Default)]
pub(super) struct FakeClock(Mutex<SignedDuration>);

impl FakeClock {
    pub(super) fn jump(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *self.0.lock().unwrap()
    }
}

#[derive(Debug, Default)]
pub(super) struct FakeLogs(Mutex<HashMap<ServiceName, Arc<FakeLog>>>);

#[derive(Debug, Default)]
struct FakeLog(Mutex<Vec<String>>);

impl ServiceLogs for FakeLogs {
    fn open(&self, service: &ServiceName) -> Arc<dyn ServiceLog> {
        Arc::clone(self.0.lock().unwrap().entry(service.clone()).or_default()) as _
    }

    fn remove(&self, service: &ServiceName) {
        self.0.lock().unwrap().remove(service);
    }
}

impl ServiceLog for FakeLog {
    fn line(&self, _: u32, _: LogStream, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn tail(&self, lines: usize) -> String {
        let all = self.0.lock().unwrap();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Ports in use and where they lead.
#[derive(Debug, Default)]
pub(super) struct FakeDoors(Arc<Mutex<BTreeMap<u16, Arc<Route>>>>);

impl FakeDoors {
    pub(super) fn open_ports(&self) -> Vec<u16> {
        self.0.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn route(&self, port: u16) -> Arc<Route> {
        Arc::clone(&self.0.lock().unwrap()[&port])
    }

    /// What a process that dies leaves of its ports.
    pub(super) fn die(&self) {
        self.0.lock().unwrap().clear();
    }
}

#[async_trait]
impl LocalDoors for FakeDoors {
    async fn open(
        &self,
        route: Arc<Route>,
        port: Option<u16>,
    ) -> Result<Box<dyn LocalDoor>, String> {
        let mut ports = self.0.lock().unwrap();
        let port = port.unwrap_or_else(|| 40_000 + u16::try_from(ports.len()).unwrap());
        if ports.contains_key(&port) {
            return Err(format!("port {port} is in use"));
        }
        ports.insert(port, route);
        Ok(Box::new(FakeDoor {
            port,
            ports: Arc::clone(&self.0),
        }))
    }
}

struct FakeDoor {
    port: u16,
    ports: Arc<Mutex<BTreeMap<u16, Arc<Route>>>>,
}

impl LocalDoor for FakeDoor {
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn set_route(&self, route: Arc<Route>) {
        self.ports.lock().unwrap().insert(self.port, route);
    }
}

impl Drop for FakeDoor {
    fn drop(&mut self) {
        self.ports.lock().unwrap().remove(&self.port);
    }
}

impl fmt::Debug for FakeDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeDoor({})", self.port)
    }
}
