//! Replicas: running copies of an entry script, and who starts them.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use lusk_domain::{
    BatchSettings, Digest, FailureDetail, ModelId, ReplicaUrl, RuntimeKind, ServiceName, Step,
    StepOutcome,
};
use serde_json::Value;

use crate::{
    ImageFiles, NotRelayed, RelayReply, RelayRequest, ScoreReply, ScoreRequest, ScriptError,
    ServiceLog,
};

/// A model as a replica sees it.
#[derive(Debug, Clone)]
pub struct MountedModel {
    /// Its id.
    pub id: ModelId,
    /// Files: path below the app root (`azureml-models/<name>/<version>/…`) and digest.
    pub files: Vec<(String, Digest)>,
    /// How calls of it are joined; none computes call by call.
    pub batching: Option<BatchSettings>,
}

/// One revision of a service, made ready on disk; shared by its replicas.
#[derive(Debug)]
pub struct Revision {
    /// The service.
    pub service: ServiceName,
    /// Its revision number.
    pub number: u64,
    /// How the script is executed; known for good.
    pub runtime: RuntimeKind,
    /// What the environment's image gives; none for runtimes without an image.
    pub image: Option<Arc<ImageFiles>>,
    /// Folder that becomes `/var/azureml-app`, read-only: the unpacked snapshot
    /// and `azureml-models/`.
    pub app_root: PathBuf,
    /// Entry script below the app root; empty for [`RuntimeKind::None`] and
    /// [`RuntimeKind::Remote`].
    pub script: String,
    /// Outside replicas, for [`RuntimeKind::Remote`] alone; each takes the place
    /// of one replica.
    pub remote: Vec<ReplicaUrl>,
    /// Models, in the order of the deployment.
    pub models: Vec<MountedModel>,
    /// Environment variables of the script, `AZUREML_MODEL_DIR` and its
    /// relatives included.
    pub variables: BTreeMap<String, String>,
    /// Bytes one replica may allocate, host-side tensors included.
    pub memory_limit: u64,
    /// Requests one replica runs at a time.
    pub slots: usize,
    /// Threads that one call of a model may compute on, for models that the host
    /// computes: see [`crate::ModelSource::threads`].
    pub threads: NonZeroUsize,
    /// Cores one replica may use at most; no bound when absent.
    pub cpu_limit: Option<f64>,
    /// Port on which a [`RuntimeKind::Process`] script waits for a debugger.
    pub debug_port: Option<u16>,
    /// Where stdout and stderr go.
    pub log: Arc<dyn ServiceLog>,
}

/// A wish for one replica.
#[derive(Debug, Clone)]
pub struct ReplicaPlan {
    /// What to run.
    pub revision: Arc<Revision>,
    /// Number of the replica, from 0; no two live replicas of a service share one.
    pub number: u32,
}

/// What kind of `run` a script has, told once at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// `run` takes the body's text.
    Plain,
    /// `run` is decorated with `@input_schema`.
    Schema,
    /// `run` is decorated with `@rawhttp`.
    Raw,
    /// No script: tensors in, tensors out.
    Tensors,
}

/// What a script says of its input and output, for the swagger document.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptSchema {
    /// The kind of `run`.
    pub kind: ScriptKind,
    /// Swagger 2 schema of the input; `{"type":"object","example":{}}` for plain scripts.
    pub input: Value,
    /// Swagger 2 schema of the output.
    pub output: Value,
}

/// Hears what a long step is doing.
pub trait Progress: Send + Sync {
    /// One event of the operation's log.
    fn event(&self, step: Step, outcome: StepOutcome, text: &str);
}

/// What went wrong, as the original names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// Import of the script failed.
    UserScriptImportError,
    /// `init()` or `run()` is missing or has a wrong signature.
    UserScriptFunctionNotFound,
    /// `init()` raised, trapped or ran into its limit.
    UserScriptInitFailed,
    /// The script file is not valid (no wasm, wrong world, not text).
    InvalidScript,
    /// A model is malformed or needs what no backend has.
    ModelNotSupported,
    /// The interpreter, or a variable of the environment, cannot be used.
    EnvironmentNotUsable,
    /// Memory limit too small to start.
    OutOfMemory,
    /// An outside replica does not answer, or not as a scoring server does.
    Unreachable,
    /// A fault of the host.
    Internal,
}

/// Why a replica did not start.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// The kind.
    pub kind: StartErrorKind,
    /// One sentence: object, value seen, limit, way out.
    pub message: String,
    /// Causes, outermost first; a Python traceback is one detail.
    pub details: Vec<FailureDetail>,
}

/// Starts replicas somewhere: in this process, or as pods.
#[async_trait]
pub trait ReplicaHost: Send + Sync + fmt::Debug {
    /// Compiles and checks what all replicas of a revision share, so that
    /// [`ReplicaHost::start`] is quick. Reports models and cache hits.
    ///
    /// # Errors
    /// The script or a model cannot run here.
    async fn prepare(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<(), StartError>;

    /// Starts one replica; returns when `init()` has ended and a probe passed.
    /// Dropping the future gives up.
    ///
    /// # Errors
    /// The replica did not become ready.
    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError>;
}

/// Hears whether a replica takes requests. Told by whoever finds out, from any thread;
/// must not wait.
pub trait Standing: Send + Sync + fmt::Debug {
    /// It takes requests, or no more.
    fn set(&self, takes_requests: bool);
}

/// A running replica. It stops when the last holder drops it.
#[async_trait]
pub trait Replica: Send + Sync + fmt::Debug {
    /// Runs the script on one request. The caller holds one of the replica's
    /// slots. Dropping the future interrupts the script within about 10 ms and
    /// has its instance replaced.
    ///
    /// # Errors
    /// The script gave no answer.
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError>;

    /// Whether bodies are to be passed through [`Replica::relay`] as they come, not
    /// collected for [`Replica::score`].
    fn relays(&self) -> bool {
        false
    }

    /// Passes one request on and its answer back, bodies as they come. The caller
    /// holds one of the replica's slots until the answer's last part. Dropping the
    /// future, or the answer, ends the work.
    ///
    /// # Errors
    /// There is no answer. With [`ScriptError::NotBegun`] the request comes back where
    /// nothing of its body was taken.
    async fn relay(&self, request: RelayRequest) -> Result<RelayReply, NotRelayed> {
        match request.into_whole() {
            Some(request) => Ok(self.score(request).await?.into()),
            None => {
                let why = "it takes no bodies that are on their way".to_owned();
                Err(ScriptError::NotBegun(why).into())
            }
        }
    }

    /// Hears that an answer that it was relaying was cut, and why, for its log. Its
    /// body is dropped right after.
    fn cut(&self, _why: &str) {}

    /// What the script says of its input and output.
    fn schema(&self) -> &ScriptSchema;

    /// Asks to be told whenever the replica stops taking requests, or takes them
    /// again. One that always takes them tells nothing.
    fn tell(&self, _standing: Arc<dyn Standing>) {}

    /// Whether the replica can take requests; checked outside the scoring path.
    async fn probe(&self) -> Result<(), String>;
}
