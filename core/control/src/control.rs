//! The control room's front: every call of its users.
//!
//! A change is acknowledged when it is in the store. Changes run in tasks of
//! their own, so that a caller who goes away half way leaves nothing half done.

use std::{fmt, future::Future, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use lusk_contract::{ModelFilter, Progress};
use lusk_domain::{
    KeyKind, KeyPair, Model, ModelChange, ModelDraft, ModelId, Operation, OperationKind, Secret,
    ServiceName, ServiceRecord, ServiceSpec, ServiceState, Settings, Step, StepOutcome, Violation,
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    ControlError, CreateService, Parts, ServiceView, UpdateService,
    capacity::Ledger,
    check,
    deploy::Deployment,
    keys,
    live::{Live, Turn},
    operation::{Journal, LiveOperation},
    request::{relabel, same_deployment},
    rollout,
    running::{DRAIN_LIMIT, Running},
};

/// Models looked up at a time.
const LOOKED_UP_AT_ONCE: usize = 16;

/// See the module.
pub struct Control {
    pub(crate) parts: Parts,
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) closing: CancellationToken,
    tasks: TaskTracker,
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
            ledger: Ledger::new(parts.capacity),
            parts,
            live: Arc::default(),
            journal: Journal::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        control.restore().await?;
        Ok(control)
    }

    /// Accepts and records a new service, which is then deployed in the background.
    ///
    /// # Errors
    /// Why it was refused; then nothing was changed.
    pub async fn create(
        self: &Arc<Self>,
        request: CreateService,
    ) -> Result<Operation, ControlError> {
        let this = Arc::clone(self);
        self.whole(async move { this.create_whole(request).await })
            .await
    }

    async fn create_whole(
        self: &Arc<Self>,
        request: CreateService,
    ) -> Result<Operation, ControlError> {
        let previous = self.parts.records.service(&request.name).await?;
        let kind = match &previous {
            Some(_) if !request.overwrite => return Err(ControlError::Exists(request.name)),
            Some(_) => OperationKind::Update,
            None => OperationKind::Create,
        };
        let (turn, operation) = self.begin(kind, &request.name)?;
        // Read again: what holds is what is there while the turn is ours.
        let previous = self.parts.records.service(&request.name).await?;
        if previous.is_some() && !request.overwrite {
            return Err(ControlError::Exists(request.name));
        }
        let keys = new_keys(&request, previous.as_ref())?;
        let (spec, models) = self.wanted(request).await?;
        self.deploy(turn, operation, previous, keys, spec, models)
            .await
    }

    /// The specification that a request makes, and its models.
    async fn wanted(
        &self,
        request: CreateService,
    ) -> Result<(ServiceSpec, Vec<Model>), ControlError> {
        let mut violations = Vec::new();
        let models = self.models_for(&request.models, &mut violations).await?;
        let change = match (&request.entry, models.as_slice()) {
            (None, [model]) => check::with_needs_of(model, &request.settings),
            _ => request.settings,
        };
        let settings = Settings::default()
            .changed(&change)
            .unwrap_or_else(|broken| {
                violations.extend(broken);
                Settings::default()
            });
        let spec = ServiceSpec {
            name: request.name,
            compute: request.compute,
            compute_name: request.compute_name,
            description: request.description,
            tags: request.tags,
            properties: request.properties,
            models: request.models,
            entry: request.entry,
            settings,
        };
        self.check(&spec, &models, violations).await?;
        Ok((spec, models))
    }

    /// Accepts and records a change, which is then deployed in the background;
    /// one of labels alone is done at once.
    ///
    /// # Errors
    /// Why it was refused; then nothing was changed.
    pub async fn update(
        self: &Arc<Self>,
        name: &ServiceName,
        change: UpdateService,
    ) -> Result<Operation, ControlError> {
        let (this, name) = (Arc::clone(self), name.clone());
        self.whole(async move { this.update_whole(&name, change).await })
            .await
    }

    async fn update_whole(
        self: &Arc<Self>,
        name: &ServiceName,
        change: UpdateService,
    ) -> Result<Operation, ControlError> {
        let (turn, operation) = self.begin(OperationKind::Update, name)?;
        let Some(record) = self.parts.records.service(name).await? else {
            return Err(ControlError::NoService(name.clone()));
        };
        let (spec, models) = self.changed(&record.spec, change).await?;
        if same_deployment(&record.spec, &spec) {
            return self.relabel(turn, &operation, record, &spec).await;
        }
        let keys = record.keys.clone();
        self.deploy(turn, operation, Some(record), keys, spec, models)
            .await
    }

    /// The specification that a change makes of `old`, and its models.
    async fn changed(
        &self,
        old: &ServiceSpec,
        change: UpdateService,
    ) -> Result<(ServiceSpec, Vec<Model>), ControlError> {
        if change.is_empty() {
            return Err(ControlError::invalid(
                "update",
                "nothing to change is given",
            ));
        }
        let mut violations = Vec::new();
        let mut spec = old.clone();
        for (key, value) in change.add_properties {
            if let Some(there) = spec.properties.get(&key) {
                let message = format!("is set to `{there}` already; properties can only be added");
                violations.push(Violation::new(format!("properties.{key}"), message));
            } else {
                spec.properties.insert(key, value);
            }
        }
        spec.description = change.description.or(spec.description);
        spec.tags = change.tags.unwrap_or(spec.tags);
        spec.models = change.models.unwrap_or(spec.models);
        spec.entry = change.entry.or(spec.entry);
        match old.settings.changed(&change.settings) {
            Ok(settings) => spec.settings = settings,
            Err(broken) => violations.extend(broken),
        }
        let models = self.models_for(&spec.models, &mut violations).await?;
        self.check(&spec, &models, violations).await?;
        Ok((spec, models))
    }

    /// Changes labels: nothing that runs is touched.
    async fn relabel(
        &self,
        turn: Turn,
        operation: &LiveOperation,
        mut record: ServiceRecord,
        spec: &ServiceSpec,
    ) -> Result<Operation, ControlError> {
        relabel(&mut record.spec, spec);
        if let Some(healthy) = &mut record.healthy_spec {
            relabel(healthy, spec);
        }
        record.updated_time = self.parts.clock.now();
        let ended = operation.ended(None);
        self.parts.records.put_service(&record, &ended).await?;
        drop(turn);
        Ok(ended)
    }

    /// Records an accepted specification and lets its deployment begin.
    async fn deploy(
        self: &Arc<Self>,
        turn: Turn,
        operation: Arc<LiveOperation>,
        previous: Option<ServiceRecord>,
        keys: KeyPair,
        spec: ServiceSpec,
        models: Vec<Model>,
    ) -> Result<Operation, ControlError> {
        let begun = operation.now();
        let accepted = self.accepted(spec, &begun, previous.as_ref(), &keys);
        self.parts.records.put_service(&accepted, &begun).await?;
        tracing::info!(service = %begun.service, operation = %begun.id, "deployment begins");
        self.journal.open(&operation);
        let deployment = Deployment {
            control: Arc::clone(self),
            turn,
            operation,
            accepted,
            previous,
            keys,
            models,
        };
        self.tasks.spawn(deployment.run());
        Ok(begun)
    }

    /// The record of an accepted specification. A service that was healthy keeps
    /// that specification and its keys until the new one is.
    fn accepted(
        &self,
        spec: ServiceSpec,
        operation: &Operation,
        previous: Option<&ServiceRecord>,
        keys: &KeyPair,
    ) -> ServiceRecord {
        let now = self.parts.clock.now();
        ServiceRecord {
            spec,
            healthy_spec: previous.and_then(|record| record.healthy_spec.clone()),
            keys: previous.map_or(keys, |record| &record.keys).clone(),
            state: ServiceState::Transitioning,
            error: None,
            created_time: previous.map_or(now, |record| record.created_time),
            updated_time: now,
            revision: previous.map_or(0, |record| record.revision) + 1,
            operation: operation.id,
        }
    }

    /// Deletes a service: its record is gone when this returns, its replicas
    /// when their requests have ended. `None`: there was no such service.
    ///
    /// # Errors
    /// Another operation is running, or the store failed.
    pub async fn delete(
        self: &Arc<Self>,
        name: &ServiceName,
    ) -> Result<Option<Operation>, ControlError> {
        let (this, name) = (Arc::clone(self), name.clone());
        self.whole(async move { this.delete_whole(&name).await })
            .await
    }

    async fn delete_whole(
        self: &Arc<Self>,
        name: &ServiceName,
    ) -> Result<Option<Operation>, ControlError> {
        let (turn, operation) = self.begin(OperationKind::Delete, name)?;
        if self.parts.records.service(name).await?.is_none() {
            return Ok(None);
        }
        let begun = operation.now();
        self.parts.records.delete_service(name, &begun).await?;
        tracing::info!(service = %name, operation = %begun.id, "service deleted");
        self.journal.open(&operation);
        self.parts.router.withdraw(name);
        let running = self.live.replace(name, None);
        let (this, name) = (Arc::clone(self), name.clone());
        self.tasks
            .spawn(async move { this.clear(turn, &operation, &name, running).await });
        Ok(Some(begun))
    }

    /// Lets everything go that a deleted service had.
    async fn clear(
        &self,
        turn: Turn,
        operation: &LiveOperation,
        name: &ServiceName,
        running: Option<Arc<Running>>,
    ) {
        if let Some(running) = running {
            let left = running.retire().await;
            let (outcome, text) = match left {
                0 => (StepOutcome::Done, "drained and removed".to_owned()),
                left => (
                    StepOutcome::Warning,
                    format!("{left} requests still running"),
                ),
            };
            operation.event(Step::Cleanup, outcome, &text);
        }
        self.ledger.settle(name, None);
        self.parts.logs.remove(name);
        let ended = operation.ended(None);
        if let Err(error) = self.parts.records.put_operation(&ended).await {
            tracing::warn!(service = %name, operation = %ended.id, %error, "cannot write the end of a delete");
        }
        drop(turn);
        operation.show(ended.clone());
        self.journal.close(ended.id);
    }

    /// Replaces one of the two keys, by a new one or the given one; callers with
    /// the old one are refused from then on.
    ///
    /// # Errors
    /// No such service, a bad key, another operation running, the store failed.
    pub async fn regenerate_key(
        self: &Arc<Self>,
        name: &ServiceName,
        kind: KeyKind,
        value: Option<Secret>,
    ) -> Result<Operation, ControlError> {
        let (this, name) = (Arc::clone(self), name.clone());
        self.whole(async move { this.regenerate_whole(&name, kind, value.as_ref()).await })
            .await
    }

    async fn regenerate_whole(
        &self,
        name: &ServiceName,
        kind: KeyKind,
        value: Option<&Secret>,
    ) -> Result<Operation, ControlError> {
        let (turn, operation) = self.begin(OperationKind::RegenerateKeys, name)?;
        let Some(mut record) = self.parts.records.service(name).await? else {
            return Err(ControlError::NoService(name.clone()));
        };
        record
            .keys
            .set(kind, keys::given_or_new(value, "keyValue")?);
        record.updated_time = self.parts.clock.now();
        let ended = operation.ended(None);
        self.parts.records.put_service(&record, &ended).await?;
        if let Some(running) = self.live.now(name).running {
            running
                .route
                .set_access(rollout::access(&record.spec, &record.keys));
        }
        drop(turn);
        Ok(ended)
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

    /// Both keys of a service.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keys(&self, name: &ServiceName) -> Result<Option<KeyPair>, ControlError> {
        let record = self.parts.records.service(name).await?;
        Ok(record.map(|record| record.keys))
    }

    /// The last `tail` lines of a service's log.
    ///
    /// # Errors
    /// The store failed.
    pub async fn logs(
        &self,
        name: &ServiceName,
        tail: usize,
    ) -> Result<Option<String>, ControlError> {
        let record = self.parts.records.service(name).await?;
        Ok(record.map(|_| self.parts.logs.open(name).tail(tail)))
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
    async fn whole<T: Send + 'static>(
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

    fn begin(
        &self,
        kind: OperationKind,
        name: &ServiceName,
    ) -> Result<(Turn, Arc<LiveOperation>), ControlError> {
        let operation = LiveOperation::begin(Arc::clone(&self.parts.clock), kind, name.clone());
        let turn = self.live.take_turn(name, operation.now().id)?;
        Ok((turn, operation))
    }

    /// The models of a list that is checked on the way; those that are not there
    /// are violations.
    async fn models_for(
        &self,
        ids: &[ModelId],
        violations: &mut Vec<Violation>,
    ) -> Result<Vec<Model>, ControlError> {
        let broken = check::model_list(ids);
        if !broken.is_empty() {
            violations.extend(broken);
            return Ok(Vec::new());
        }
        let found = self.look_up(ids).await?;
        let missing = ids.iter().zip(&found).filter(|(_, model)| model.is_none());
        violations.extend(
            missing
                .map(|(id, _)| Violation::new("models", format!("no model `{id}` is registered"))),
        );
        Ok(found.into_iter().flatten().collect())
    }

    /// The models of a specification that was accepted once.
    pub(crate) async fn find_models(&self, ids: &[ModelId]) -> Result<Vec<Model>, ControlError> {
        let found = self.look_up(ids).await?;
        let all = ids.iter().zip(found);
        all.map(|(id, model)| model.ok_or_else(|| ControlError::NoModel(id.clone())))
            .collect()
    }

    async fn look_up(&self, ids: &[ModelId]) -> Result<Vec<Option<Model>>, ControlError> {
        let found = stream::iter(ids.to_vec())
            .map(|id| async move { self.parts.records.model(&id).await })
            .buffered(LOOKED_UP_AT_ONCE)
            .try_collect();
        Ok(found.await?)
    }

    /// Checks a specification whole and refuses it with all that is wrong.
    async fn check(
        &self,
        spec: &ServiceSpec,
        models: &[Model],
        mut violations: Vec<Violation>,
    ) -> Result<(), ControlError> {
        // Rules about models mean something only once all of them were found.
        if violations.iter().all(|broken| broken.path != "models") {
            violations.extend(check::spec(spec, models));
        }
        if let Some(entry) = &spec.entry {
            let digest = entry.snapshot.digest;
            if self.parts.blobs.size(digest).await?.is_none() {
                let message = format!("no stored content {digest}; upload the snapshot first");
                violations.push(Violation::new("snapshot", message));
            }
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(ControlError::Invalid { violations })
        }
    }
}

/// Keys of a create: the given ones, else those that are there, else new ones.
fn new_keys(
    request: &CreateService,
    previous: Option<&ServiceRecord>,
) -> Result<KeyPair, ControlError> {
    let kept = previous.map(|record| &record.keys);
    let primary = request
        .primary_key
        .as_ref()
        .or(kept.map(|keys| &keys.primary_key));
    let secondary = request
        .secondary_key
        .as_ref()
        .or(kept.map(|keys| &keys.secondary_key));
    Ok(KeyPair {
        primary_key: keys::given_or_new(primary, "keys.primaryKey")?,
        secondary_key: keys::given_or_new(secondary, "keys.secondaryKey")?,
    })
}
