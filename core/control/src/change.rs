//! Changes of services: create, update, delete, new keys.
//!
//! A change is acknowledged when it is in the store; what follows runs in the
//! background and ends with the operation.

use std::sync::Arc;

use lusk_contract::Progress;
use lusk_domain::{
    KeyKind, KeyPair, Model, Operation, OperationKind, Secret, ServiceName, ServiceRecord,
    ServiceSpec, ServiceState, Step, StepOutcome,
};

use crate::{
    ChangeEndpoint, Control, ControlError, CreateService, UpdateService, deploy::Deployment, keys,
    live::Turn, operation::LiveOperation, request::relabel, rollout, running::Running,
    scaling::first_replicas,
};

impl Control {
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
        if self.parts.records.endpoint(&request.name).await?.is_some() {
            return Err(ControlError::OtherKind {
                name: request.name,
                is: "an endpoint",
                wanted: "a service",
            });
        }
        let keys = new_keys(&request, previous.as_ref())?;
        let (spec, models) = self.wanted(request).await?;
        self.deploy(turn, operation, previous, keys, spec, models)
            .await
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
        let keeps = change.keeps_deployment();
        let (spec, models) = self.changed(&record.spec, change).await?;
        if keeps {
            return self.relabel(turn, &operation, record, &spec).await;
        }
        let keys = record.keys.clone();
        self.deploy(turn, operation, Some(record), keys, spec, models)
            .await
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
        self.check_room(&spec)?;
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
            after: ChangeEndpoint::default(),
        };
        self.tasks.spawn(deployment.run());
        Ok(begun)
    }

    /// Refuses, before anything is built, what never fits on the node, or never beside
    /// the revision that serves. A service that does not serve may wait: it loses
    /// nothing, and shows what it waits for.
    pub(crate) fn check_room(&self, spec: &ServiceSpec) -> Result<(), ControlError> {
        let Some(running) = self.live.now(&spec.name).running else {
            return Ok(());
        };
        let replicas = *first_replicas(spec, Some(&running)).start();
        let (serving, settings) = (&running.reserved, &spec.settings);
        if let Some(missing) = self.ledger.never(&spec.name, settings, replicas) {
            return Err(ControlError::NeverRoom {
                service: spec.name.clone(),
                missing: missing.to_string(),
            });
        }
        match self.ledger.never_both(serving, settings, replicas) {
            Some(both) => Err(ControlError::NoRoomForBoth(both)),
            None => Ok(()),
        }
    }

    /// The record of an accepted specification. A service that was healthy keeps
    /// that specification and its keys until the new one is.
    pub(crate) fn accepted(
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

    /// Deletes a service, or an endpoint with all its versions: its record is gone when this returns, its replicas
    /// when their requests have ended. `None`: there was no such service. A
    /// deployment that is under way is given up.
    ///
    /// # Errors
    /// Another delete is running, or the store failed.
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
        if self.parts.records.endpoint(name).await?.is_some() {
            return self.delete_endpoint_whole(name).await;
        }
        let (turn, operation) = self.begin_delete(name).await?;
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

    /// The turn for a delete, from a deployment if one has it.
    pub(crate) async fn begin_delete(
        &self,
        name: &ServiceName,
    ) -> Result<(Turn, Arc<LiveOperation>), ControlError> {
        loop {
            let busy = match self.begin(OperationKind::Delete, name) {
                Err(ControlError::Busy { operation, .. }) => operation,
                other => return other,
            };
            let holder = self.journal.get(busy);
            if holder.is_some_and(|it| it.now().kind == OperationKind::Delete) {
                return self.begin(OperationKind::Delete, name);
            }
            self.live.give_up(name, busy).await;
        }
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
    /// No such service or endpoint, a bad key, another operation running, the store failed.
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
            return self.regenerate_endpoint_key(name, kind, value).await;
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
