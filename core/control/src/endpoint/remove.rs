//! The end of versions and of whole endpoints.

use std::sync::Arc;

use lusk_contract::Progress;
use lusk_domain::{
    EndpointRecord, Operation, ServiceName, Step, StepOutcome, TrafficError, VersionName,
};

use super::applied::applied;
use crate::{
    ChangeEndpoint, Control, ControlError, live::Turn, operation::LiveOperation, running::Running,
};

impl Control {
    /// Deletes a version; the last one takes the endpoint with it. `None`: there was no
    /// such version. Its deployment, if one is under way, is given up.
    ///
    /// # Errors
    /// No such endpoint, it is the default while there are others, or the store failed.
    pub async fn delete_version(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
    ) -> Result<Option<Operation>, ControlError> {
        let (this, name, version) = (Arc::clone(self), name.clone(), version.clone());
        self.whole(async move { this.delete_version_whole(&name, &version).await })
            .await
    }

    async fn delete_version_whole(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
    ) -> Result<Option<Operation>, ControlError> {
        // Refused before a deployment is given up for it.
        let record = self.existing_endpoint(name).await?;
        let there = self.versions_of(name).await?;
        if !there.contains(version) {
            return Ok(None);
        }
        if there.len() == 1 {
            return self.delete_endpoint_whole(name).await;
        }
        without(&record, version, &there)?;
        let service = ServiceName::of_version(name, version);
        let (turn, operation) = self.begin_delete(&service).await?;
        let held = self.endpoints.lock().await;
        let record = self.existing_endpoint(name).await?;
        let there = self.versions_of(name).await?;
        match there.contains(version) {
            false => return Ok(None),
            true if there.len() == 1 => {
                drop(held);
                drop(turn);
                return self.delete_endpoint_whole(name).await;
            }
            true => {}
        }
        let mut next = without(&record, version, &there)?;
        next.updated_time = self.parts.clock.now();
        let begun = operation.now();
        let written = self.parts.records.delete_version(&next, version, &begun);
        written.await?;
        tracing::info!(version = %service, operation = %begun.id, "version deleted");
        self.journal.open(&operation);
        self.show_endpoint(&next);
        self.parts.router.withdraw(&service);
        let running = self.live.replace(&service, None);
        self.spawn_clear(operation, vec![(turn, service, running)]);
        Ok(Some(begun))
    }

    /// Deletes an endpoint with all its versions; their deployments are given up.
    pub(crate) async fn delete_endpoint_whole(
        self: &Arc<Self>,
        name: &ServiceName,
    ) -> Result<Option<Operation>, ControlError> {
        let (_turn, operation) = self.begin_delete(name).await?;
        let mut turns: Vec<(Turn, ServiceName)> = Vec::new();
        let (held, versions) = loop {
            // Deployments need the lock to end, so it is not held while they are waited for.
            for version in self.versions_of(name).await? {
                let service = ServiceName::of_version(name, &version);
                if !turns.iter().any(|(_, taken)| *taken == service) {
                    let (turn, _) = self.begin_delete(&service).await?;
                    turns.push((turn, service));
                }
            }
            let held = self.endpoints.lock().await;
            let versions = self.versions_of(name).await?;
            let is_ours = |version: &VersionName| {
                let service = ServiceName::of_version(name, version);
                turns.iter().any(|(_, taken)| *taken == service)
            };
            if versions.iter().all(is_ours) {
                break (held, versions);
            }
        };
        if self.parts.records.endpoint(name).await?.is_none() {
            return Ok(None);
        }
        let begun = operation.now();
        self.parts.records.delete_endpoint(name, &begun).await?;
        tracing::info!(endpoint = %name, versions = versions.len(), operation = %begun.id, "endpoint deleted");
        self.journal.open(&operation);
        self.parts.router.withdraw_endpoint(name);
        self.watch.forget(name);
        // What was kept under its own name, besides the logs of its versions.
        self.parts.logs.remove(name);
        drop(held);
        let parts = turns.into_iter().map(|(turn, service)| {
            self.parts.router.withdraw(&service);
            let running = self.live.replace(&service, None);
            (turn, service, running)
        });
        let parts = parts.collect();
        self.spawn_clear(operation, parts);
        Ok(Some(begun))
    }

    /// Lets everything go that deleted versions had, in the background.
    fn spawn_clear(
        self: &Arc<Self>,
        operation: Arc<LiveOperation>,
        versions: Vec<(Turn, ServiceName, Option<Arc<Running>>)>,
    ) {
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let clearing = versions.into_iter().map(|(turn, service, running)| {
                let (this, operation) = (&this, &operation);
                async move {
                    let left = match running {
                        Some(running) => running.retire().await,
                        None => 0,
                    };
                    this.parts.logs.remove(&service);
                    let (outcome, text) = match left {
                        0 => (
                            StepOutcome::Done,
                            format!("`{service}` drained and removed"),
                        ),
                        left => (
                            StepOutcome::Warning,
                            format!("`{service}`: {left} requests still running"),
                        ),
                    };
                    operation.event(Step::Cleanup, outcome, &text);
                    drop(turn);
                }
            });
            futures::future::join_all(clearing).await;
            let ended = operation.ended(None);
            if let Err(error) = this.parts.records.put_operation(&ended).await {
                tracing::warn!(operation = %ended.id, %error, "cannot write the end of a delete");
            }
            operation.show(ended.clone());
            this.journal.close(ended.id);
        });
    }
}

/// The endpoint without a version that is not its last one.
fn without(
    record: &EndpointRecord,
    version: &VersionName,
    there: &[VersionName],
) -> Result<EndpointRecord, ControlError> {
    let refused = |error| ControlError::Traffic {
        endpoint: record.name.clone(),
        error,
    };
    let mut next = record.clone();
    if let Some(table) = record.traffic.as_ref()
        && table.share(version).is_some()
    {
        next.traffic = Some(table.without(version).map_err(|error| match error {
            // The others were never healthy.
            TrafficError::LastStays(version) => refused(TrafficError::DefaultStays {
                others: there.iter().filter(|it| **it != version).cloned().collect(),
                version,
            }),
            error => refused(error),
        })?);
    }
    next.guards.remove(version);
    next.mirror = next.mirror.filter(|mirror| mirror.version != *version);
    next.rolled_back = next.rolled_back.filter(|it| it.version != *version);
    applied(&next, &ChangeEndpoint::default(), None).map(|applied| applied.record)
}
