//! The host of replicas in this process.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lusk_contract::{
    Backend, BatchReport, Batches, OutputFolder, Outputs, Progress, Replica, ReplicaHost,
    ReplicaPlan, Revision, StartError, StartErrorKind,
};
use lusk_domain::{FailureDetail, RuntimeKind, Step, StepOutcome};
use wasmtime::Engine;

use crate::{
    aot::{self, AotCache, AotError},
    batch::BatchBook,
    budget::Budget,
    compile::{CompileError, CompileIn, flavour, to_binary},
    context::Surroundings,
    engine::{self, Repeater, TICK},
    folder::{self, Folders},
    javascript,
    models::{self, Models},
    no_code::TensorReplica,
    process::{PreparedProcess, Processes},
    python,
    runner::{self, Runner},
    sandbox::{Blueprint, SandboxReplica},
    script::{Linkers, Script, internal, invalid_script},
    session::TimedSession,
    wording,
};

/// What a [`LocalHost`] is made of.
#[derive(Debug)]
pub struct LocalHostOptions {
    /// The cache of compiled code; made if it is not there.
    pub aot_dir: PathBuf,
    /// Where replicas have their private folders.
    pub tmp_dir: PathBuf,
    /// Engines for models, the preferred one first.
    pub backends: Vec<Arc<dyn Backend>>,
    /// Where large scripts are compiled.
    pub compile: CompileIn,
    /// Keeps what scripts write to `./outputs`.
    pub outputs: Arc<dyn Outputs>,
}

/// Why the host could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalHostError {
    /// The engine does not run on this machine.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The code cache cannot be used.
    #[error(transparent)]
    Aot(#[from] AotError),
    /// No thread for the clock or for housekeeping.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// What the replicas of one revision share.
struct Prepared {
    models: Arc<Models>,
    body: Body,
}

enum Body {
    Script(Arc<Script>),
    Tensors(Arc<TimedSession>),
    Process(PreparedProcess),
}

/// A revision that was prepared; forgotten when nobody holds the revision.
struct Entry {
    revision: Weak<Revision>,
    prepared: Arc<Prepared>,
}

/// Why a native script's calls are not joined.
const NATIVE_COMPUTES: &str = "is computed by the script's own process";

/// Pause between two rounds of housekeeping.
const KEEPER_PAUSE: Duration = Duration::from_secs(1);

type Entries = Arc<Mutex<HashMap<usize, Entry>>>;

/// Starts replicas in this process.
pub struct LocalHost {
    engine: Engine,
    linkers: Linkers,
    cache: AotCache,
    python: Runner,
    javascript: Runner,
    backends: Vec<Arc<dyn Backend>>,
    folders: Arc<Folders>,
    outputs: Arc<dyn Outputs>,
    processes: Processes,
    /// By the revision's address, which stays taken as long as the entry's
    /// weak reference is there.
    entries: Entries,
    batches: BatchBook,
    _threads: [Repeater; 2],
}

impl LocalHost {
    /// Makes the host. One per process is enough.
    ///
    /// # Errors
    /// The engine or the code cache cannot be used.
    pub fn new(options: LocalHostOptions) -> Result<Arc<Self>, LocalHostError> {
        let engine = engine::new_engine().map_err(engine_error)?;
        let linkers = Linkers::new(&engine).map_err(engine_error)?;
        let cache = AotCache::open(
            engine.clone(),
            options.aot_dir,
            options.tmp_dir.clone(),
            options.compile,
        )?;
        let entries = Entries::default();
        let folders = Folders::new(options.tmp_dir.clone());
        let processes = Processes::new(options.tmp_dir, Arc::clone(&folders))
            .map_err(LocalHostError::Thread)?;
        let ticker = Repeater::start("lusk-epoch", TICK, {
            let engine = engine.clone();
            move || engine.increment_epoch()
        })
        .map_err(LocalHostError::Thread)?;
        let keeper = Repeater::start("lusk-keeper", KEEPER_PAUSE, {
            let (entries, folders) = (Arc::clone(&entries), Arc::clone(&folders));
            move || {
                forget_abandoned(&entries);
                folders.measure(folder::MAX_BYTES);
            }
        })
        .map_err(LocalHostError::Thread)?;
        Ok(Arc::new(Self {
            engine,
            linkers,
            cache,
            python: python::carried(),
            javascript: javascript::carried(),
            backends: options.backends,
            folders,
            outputs: options.outputs,
            processes,
            entries,
            batches: BatchBook::default(),
            _threads: [ticker, keeper],
        }))
    }

    async fn prepare_anew(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<Arc<Prepared>, StartError> {
        let models = Arc::new(Models::new(revision, &self.backends, &self.batches));
        let body = match revision.runtime {
            RuntimeKind::None => Body::Tensors(only_model(&models, progress).await?),
            RuntimeKind::Remote => {
                let message = "outside replicas do not start in this process".to_owned();
                return Err(internal(message));
            }
            RuntimeKind::Wasm => {
                models::load_all(&models, progress).await;
                Body::Script(self.wasm_script(revision, progress).await?)
            }
            RuntimeKind::Python => {
                models::load_all(&models, progress).await;
                let runner = &self.python;
                Body::Script(self.carried_script(runner, revision, progress).await?)
            }
            RuntimeKind::Process => {
                models.join_nothing(NATIVE_COMPUTES, progress);
                Body::Process(self.processes.prepare(revision, progress).await?)
            }
            RuntimeKind::Javascript => {
                models::load_all(&models, progress).await;
                let runner = &self.javascript;
                Body::Script(self.carried_script(runner, revision, progress).await?)
            }
        };
        Ok(Arc::new(Prepared { models, body }))
    }

    async fn wasm_script(
        &self,
        revision: &Revision,
        progress: &dyn Progress,
    ) -> Result<Arc<Script>, StartError> {
        let name = revision.script.clone();
        let path = revision.app_root.join(&name);
        let wasm = run_blocking(move || {
            let bytes = fs::read(&path).map_err(|error| {
                invalid_script(
                    format!("the entry script `{name}` cannot be read"),
                    error.to_string(),
                )
            })?;
            to_binary(&name, bytes).map_err(|text| {
                invalid_script(format!("the entry script `{name}` is not valid"), text)
            })
        })
        .await?;
        let kind = flavour(&wasm)
            .ok_or_else(|| internal("a script lost its kind while it was read".to_owned()))?;
        let key = aot::key(&wasm);
        let loaded = self
            .cache
            .load(&key, kind, move || Ok(wasm))
            .await
            .map_err(|error| not_compiled(&revision.script, &error))?;
        report_code(&revision.script, loaded.compiled_in, progress);
        let script = self.linkers.link(&revision.script, loaded.code)?;
        script.check_memory(&revision.script, revision.memory_limit, revision.slots)?;
        Ok(Arc::new(script))
    }

    /// Compiles the carried Python runner, or finds it compiled, so that the
    /// first deployment need not wait for it. `begin` is called before it is
    /// compiled; the result is how long that took, `None` if it was there.
    ///
    /// # Errors
    /// The code cache cannot be written, or there is not enough memory.
    pub async fn warm_python(
        &self,
        begin: impl FnOnce() + Send,
    ) -> Result<Option<Duration>, StartError> {
        // A node without Python scripts has no use for the code in memory.
        if self.python.is_known(&self.cache) {
            return Ok(None);
        }
        begin();
        let (_, compiled_in) = self.python.get(&self.cache, &self.linkers).await?;
        Ok(compiled_in)
    }

    /// A language's runner, for a script that is there.
    async fn carried_script(
        &self,
        runner: &Runner,
        revision: &Revision,
        progress: &dyn Progress,
    ) -> Result<Arc<Script>, StartError> {
        runner::check_source(revision)?;
        let started = Instant::now();
        let waits = !runner.is_known(&self.cache);
        if waits {
            let text = format!("compiling {}, once for this version of lusk", runner.name);
            progress.event(Step::Image, StepOutcome::Running, &text);
        }
        let (script, compiled_in) = runner.get(&self.cache, &self.linkers).await?;
        // Another task may have been compiling it already.
        let compiled_in = compiled_in.or(waits.then(|| started.elapsed()));
        report_code(runner.name, compiled_in, progress);
        script.check_memory(&revision.script, revision.memory_limit, revision.slots)?;
        Ok(script)
    }

    /// The folder that a replica has as `./outputs`.
    async fn outputs(
        &self,
        revision: &Revision,
        number: u32,
    ) -> Result<Arc<dyn OutputFolder>, StartError> {
        let outputs = Arc::clone(&self.outputs);
        let (service, revision) = (revision.service.clone(), revision.number);
        run_blocking(move || {
            outputs
                .open(&service, revision, number)
                .map_err(|error| internal(format!("the folder `outputs` cannot be made: {error}")))
        })
        .await
    }

    fn find(&self, revision: &Arc<Revision>) -> Option<Arc<Prepared>> {
        let entries = lock(&self.entries);
        let entry = entries.get(&address(revision))?;
        Some(Arc::clone(&entry.prepared))
    }

    fn remember(&self, revision: &Arc<Revision>, prepared: &Arc<Prepared>) {
        lock(&self.entries).insert(
            address(revision),
            Entry {
                revision: Arc::downgrade(revision),
                prepared: Arc::clone(prepared),
            },
        );
    }
}

#[async_trait]
impl ReplicaHost for LocalHost {
    async fn prepare(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<(), StartError> {
        let prepared = self.prepare_anew(revision, progress).await?;
        self.remember(revision, &prepared);
        Ok(())
    }

    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError> {
        let ReplicaPlan { revision, number } = plan;
        let prepared = match self.find(&revision) {
            Some(prepared) => prepared,
            None => {
                let prepared = self.prepare_anew(&revision, &Unheard).await?;
                self.remember(&revision, &prepared);
                prepared
            }
        };
        match &prepared.body {
            Body::Tensors(session) => Ok(Arc::new(TensorReplica::new(
                revision,
                number,
                Arc::clone(&prepared.models),
                Arc::clone(session),
            ))),
            Body::Process(process) => {
                let outputs = self.outputs(&revision, number).await?;
                let process = process.clone();
                let replica = self.processes.start(process, revision, number, outputs);
                Ok(Arc::new(replica.await?))
            }
            Body::Script(script) => {
                let outputs = self.outputs(&revision, number).await?;
                let blueprint = Blueprint {
                    engine: self.engine.clone(),
                    script: Arc::clone(script),
                    tells_schema: matches!(
                        revision.runtime,
                        RuntimeKind::Python | RuntimeKind::Javascript
                    ),
                    surroundings: Surroundings {
                        number,
                        models: Arc::clone(&prepared.models),
                        budget: Budget::new(revision.memory_limit),
                        folders: Arc::clone(&self.folders),
                        outputs,
                        revision,
                    },
                };
                Ok(Arc::new(SandboxReplica::start(blueprint).await?))
            }
        }
    }
}

impl Batches for LocalHost {
    fn batches(&self) -> Vec<BatchReport> {
        self.batches.reports()
    }
}

impl fmt::Debug for LocalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHost")
            .field("cache", &self.cache)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

/// Nobody listens.
struct Unheard;

impl Progress for Unheard {
    fn event(&self, _step: Step, _outcome: StepOutcome, _text: &str) {}
}

/// The session of a deployment without code.
async fn only_model(
    models: &Arc<Models>,
    progress: &dyn Progress,
) -> Result<Arc<TimedSession>, StartError> {
    let paths = models.onnx_paths();
    let [path] = &paths[..] else {
        let message = format!(
            "a deployment without an entry script needs exactly one ONNX file among its models, found {}",
            if paths.is_empty() {
                "none".to_owned()
            } else {
                paths.join(", ")
            }
        );
        return Err(StartError {
            kind: StartErrorKind::ModelNotSupported,
            details: vec![FailureDetail {
                code: "ModelNotSupported".to_owned(),
                message: message.clone(),
            }],
            message,
        });
    };
    models::load_one(models, path, progress)
        .await
        .map_err(|error| models::not_supported(&error))
}

fn report_code(name: &str, compiled_in: Option<Duration>, progress: &dyn Progress) {
    let text = match compiled_in {
        Some(took) => format!("{name} compiled in {}", wording::duration(took)),
        None => format!("{name} found in the AOT cache, nothing to compile"),
    };
    progress.event(Step::Image, StepOutcome::Done, &text);
}

fn not_compiled(name: &str, error: &AotError) -> StartError {
    match error {
        AotError::Compile(CompileError::Invalid(text)) => invalid_script(
            format!("the entry script `{name}` is not valid WebAssembly"),
            text.clone(),
        ),
        error => not_loaded(name, error),
    }
}

/// The fault is not in the code.
pub(crate) fn not_loaded(name: &str, error: &AotError) -> StartError {
    internal(format!(
        "{name} could not be compiled: {}",
        wording::chain(error)
    ))
}

fn engine_error(error: wasmtime::Error) -> LocalHostError {
    LocalHostError::Engine(format!("{error:#}"))
}

fn address(revision: &Arc<Revision>) -> usize {
    Arc::as_ptr(revision).addr()
}

fn lock(entries: &Entries) -> MutexGuard<'_, HashMap<usize, Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of models and code of revisions that are gone.
fn forget_abandoned(entries: &Entries) {
    lock(entries).retain(|_, entry| entry.revision.strong_count() > 0);
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(internal(format!("preparing broke off: {error}"))))
}

#[cfg(test)]
mod tests;
