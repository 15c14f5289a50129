//! What happens when the node starts: unfinished operations end, and every
//! service that ever was healthy comes back as it last was.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, stream};
use lusk_contract::Progress;
use lusk_domain::{
    EndpointRecord, Failure, FailureCode, Operation, OperationKind, RuntimeKind, ServiceName,
    ServiceRecord, ServiceState, Step, StepOutcome,
};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Control, ControlError,
    capacity::Reservation,
    deploy::{Reached, unschedulable},
    operation, rollout,
    rollout::Rollout,
    running::Numbers,
    scaling::first_replicas,
};

/// Services that start at a time.
const RESTORED_AT_ONCE: usize = 8;

impl Control {
    /// Returns when every service is up or known to be down.
    pub(crate) async fn restore(self: &Arc<Self>) -> Result<(), ControlError> {
        let mut unfinished = self.end_deletes().await?;
        let mut records = self.parts.records.services().await?;
        for endpoint in self.parts.records.endpoints().await? {
            for record in &mut records {
                let name = &record.spec.name;
                if name.version().is_some() && name.endpoint() == endpoint.name.as_str() {
                    own(record, &endpoint);
                }
            }
            self.show_endpoint(&endpoint);
        }
        for record in &records {
            self.announce(record);
        }
        for record in &mut records {
            if let Some(operation) = unfinished.remove(&record.operation) {
                self.fall_back(record, operation).await?;
            }
        }
        for operation in unfinished.into_values() {
            self.end_stopped(operation).await?;
        }
        let healthy = records
            .into_iter()
            .filter(|record| record.healthy_spec.is_some());
        // Room is given in the order of names, so that a node that has less of it
        // than before brings up the same services each time.
        let (mut fitting, mut late) = (Vec::new(), Vec::new());
        for record in healthy {
            let settings = &record.spec.settings;
            let replicas = first_replicas(&record.spec, None);
            let (ledger, name) = (&self.ledger, &record.spec.name);
            match ledger.hold(name, settings, *replicas.start()) {
                Ok(reserved) => fitting.push((record, reserved)),
                Err(missing) => late.push((record, missing.to_string())),
            }
        }
        for (record, missing) in late {
            let failure = unschedulable(&record, &missing);
            self.note_down(&record, ServiceState::Unschedulable, failure);
        }
        stream::iter(fitting)
            .for_each_concurrent(RESTORED_AT_ONCE, |(record, reserved)| {
                self.restore_one(record, reserved)
            })
            .await;
        Ok(())
    }

    /// Ends deletes, whose records are gone already, and returns the others.
    async fn end_deletes(&self) -> Result<HashMap<Uuid, Operation>, ControlError> {
        let mut others = HashMap::new();
        for operation in self.parts.records.unfinished_operations().await? {
            if operation.kind == OperationKind::Delete {
                let ended = operation::end(operation, None, &*self.parts.clock);
                self.parts.records.put_operation(&ended).await?;
            } else {
                others.insert(operation.id, operation);
            }
        }
        Ok(others)
    }

    async fn end_stopped(&self, operation: Operation) -> Result<(), ControlError> {
        let ended = operation::end(operation, Some(stopped()), &*self.parts.clock);
        Ok(self.parts.records.put_operation(&ended).await?)
    }

    /// The service of an operation that did not end is what it last was.
    async fn fall_back(
        &self,
        record: &mut ServiceRecord,
        operation: Operation,
    ) -> Result<(), ControlError> {
        record.error = Some(stopped());
        record.updated_time = self.parts.clock.now();
        record.state = match &record.healthy_spec {
            Some(healthy) => {
                record.spec = healthy.clone();
                ServiceState::Healthy
            }
            None => ServiceState::Failed,
        };
        let ended = operation::end(operation, Some(stopped()), &*self.parts.clock);
        Ok(self.parts.records.put_service(record, &ended).await?)
    }

    async fn restore_one(self: &Arc<Self>, record: ServiceRecord, reserved: Arc<Reservation>) {
        let begun = Instant::now();
        if let Err(failure) = self.bring_back(&record, reserved).await {
            self.note_down(&record, ServiceState::Failed, failure);
            return;
        }
        let milliseconds = begun.elapsed().as_millis();
        tracing::info!(service = %record.spec.name, milliseconds, "service is restored");
    }

    async fn bring_back(
        self: &Arc<Self>,
        record: &ServiceRecord,
        reserved: Arc<Reservation>,
    ) -> Result<(), Failure> {
        let found = self.find_models(&record.spec.models).await;
        let models = found.map_err(|error| error.failure())?;
        let numbers = Arc::new(Numbers::default());
        let replicas = reserved.replicas();
        let rollout = Rollout {
            parts: &self.parts,
            spec: &record.spec,
            models: &models,
            number: record.revision,
            replicas,
            // Servers of somebody else that are away just now keep no other from serving,
            // and are tried until they answer.
            fewest: match record.spec.runtime() {
                RuntimeKind::Remote => 0,
                _ => replicas,
            },
            numbers: &numbers,
            progress: &Quiet {
                service: &record.spec.name,
            },
        };
        let ready = rollout.bring_up().await.map_err(|failed| failed.failure)?;
        let route = rollout::route(&ready, &record.spec, &record.keys);
        let door = self.door(record, &route, None).await?;
        let reached = Reached {
            ready,
            route,
            door,
            reserved,
        };
        self.switch(record, reached, numbers);
        Ok(())
    }

    fn note_down(&self, record: &ServiceRecord, state: ServiceState, failure: Failure) {
        let service = &record.spec.name;
        tracing::error!(%service, error = %failure, "service is not restored");
        self.live.note(service, Some((state, failure)));
    }
}

/// Gives a version what its endpoint says: who may call.
fn own(record: &mut ServiceRecord, endpoint: &EndpointRecord) {
    record.keys.clone_from(&endpoint.keys);
    let healthy = record.healthy_spec.iter_mut();
    for spec in healthy.chain([&mut record.spec]) {
        spec.settings.auth = endpoint.auth;
    }
}

fn stopped() -> Failure {
    Failure::new(
        FailureCode::InternalServerError,
        "the node stopped before the operation ended",
    )
}

/// Events of a start that belongs to no operation.
struct Quiet<'a> {
    service: &'a ServiceName,
}

impl Progress for Quiet<'_> {
    fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        tracing::debug!(service = %self.service, ?step, ?outcome, text, "restoring");
    }
}
