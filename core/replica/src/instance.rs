//! One instance: a store with a guest that ran `init()`.

use std::time::{Duration, Instant};

use lusk_contract::{LogStream, ScoreReply, ScoreRequest, ScriptError, StartError, StartErrorKind};
use lusk_domain::{FailureDetail, RuntimeKind};
use wasmtime::{Engine, Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::{
    component::EntryFunctions,
    context::{Context, Surroundings, new_store},
    core_module::CoreExports,
    script::{Script, internal, out_of_memory},
    wording,
};

/// How long `init()` may take, instantiation included.
pub(crate) const INIT_LIMIT: Duration = Duration::from_secs(300);

/// Most lines that one failure writes to the log.
const MAX_LOGGED_LINES: usize = 500;

enum Guest {
    Component(EntryFunctions),
    Module(Box<CoreExports>),
}

/// A guest that is ready for one request at a time.
pub(crate) struct Instance {
    store: Store<Context>,
    guest: Guest,
    /// Whether the guest has logged already what it says that it raised.
    logs_errors: bool,
}

/// How a run ended.
pub(crate) enum Ended {
    /// The instance can go on.
    Answered(Result<ScoreReply, ScriptError>),
    /// It cannot.
    Died(ScriptError),
}

impl Instance {
    /// Makes an instance and runs `init()`.
    pub(crate) async fn start(
        engine: &Engine,
        script: &Script,
        surroundings: &Surroundings,
    ) -> Result<Self, StartError> {
        let mut store = new_store(engine, surroundings)
            .map_err(|error| internal(format!("no store could be made: {error:#}")))?;
        let started = tokio::time::timeout(INIT_LIMIT, bring_up(script, &mut store)).await;
        store.data().flush_output();
        let name = &surroundings.revision.script;
        match started {
            Ok(Ok(Ok(guest))) => Ok(Self {
                store,
                guest,
                logs_errors: surroundings.revision.runtime == RuntimeKind::Python,
            }),
            Ok(Ok(Err(text))) => Err(init_failed(name, &text)),
            Ok(Err(error)) => Err(did_not_start(name, &mut store, surroundings, &error)),
            Err(_) => Err(init_failed(
                name,
                &format!(
                    "init() did not end within {}",
                    wording::duration(INIT_LIMIT)
                ),
            )),
        }
    }

    /// Runs the script on one request.
    pub(crate) async fn run(&mut self, request: &ScoreRequest) -> Ended {
        self.store.set_epoch_deadline(1);
        self.store.data_mut().begin_run();
        if let Err(error) = self.store.data().check_folder() {
            return Ended::Died(ScriptError::Died(self.cause_of_death(&error)));
        }
        let started = Instant::now();
        let outcome = match &self.guest {
            Guest::Component(guest) => guest.run(&mut self.store, request).await,
            Guest::Module(guest) => guest.run(&mut self.store, request).await,
        };
        let took = started.elapsed();
        self.store.data().flush_output();
        match outcome {
            Ok(Ok(mut reply)) => {
                reply.run_time = Some(took);
                Ended::Answered(Ok(reply))
            }
            Ok(Err(error)) => Ended::Answered(Err(self.explained(error))),
            Err(error) => Ended::Died(ScriptError::Died(self.cause_of_death(&error))),
        }
    }

    /// Logs what the script raised. A core module can only say that it failed;
    /// why is its last line on standard error, and so in the log already.
    fn explained(&self, error: ScriptError) -> ScriptError {
        let context = self.store.data();
        match (&self.guest, error) {
            (Guest::Module(_), ScriptError::BadRequest(text)) => {
                ScriptError::BadRequest(context.err.last_line().unwrap_or(text))
            }
            (Guest::Module(_), ScriptError::Raised(text)) => {
                ScriptError::Raised(context.err.last_line().unwrap_or(text))
            }
            (Guest::Component(_), ScriptError::Raised(text)) if !self.logs_errors => {
                context.log_lines(LogStream::Err, &text);
                ScriptError::Raised(text)
            }
            (_, error) => error,
        }
    }

    fn cause_of_death(&mut self, error: &wasmtime::Error) -> String {
        let cause = cause(&mut self.store, error);
        let context = self.store.data();
        context.log_lines(
            LogStream::Host,
            &format!("the instance ended: {cause}\n{error:?}"),
        );
        cause
    }
}

impl Context {
    fn begin_run(&mut self) {
        self.limiter.take_refusal();
        self.err.forget_last_line();
    }

    fn log_lines(&self, stream: LogStream, text: &str) {
        for line in text.lines().take(MAX_LOGGED_LINES) {
            self.out.log_line(stream, line);
        }
    }
}

async fn bring_up(
    script: &Script,
    store: &mut Store<Context>,
) -> wasmtime::Result<Result<Guest, String>> {
    store.set_epoch_deadline(1);
    match script {
        Script::Component(script, entry) => {
            let instance = script.instantiate_async(&mut *store).await?;
            let guest = match entry.load(&instance, store) {
                Ok(guest) => guest,
                Err(error) => {
                    let text = format!(
                        "UserScriptFunctionNotFound: its entry has other types than the world's: {error:#}"
                    );
                    return Ok(Err(text));
                }
            };
            let init = guest.init(store).await?;
            Ok(init.map(|()| Guest::Component(guest)))
        }
        Script::Module(script) => {
            let instance = script.instantiate_async(&mut *store).await?;
            let guest = CoreExports::of(&instance, store)?;
            let init = guest.init(store).await?;
            Ok(init.map(|()| Guest::Module(Box::new(guest))))
        }
    }
}

/// In one sentence, why a guest's execution broke off.
fn cause(store: &mut Store<Context>, error: &wasmtime::Error) -> String {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return format!("it called exit({})", exit.0);
    }
    let limiter = &mut store.data_mut().limiter;
    if let Some(asked) = limiter.take_refusal() {
        return format!(
            "it asked for {} more than its memory limit of {} allows",
            wording::bytes(asked),
            wording::bytes(limiter.budget().limit())
        );
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => format!("{trap}"),
        None => error.root_cause().to_string(),
    }
}

fn did_not_start(
    name: &str,
    store: &mut Store<Context>,
    surroundings: &Surroundings,
    error: &wasmtime::Error,
) -> StartError {
    let out_of_room = store.data_mut().limiter.take_refusal();
    store.data().log_lines(
        LogStream::Host,
        &format!("the entry script did not start\n{error:?}"),
    );
    match out_of_room {
        Some(asked) => out_of_memory(format!(
            "`{name}` asked for {} more than a replica may have ({}) before it was ready; raise memoryInGB",
            wording::bytes(asked),
            wording::bytes(surroundings.budget.limit()),
        )),
        None => init_failed(name, &cause(store, error)),
    }
}

/// The error that a script's start ended with. Runners of script languages
/// begin their text with the original's word for it.
pub(crate) fn init_failed(name: &str, text: &str) -> StartError {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let kinds = [
        (
            "UserScriptImportError",
            StartErrorKind::UserScriptImportError,
        ),
        (
            "UserScriptFunctionNotFound",
            StartErrorKind::UserScriptFunctionNotFound,
        ),
        ("UserScriptInitFailed", StartErrorKind::UserScriptInitFailed),
    ];
    let (code, kind, reason) = kinds
        .into_iter()
        .find_map(|(code, kind)| {
            let reason = first.strip_prefix(code)?.strip_prefix(": ")?;
            Some((code, kind, reason))
        })
        .unwrap_or((
            "UserScriptInitFailed",
            StartErrorKind::UserScriptInitFailed,
            first,
        ));
    let detail = if rest.trim().is_empty() { reason } else { rest };
    StartError {
        kind,
        message: format!("`{name}`: {reason}"),
        details: vec![FailureDetail {
            code: code.to_owned(),
            message: detail.trim_end().to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_first_line_names_the_kind() {
        let text = "UserScriptImportError: No module named 'x'\nTraceback:\n  line 1\n";
        let error = init_failed("score.py", text);
        assert_eq!(error.kind, StartErrorKind::UserScriptImportError);
        assert_eq!(error.message, "`score.py`: No module named 'x'");
        assert_eq!(error.details[0].message, "Traceback:\n  line 1");
    }

    #[test]
    fn any_other_text_is_a_failed_init() {
        let error = init_failed("score.wat", "init() returned 3");
        assert_eq!(error.kind, StartErrorKind::UserScriptInitFailed);
        assert_eq!(error.details[0].code, "UserScriptInitFailed");
        assert_eq!(error.details[0].message, "init() returned 3");
    }
}
