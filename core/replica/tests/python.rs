//! Python scripts on the carried runner.
//!
//! A program of its own: the runner takes seconds to compile, which the room's
//! unit tests should not wait for. The compiled code stays in the target folder.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, and what it says goes to its reader"
)]

#[allow(
    dead_code,
    reason = "written for the unit tests; not all is needed here"
)]
#[path = "../src/testing.rs"]
mod testing;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use lusk_contract::{
    Replica, ReplicaHost, Revision, ScoreReply, ScoreRequest, ScriptError, ScriptKind, StartError,
    StartErrorKind,
    conformance::replica_host::{self, Actor, Stage},
};
use lusk_domain::RuntimeKind;
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use testing::{Bench, FakeBackend, post};

const ECHO: &str = "def init(): pass\ndef run(raw_data): return raw_data\n";

/// One host for all tests: it compiles the runner once, into the target folder.
static HOST: LazyLock<Arc<LocalHost>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let host = LocalHost::new(LocalHostOptions {
        aot_dir: folder.join("aot"),
        tmp_dir: folder.to_owned(),
        backends: vec![Arc::new(FakeBackend)],
        compile: CompileIn::ThisProcess,
        outputs: Arc::new(testing::TestOutputs(folder.join("outputs"))),
    });
    host.unwrap()
});

fn bench() -> Bench {
    Bench::on(Arc::clone(&HOST), tempfile::tempdir().unwrap())
}

fn revision(bench: &Bench) -> Revision {
    let mut revision = bench.revision(RuntimeKind::Python, "score.py");
    revision.variables = [
        ("AML_APP_ROOT", "/var/azureml-app"),
        ("AZUREML_ENTRY_SCRIPT", "score.py"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect::<BTreeMap<_, _>>();
    revision
}

async fn start(bench: &Bench, script: &str) -> Result<Arc<dyn Replica>, StartError> {
    bench.file("score.py", script);
    bench.start(revision(bench)).await
}

async fn started(script: &str) -> (Bench, Arc<dyn Replica>) {
    let bench = bench();
    let replica = start(&bench, script).await.unwrap();
    (bench, replica)
}

async fn score(replica: &Arc<dyn Replica>, body: &str) -> Result<ScoreReply, ScriptError> {
    let mut request: ScoreRequest = post(body.to_owned());
    request
        .headers
        .insert("content-type", "application/json".parse().unwrap());
    replica.score(request).await
}

/// The script says `bad` to `"x"` and serves the next request.
async fn survives(bad: &str) -> ScriptError {
    let script = format!(
        "import sys\ndef init(): pass\ndef run(raw_data):\n  if raw_data == '\"x\"':\n    {bad}\n  return raw_data\n"
    );
    let (_bench, replica) = started(&script).await;
    let error = score(&replica, "\"x\"").await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(score(&replica, "1").await.unwrap().body, "\"1\"");
    }
    replica.probe().await.unwrap();
    error
}

#[tokio::test]
async fn a_plain_script_answers_and_its_globals_live() {
    let (bench, replica) = started(
        "import json\n\
         seen = 0\n\
         def init():\n\
         \x20 global seen\n\
         \x20 seen = 40\n\
         \x20 print('ready')\n\
         def run(raw_data):\n\
         \x20 global seen\n\
         \x20 seen += 1\n\
         \x20 print('seen', seen)\n\
         \x20 return {'data': json.loads(raw_data)['data'], 'seen': seen}\n",
    )
    .await;
    for seen in [41, 42] {
        let reply = score(&replica, r#"{"data": [1, 2]}"#).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(!reply.headers.contains_key("x-ms-run-function-failed"));
        let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(json, serde_json::json!({"data": [1, 2], "seen": seen}));
    }
    assert_eq!(replica.schema().kind, ScriptKind::Plain);
    assert_eq!(bench.log.lines(), ["ready", "seen 41", "seen 42"]);
}

#[tokio::test]
async fn a_script_reaches_its_model_through_onnxruntime() {
    let bench = bench();
    bench.file(
        "score.py",
        "import os, json, numpy as np, onnxruntime as ort\n\
         def init():\n\
         \x20 global session, name\n\
         \x20 path = os.path.join(os.environ['AZUREML_MODEL_DIR'], 'm.onnx')\n\
         \x20 session = ort.InferenceSession(path)\n\
         \x20 name = session.get_inputs()[0].name\n\
         def run(raw_data):\n\
         \x20 x = np.array(json.loads(raw_data)['data']).astype(np.float32)\n\
         \x20 return session.run(None, {name: x})[0].tolist()\n",
    );
    let mut revision = revision(&bench);
    revision.models = vec![bench.model("m", "double")];
    revision.variables.insert(
        "AZUREML_MODEL_DIR".to_owned(),
        "azureml-models/m/1".to_owned(),
    );
    let replica = bench.start(revision).await.unwrap();
    let reply = score(&replica, r#"{"data": [[1, 0.5]]}"#).await.unwrap();
    assert_eq!(reply.body, "[[2.0, 1.0]]");
    let error = score(&replica, r#"{"data": [1, 0.5]}"#).await.unwrap_err();
    assert!(
        matches!(&error, ScriptError::Raised(text) if text.contains("Invalid rank for input: x")),
        "{error:?}"
    );
}

#[tokio::test]
async fn errors_of_init_have_the_originals_names() {
    for (script, kind, message, detail) in [
        (
            "import nothing_of_the_kind\ndef init(): pass\ndef run(raw_data): pass\n",
            StartErrorKind::UserScriptImportError,
            "nothing_of_the_kind",
            "Traceback",
        ),
        (
            "def init(): pass\n",
            StartErrorKind::UserScriptFunctionNotFound,
            "run",
            "run",
        ),
        (
            "def init(): raise ValueError('no luck')\ndef run(raw_data): pass\n",
            StartErrorKind::UserScriptInitFailed,
            "no luck",
            "Traceback",
        ),
    ] {
        let bench = bench();
        let error = start(&bench, script).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
        assert!(error.details[0].message.contains(detail), "{error:?}");
    }
}

#[tokio::test]
async fn a_missing_script_is_found_before_anything_starts() {
    let bench = bench();
    let error = bench.start(revision(&bench)).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::UserScriptImportError);
    assert_eq!(
        error.message,
        "the entry script `score.py` is not in the snapshot"
    );
}

#[tokio::test]
async fn too_little_memory_is_refused_with_figures() {
    let bench = bench();
    bench.file("score.py", ECHO);
    let mut revision = revision(&bench);
    revision.memory_limit = 8 << 20;
    let error = bench.start(revision).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::OutOfMemory);
    assert!(
        error.message.contains("may have 8.0 MiB; raise memoryInGB"),
        "{error}"
    );
}

#[tokio::test]
async fn an_exception_costs_one_request() {
    let error = survives("raise ValueError('no luck')").await;
    assert!(
        matches!(&error, ScriptError::Raised(text) if text.contains("no luck")),
        "{error:?}"
    );
}

#[tokio::test]
async fn infinite_recursion_costs_one_request() {
    let error = survives("f = lambda: f()\n    f()").await;
    assert!(matches!(
        error,
        ScriptError::Raised(_) | ScriptError::Died(_)
    ));
}

#[tokio::test]
async fn endless_memory_costs_one_request() {
    let error = survives("hoard = [0]\n    while True: hoard += hoard").await;
    assert!(matches!(
        error,
        ScriptError::Raised(_) | ScriptError::Died(_)
    ));
}

#[tokio::test]
async fn an_exit_costs_one_request() {
    survives("sys.exit(3)").await;
    survives("import os; os._exit(3)").await;
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_deadline() {
    let (_bench, replica) = started(
        "def init(): pass\ndef run(raw_data):\n  while raw_data == 'x': pass\n  return raw_data\n",
    )
    .await;
    let limit = Duration::from_millis(50);
    tokio::time::timeout(limit, score(&replica, "x"))
        .await
        .unwrap_err();
    assert_eq!(score(&replica, "1").await.unwrap().body, "\"1\"");
}

#[tokio::test]
async fn a_script_has_a_private_folder_and_no_other() {
    let (_bench, replica) = started(
        "import os\n\
         def init(): open('/tmp/note', 'w').write('kept')\n\
         def run(raw_data):\n\
         \x20 try:\n\
         \x20   open('/var/azureml-app/new', 'w')\n\
         \x20 except OSError as error:\n\
         \x20   return [open('/tmp/note').read(), os.path.exists('/etc/passwd')]\n",
    )
    .await;
    let reply = score(&replica, "1").await.unwrap();
    assert_eq!(reply.body, "[\"kept\", false]");
}

#[tokio::test]
async fn the_runner_is_compiled_once() {
    let bench = bench();
    bench.host.warm_python(|| ()).await.unwrap();
    let again = bench.host.warm_python(|| panic!("it is there")).await;
    assert_eq!(again.unwrap(), None);
}

#[tokio::test]
async fn a_replica_that_cannot_be_replaced_says_so() {
    let bench = bench();
    bench.file(
        "score.py",
        "import os\n\
         def init():\n\
         \x20 if os.path.exists('once/more'): raise ValueError('no second time')\n\
         def run(raw_data): os._exit(1)\n",
    );
    let replica = bench.start(revision(&bench)).await.unwrap();
    bench.file("once/more", "");
    let error = score(&replica, "1").await.unwrap_err();
    assert!(matches!(error, ScriptError::Died(_)), "{error:?}");
    let refusal = |error: &ScriptError| matches!(error, ScriptError::NotBegun(text) if text.contains("no second time"));
    let error = score(&replica, "1").await.unwrap_err();
    assert!(refusal(&error), "{error:?}");
    let reason = replica.probe().await.unwrap_err();
    assert!(reason.contains("no second time"), "{reason}");
}

/// The suite's actors in Python.
struct Troupe(Bench);

impl Stage for Troupe {
    fn host(&self) -> Arc<dyn ReplicaHost> {
        Arc::clone(&self.0.host) as Arc<dyn ReplicaHost>
    }

    fn revision(&self, actor: Actor, slots: usize) -> Arc<Revision> {
        let (name, script) = match actor {
            Actor::Obedient => (
                "obedient.py",
                "import json, os\n\
                 def init(): pass\n\
                 def run(raw_data):\n\
                 \x20 if raw_data == 'raise': raise ValueError()\n\
                 \x20 if raw_data == 'die': os._exit(1)\n\
                 \x20 while raw_data == 'loop': pass\n\
                 \x20 return json.loads(raw_data)\n",
            ),
            Actor::FailsInit => (
                "fails.py",
                "def init(): raise ValueError()\ndef run(raw_data): pass\n",
            ),
            Actor::Unreadable => ("unreadable.wat", "(module (func"),
        };
        self.0.file(name, script);
        let mut revision = revision(&self.0);
        revision.script = name.to_owned();
        revision
            .variables
            .insert("AZUREML_ENTRY_SCRIPT".to_owned(), name.to_owned());
        revision.slots = slots;
        if actor == Actor::Unreadable {
            revision.runtime = RuntimeKind::Wasm;
        }
        Arc::new(revision)
    }
}

#[tokio::test]
async fn the_host_keeps_the_promises_of_hosts() {
    replica_host::suite(&Troupe(bench())).await;
}
