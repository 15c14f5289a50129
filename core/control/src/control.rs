//! The control room's front: how it starts and ends, and what it tells.
//!
//! Changes run in tasks of their own, so that a caller who goes away half way
//! leaves nothing half done.

use std::{collections::BTreeSet, fmt, future::Future, sync::Arc};

use lusk_contract::{Images, ModelFilter};
use lusk_domain::{
    Environment, EnvironmentName, ImageKey, KeyPair, Model, ModelChange, ModelDraft, ModelId,
    Operation, OperationKind, RegisteredEnvironment, ServiceName, ServiceRecord, ServiceSpec,
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    ControlError, Parts, ScalingReport, ServiceView,
    capacity::Ledger,
    live::{Live, Turn},
    operation::{Journal, LiveOperation},
    running::{DRAIN_LIMIT, Running},
    scaling,
    watch::Watch,
};

/// See the module.
pub struct Control {
    pub(crate) parts: Parts,
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Arc<Ledger>,
    /// Held from reading an endpoint's record until its next one is shown.
    pub(crate) endpoints: tokio::sync::Mutex<()>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("workspace", &self.parts.workspace)
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Ends what the last process left unfinished and brings every service
    /// back; returns when each of them is up or known to be down.
    ///
    /// # Errors
    /// The store cannot be read or written. A service that does not come up is
    /// no error here: its view says why.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, ControlError> {
        let control = Arc::new(Self {
            ledger: Arc::new(Ledger::new(parts.capacity)),
            watch: Arc::new(Watch::new(
                Arc::clone(&parts.router),
                Arc::clone(&parts.clock),
            )),
            parts,
            live: Arc::default(),
            endpoints: tokio::sync::Mutex::default(),
            journal: Journal::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        control.restore().await?;
        control.watch_guards();
        Ok(control)
    }

    /// One service.
    ///
    /// # Errors
    /// The store failed.
    pub async fn service(&self, name: &ServiceName) -> Result<Option<ServiceView>, ControlError> {
        let record = self.parts.records.service(name).await?;
        Ok(record.map(|record| self.view(record)))
    }

    /// All services by name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn services(&self) -> Result<Vec<ServiceView>, ControlError> {
        let records = self.parts.records.services().await?;
        Ok(records
            .into_iter()
            .map(|record| self.view(record))
            .collect())
    }

    fn view(&self, record: ServiceRecord) -> ServiceView {
        let now = self.live.now(&record.spec.name);
        ServiceView::new(record, &now)
    }

    /// Both keys of a service or an endpoint.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keys(&self, name: &ServiceName) -> Result<Option<KeyPair>, ControlError> {
        if let Some(record) = self.parts.records.service(name).await? {
            return Ok(Some(record.keys));
        }
        let endpoint = self.parts.records.endpoint(name).await?;
        Ok(endpoint.map(|record| record.keys))
    }

    /// The last `tail` lines of a service's log; of an endpoint those of its default
    /// version.
    ///
    /// # Errors
    /// The store failed.
    pub async fn logs(
        &self,
        name: &ServiceName,
        tail: usize,
    ) -> Result<Option<String>, ControlError> {
        if self.parts.records.service(name).await?.is_some() {
            return Ok(Some(self.parts.logs.open(name).tail(tail)));
        }
        let Some(endpoint) = self.endpoint(name).await? else {
            return Ok(None);
        };
        let versions = &endpoint.versions;
        let default = versions.iter().find(|version| version.is_default);
        Ok(Some(match default.or(versions.first()) {
            Some(version) => {
                let name = &version.service.record.spec.name;
                self.parts.logs.open(name).tail(tail)
            }
            None => String::new(),
        }))
    }

    /// What the autoscaler of a service saw and decided since its revision serves.
    ///
    /// # Errors
    /// The store failed.
    pub async fn scaling(&self, name: &ServiceName) -> Result<Option<ScalingReport>, ControlError> {
        let record = self.parts.records.service(name).await?;
        let running = self.live.now(name).running;
        Ok(record.map(|record| match running {
            Some(running) => running.scaling.report(),
            None => ScalingReport {
                policy: scaling::policy(&record.spec),
                events: Vec::new(),
            },
        }))
    }

    /// One operation, with the events of this moment.
    ///
    /// # Errors
    /// The store failed.
    pub async fn operation(&self, id: Uuid) -> Result<Option<Operation>, ControlError> {
        match self.journal.get(id) {
            Some(live) => Ok(Some(live.now())),
            None => Ok(self.parts.records.operation(id).await?),
        }
    }

    /// One operation, as soon as it has more than `seen_events` or has ended.
    ///
    /// # Errors
    /// The store failed.
    pub async fn wait_operation(
        &self,
        id: Uuid,
        seen_events: usize,
    ) -> Result<Option<Operation>, ControlError> {
        match self.journal.get(id) {
            Some(live) => Ok(Some(live.wait(seen_events).await)),
            None => Ok(self.parts.records.operation(id).await?),
        }
    }

    /// Registers a model under its name's next version.
    ///
    /// # Errors
    /// A broken rule, content that is not stored, or the store failed.
    pub async fn register_model(&self, draft: ModelDraft) -> Result<Model, ControlError> {
        draft.check()?;
        Ok(self.parts.records.register_model(draft).await?)
    }

    /// One model.
    ///
    /// # Errors
    /// The store failed.
    pub async fn model(&self, id: &ModelId) -> Result<Option<Model>, ControlError> {
        Ok(self.parts.records.model(id).await?)
    }

    /// Models by name, then version.
    ///
    /// # Errors
    /// The store failed.
    pub async fn models(&self, filter: &ModelFilter) -> Result<Vec<Model>, ControlError> {
        Ok(self.parts.records.models(filter).await?)
    }

    /// Changes a model.
    ///
    /// # Errors
    /// No such model, a property that is there already, or the store failed.
    pub async fn change_model(
        &self,
        id: &ModelId,
        change: ModelChange,
    ) -> Result<Model, ControlError> {
        Ok(self.parts.records.change_model(id, change).await?)
    }

    /// Registers an environment under its name; see [`lusk_contract::Records`].
    ///
    /// # Errors
    /// A version that is no version or that another definition has, or the
    /// store failed.
    pub async fn register_environment(
        &self,
        name: &EnvironmentName,
        environment: Environment,
    ) -> Result<RegisteredEnvironment, ControlError> {
        if let Some(version) = &environment.version
            && !is_version(version)
        {
            let message = format!(
                "`{version:.80}` is not a version: 1 to {} letters, digits, `-`, `.` and `_`",
                RegisteredEnvironment::MAX_VERSION
            );
            return Err(ControlError::invalid("version", message));
        }
        let registered = self.parts.records.register_environment(name, environment);
        Ok(registered.await?)
    }

    /// One environment; the newest version when none is given.
    ///
    /// # Errors
    /// The store failed.
    pub async fn environment(
        &self,
        name: &EnvironmentName,
        version: Option<&str>,
    ) -> Result<Option<RegisteredEnvironment>, ControlError> {
        Ok(self.parts.records.environment(name, version).await?)
    }

    /// Environments by name, then in the order of their registration.
    ///
    /// # Errors
    /// The store failed.
    pub async fn environments(&self) -> Result<Vec<RegisteredEnvironment>, ControlError> {
        Ok(self.parts.records.environments().await?)
    }

    /// Keys of the images that stored services need, what they fall back to included.
    ///
    /// # Errors
    /// The store failed.
    pub async fn image_keys(&self) -> Result<BTreeSet<ImageKey>, ControlError> {
        let records = self.parts.records.services().await?;
        let specs = records
            .iter()
            .flat_map(|record| [Some(&record.spec), record.healthy_spec.as_ref()]);
        Ok(specs.flatten().filter_map(ServiceSpec::image_key).collect())
    }

    /// The images of this node.
    pub fn images(&self) -> &Arc<dyn Images> {
        &self.parts.images
    }

    /// Deletes a model that no service uses.
    ///
    /// # Errors
    /// No such model, a service uses it, or the store failed.
    pub async fn delete_model(&self, id: &ModelId) -> Result<(), ControlError> {
        Ok(self.parts.records.delete_model(id).await?)
    }

    /// Ends everything: refuses changes, gives deployments up, lets requests
    /// end (at most 30 s), drops all replicas.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        self.tasks.close();
        if timeout(DRAIN_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "operations did not end in time");
        }
        let running = self.live.take_all();
        for one in &running {
            self.parts.router.withdraw(&one.route.info().name);
        }
        let drained = running.into_iter().map(Running::retire);
        let left: usize = futures::future::join_all(drained).await.into_iter().sum();
        if left > 0 {
            tracing::warn!(requests = left, "requests did not end in time");
        }
    }

    /// Runs a change to its end even if its caller goes away.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ControlError>> + Send + 'static,
    ) -> Result<T, ControlError> {
        if self.closing.is_cancelled() {
            return Err(ControlError::ShuttingDown);
        }
        match self.tasks.spawn(change).await {
            Ok(result) => result,
            Err(fault) => Err(ControlError::Internal(fault.to_string())),
        }
    }

    pub(crate) fn begin(
        &self,
        kind: OperationKind,
        name: &ServiceName,
    ) -> Result<(Turn, Arc<LiveOperation>), ControlError> {
        let operation = LiveOperation::begin(Arc::clone(&self.parts.clock), kind, name.clone());
        let turn = self.live.take_turn(name, operation.now().id)?;
        Ok((turn, operation))
    }
}

fn is_version(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=RegisteredEnvironment::MAX_VERSION).contains(&text.len()) && text.bytes().all(plain)
}
