//! Changes of an endpoint: shares, default, control, labels, a version.

use std::sync::Arc;

use lusk_contract::Progress;
use lusk_domain::{
    EndpointRecord, Operation, OperationKind, RolledBack, ServiceName, ServiceRecord, ServiceState,
    Share, Stake, Step, StepOutcome, TrafficError, TrafficTable, VersionName,
};

use super::{
    applied::{Applied, applied, in_words, never_healthy},
    version::Accepted,
};
use crate::{
    ChangeEndpoint, ChangeVersion, Control, ControlError, UpdateService, operation::LiveOperation,
    request::relabel,
};

impl Control {
    /// Accepts a change of an endpoint. One without a version is done at once, in one
    /// step; one with a version is deployed in the background and takes place, in one
    /// step, when that version is healthy.
    ///
    /// # Errors
    /// Why it was refused; then nothing was changed.
    pub async fn change_endpoint(
        self: &Arc<Self>,
        name: &ServiceName,
        change: ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        let (this, name) = (Arc::clone(self), name.clone());
        self.whole(async move { this.change_whole(&name, change).await })
            .await
    }

    async fn change_whole(
        self: &Arc<Self>,
        name: &ServiceName,
        mut change: ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        match change.version.take() {
            None => self.change_at_once(name, &change).await,
            Some((version, what)) => self.change_version(name, version, what, change).await,
        }
    }

    async fn change_at_once(
        &self,
        name: &ServiceName,
        change: &ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        if *change == ChangeEndpoint::default() {
            return Err(ControlError::invalid(
                "update",
                "nothing to change is given",
            ));
        }
        self.rewrite(name, |record, operation| {
            let Applied {
                record: next,
                notes,
            } = applied(record, change, None)?;
            for note in notes {
                operation.event(Step::Traffic, StepOutcome::Warning, &note);
            }
            Ok(next)
        })
        .await
    }

    async fn change_version(
        self: &Arc<Self>,
        name: &ServiceName,
        version: VersionName,
        what: ChangeVersion,
        after: ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        let service = ServiceName::of_version(name, &version);
        let kind = match what {
            ChangeVersion::Create(_) => OperationKind::Create,
            ChangeVersion::Update(_) => OperationKind::Update,
        };
        let (turn, operation) = self.begin(kind, &service)?;
        let endpoint = self.existing_endpoint(name).await?;
        let previous = self.parts.records.service(&service).await?;
        let (spec, models) = match (what, &previous) {
            (ChangeVersion::Create(_), Some(_)) => {
                return Err(ControlError::Traffic {
                    endpoint: name.clone(),
                    error: TrafficError::Exists(version),
                });
            }
            (ChangeVersion::Create(request), None) => {
                self.wanted_version(&endpoint, service, *request).await?
            }
            (ChangeVersion::Update(_), None) => {
                return Err(self.no_version(name, version).await?);
            }
            (ChangeVersion::Update(change), Some(record)) => {
                let keeps = change.keeps_deployment();
                let (mut spec, models) = self.changed(&record.spec, without_auth(*change)).await?;
                spec.settings.auth = endpoint.auth;
                if keeps {
                    let _turn = turn;
                    let mut record = record.clone();
                    relabel(&mut record.spec, &spec);
                    if let Some(healthy) = &mut record.healthy_spec {
                        relabel(healthy, &spec);
                    }
                    return self.relabel_version(name, record, &after).await;
                }
                (spec, models)
            }
        };
        let _held = self.endpoints.lock().await;
        let endpoint = self.existing_endpoint(name).await?;
        self.check_version(&endpoint, &version, &after).await?;
        let accepted = Accepted {
            turn,
            operation,
            previous,
            spec,
            models,
            after,
        };
        self.deploy_version(None, accepted).await
    }

    /// Labels of a version, and what else changes, at once.
    async fn relabel_version(
        &self,
        name: &ServiceName,
        mut version: ServiceRecord,
        after: &ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        let _held = self.endpoints.lock().await;
        let endpoint = self.existing_endpoint(name).await?;
        let Applied { mut record, notes } = applied(&endpoint, after, None)?;
        let operation = self.operation_on(OperationKind::Update, name);
        for note in notes {
            operation.event(Step::Traffic, StepOutcome::Warning, &note);
        }
        record.updated_time = self.parts.clock.now();
        version.updated_time = record.updated_time;
        let ended = operation.ended(None);
        self.put_endpoint(&record, Some(&version), &ended).await?;
        Ok(ended)
    }

    /// Makes a version the default and the control, with all the traffic that the
    /// default had, in one step.
    ///
    /// # Errors
    /// No such endpoint or version, one that is not healthy, or the store failed.
    pub async fn promote(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
    ) -> Result<Operation, ControlError> {
        let service = ServiceName::of_version(name, version);
        if let Some(view) = self.service(&service).await?
            && view.state != ServiceState::Healthy
            && self.live.now(&service).operation.is_none()
        {
            let message = format!(
                "version `{version}` of endpoint `{name}` is {:?}, only a healthy one can be promoted",
                view.state
            );
            return Err(ControlError::invalid("version", message));
        }
        let (this, name, version) = (Arc::clone(self), name.clone(), version.clone());
        self.whole(async move {
            this.rewrite(&name, |record, operation| {
                with_table(record, operation, |table| table.promoted(&version))
            })
            .await
        })
        .await
    }

    /// Takes all traffic from a version, or from each but the control, in one step; what
    /// it had as default goes to the control.
    ///
    /// # Errors
    /// No such endpoint or version, no control, or the store failed.
    pub async fn roll_back(
        self: &Arc<Self>,
        name: &ServiceName,
        version: Option<&VersionName>,
    ) -> Result<Operation, ControlError> {
        let (this, name, version) = (Arc::clone(self), name.clone(), version.cloned());
        self.whole(async move {
            this.rewrite(&name, |record, operation| {
                if let Some(version) = &version
                    && record.traffic.as_ref().and_then(TrafficTable::control) == Some(version)
                {
                    let message = format!("version `{version}` is the control itself");
                    return Err(ControlError::invalid("version", message));
                }
                with_table(record, operation, |table| {
                    table.rolled_back(version.as_ref())
                })
            })
            .await
        })
        .await
    }

    /// Rolls back a version that broke its guard, which goes with it.
    ///
    /// # Errors
    /// No such endpoint, no way back any more, or the store failed.
    pub(crate) async fn abort(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
        reason: &str,
    ) -> Result<Operation, ControlError> {
        let (this, name, version) = (Arc::clone(self), name.clone(), version.clone());
        let reason = reason.to_owned();
        self.whole(async move {
            let operation = this.rewrite(&name, |record, operation| {
                let text = format!("version `{version}`: {reason}");
                operation.event(Step::Traffic, StepOutcome::Warning, &text);
                let mut next = this.aborted(record, &version)?;
                next.rolled_back = Some(RolledBack {
                    version: version.clone(),
                    at: this.parts.clock.now(),
                    reason: reason.clone(),
                    guard: record.guards.get(&version).copied(),
                    operation: operation.now().id,
                });
                Ok(next)
            });
            let operation = operation.await?;
            tracing::warn!(endpoint = %name, %version, operation = %operation.id, reason, "version rolled back");
            Ok(operation)
        })
        .await
    }

    /// The endpoint without what the version had. Between the breach and this the version
    /// may have been promoted, or its guard taken away.
    fn aborted(
        &self,
        record: &EndpointRecord,
        version: &VersionName,
    ) -> Result<EndpointRecord, ControlError> {
        let refused = |error| ControlError::Traffic {
            endpoint: record.name.clone(),
            error,
        };
        let table = record.traffic.as_ref();
        let table = table.ok_or_else(|| never_healthy(record, version))?;
        if !record.guards.contains_key(version) || table.control() == Some(version) {
            let message = format!("version `{version}` has no guard any more, or is the control");
            return Err(ControlError::invalid("abortIf", message));
        }
        let nothing = Stake {
            share: Some(Share::NONE),
            ..Stake::default()
        };
        let mut next = record.clone();
        if table.effective(version) == Share::NONE {
            // All that it had were copies.
            next.mirror = next.mirror.filter(|mirror| mirror.version != *version);
        }
        // Without a control what it had goes to the default.
        let table = match table.control() {
            Some(_) => table.rolled_back(Some(version)),
            None => table.with_stake(version, nothing),
        };
        next.traffic = Some(table.map_err(refused)?);
        next.guards.remove(version);
        applied(&next, &ChangeEndpoint::default(), None).map(|applied| applied.record)
    }

    /// One step from an endpoint's record to its next: read, changed, written, shown.
    async fn rewrite(
        &self,
        name: &ServiceName,
        change: impl FnOnce(&EndpointRecord, &LiveOperation) -> Result<EndpointRecord, ControlError>,
    ) -> Result<Operation, ControlError> {
        let _held = self.endpoints.lock().await;
        let record = self.existing_endpoint(name).await?;
        let operation = self.operation_on(OperationKind::Update, name);
        let mut next = match change(&record, &operation) {
            Ok(next) => next,
            Err(error) => return Err(self.explained(&record, error).await?),
        };
        next.updated_time = self.parts.clock.now();
        if next.traffic != record.traffic
            && let Some(table) = &next.traffic
        {
            operation.event(Step::Traffic, StepOutcome::Done, &in_words(table));
        }
        let ended = operation.ended(None);
        self.put_endpoint(&next, None, &ended).await?;
        Ok(ended)
    }

    /// A version that is there and was never healthy is not unknown.
    async fn explained(
        &self,
        record: &EndpointRecord,
        error: ControlError,
    ) -> Result<ControlError, ControlError> {
        if let ControlError::Traffic {
            error: TrafficError::Unknown { version, .. },
            ..
        } = &error
        {
            let service = ServiceName::of_version(&record.name, version);
            if self.parts.records.service(&service).await?.is_some() {
                return Ok(never_healthy(record, version));
            }
        }
        Ok(error)
    }

    pub(super) async fn existing_endpoint(
        &self,
        name: &ServiceName,
    ) -> Result<EndpointRecord, ControlError> {
        let record = self.parts.records.endpoint(name).await?;
        record.ok_or_else(|| ControlError::NoEndpoint(name.clone()))
    }

    async fn no_version(
        &self,
        name: &ServiceName,
        version: VersionName,
    ) -> Result<ControlError, ControlError> {
        Ok(ControlError::Traffic {
            endpoint: name.clone(),
            error: TrafficError::Unknown {
                version,
                versions: self.versions_of(name).await?,
            },
        })
    }
}

/// The endpoint with another table, and what hangs on shares: mirrors and guards.
fn with_table(
    record: &EndpointRecord,
    operation: &LiveOperation,
    change: impl FnOnce(&TrafficTable) -> Result<TrafficTable, TrafficError>,
) -> Result<EndpointRecord, ControlError> {
    let refused = |error| ControlError::Traffic {
        endpoint: record.name.clone(),
        error,
    };
    let table = record.traffic.as_ref();
    let table = table.ok_or_else(|| no_table(record))?;
    let mut next = record.clone();
    next.traffic = Some(change(table).map_err(refused)?);
    let Applied { record, notes } = applied(&next, &ChangeEndpoint::default(), None)?;
    for note in notes {
        operation.event(Step::Traffic, StepOutcome::Warning, &note);
    }
    Ok(record)
}

/// Who may call is the endpoint's to say.
fn without_auth(mut change: UpdateService) -> UpdateService {
    change.settings.auth_enabled = None;
    change.settings.token_auth_enabled = None;
    change
}

fn no_table(record: &EndpointRecord) -> ControlError {
    let message = format!("no version of endpoint `{}` was ever healthy", record.name);
    ControlError::invalid("traffic", message)
}
