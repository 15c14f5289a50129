//! A worker: one process that ran `init()` and takes one request at a time.

use std::{borrow::Cow, fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use lusk_contract::{
    Revision, ScoreReply, ScoreRequest, ScriptError, ScriptSchema, StartError, StartErrorKind,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::{
    channel::Channel,
    launch::{Launch, Started},
    life::{Blame, Death, Life},
};
use crate::{
    component::reply_of,
    instance::{Ended, INIT_LIMIT, init_failed},
    sandbox::read_schema,
    script::{internal, out_of_memory},
    wording,
};

/// How long what a dead worker printed is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A worker that is ready. Dropping it ends its process.
pub(super) struct Worker {
    life: Arc<Life>,
    channel: Channel,
}

/// What remains to those who wait for a worker's end.
pub(super) struct Witness {
    pub(super) life: Arc<Life>,
    printers: Vec<JoinHandle<()>>,
}

#[derive(Serialize)]
struct RequestHead<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, Cow<'a, str>)>,
}

/// What a worker says. Exactly one of the fields is there; `status` has company.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReplyHead {
    ready: bool,
    failed: Option<String>,
    bad_request: Option<String>,
    raised: Option<String>,
    status: Option<u16>,
    headers: Vec<(String, String)>,
    nanoseconds: u64,
}

impl Worker {
    /// Starts a process and waits until its script is ready.
    pub(super) async fn start(
        launch: &Arc<Launch>,
    ) -> Result<(Self, Witness, ScriptSchema), StartError> {
        let started = {
            let launch = Arc::clone(launch);
            // A worker within the task, so that one that nobody waits for ends.
            tokio::task::spawn_blocking(move || launch.start().map(Self::of))
        };
        let (mut worker, printers) = started
            .await
            .map_err(|error| internal(format!("starting a process broke off: {error}")))?
            .map_err(|error| cannot_start(launch, &error))?;
        let witness = Witness {
            life: Arc::clone(&worker.life),
            printers,
        };
        match worker.bring_up(launch).await {
            Ok(schema) => Ok((worker, witness, schema)),
            Err(error) => {
                drop(worker);
                witness.last_words().await;
                Err(error)
            }
        }
    }

    fn of(started: Started) -> (Self, Vec<JoinHandle<()>>) {
        let Started {
            life,
            channel,
            printers,
        } = started;
        (Self { life, channel }, printers)
    }

    async fn bring_up(&mut self, launch: &Launch) -> Result<ScriptSchema, StartError> {
        let revision = &launch.revision;
        let begin = async {
            self.channel.send(&launch.order(), &[]).await?;
            self.channel.receive::<ReplyHead>().await
        };
        let life = &self.life;
        let attempt = async {
            match first_of(begin, life).await {
                Ok((head, body)) => match head.failed {
                    None if head.ready => read_schema(&body),
                    None => Err(internal("the runner began with a reply".to_owned())),
                    Some(text) => Err(refused(revision, &text)),
                },
                Err(death) => Err(did_not_start(revision, &death)),
            }
        };
        if revision.debug_port.is_some() {
            // A debugger may come at any time.
            return attempt.await;
        }
        tokio::time::timeout(INIT_LIMIT, attempt)
            .await
            .unwrap_or_else(|_| {
                let limit = wording::duration(INIT_LIMIT);
                Err(init_failed(
                    &revision.script,
                    &format!("init() did not end within {limit}"),
                ))
            })
    }

    /// Runs the script on one request.
    pub(super) async fn run(&mut self, request: &ScoreRequest) -> Ended {
        let head = RequestHead {
            method: request.method.as_str(),
            target: &request.target,
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
                .collect(),
        };
        let exchange = async {
            self.channel.send(&head, &request.body).await?;
            self.channel.receive::<ReplyHead>().await
        };
        match first_of(exchange, &self.life).await {
            Ok((head, body)) => Ended::Answered(head.answer(body)),
            Err(death) => Ended::Died(ScriptError::Died(death.cause)),
        }
    }

    pub(super) fn life(&self) -> &Arc<Life> {
        &self.life
    }
}

impl ReplyHead {
    fn answer(self, body: Bytes) -> Result<ScoreReply, ScriptError> {
        match self {
            Self {
                bad_request: Some(text),
                ..
            } => Err(ScriptError::BadRequest(text)),
            Self {
                raised: Some(text), ..
            } => Err(ScriptError::Raised(text)),
            Self {
                status: Some(status),
                headers,
                nanoseconds,
                ..
            } => {
                let mut reply = reply_of(status, headers, body)?;
                reply.run_time = Some(Duration::from_nanos(nanoseconds));
                Ok(reply)
            }
            _ => Err(ScriptError::Raised("the worker sent no reply".to_owned())),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.life.kill(Blame::Abandoned);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("life", &self.life).finish()
    }
}

impl Witness {
    /// Waits until what the worker printed is in the log, its last lines included.
    pub(super) async fn last_words(self) -> Death {
        let death = self.life.ended().await;
        let all = futures::future::join_all(self.printers);
        // Something may hold the pipes that cannot be ended.
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
        death
    }
}

/// The outcome of a dialogue, or the end of the worker. One that breaks the
/// channel's rules is ended.
async fn first_of<T>(
    dialogue: impl Future<Output = io::Result<T>>,
    life: &Life,
) -> Result<T, Death> {
    let mut dialogue = std::pin::pin!(dialogue);
    let outcome = tokio::select! {
        biased;
        outcome = &mut dialogue => outcome,
        death = life.ended() => {
            // Its last words may be there already.
            return match dialogue.as_mut().now_or_never() {
                Some(Ok(said)) => Ok(said),
                _ => Err(death),
            };
        }
    };
    match outcome {
        Ok(said) => Ok(said),
        Err(error) => {
            let fault = if error.kind() == io::ErrorKind::InvalidData {
                error.to_string()
            } else {
                "it closed its channel to lusk".to_owned()
            };
            life.kill(Blame::Limit(fault));
            Err(life.ended().await)
        }
    }
}

fn cannot_start(launch: &Launch, error: &io::Error) -> StartError {
    internal(format!(
        "no process could be started with the interpreter `{}`: {error}",
        launch.recipe.interpreter.path.display()
    ))
}

/// What the runner said instead of being ready.
fn refused(revision: &Revision, text: &str) -> StartError {
    let error = init_failed(&revision.script, text);
    if !error.message.ends_with(": MemoryError") {
        return error;
    }
    let limit = wording::bytes(revision.memory_limit);
    StartError {
        kind: StartErrorKind::OutOfMemory,
        message: format!(
            "`{}` needs more memory to start than a replica may have ({limit}); raise memoryInGB",
            revision.script
        ),
        ..error
    }
}

fn did_not_start(revision: &Revision, death: &Death) -> StartError {
    let name = &revision.script;
    match &death.blame {
        Some(Blame::Memory(_)) => out_of_memory(format!(
            "`{name}` was ended before it was ready, {}; raise memoryInGB",
            death.cause
        )),
        _ => StartError {
            kind: StartErrorKind::UserScriptInitFailed,
            ..init_failed(
                name,
                &format!("the process ended before it was ready: {}", death.cause),
            )
        },
    }
}
