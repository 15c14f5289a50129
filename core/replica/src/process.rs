//! Replicas that are processes: an entry script in a Python of this machine.
//!
//! A replica is one process, or as many as `WORKER_COUNT` says, each with the
//! carried native runner; requests go over a socket that is the process's
//! standard input. They answer as the sandbox does, but this is no sandbox: a
//! script has the rights of the user that lusk runs as. What it gets is
//! bounded (see `limits` and `watch`), and what it starts ends with it:
//!
//! - its process group is killed, and then every process that has the worker's
//!   mark in its environment or was seen to come of it, in whatever session;
//! - when lusk itself is killed, the runner notices the end of the socket and
//!   kills its group; what escaped that is killed by the next lusk that is
//!   started on the same folder.
//!
//! A native script cannot be interrupted: when its caller is gone, the process
//! is killed and replaced. `slots` of a revision may be more than its workers;
//! the further requests wait in the pool.

mod channel;
mod crew;
mod environment;
mod interpreter;
mod launch;
mod life;
mod limits;
mod owner;
mod runner;
mod streak;
mod table;
mod view;
mod watch;
mod worker;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
};

use async_trait::async_trait;
use lusk_contract::{
    OutputFolder, Progress, Replica, Revision, ScoreReply, ScoreRequest, ScriptError, ScriptSchema,
    StartError,
};
use lusk_domain::{Step, StepOutcome};
use tokio::task::JoinSet;

use self::{
    crew::Crew,
    launch::{Launch, Recipe},
    limits::Limits,
    owner::Owner,
    runner::RunnerSource,
    watch::Watch,
};
use crate::{
    folder::Folders,
    instance::Ended,
    runner::check_source,
    script::{internal, out_of_memory},
    wording,
};

/// The variable that says how many processes a replica has.
const WORKER_COUNT: &str = "WORKER_COUNT";

/// Most processes of a replica.
const MAX_WORKERS: usize = 64;

/// Bytes without which no Python gets as far as a script's first import.
const LEAST_MEMORY: u64 = 32 << 20;

/// Starts processes for a host.
pub(crate) struct Processes {
    tmp: PathBuf,
    runner: Arc<RunnerSource>,
    folders: Arc<Folders>,
    owner: Arc<Owner>,
    watch: Watch,
    turn: AtomicUsize,
}

impl Drop for Processes {
    fn drop(&mut self) {
        if self.runner.is_used() {
            self.owner.sweep_own();
        }
    }
}

/// A revision whose interpreter was tried.
#[derive(Clone)]
pub(crate) struct PreparedProcess(Arc<Recipe>);

impl Processes {
    /// For a host with this folder for what is temporary. What an earlier
    /// process of the same folder left behind is killed.
    pub(crate) fn new(tmp: PathBuf, folders: Arc<Folders>) -> io::Result<Self> {
        let owner = Owner::new(&tmp);
        owner.sweep_leftovers();
        Ok(Self {
            runner: Arc::new(RunnerSource::new(&tmp)),
            tmp,
            folders,
            owner: Arc::new(owner),
            watch: Watch::start()?,
            turn: AtomicUsize::new(0),
        })
    }

    /// Finds the interpreter and checks what can be checked without the script.
    pub(crate) async fn prepare(
        &self,
        revision: &Revision,
        progress: &dyn Progress,
    ) -> Result<PreparedProcess, StartError> {
        check_source(revision)?;
        worker_count(revision)?;
        check_memory(revision)?;
        let interpreter = interpreter::find(revision).await?;
        let text = format!(
            "Python {} at {} runs `{}` in processes of its own",
            interpreter.version,
            interpreter.path.display(),
            revision.script
        );
        progress.event(Step::Image, StepOutcome::Done, &text);
        let (source, tmp) = (Arc::clone(&self.runner), self.tmp.clone());
        let made = tokio::task::spawn_blocking(move || {
            let compiled = tempfile::Builder::new()
                .prefix("compiled-")
                .tempdir_in(tmp)?;
            Ok((source.get()?, compiled))
        });
        let (runner, compiled) = made
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| internal(format!("the Python runner is not there: {error}")))?;
        Ok(PreparedProcess(Arc::new(Recipe {
            interpreter,
            runner,
            compiled,
        })))
    }

    /// Starts a replica.
    pub(crate) async fn start(
        &self,
        PreparedProcess(recipe): PreparedProcess,
        revision: Arc<Revision>,
        number: u32,
        outputs: Arc<dyn OutputFolder>,
    ) -> Result<ProcessReplica, StartError> {
        let count = worker_count(&revision)?;
        let launch = Launch {
            recipe,
            number,
            outputs,
            limits: Limits::new(revision.memory_limit, revision.cpu_limit, &self.turn),
            ward: self.watch.ward(revision.memory_limit),
            owner: Arc::clone(&self.owner),
            folders: Arc::clone(&self.folders),
            revision,
        };
        let name = format!("{} {number}", launch.revision.service);
        let (crew, witnesses, schema) = Crew::start(launch, count).await?;
        let mut tasks = JoinSet::new();
        for witness in witnesses {
            tasks.spawn(Arc::clone(&crew).tend(witness));
        }
        Ok(ProcessReplica {
            name,
            crew,
            schema,
            tasks,
        })
    }
}

/// The replica.
pub(crate) struct ProcessReplica {
    name: String,
    crew: Arc<Crew>,
    schema: ScriptSchema,
    tasks: JoinSet<()>,
}

#[async_trait]
impl Replica for ProcessReplica {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        // Dropped on the way out, and so ended, unless it is handed back.
        let mut worker = self.crew.take().await.map_err(ScriptError::NotBegun)?;
        match worker.run(&request).await {
            Ended::Answered(answer) => {
                self.crew.hand_back(worker);
                answer
            }
            Ended::Died(error) => Err(error),
        }
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        self.crew.trouble().map_or(Ok(()), Err)
    }
}

impl Drop for ProcessReplica {
    fn drop(&mut self) {
        // They hold the crew, and would replace whom it dismisses.
        self.tasks.abort_all();
        self.crew.dismiss();
    }
}

impl fmt::Debug for ProcessReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessReplica")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn worker_count(revision: &Revision) -> Result<usize, StartError> {
    if revision.debug_port.is_some() {
        // One port, one debugger, one process.
        return Ok(1);
    }
    let Some(text) = revision.variables.get(WORKER_COUNT) else {
        return Ok(1);
    };
    let count = text.trim().parse().ok();
    count
        .filter(|count| (1..=MAX_WORKERS).contains(count))
        .ok_or_else(|| {
            interpreter::not_usable(format!(
                "the environment variable {WORKER_COUNT} is `{text}`, a number from 1 to {MAX_WORKERS} is expected"
            ))
        })
}

fn check_memory(revision: &Revision) -> Result<(), StartError> {
    if revision.memory_limit >= LEAST_MEMORY {
        return Ok(());
    }
    Err(out_of_memory(format!(
        "`{}` needs {} to start, but a replica may have {}; raise memoryInGB",
        revision.script,
        wording::bytes(LEAST_MEMORY),
        wording::bytes(revision.memory_limit)
    )))
}
