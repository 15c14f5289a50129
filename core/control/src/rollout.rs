//! From a specification to replicas that are ready: the steps of a deployment
//! up to the moment where requests could be switched over. Nothing here is
//! visible to callers of the service; dropped half way, it leaves nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use lusk_contract::{
    ImageError, ImageSource, ImageWish, LogStream, MountedModel, Progress, ReadyImage, Replica,
    ReplicaPlan, Revision, ScriptKind, ScriptSchema, ServiceLog, StartError, StartErrorKind,
};
use lusk_domain::{
    AuthMode, ComputeType, Failure, FailureCode, KeyPair, Model, RuntimeKind, ServiceSpec,
    Settings, Step, StepOutcome,
};
use lusk_router::{Access, Limits, Route, RouteInfo};
use tokio::time::{Instant, timeout};

use crate::{
    Parts, layout,
    log::RevisionLog,
    revision::{self, LaidOut},
    running::{Numbers, RevisionFolder},
    text::{count, gigabytes, rounded, short_digest, size},
};

/// Replicas of one service that start at a time.
const STARTED_AT_ONCE: usize = 4;

/// How long scripts and models may take to be made ready, compilation included:
/// far more than the largest one needs.
const PREPARE_LIMIT: Duration = Duration::from_mins(30);

/// How long a script may wait for its debugger.
const DEBUG_LIMIT: Duration = Duration::from_hours(1);

/// How long an image may take to be fetched or built.
const IMAGE_LIMIT: Duration = Duration::from_hours(1);

/// A step that failed, and why.
#[derive(Debug)]
pub(crate) struct StepFailed {
    pub(crate) step: Step,
    pub(crate) failure: Failure,
}

/// Lets a step's result say which step it was.
fn at(step: Step) -> impl Fn(Failure) -> StepFailed {
    move |failure| StepFailed { step, failure }
}

/// Replicas that are ready and do not serve yet.
pub(crate) struct Ready {
    pub(crate) revision: Arc<Revision>,
    /// Digest of the image's manifest.
    pub(crate) image: Option<String>,
    pub(crate) folder: RevisionFolder,
    pub(crate) replicas: Vec<(u32, Arc<dyn Replica>)>,
    /// Replicas that were asked for and are not among them.
    pub(crate) missing: u32,
    /// What the script says of itself.
    pub(crate) schema: ScriptSchema,
    /// When the first replica was begun.
    pub(crate) started: Instant,
}

/// One way up.
pub(crate) struct Rollout<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) spec: &'a ServiceSpec,
    pub(crate) models: &'a [Model],
    pub(crate) number: u64,
    /// Replicas to start.
    pub(crate) replicas: u32,
    /// How many of them must be ready.
    pub(crate) fewest: u32,
    pub(crate) numbers: &'a Numbers,
    pub(crate) progress: &'a dyn Progress,
}

impl Rollout<'_> {
    /// Takes all steps but the switch. Room on the node is the caller's to reserve.
    pub(crate) async fn bring_up(&self) -> Result<Ready, StepFailed> {
        let log = RevisionLog::new(self.parts.logs.open(&self.spec.name));
        let laid_out = self.lay_out().await.map_err(at(Step::Snapshot))?;
        let image = self.image().await.map_err(at(Step::Image))?;
        let revision = Arc::new(self.revision(&laid_out, image.as_ref(), &log));
        let folder = laid_out.folder;
        self.prepare(&revision, &log).await?;
        let started = Instant::now();
        let replicas = self
            .start(&revision, &log)
            .await
            .map_err(at(Step::Replicas))?;
        let schema = match replicas.first() {
            Some((_, first)) => first.schema().clone(),
            // Whoever is away just now is waited for; what it takes is not known yet.
            None if self.fewest == 0 => unknown_schema(),
            None => {
                let message = format!("service `{}` asks for no replica at all", self.spec.name);
                return Err(at(Step::Replicas)(Failure::new(
                    FailureCode::BadRequest,
                    message,
                )));
            }
        };
        let there = u32::try_from(replicas.len()).unwrap_or(u32::MAX);
        Ok(Ready {
            missing: self.replicas.saturating_sub(there),
            schema,
            revision,
            image: image.map(|image| image.record.manifest),
            folder,
            replicas,
            started,
        })
    }

    async fn lay_out(&self) -> Result<LaidOut, Failure> {
        let mut laid_out =
            revision::lay_out(self.parts, self.spec, self.number, self.models).await?;
        if let Some(held) = &laid_out.unpacked {
            let text = format!("{}, {}", count(held.files, "file"), size(held.bytes));
            self.progress
                .event(Step::Snapshot, StepOutcome::Done, &text);
        }
        self.shorten_waits(&mut laid_out.models);
        Ok(laid_out)
    }

    /// A call that waits for others as long as its request may take has nothing left
    /// to be computed in.
    fn shorten_waits(&self, models: &mut [MountedModel]) {
        let limit = limits(&self.spec.settings).scoring_timeout;
        for model in models {
            let Some(asked) = model.batching else {
                continue;
            };
            let given = asked.within(limit);
            model.batching = Some(given);
            if given != asked {
                let text = format!(
                    "model {}: maxBatchDelayMs is {}, more than half of scoringTimeoutMs, which is {}: \
                     calls wait for {} ms",
                    model.id,
                    asked.max_delay.as_millis(),
                    limit.as_millis(),
                    given.max_delay.as_millis()
                );
                self.progress
                    .event(Step::Model, StepOutcome::Warning, &text);
            }
        }
    }

    /// The image of the environment, for runtimes that need one.
    async fn image(&self) -> Result<Option<ReadyImage>, Failure> {
        let (RuntimeKind::Python | RuntimeKind::Process, Some(entry)) =
            (self.spec.runtime(), &self.spec.entry)
        else {
            return Ok(None);
        };
        let wish = ImageWish {
            environment: entry.environment.clone(),
            runtime: match entry.runtime() {
                // Nobody asked for it by name: the packages tell.
                RuntimeKind::Python => entry.runtime,
                other => Some(other),
            },
            rebuild: false,
        };
        let ensured = self.parts.images.ensure(&wish, self.progress);
        let image = match timeout(IMAGE_LIMIT, ensured).await {
            Ok(ready) => ready.map_err(|error| no_image(&error))?,
            Err(_) => {
                let message = format!(
                    "service `{}`: its image was not ready after {} s",
                    self.spec.name,
                    IMAGE_LIMIT.as_secs()
                );
                return Err(Failure::new(FailureCode::DeploymentTimedOut, message));
            }
        };
        self.tell_image(&image);
        Ok(Some(image))
    }

    fn tell_image(&self, image: &ReadyImage) {
        let digest = short_digest(&image.record.manifest);
        let moved = size(image.moved_bytes);
        let text = match image.source {
            ImageSource::Local | ImageSource::Imported => {
                format!("{digest} found in the local cache, nothing to build")
            }
            ImageSource::Workspace => {
                format!("{digest} found in the workspace registry, {moved} fetched")
            }
            ImageSource::Global => {
                format!("{digest} found in the global registry, {moved} fetched")
            }
            ImageSource::Built => format!("{digest} built"),
        };
        self.progress.event(Step::Image, StepOutcome::Done, &text);
        let native = image.record.native.join(", ");
        if !native.is_empty() {
            let text = format!("runtime `process`: native code in {native}");
            self.progress.event(Step::Image, StepOutcome::Done, &text);
        }
    }

    fn revision(
        &self,
        laid_out: &LaidOut,
        image: Option<&ReadyImage>,
        log: &Arc<RevisionLog>,
    ) -> Revision {
        let spec = self.spec;
        let resources = &spec.settings.resources;
        Revision {
            service: spec.name.clone(),
            number: self.number,
            runtime: image.map_or(spec.runtime(), |image| image.record.runtime),
            image: image.map(|image| Arc::clone(&image.files)),
            app_root: laid_out.folder.path().to_owned(),
            script: spec.entry.as_ref().map(layout::script).unwrap_or_default(),
            remote: spec.remote.clone(),
            models: laid_out.models.clone(),
            variables: layout::variables(spec, self.models, &self.parts.workspace),
            memory_limit: resources.memory_limit_bytes(),
            threads: resources.threads(),
            cpu_limit: resources.cpu_limit,
            slots: spec.settings.max_concurrent_requests_per_container as usize,
            debug_port: spec.entry.as_ref().and_then(|entry| entry.debug_port),
            log: Arc::clone(log) as Arc<dyn ServiceLog>,
        }
    }

    async fn prepare(&self, revision: &Arc<Revision>, log: &RevisionLog) -> Result<(), StepFailed> {
        let prepared = self.parts.host.prepare(revision, self.progress);
        match timeout(PREPARE_LIMIT, prepared).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StepFailed {
                step: prepare_step(error.kind),
                failure: self.not_started("cannot be started", &error, log),
            }),
            Err(_) => {
                let message = format!(
                    "service `{}`: script and models were not ready to start after {} s",
                    self.spec.name,
                    PREPARE_LIMIT.as_secs()
                );
                let failure = Failure::new(FailureCode::DeploymentTimedOut, message);
                Err(at(Step::Model)(with_log(failure, log)))
            }
        }
    }

    async fn start(
        &self,
        revision: &Arc<Revision>,
        log: &RevisionLog,
    ) -> Result<Vec<(u32, Arc<dyn Replica>)>, Failure> {
        let wanted = self.replicas;
        let mut starts = stream::iter(0..wanted)
            .map(|_| self.start_one(revision, log))
            .buffer_unordered(STARTED_AT_ONCE);
        let (mut ready, mut possible) = (Vec::new(), wanted);
        while let Some(started) = starts.next().await {
            match started {
                Ok(one) => ready.push(one),
                Err(failure) => {
                    possible -= 1;
                    if possible < self.fewest {
                        return Err(failure);
                    }
                    continue;
                }
            }
            let all = ready.len() == wanted as usize;
            let outcome = if all {
                StepOutcome::Done
            } else {
                StepOutcome::Running
            };
            let text = format!("{} of {wanted} ready", ready.len());
            self.progress.event(Step::Replicas, outcome, &text);
        }
        ready.sort_by_key(|(number, _)| *number);
        Ok(ready)
    }

    async fn start_one(
        &self,
        revision: &Arc<Revision>,
        log: &RevisionLog,
    ) -> Result<(u32, Arc<dyn Replica>), Failure> {
        let plan = ReplicaPlan {
            revision: Arc::clone(revision),
            number: self.numbers.next(),
        };
        let number = plan.number;
        let limit = match revision.debug_port {
            Some(_) => DEBUG_LIMIT,
            None => start_limit(&self.spec.settings),
        };
        match timeout(limit, self.parts.host.start(plan)).await {
            Ok(Ok(replica)) => Ok((number, replica)),
            Ok(Err(error)) => {
                Err(self.not_started(&format!("replica {number} did not start"), &error, log))
            }
            Err(_) => {
                let message = format!(
                    "service `{}`: replica {number} was not ready after {} s, the limit that \
                     `livenessProbeRequirements` sets (initial delay + period × failure threshold)",
                    self.spec.name,
                    limit.as_secs(),
                );
                Err(with_log(
                    Failure::new(FailureCode::DeploymentTimedOut, message),
                    log,
                ))
            }
        }
    }

    fn not_started(&self, what: &str, error: &StartError, log: &RevisionLog) -> Failure {
        let code = match error.kind {
            StartErrorKind::ModelNotSupported => FailureCode::ModelNotSupported,
            StartErrorKind::Internal => FailureCode::InternalServerError,
            _ => FailureCode::KubernetesDeploymentFailed,
        };
        let message = format!("service `{}`: {what}: {error}", self.spec.name);
        let mut failure = Failure::new(code, message);
        // A server that nobody starts from here does not crash here.
        let is_ours = error.kind != StartErrorKind::Unreachable;
        if code == FailureCode::KubernetesDeploymentFailed && is_ours {
            failure = failure.with_detail(
                "CrashLoopBackOff",
                format!("{what}; it was not tried again"),
            );
        }
        // The kinds are spelled as the original spells its own.
        failure = failure.with_detail(format!("{:?}", error.kind), &error.message);
        failure.details.extend(error.details.iter().cloned());
        let failure = with_log(failure, log);
        keep_in_log(what, error, log);
        failure
    }
}

/// Of replicas that nobody could ask yet.
fn unknown_schema() -> ScriptSchema {
    let anything = serde_json::json!({"type": "object", "example": {}});
    ScriptSchema {
        kind: ScriptKind::Plain,
        input: anything.clone(),
        output: anything,
    }
}

/// Leaves in the service's log why a script did not start: that is where its
/// author looks, also when nobody waited for the deployment.
fn keep_in_log(what: &str, error: &StartError, log: &RevisionLog) {
    let more = error.details.iter().map(|detail| detail.message.as_str());
    let more = more.filter(|text| *text != error.message);
    let first = format!("{what}: {}", error.message);
    for line in first.lines().chain(more.flat_map(str::lines)) {
        log.line(0, LogStream::Host, line);
    }
}

fn prepare_step(kind: StartErrorKind) -> Step {
    match kind {
        StartErrorKind::ModelNotSupported => Step::Model,
        _ => Step::Replicas,
    }
}

fn with_log(failure: Failure, log: &RevisionLog) -> Failure {
    let lines = log.last_lines();
    if lines.is_empty() {
        failure
    } else {
        failure.with_detail("ContainerLog", lines)
    }
}

fn no_image(error: &ImageError) -> Failure {
    let code = match error {
        ImageError::Storage(_) | ImageError::DiskFull => FailureCode::StorageFailed,
        _ => FailureCode::EnvironmentBuildFailed,
    };
    let failure = Failure::new(code, error.to_string());
    match error {
        ImageError::Build { log, .. } if !log.is_empty() => failure.with_detail("BuildLog", log),
        _ => failure,
    }
}

/// The longest that a replica may take to become ready: when the original's
/// probe would have given it up.
pub(crate) fn start_limit(settings: &Settings) -> Duration {
    let probe = &settings.liveness;
    let patience = u64::from(probe.period_seconds) * u64::from(probe.failure_threshold);
    Duration::from_secs(u64::from(probe.initial_delay_seconds) + patience)
}

/// What the settings reserve, in words.
pub(crate) fn reservation(settings: &Settings, replicas: u32) -> String {
    let each = &settings.resources;
    format!(
        "{} cores and {} reserved for {}",
        rounded(each.cpu * f64::from(replicas)),
        gigabytes((each.memory_in_gb * f64::from(replicas) * 1e9) as u64),
        count(replicas, "replica")
    )
}

/// The route that leads to replicas which are ready.
pub(crate) fn route(ready: &Ready, spec: &ServiceSpec, keys: &KeyPair) -> Arc<Route> {
    let settings = &spec.settings;
    let variable = |name: &str| ready.revision.variables.get(name).cloned();
    let info = RouteInfo {
        name: spec.name.clone(),
        limits: limits(settings),
        cors: variable("AML_CORS_ORIGINS"),
        schema: ready.schema.clone(),
        version: variable("SERVICE_VERSION").unwrap_or_default(),
        title: variable("SERVICE_NAME").unwrap_or_default(),
        swagger_files: layout::swagger_files(&ready.revision.app_root, spec.entry.as_ref()),
    };
    let route = Route::new(info, access(spec, keys));
    for (number, replica) in &ready.replicas {
        route.add(*number, Arc::clone(replica), ready.revision.slots);
    }
    Arc::new(route)
}

/// The route of a service that has nothing to serve with yet, or never had: its
/// callers are told so instead of that nobody knows the name.
pub(crate) fn empty_route(spec: &ServiceSpec, keys: &KeyPair) -> Arc<Route> {
    let any = serde_json::json!({"type": "object", "example": {}});
    let info = RouteInfo {
        name: spec.name.clone(),
        limits: limits(&spec.settings),
        cors: None,
        schema: ScriptSchema {
            kind: ScriptKind::Plain,
            input: any.clone(),
            output: any,
        },
        version: String::new(),
        title: spec.name.to_string(),
        swagger_files: BTreeMap::new(),
    };
    Arc::new(Route::new(info, access(spec, keys)))
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        scoring_timeout: Duration::from_millis(settings.scoring_timeout_ms.into()),
        max_queue_wait: Duration::from_millis(settings.max_queue_wait_ms.into()),
    }
}

/// Who may call a service; everybody a local one.
pub(crate) fn access(spec: &ServiceSpec, keys: &KeyPair) -> Access {
    Access {
        mode: match spec.compute {
            ComputeType::Aks => spec.settings.auth,
            ComputeType::Local { .. } => AuthMode::None,
        },
        keys: keys.clone(),
    }
}
