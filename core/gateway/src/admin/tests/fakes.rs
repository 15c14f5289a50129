//! Doers that live in memory, behind a real control room.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use lusk_contract::{
    BlobError, BlobSink, Blobs, LogStream, ModelFilter, Progress, RecordError, Records, Replica,
    ReplicaHost, ReplicaPlan, Revision, ScoreReply, ScoreRequest, ScriptError, ScriptKind,
    ScriptSchema, ServiceLog, ServiceLogs, StartError, StoredBlob,
};
use lusk_control::{LocalDoor, LocalDoors};
use lusk_domain::{
    Digest, EndpointRecord, Environment, EnvironmentName, Model, ModelChange, ModelDraft, ModelId,
    ModelVersion, Operation, RegisteredEnvironment, ServiceName, ServiceRecord, VersionName,
};
use lusk_router::Route;
use serde_json::json;
use uuid::Uuid;

#[derive(Debug, Default)]
pub(super) struct MemoryRecords {
    models: Mutex<BTreeMap<ModelId, Model>>,
    services: Mutex<BTreeMap<ServiceName, ServiceRecord>>,
    endpoints: Mutex<BTreeMap<ServiceName, EndpointRecord>>,
    operations: Mutex<BTreeMap<Uuid, Operation>>,
    environments: Mutex<Vec<RegisteredEnvironment>>,
}

impl MemoryRecords {
    fn keep(&self, operation: &Operation) {
        let mut operations = self.operations.lock().unwrap();
        operations.insert(operation.id, operation.clone());
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn register_model(&self, draft: ModelDraft) -> Result<Model, RecordError> {
        draft.check()?;
        let mut models = self.models.lock().unwrap();
        let before = models.keys().filter(|id| id.name == draft.name).count();
        let version = ModelVersion(u32::try_from(before).unwrap() + 1);
        let id = ModelId {
            name: draft.name.clone(),
            version,
        };
        let model = Model {
            id: id.clone(),
            created_time: Timestamp::UNIX_EPOCH,
            draft,
        };
        models.insert(id, model.clone());
        Ok(model)
    }

    async fn model(&self, id: &ModelId) -> Result<Option<Model>, RecordError> {
        Ok(self.models.lock().unwrap().get(id).cloned())
    }

    async fn models(&self, filter: &ModelFilter) -> Result<Vec<Model>, RecordError> {
        let wanted = |model: &&Model| {
            let has = |labels: &BTreeMap<String, String>, keys: &BTreeMap<String, _>| {
                keys.keys().all(|key| labels.contains_key(key))
            };
            filter
                .name
                .as_ref()
                .is_none_or(|name| *name == model.id.name)
                && has(&model.draft.tags, &filter.tags)
        };
        let models = self.models.lock().unwrap();
        Ok(models.values().filter(wanted).cloned().collect())
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
        let users: Vec<_> = services
            .values()
            .filter(|record| record.spec.models.contains(id))
            .map(|record| record.spec.name.clone())
            .collect();
        if !users.is_empty() {
            let model = id.clone();
            return Err(RecordError::ModelInUse { model, users });
        }
        let gone = self.models.lock().unwrap().remove(id);
        gone.map(drop)
            .ok_or_else(|| RecordError::NoModel(id.clone()))
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
            created_time: Timestamp::UNIX_EPOCH,
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
        let mut services = self.services.lock().unwrap();
        services.insert(record.spec.name.clone(), record.clone());
        self.keep(operation);
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
        self.services.lock().unwrap().remove(name);
        self.keep(operation);
        Ok(())
    }

    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        version: Option<&ServiceRecord>,
        operation: &Operation,
    ) -> Result<(), RecordError> {
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
        self.keep(operation);
        Ok(())
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>, RecordError> {
        Ok(self.operations.lock().unwrap().get(&id).cloned())
    }

    async fn unfinished_operations(&self) -> Result<Vec<Operation>, RecordError> {
        Ok(Vec::new())
    }
}

type Contents = Arc<Mutex<BTreeMap<Digest, Bytes>>>;

#[derive(Debug, Default)]
pub(super) struct MemoryBlobs {
    contents: Contents,
    /// The next write finds the disk full.
    pub(super) full: Arc<AtomicBool>,
}

struct Sink {
    part: Vec<u8>,
    contents: Contents,
    full: Arc<AtomicBool>,
}

#[async_trait]
impl BlobSink for Sink {
    async fn write(&mut self, part: Bytes) -> Result<(), BlobError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(BlobError::DiskFull);
        }
        self.part.extend_from_slice(&part);
        Ok(())
    }

    async fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<StoredBlob, BlobError> {
        let digest = Digest::of(&self.part);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(BlobError::DigestMismatch {
                expected,
                actual: digest,
            });
        }
        let size = self.part.len() as u64;
        let mut contents = self.contents.lock().unwrap();
        contents.insert(digest, self.part.into());
        Ok(StoredBlob { digest, size })
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn create(&self) -> Result<Box<dyn BlobSink>, BlobError> {
        Ok(Box::new(Sink {
            part: Vec::new(),
            contents: Arc::clone(&self.contents),
            full: Arc::clone(&self.full),
        }))
    }

    async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        let contents = self.contents.lock().unwrap();
        Ok(contents.get(&digest).map(|content| content.len() as u64))
    }

    async fn read(
        &self,
        digest: Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let contents = self.contents.lock().unwrap();
        let content = contents.get(&digest).cloned();
        let content = content.ok_or(BlobError::Missing(digest))?;
        Ok(futures::stream::iter([Ok(content)]).boxed())
    }

    async fn place(&self, digest: Digest, path: &Path) -> Result<(), BlobError> {
        let content = self.contents.lock().unwrap().get(&digest).cloned();
        let content = content.ok_or(BlobError::Missing(digest))?;
        std::fs::write(path, content).map_err(|error| BlobError::Storage(error.to_string()))
    }
}

/// Starts replicas at once, but none of a service or version `endless`.
#[derive(Debug)]
pub(super) struct Echoes;

#[async_trait]
impl ReplicaHost for Echoes {
    async fn prepare(
        &self,
        _revision: &Arc<Revision>,
        _progress: &dyn Progress,
    ) -> Result<(), StartError> {
        Ok(())
    }

    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError> {
        if plan.revision.service.as_str().ends_with("endless") {
            std::future::pending::<()>().await;
        }
        plan.revision.log.line(plan.number, LogStream::Out, "ready");
        Ok(Arc::new(Echo(ScriptSchema {
            kind: ScriptKind::Plain,
            input: json!({}),
            output: json!({}),
        })))
    }
}

#[derive(Debug)]
struct Echo(ScriptSchema);

#[async_trait]
impl Replica for Echo {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        Ok(ScoreReply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: request.body,
            run_time: None,
            function_failed: false,
        })
    }

    fn schema(&self) -> &ScriptSchema {
        &self.0
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct MemoryLogs(Mutex<BTreeMap<ServiceName, Arc<MemoryLog>>>);

#[derive(Debug, Default)]
struct MemoryLog(Mutex<Vec<String>>);

impl ServiceLog for MemoryLog {
    fn line(&self, _replica: u32, _stream: LogStream, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn tail(&self, lines: usize) -> String {
        let log = self.0.lock().unwrap();
        log[log.len().saturating_sub(lines)..].join("\n")
    }
}

impl ServiceLogs for MemoryLogs {
    fn open(&self, service: &ServiceName) -> Arc<dyn ServiceLog> {
        let mut logs = self.0.lock().unwrap();
        Arc::clone(logs.entry(service.clone()).or_default()) as Arc<dyn ServiceLog>
    }

    fn remove(&self, service: &ServiceName) {
        self.0.lock().unwrap().remove(service);
    }
}

/// Opens doors that nobody listens behind.
pub(super) struct NoDoors;

struct NoDoor(SocketAddr);

#[async_trait]
impl LocalDoors for NoDoors {
    async fn open(
        &self,
        _route: Arc<Route>,
        port: Option<u16>,
    ) -> Result<Box<dyn LocalDoor>, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(9)));
        Ok(Box::new(NoDoor(address)))
    }
}

impl LocalDoor for NoDoor {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn set_route(&self, _route: Arc<Route>) {}
}
