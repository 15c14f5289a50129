//! A replica that runs an entry script in the sandbox.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method};
use lusk_contract::{
    LogStream, Replica, ScoreReply, ScoreRequest, ScriptError, ScriptKind, ScriptSchema, StartError,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::JoinSet};
use wasmtime::Engine;

use crate::{
    context::Surroundings,
    instance::{Ended, Instance},
    pool::Pool,
    script::{Script, internal},
};

/// Failed replacements in a row after which a replica counts as broken.
const MAX_FAILURES: u32 = 5;

/// Pause after the first failed replacement; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause between two attempts at a replacement.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What instances of a replica are made of.
pub(crate) struct Blueprint {
    pub(crate) engine: Engine,
    pub(crate) script: Arc<Script>,
    pub(crate) surroundings: Surroundings,
    /// Whether the script is a language runner that tells its schema.
    pub(crate) tells_schema: bool,
}

struct Inner {
    blueprint: Blueprint,
    pool: Pool<Box<Instance>>,
}

/// The replica.
pub(crate) struct SandboxReplica {
    inner: Arc<Inner>,
    schema: ScriptSchema,
    runtime: Handle,
    /// Replacements under way; they end with the replica.
    replacements: Mutex<JoinSet<()>>,
}

impl SandboxReplica {
    /// Starts `slots` instances.
    pub(crate) async fn start(blueprint: Blueprint) -> Result<Self, StartError> {
        let mut idle = Vec::new();
        let mut schema = plain_schema();
        for _ in 0..blueprint.surroundings.revision.slots {
            let (instance, told) = blueprint.make().await?;
            idle.push(Box::new(instance));
            schema = told;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                blueprint,
                pool: Pool::new(idle),
            }),
            schema,
            runtime: Handle::current(),
            replacements: Mutex::default(),
        })
    }

    fn replace(&self) {
        let inner = Arc::clone(&self.inner);
        let mut replacements = self
            .replacements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while replacements.try_join_next().is_some() {}
        replacements.spawn_on(async move { inner.replace().await }, &self.runtime);
    }
}

impl Blueprint {
    /// An instance that is ready, and what its script says of its input.
    async fn make(&self) -> Result<(Instance, ScriptSchema), StartError> {
        let attempt = async {
            let mut instance =
                Instance::start(&self.engine, &self.script, &self.surroundings).await?;
            let schema = if self.tells_schema {
                ask_schema(&mut instance).await?
            } else {
                plain_schema()
            };
            Ok((instance, schema))
        };
        AssertUnwindSafe(attempt)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| {
                Err(internal(format!(
                    "a host function panicked: {}",
                    panic_text(&*panic)
                )))
            })
    }

    fn log(&self, text: &str) {
        self.surroundings
            .revision
            .log
            .line(self.surroundings.number, LogStream::Host, text);
    }
}

impl Inner {
    /// Makes one instance, however often it takes.
    async fn replace(&self) {
        let mut failures = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.blueprint.make().await {
                Ok((instance, _)) => {
                    if failures >= MAX_FAILURES {
                        self.pool.set_broken(None);
                    }
                    self.pool.put(Box::new(instance));
                    return;
                }
                Err(error) => {
                    failures += 1;
                    self.blueprint.log(&format!(
                        "no replacement after {failures} attempts: {error}"
                    ));
                    if failures >= MAX_FAILURES {
                        self.pool.set_broken(Some(error.to_string()));
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// An instance at work. Unless it is handed back, it is thrown away and
/// replaced: after a trap, a panic, or when the caller is gone.
struct Lease<'a> {
    replica: &'a SandboxReplica,
    instance: Option<Box<Instance>>,
}

impl Lease<'_> {
    fn hand_back(mut self) {
        if let Some(instance) = self.instance.take() {
            self.replica.inner.pool.put(instance);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            drop(instance);
            self.replica.replace();
        }
    }
}

#[async_trait]
impl Replica for SandboxReplica {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let _running = self.inner.blueprint.surroundings.models.running();
        let instance = self
            .inner
            .pool
            .take()
            .await
            .map_err(ScriptError::NotBegun)?;
        let mut lease = Lease {
            replica: self,
            instance: Some(instance),
        };
        let Some(instance) = lease.instance.as_mut() else {
            return Err(ScriptError::NotBegun("no instance".to_owned()));
        };
        match AssertUnwindSafe(instance.run(&request))
            .catch_unwind()
            .await
        {
            Ok(Ended::Answered(answer)) => {
                lease.hand_back();
                answer
            }
            Ok(Ended::Died(error)) => Err(error),
            Err(panic) => {
                let text = panic_text(&*panic);
                tracing::error!(panic = text, "a host function panicked");
                Err(ScriptError::Died(format!(
                    "a host function panicked: {text}"
                )))
            }
        }
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        self.inner.pool.broken().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for SandboxReplica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let surroundings = &self.inner.blueprint.surroundings;
        f.debug_struct("SandboxReplica")
            .field("service", &surroundings.revision.service)
            .field("number", &surroundings.number)
            .finish_non_exhaustive()
    }
}

fn plain_schema() -> ScriptSchema {
    let any = json!({"type": "object", "example": {}});
    ScriptSchema {
        kind: ScriptKind::Plain,
        input: any.clone(),
        output: any,
    }
}

/// A runner's answer to the schema call.
#[derive(Deserialize)]
struct ToldSchema {
    kind: String,
    input: Value,
    output: Value,
}

/// Asks a language runner for the script's schema; this warms it up too.
async fn ask_schema(instance: &mut Instance) -> Result<ScriptSchema, StartError> {
    let request = ScoreRequest {
        method: Method::from_bytes(b"SCHEMA").map_err(|error| internal(error.to_string()))?,
        target: "/swagger.json".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let reply = match instance.run(&request).await {
        Ended::Answered(Ok(reply)) => reply,
        Ended::Answered(Err(error)) | Ended::Died(error) => {
            return Err(internal(format!(
                "the script's schema call failed: {error}"
            )));
        }
    };
    read_schema(&reply.body)
}

/// What a runner says of its script's schema.
pub(crate) fn read_schema(told: &[u8]) -> Result<ScriptSchema, StartError> {
    let told: ToldSchema = serde_json::from_slice(told)
        .map_err(|error| internal(format!("the script's schema is not readable: {error}")))?;
    Ok(ScriptSchema {
        kind: match told.kind.as_str() {
            "schema" => ScriptKind::Schema,
            "raw" => ScriptKind::Raw,
            _ => ScriptKind::Plain,
        },
        input: told.input,
        output: told.output,
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
