//! Records: what must survive `kill -9`.

use async_trait::async_trait;
use lusk_domain::{
    Digest, EndpointRecord, Environment, EnvironmentName, Model, ModelChange, ModelDraft,
    ModelError, ModelId, ModelName, Operation, RegisteredEnvironment, ServiceName, ServiceRecord,
    VersionName,
};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Which models to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    /// Only this name.
    pub name: Option<ModelName>,
    /// Only each name's highest version.
    pub latest: bool,
    /// Tags that must be there, with the value if one is given.
    pub tags: BTreeMap<String, Option<String>>,
    /// Properties, likewise.
    pub properties: BTreeMap<String, Option<String>>,
    /// Only of this run.
    pub run_id: Option<String>,
    /// Only with this framework.
    pub framework: Option<String>,
}

/// Why a record was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// No such model.
    #[error("no model `{0}`")]
    NoModel(ModelId),
    /// The model serves.
    #[error("model `{model}` is used by service(s) {}", users.iter().map(|u| format!("`{u}`")).collect::<Vec<_>>().join(", "))]
    ModelInUse {
        /// The model.
        model: ModelId,
        /// Who uses it.
        users: Vec<ServiceName>,
    },
    /// A rule of models.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The version is taken by another definition.
    #[error(
        "environment `{name}` version `{version}` is registered with another definition; versions never change, give another one or none"
    )]
    EnvironmentExists {
        /// The name.
        name: EnvironmentName,
        /// The version.
        version: String,
    },
    /// A file of the draft is not stored as a blob.
    #[error("file `{path}` has no stored content {digest}; upload it first")]
    NoBlob {
        /// The file.
        path: String,
        /// Its digest.
        digest: Digest,
    },
    /// The disk is full.
    #[error("no space left on the device of the data folder; nothing was changed")]
    DiskFull,
    /// The engine failed.
    #[error("the store failed: {0}")]
    Engine(String),
}

/// The store's records. Every call that changes something returns only after
/// the change is on the disk; a failed one changes nothing.
#[async_trait]
pub trait Records: Send + Sync + fmt::Debug {
    /// Registers a model under the next version of its name, in one step:
    /// two at the same time get two versions.
    async fn register_model(&self, draft: ModelDraft) -> Result<Model, RecordError>;

    /// One model.
    async fn model(&self, id: &ModelId) -> Result<Option<Model>, RecordError>;

    /// Models by name, then version.
    async fn models(&self, filter: &ModelFilter) -> Result<Vec<Model>, RecordError>;

    /// Changes a model.
    async fn change_model(&self, id: &ModelId, change: ModelChange) -> Result<Model, RecordError>;

    /// Deletes a model unless a service's specification names it. Its version
    /// is never given again. Blobs that nobody names any more go too.
    async fn delete_model(&self, id: &ModelId) -> Result<(), RecordError>;

    /// Registers an environment under `environment.version`, else under the
    /// next number of its name, in one step. The same definition as the name's
    /// newest version (or as the given version) changes nothing and gives that one.
    async fn register_environment(
        &self,
        name: &EnvironmentName,
        environment: Environment,
    ) -> Result<RegisteredEnvironment, RecordError>;

    /// One environment; the one registered last when no version is given.
    async fn environment(
        &self,
        name: &EnvironmentName,
        version: Option<&str>,
    ) -> Result<Option<RegisteredEnvironment>, RecordError>;

    /// Environments by name, then in the order of their registration.
    async fn environments(&self) -> Result<Vec<RegisteredEnvironment>, RecordError>;

    /// Writes a service's record and the operation that changed it, together.
    /// Checks, in the same step, that the models of the record are there.
    async fn put_service(
        &self,
        record: &ServiceRecord,
        operation: &Operation,
    ) -> Result<(), RecordError>;

    /// One service.
    async fn service(&self, name: &ServiceName) -> Result<Option<ServiceRecord>, RecordError>;

    /// Services by name, versions of endpoints among them.
    async fn services(&self) -> Result<Vec<ServiceRecord>, RecordError>;

    /// Deletes a service's record, writes the operation that did it, and drops
    /// the snapshots that only it named.
    async fn delete_service(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError>;

    /// Writes an endpoint's record, that of one of its versions if it is given, and
    /// the operation that changed them, in one step. Checks the version's models as
    /// [`Records::put_service`] does.
    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        version: Option<&ServiceRecord>,
        operation: &Operation,
    ) -> Result<(), RecordError>;

    /// One endpoint.
    async fn endpoint(&self, name: &ServiceName) -> Result<Option<EndpointRecord>, RecordError>;

    /// Endpoints by name.
    async fn endpoints(&self) -> Result<Vec<EndpointRecord>, RecordError>;

    /// Deletes a version of an endpoint, writes the record of the endpoint as it goes
    /// on without it, and the operation that did it, in one step.
    async fn delete_version(
        &self,
        record: &EndpointRecord,
        version: &VersionName,
        operation: &Operation,
    ) -> Result<(), RecordError>;

    /// Deletes an endpoint with all its versions, and writes the operation that did
    /// it, in one step.
    async fn delete_endpoint(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError>;

    /// Writes an operation. Only the newest 50 of a service are kept.
    async fn put_operation(&self, operation: &Operation) -> Result<(), RecordError>;

    /// One operation.
    async fn operation(&self, id: Uuid) -> Result<Option<Operation>, RecordError>;

    /// Operations that had not ended when the process did.
    async fn unfinished_operations(&self) -> Result<Vec<Operation>, RecordError>;
}
