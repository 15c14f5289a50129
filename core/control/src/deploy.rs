//! One create or update: from the accepted record to its end.
//!
//! The old revision serves until the new one is ready and written down as
//! healthy; only then requests are switched over. Whatever fails before leaves
//! the old revision as it was.

use std::{ops::RangeInclusive, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use lusk_contract::Progress;
use lusk_domain::{
    ComputeType, EndpointRecord, Failure, FailureCode, KeyPair, Model, ServiceRecord, ServiceState,
    Settings, Step, StepOutcome,
};
use lusk_router::Route;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    ChangeEndpoint, Control, ControlError, LocalDoor,
    capacity::Reservation,
    care::Care,
    endpoint::in_words,
    live::Turn,
    operation::LiveOperation,
    rollout::{self, Ready, Rollout, StepFailed},
    running::{Numbers, Running},
    scaling::{self, Scaling, first_replicas},
    text::count,
};

/// How long a service waits for room on the node, as in the original.
const ROOM_LIMIT: Duration = Duration::from_mins(5);

/// See the module.
pub(crate) struct Deployment {
    pub(crate) control: Arc<Control>,
    pub(crate) turn: Turn,
    pub(crate) operation: Arc<LiveOperation>,
    /// What was accepted and written down.
    pub(crate) accepted: ServiceRecord,
    /// What was there before.
    pub(crate) previous: Option<ServiceRecord>,
    /// The keys that count when this deployment is healthy.
    pub(crate) keys: KeyPair,
    /// The models of the accepted specification.
    pub(crate) models: Vec<Model>,
    /// What changes of its endpoint when a version is healthy.
    pub(crate) after: ChangeEndpoint,
}

impl Deployment {
    /// Runs to the end; the operation tells how it went.
    pub(crate) async fn run(self) {
        let stopping = self.control.closing.clone();
        self.control.announce(&self.accepted);
        let numbers = self.numbers();
        let ready = tokio::select! {
            biased;
            () = stopping.cancelled() => Err(StepFailed {
                step: Step::Replicas,
                failure: Failure::new(FailureCode::InternalServerError, "the node was stopped during the deployment"),
            }),
            () = self.turn.given_up() => Err(StepFailed {
                step: Step::Replicas,
                failure: Failure::new(FailureCode::Conflict, "it was deleted during the deployment"),
            }),
            ready = AssertUnwindSafe(self.bring_up(&numbers)).catch_unwind() => {
                ready.unwrap_or_else(|_| Err(panicked()))
            }
        };
        let committed = match ready {
            Ok((ready, reserved)) => self.commit(ready, reserved, numbers).await,
            Err(failed) => Err(failed),
        };
        match committed {
            Ok(old) => self.succeed(old).await,
            Err(failed) => self.fail(failed).await,
        }
    }

    fn numbers(&self) -> Arc<Numbers> {
        let now = self.control.live.now(&self.accepted.spec.name);
        now.running
            .map(|running| Arc::clone(&running.numbers))
            .unwrap_or_default()
    }

    async fn bring_up(&self, numbers: &Numbers) -> Result<(Ready, Arc<Reservation>), StepFailed> {
        let reserved = self.find_room().await.map_err(|failure| StepFailed {
            step: Step::Capacity,
            failure,
        })?;
        let replicas = reserved.replicas();
        let rollout = Rollout {
            parts: &self.control.parts,
            spec: &self.accepted.spec,
            models: &self.models,
            number: self.accepted.revision,
            replicas,
            fewest: replicas,
            numbers,
            progress: &*self.operation,
        };
        Ok((rollout.bring_up().await?, reserved))
    }

    async fn find_room(&self) -> Result<Arc<Reservation>, Failure> {
        let (name, settings) = (&self.accepted.spec.name, &self.accepted.spec.settings);
        let mut freed = self.control.ledger.freed();
        let deadline = Instant::now() + ROOM_LIMIT;
        let mut told = None;
        let reserved = loop {
            freed.mark_unchanged();
            // Those that serve may have become more or fewer meanwhile.
            let replicas = self.replicas();
            let most = *replicas.end();
            let missing = match self.control.ledger.hold_most(name, settings, replicas) {
                Ok(reserved) => {
                    self.tell_fewer(reserved.replicas(), most);
                    break reserved;
                }
                Err(missing) => missing.to_string(),
            };
            let failure = unschedulable(&self.accepted, &missing);
            // What serves goes on; the operation says what its update waits for.
            if self.control.live.now(name).running.is_none() {
                self.control
                    .live
                    .note(name, Some((ServiceState::Unschedulable, failure.clone())));
            }
            if told.as_ref() != Some(&missing) {
                let text = format!("{missing}; waiting up to {} s", ROOM_LIMIT.as_secs());
                self.operation
                    .event(Step::Capacity, StepOutcome::Warning, &text);
                told = Some(missing);
            }
            if timeout_at(deadline, freed.changed()).await.is_err() {
                return Err(failure);
            }
        };
        self.control.live.note(name, None);
        self.tell_room(settings, reserved.replicas());
        Ok(reserved)
    }

    /// Replicas to start.
    fn replicas(&self) -> RangeInclusive<u32> {
        let spec = &self.accepted.spec;
        let serving = self.control.live.now(&spec.name).running;
        first_replicas(spec, serving.as_deref())
    }

    /// Says that the revision begins with fewer replicas than the one that serves has.
    fn tell_fewer(&self, replicas: u32, serving: u32) {
        if replicas < serving {
            let text = format!(
                "room for {replicas} of {} beside those that serve; the load brings more \
                 once these are gone",
                count(serving, "replica")
            );
            self.operation
                .event(Step::Capacity, StepOutcome::Warning, &text);
        }
    }

    fn tell_room(&self, settings: &Settings, replicas: u32) {
        if settings.resources.gpu > 0 {
            let asked = count(settings.resources.gpu, "GPU");
            let text = format!("{asked} asked for, none is here; models run on the CPU");
            self.operation
                .event(Step::Capacity, StepOutcome::Warning, &text);
        }
        let text = rollout::reservation(settings, replicas);
        self.operation
            .event(Step::Capacity, StepOutcome::Done, &text);
    }

    /// Writes the new state down, then switches requests over. Returns what
    /// served before.
    async fn commit(
        &self,
        ready: Ready,
        reserved: Arc<Reservation>,
        numbers: Arc<Numbers>,
    ) -> Result<Option<Arc<Running>>, StepFailed> {
        let at_traffic = |failure| StepFailed {
            step: Step::Traffic,
            failure,
        };
        let name = &self.accepted.spec.name;
        let old = self.control.live.now(name).running;
        let route = rollout::route(&ready, &self.accepted.spec, &self.keys);
        let door = self
            .control
            .door(&self.accepted, &route, old.as_deref())
            .await
            .map_err(at_traffic)?;
        let record = self.healthy_record();
        // Of a version: held until its route and its endpoint's next state are shown.
        let held = match name.version() {
            Some(_) => Some(self.control.endpoints.lock().await),
            None => None,
        };
        let endpoint = self.record_healthy(record.clone()).await.map_err(|error| {
            let message = format!("service `{name}` is ready but cannot be recorded: {error}");
            at_traffic(Failure::new(error.code(), message))
        })?;
        let reached = Reached {
            ready,
            route,
            door,
            reserved,
        };
        let text = self.control.switch(&record, reached, numbers);
        self.operation
            .event(Step::Traffic, StepOutcome::Done, &text);
        if let Some(endpoint) = endpoint {
            self.control.show_endpoint(&endpoint);
            let shares = endpoint.traffic.as_ref().map(in_words);
            let shares = shares.unwrap_or_default();
            self.operation
                .event(Step::Traffic, StepOutcome::Done, &shares);
        }
        drop(held);
        Ok(old)
    }

    /// Writes the healthy service down, a version together with its endpoint's next
    /// record, which comes back.
    async fn record_healthy(
        &self,
        record: ServiceRecord,
    ) -> Result<Option<EndpointRecord>, ControlError> {
        let name = &record.spec.name;
        let (control, records) = (&self.control, &self.control.parts.records);
        if name.version().is_none() {
            let ended = self.operation.ended(None);
            records.put_service(&record, &ended).await?;
            return Ok(None);
        }
        let endpoint = control.joined(name, &self.after, &self.operation).await?;
        let ended = self.operation.ended(None);
        let written = records.put_endpoint(&endpoint, Some(&record), &ended);
        written.await?;
        Ok(Some(endpoint))
    }

    fn healthy_record(&self) -> ServiceRecord {
        ServiceRecord {
            healthy_spec: Some(self.accepted.spec.clone()),
            keys: self.keys.clone(),
            state: ServiceState::Healthy,
            error: None,
            updated_time: self.control.parts.clock.now(),
            ..self.accepted.clone()
        }
    }

    async fn succeed(self, old: Option<Arc<Running>>) {
        if let Some(old) = old {
            let number = old.revision;
            match old.retire().await {
                0 => {
                    let text = format!("revision {number} drained and removed");
                    self.operation
                        .event(Step::Cleanup, StepOutcome::Done, &text);
                }
                left => {
                    let left = count(left as u64, "request");
                    let text =
                        format!("{left} to revision {number} still running; it goes when they end");
                    self.operation
                        .event(Step::Cleanup, StepOutcome::Warning, &text);
                }
            }
        }
        let service = &self.accepted.spec.name;
        tracing::info!(%service, revision = self.accepted.revision, "service is healthy");
        let ended = self.operation.ended(None);
        let written = self.control.parts.records.put_operation(&ended).await;
        if let Err(error) = &written {
            // The record and its success are written already; only events are lost.
            tracing::warn!(%service, operation = %ended.id, %error, "cannot write an operation's last events");
        }
        drop(self.turn);
        self.operation.show(ended.clone());
        self.control.journal.close(ended.id);
    }

    async fn fail(self, failed: StepFailed) {
        let StepFailed { step, failure } = failed;
        let name = &self.accepted.spec.name;
        tracing::warn!(service = %name, revision = self.accepted.revision, error = %failure, "deployment failed");
        self.operation
            .event(step, StepOutcome::Failed, &failure.message);
        let serves = self.control.live.now(name).running.is_some();
        let record = self.failed_record(failure.clone(), serves);
        self.control.live.note(name, None);
        let ended = self.operation.ended(Some(failure));
        let written = self
            .control
            .parts
            .records
            .put_service(&record, &ended)
            .await;
        drop(self.turn);
        self.operation.show(ended.clone());
        match written {
            Ok(()) => self.control.journal.close(ended.id),
            Err(error) => {
                // A restart ends it the same way; until then memory answers.
                let operation = ended.id;
                tracing::error!(service = %name, %operation, %error, "cannot record a failed deployment");
            }
        }
    }

    /// Back to what was healthy; failed where nothing ever was.
    fn failed_record(&self, failure: Failure, serves: bool) -> ServiceRecord {
        let before = self
            .previous
            .as_ref()
            .and_then(|record| record.healthy_spec.clone());
        ServiceRecord {
            spec: before.clone().unwrap_or_else(|| self.accepted.spec.clone()),
            healthy_spec: before,
            state: if serves {
                ServiceState::Healthy
            } else {
                ServiceState::Failed
            },
            error: Some(failure),
            updated_time: self.control.parts.clock.now(),
            ..self.accepted.clone()
        }
    }
}

/// All that a revision needs to serve.
pub(crate) struct Reached {
    pub(crate) ready: Ready,
    pub(crate) route: Arc<Route>,
    /// The port of a local service.
    pub(crate) door: Option<Arc<dyn LocalDoor>>,
    pub(crate) reserved: Arc<Reservation>,
}

fn panicked() -> StepFailed {
    StepFailed {
        step: Step::Replicas,
        failure: Failure::new(
            FailureCode::InternalServerError,
            "a fault of lusk itself stopped the deployment; the log of the node has more",
        ),
    }
}

/// The failure of a service that finds no room.
pub(crate) fn unschedulable(record: &ServiceRecord, missing: &str) -> Failure {
    let message = format!("service `{}` is unschedulable: {missing}", record.spec.name);
    Failure::new(FailureCode::Unschedulable, message)
}

impl Control {
    /// The port of a local service: the one its old revision has, if it may
    /// stay there, else a new one. None for a service behind the router.
    pub(crate) async fn door(
        &self,
        record: &ServiceRecord,
        route: &Arc<Route>,
        old: Option<&Running>,
    ) -> Result<Option<Arc<dyn LocalDoor>>, Failure> {
        let ComputeType::Local { port } = record.spec.compute else {
            return Ok(None);
        };
        let kept = old.and_then(|old| old.door.as_ref());
        if let Some(door) =
            kept.filter(|door| port.is_none_or(|port| port == door.address().port()))
        {
            return Ok(Some(Arc::clone(door)));
        }
        match self.parts.doors.open(Arc::clone(route), port).await {
            Ok(door) => Ok(Some(Arc::from(door))),
            Err(cause) => {
                let message = format!("local service `{}`: {cause}", record.spec.name);
                Err(Failure::new(FailureCode::BadRequest, message))
            }
        }
    }

    /// Lets a service be known by its name before it has anything to serve with.
    pub(crate) fn announce(&self, record: &ServiceRecord) {
        let (spec, keys) = (&record.spec, &record.keys);
        let is_routed = matches!(spec.compute, ComputeType::Aks);
        if is_routed && self.live.now(&spec.name).running.is_none() {
            self.parts.router.publish(rollout::empty_route(spec, keys));
        }
    }

    /// Sends requests to what is ready and begins to care for it. Says where
    /// requests go.
    pub(crate) fn switch(
        self: &Arc<Self>,
        record: &ServiceRecord,
        reached: Reached,
        numbers: Arc<Numbers>,
    ) -> String {
        let Reached {
            ready,
            route,
            door,
            reserved,
        } = reached;
        let name = &record.spec.name;
        let text = match &door {
            Some(door) => {
                door.set_route(Arc::clone(&route));
                self.parts.router.withdraw(name);
                format!(
                    "requests to {} go to revision {}",
                    door.address(),
                    ready.revision.number
                )
            }
            None => {
                self.parts.router.publish(Arc::clone(&route));
                self.watch.switched(name);
                format!("requests go to revision {}", ready.revision.number)
            }
        };
        let care = CancellationToken::new();
        let settings = &record.spec.settings;
        let policy = scaling::policy(&record.spec);
        let replicas = u32::try_from(ready.replicas.len()).unwrap_or(u32::MAX);
        let replicas = replicas.saturating_add(ready.missing);
        let scaling = Scaling::new(ready.revision.number, policy, replicas);
        let scaling = Arc::new(match self.live.now(name).running {
            Some(before) => scaling.after(&before.scaling, self.parts.clock.now()),
            None => scaling,
        });
        let care_task = Care {
            host: Arc::clone(&self.parts.host),
            revision: Arc::clone(&ready.revision),
            route: Arc::clone(&route),
            numbers: Arc::clone(&numbers),
            reserved: Arc::clone(&reserved),
            clock: Arc::clone(&self.parts.clock),
            scaling: Arc::clone(&scaling),
            policy,
            settings: settings.clone(),
            missing: ready.missing,
        };
        tokio::spawn(
            care.clone()
                .run_until_cancelled_owned(care_task.run(ready.started)),
        );
        let running = Running {
            revision: ready.revision.number,
            runtime: ready.revision.runtime,
            image: ready.image,
            route,
            door,
            numbers,
            scaling,
            care,
            folder: ready.folder,
            reserved,
        };
        self.live.replace(name, Some(Arc::new(running)));
        text
    }
}
