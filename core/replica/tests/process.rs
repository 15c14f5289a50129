//! Python scripts as processes of this machine, with the `python3` on `PATH`.

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
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use lusk_contract::{
    ImageFiles, Replica, ReplicaHost, ReplicaPlan, Revision, ScoreReply, ScoreRequest, ScriptError,
    ScriptKind, StartError, StartErrorKind,
    conformance::replica_host::{self, Actor, Stage},
};
use lusk_domain::RuntimeKind;
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use rustix::process::{Pid, Signal, kill_process};
use testing::{Bench, TestOutputs, post};

const ECHO: &str = "def init(): pass\ndef run(raw_data): return raw_data\n";

/// Says its pid, and what it printed before the next one is ready.
const PID: &str =
    "import os\ndef init(): print('ready', os.getpid())\ndef run(raw_data): return os.getpid()\n";

fn revision(bench: &Bench) -> Revision {
    let mut revision = bench.revision(RuntimeKind::Process, "score.py");
    revision.memory_limit = 256 << 20;
    set(&mut revision, "AML_APP_ROOT", "/var/azureml-app");
    set(&mut revision, "AZUREML_ENTRY_SCRIPT", "score.py");
    revision
}

fn set(revision: &mut Revision, name: &str, value: &str) {
    revision.variables.insert(name.to_owned(), value.to_owned());
}

async fn start(bench: &Bench, script: &str) -> Result<Arc<dyn Replica>, StartError> {
    bench.file("score.py", script);
    bench.start(revision(bench)).await
}

async fn started(script: &str) -> (Bench, Arc<dyn Replica>) {
    let bench = Bench::new();
    let replica = start(&bench, script).await.unwrap();
    (bench, replica)
}

async fn score(replica: &Arc<dyn Replica>, body: &str) -> Result<ScoreReply, ScriptError> {
    let mut request: ScoreRequest = post(body.to_owned());
    let json = "application/json".parse().unwrap();
    request.headers.insert("content-type", json);
    replica.score(request).await
}

async fn answer(replica: &Arc<dyn Replica>, body: &str) -> serde_json::Value {
    let reply = score(replica, body).await.unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

async fn pid(replica: &Arc<dyn Replica>) -> i32 {
    number(&answer(replica, "").await)
}

fn number(value: &serde_json::Value) -> i32 {
    value.as_i64().unwrap().try_into().unwrap()
}

/// Waits until the process has ended, whether somebody reaped it or not.
async fn gone(pid: i32) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z ")) {
        ticks.tick().await;
    }
}

/// Waits until the log holds so many lines with the words.
async fn logged(bench: &Bench, words: &str, times: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let count = || {
        bench
            .log
            .lines()
            .iter()
            .filter(|it| it.contains(words))
            .count()
    };
    while count() < times {
        ticks.tick().await;
    }
}

/// What `run` does to `x`; the next requests are served.
async fn survives(bad: &str) -> (Bench, ScriptError) {
    let script = format!(
        "import os, sys, signal, ctypes\ndef init(): pass\ndef run(raw_data):\n  if raw_data == 'x':\n    {bad}\n  return raw_data\n"
    );
    let (bench, replica) = started(&script).await;
    let error = score(&replica, "x").await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(score(&replica, "1").await.unwrap().body, "\"1\"");
    }
    replica.probe().await.unwrap();
    (bench, error)
}

fn died(error: &ScriptError, words: &str) {
    assert!(
        matches!(error, ScriptError::Died(text) if text.contains(words)),
        "{words}: {error:?}"
    );
}

fn raised(error: &ScriptError, words: &str) {
    assert!(
        matches!(error, ScriptError::Raised(text) if text.contains(words)),
        "{words}: {error:?}"
    );
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
        assert!(reply.run_time.is_some() && !reply.function_failed);
        let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(json, serde_json::json!({"data": [1, 2], "seen": seen}));
    }
    assert_eq!(replica.schema().kind, ScriptKind::Plain);
    logged(&bench, "seen 42", 1).await;
    assert_eq!(bench.log.lines(), ["ready", "seen 41", "seen 42"]);
}

#[tokio::test]
async fn decorated_scripts_work_without_the_originals_packages() {
    let (_bench, replica) = started(
        "from azureml.contrib.services.aml_request import AMLRequest, rawhttp\n\
         from azureml_inference_server_http.api.aml_response import AMLResponse\n\
         import azureml.core, azureml.monitoring, lusk.core\n\
         def init(): pass\n\
         @rawhttp\n\
         def run(request):\n\
         \x20 if request.method == 'GET': return AMLResponse('no', 405)\n\
         \x20 return AMLResponse(len(request.get_data()), 201, {'X-A': '1,2'}, json_str=True)\n",
    )
    .await;
    assert_eq!(replica.schema().kind, ScriptKind::Raw);
    let reply = replica.score(post(&b"\xff\0abc"[..])).await.unwrap();
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (201, &b"5"[..]));
    assert_eq!(reply.headers.get_all("x-a").iter().count(), 2);

    let (_bench, replica) = started(
        "from inference_schema.schema_decorators import input_schema\n\
         from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType as P\n\
         def init(): pass\n\
         @input_schema('n', P(1))\n\
         def run(n): return n + 1\n",
    )
    .await;
    let schema = replica.schema();
    assert_eq!(schema.kind, ScriptKind::Schema);
    assert_eq!(schema.input["properties"]["n"]["type"], "integer");
    assert_eq!(answer(&replica, r#"{"n": 41}"#).await, 42);
    let error = score(&replica, "{}").await.unwrap_err();
    assert!(matches!(error, ScriptError::BadRequest(_)), "{error:?}");
}

#[tokio::test]
async fn errors_of_init_have_the_originals_names() {
    for (script, kind, message, detail) in [
        (
            "import sklearn_of_no_kind\ndef init(): pass\ndef run(raw_data): pass\n",
            StartErrorKind::UserScriptImportError,
            "sklearn_of_no_kind",
            "-m pip install sklearn_of_no_kind`",
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
        (
            "import os\ndef init(): os._exit(7)\ndef run(raw_data): pass\n",
            StartErrorKind::UserScriptInitFailed,
            "`score.py`: the process ended before it was ready: it exited with status 7",
            "status 7",
        ),
        (
            "def init(): raise SystemExit(2)\ndef run(raw_data): pass\n",
            StartErrorKind::UserScriptInitFailed,
            "SystemExit: 2",
            "Traceback",
        ),
    ] {
        let bench = Bench::new();
        let error = start(&bench, script).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
        assert!(error.details[0].message.contains(detail), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_before_the_start_is_said_before_it() {
    let bench = Bench::new();
    let error = bench.start(revision(&bench)).await.unwrap_err();
    assert_eq!(
        error.message,
        "the entry script `score.py` is not in the snapshot"
    );
    bench.file("score.py", ECHO);
    bench.file("old/python", "#!/bin/sh\necho 3.7.9\n");
    bench.file("none/python", "#!/bin/sh\necho no snake >&2; exit 3\n");
    bench.file("data/python", "no program");
    for script in ["old/python", "none/python"] {
        let path = bench.folder.path().join("app").join(script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (interpreter, words) in [
        ("python-of-no-kind", "is not on PATH ("),
        ("/nowhere/python", "`/nowhere/python` cannot be executed"),
        ("data/python", "data/python` cannot be executed"),
        (
            "none/python",
            "is not a Python that works: exit status: 3: no snake",
        ),
        (
            "old/python",
            "is Python 3.7.9, the `process` runtime needs 3.8 or newer",
        ),
    ] {
        let mut revision = revision(&bench);
        revision.image = Some(Arc::new(ImageFiles {
            packages: None,
            interpreter: Some(PathBuf::from(interpreter)),
        }));
        let error = bench.start(revision).await.unwrap_err();
        assert_eq!(error.kind, StartErrorKind::EnvironmentNotUsable);
        assert!(error.message.contains(words), "{error}");
    }
    for count in ["0", "65", "two"] {
        let mut revision = revision(&bench);
        set(&mut revision, "WORKER_COUNT", count);
        let error = bench.start(revision).await.unwrap_err();
        assert!(
            error.message.contains("a number from 1 to 64 is expected"),
            "{error}"
        );
    }
    let mut revision = revision(&bench);
    revision.memory_limit = 8 << 20;
    let error = bench.start(revision).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::OutOfMemory);
    let hoarder = "def init(): bytearray(1 << 30)\ndef run(raw_data): pass\n";
    let error = start(&bench, hoarder).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::OutOfMemory);
    assert!(
        error
            .message
            .contains("may have (256.0 MiB); raise memoryInGB"),
        "{error}"
    );
    assert!(error.details[0].message.contains("Traceback"), "{error:?}");
}

#[tokio::test]
async fn ends_of_a_process_cost_one_request_and_are_told_at_once() {
    let (_bench, error) = survives("os._exit(3)").await;
    died(&error, "it exited with status 3");
    let (_bench, error) = survives("os.kill(os.getpid(), signal.SIGTERM)").await;
    died(&error, "killed by SIGTERM");
    let (_bench, error) = survives("os.closerange(3, 1000)").await;
    died(&error, "it ");
    let (bench, error) = survives("ctypes.string_at(0)").await;
    died(&error, "killed by SIGSEGV");
    logged(&bench, "Fatal Python error: Segmentation fault", 1).await;
    logged(&bench, "a worker ended: killed by SIGSEGV", 1).await;
}

#[tokio::test]
async fn exceptions_cost_one_request_and_no_process() {
    let (_bench, error) = survives("raise ValueError('no luck')").await;
    raised(&error, "no luck");
    let (_bench, error) = survives("sys.exit(3)").await;
    raised(&error, "SystemExit: 3");
    let (_bench, error) = survives("f = lambda: f()\n    f()").await;
    raised(&error, "RecursionError");
}

#[tokio::test]
async fn endless_memory_costs_one_request() {
    let (_bench, error) = survives("hoard = [0]\n    while True: hoard += hoard").await;
    raised(&error, "MemoryError");
    let (_bench, error) = survives("return len(bytearray(1 << 30))").await;
    raised(&error, "MemoryError");
}

#[tokio::test]
async fn children_count_for_the_memory_limit() {
    let (_bench, error) = survives(
        "for _ in range(3):\n      \
         if os.fork() == 0:\n        \
         hoard = b'x' * (100 << 20)\n        \
         signal.pause()\n    \
         signal.pause()",
    )
    .await;
    died(&error, "over its memory limit of 256.0 MiB");
}

#[tokio::test]
async fn a_script_that_fills_its_folder_is_ended() {
    let (_bench, error) = survives(
        "folder = os.environ['TMPDIR']\n    \
         for number in range(10_001): open(f'{folder}/{number}', 'w').close()\n    \
         signal.pause()",
    )
    .await;
    died(&error, "in its temporary folder, or too many files there");
}

#[tokio::test]
async fn what_a_script_started_ends_with_it() {
    let script = "import os, subprocess, sys\n\
         def init(): pass\n\
         def run(raw_data):\n\
         \x20 if raw_data == 'die': os._exit(1)\n\
         \x20 def start(**how): return subprocess.Popen(['sleep', '1000'], **how).pid\n\
         \x20 # Its parent ends at once, so it belongs to nobody here.\n\
         \x20 code = 'import subprocess; print(subprocess.Popen([\"sleep\", \"1000\"], stdout=2, start_new_session=True).pid)'\n\
         \x20 orphan = subprocess.run([sys.executable, '-c', code], capture_output=False, stdout=subprocess.PIPE).stdout\n\
         \x20 return [os.getpid(), start(), start(start_new_session=True), int(orphan)]\n";
    let (_bench, replica) = started(script).await;
    let all = answer(&replica, "").await;
    assert_eq!(all.as_array().unwrap().len(), 4);
    let error = score(&replica, "die").await.unwrap_err();
    died(&error, "status 1");
    for pid in all.as_array().unwrap() {
        gone(number(pid)).await;
    }
    let all = answer(&replica, "").await;
    drop(replica);
    for pid in all.as_array().unwrap() {
        gone(number(pid)).await;
    }
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_process() {
    let (bench, replica) = started(
        "import os\ndef init(): pass\ndef run(raw_data):\n  print('at work', flush=True)\n  while raw_data == 'x': pass\n  return os.getpid()\n",
    )
    .await;
    let first = pid(&replica).await;
    {
        let mut endless = Box::pin(score(&replica, "x"));
        tokio::select! {
            reply = &mut endless => panic!("{reply:?}"),
            () = logged(&bench, "at work", 2) => {}
        }
    }
    gone(first).await;
    assert_ne!(pid(&replica).await, first);
    assert!(!bench.log.lines().iter().any(|line| line.contains("ended")));
}

#[tokio::test]
async fn a_worker_that_is_killed_while_idle_is_replaced_before_the_next_request() {
    let (bench, replica) = started(PID).await;
    let first = pid(&replica).await;
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    logged(&bench, "a worker ended: killed by SIGKILL", 1).await;
    logged(&bench, "ready", 2).await;
    assert_ne!(pid(&replica).await, first);
}

#[tokio::test]
async fn workers_run_at_the_same_time() {
    let bench = Bench::new();
    bench.file(
        "score.py",
        "import os\n\
         def init():\n\
         \x20 try: os.mkfifo('outputs/pipe')\n\
         \x20 except FileExistsError: pass\n\
         def run(raw_data):\n\
         \x20 with open('outputs/pipe', raw_data) as pipe:\n\
         \x20   return pipe.read() if raw_data == 'r' else pipe.write('met')\n",
    );
    let mut revision = revision(&bench);
    set(&mut revision, "WORKER_COUNT", "2");
    revision.slots = 4;
    let replica = bench.start(revision).await.unwrap();
    // Each end opens only when the other one is there.
    for _ in 0..3 {
        let (read, written) = tokio::join!(answer(&replica, "r"), answer(&replica, "w"));
        assert_eq!((read, written), ("met".into(), 3.into()));
    }
}

#[tokio::test]
async fn more_slots_than_workers_wait() {
    let (_bench, replica) = started(PID).await;
    let all = futures::future::join_all((0..5).map(|_| pid(&replica))).await;
    assert_eq!(BTreeSet::from_iter(all).len(), 1);
}

#[tokio::test]
async fn a_replica_whose_workers_crash_again_and_again_says_so() {
    let bench = Bench::new();
    let script = "import os\n\
         def init():\n\
         \x20 if os.path.exists('once/more'): raise ValueError('no second time')\n\
         def run(raw_data): os._exit(1)\n";
    bench.file("once/less", "");
    let replica = start(&bench, script).await.unwrap();
    bench.file("once/more", "");
    died(&score(&replica, "1").await.unwrap_err(), "status 1");
    let error = score(&replica, "1").await.unwrap_err();
    assert!(
        matches!(&error, ScriptError::NotBegun(text)
            if text.contains("no second time") && !text.contains('\n')),
        "{error:?}"
    );
    let reason = replica.probe().await.unwrap_err();
    assert!(
        reason.starts_with("CrashLoopBackOff: 5 failures in a row"),
        "{reason}"
    );
    let (_, log) = reason.split_once('\n').unwrap();
    assert!(
        log.contains("a worker ended: it exited with status 1"),
        "{log}"
    );
    assert!(log.contains("no second time"), "{log}");
    fs::remove_file(bench.folder.path().join("app/once/more")).unwrap();
    logged(&bench, "a worker did not start", 4).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while replica.probe().await.is_err() {
        ticks.tick().await;
    }
}

#[tokio::test]
async fn a_flood_of_output_arrives_cut() {
    let (bench, replica) = started(
        "import sys\n\
         def init(): pass\n\
         def run(raw_data):\n\
         \x20 for number in range(20000): print(number)\n\
         \x20 sys.stdout.write('x' * (40 << 20) + '\\nlast\\n')\n\
         \x20 sys.stderr.write('no end')\n\
         \x20 return 1\n",
    )
    .await;
    assert_eq!(answer(&replica, "").await, 1);
    logged(&bench, "last", 1).await;
    let lines = bench.log.lines();
    assert!(lines.iter().all(|line| line.len() <= 16 << 10));
    assert!(lines.contains(&"19999".to_owned()));
    drop(replica);
    logged(&bench, "no end", 1).await;
}

#[tokio::test]
async fn standard_streams_are_the_scripts_to_spoil() {
    let (_bench, replica) = started(
        "import os, sys\n\
         def init():\n\
         \x20 assert sys.stdin.read() == ''\n\
         def run(raw_data):\n\
         \x20 sys.stdout.close()\n\
         \x20 for number in (0, 1, 2): os.close(number)\n\
         \x20 return 'still here'\n",
    )
    .await;
    assert_eq!(answer(&replica, "").await, "still here");
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let (_bench, replica) = started(ECHO).await;
    for size in [0, 65_535, 65_536, 12 << 20] {
        let body = "y".repeat(size);
        let reply = score(&replica, &body).await.unwrap();
        assert_eq!(reply.body.len(), size + 2);
    }
}

#[tokio::test]
async fn replies_that_are_no_http_are_the_scripts_fault() {
    let (_bench, error) = survives(
        "from azureml.contrib.services.aml_response import AMLResponse\n    \
         return AMLResponse('', 200, {'x a': '1'})",
    )
    .await;
    raised(&error, "`x a`");
}

#[tokio::test]
async fn nothing_of_lusk_leaks_into_a_process() {
    let (_bench, replica) = started(
        "import os, resource\n\
         def init(): pass\n\
         def run(raw_data):\n\
         \x20 links = {name: os.readlink('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + name)}\n\
         \x20 return [sorted(os.environ), sorted(each.partition(':')[0] for each in links.values()), os.getpgrp() == os.getpid(), os.nice(0), resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_DATA)]\n",
    )
    .await;
    let said = answer(&replica, "").await;
    let allowed = [
        "AML_APP_ROOT",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "AZUREML_ENTRY_SCRIPT",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "LUSK_REPLICA",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
        "PYTHONUSERBASE",
        "TMPDIR",
        "TZ",
    ];
    for name in said[0].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let known =
            allowed.contains(&name) || name.starts_with("CUDA_") || name.starts_with("NVIDIA_");
        assert!(known, "{name}");
    }
    assert_eq!(
        said[1],
        serde_json::json!(["/dev/null", "pipe", "pipe", "socket"])
    );
    assert_eq!(said[2], true);
    assert!(said[3].as_i64().unwrap() >= 5);
    assert_eq!(said[4], serde_json::json!([0, 0]));
    assert_eq!(said[5], serde_json::json!([256 << 20, 256 << 20]));
}

#[tokio::test]
async fn cores_are_bounded_and_told_to_numeric_libraries() {
    let bench = Bench::new();
    bench.file(
        "score.py",
        "import os\ndef init(): pass\ndef run(raw_data): return [len(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS']]\n",
    );
    let mut revision = revision(&bench);
    revision.cpu_limit = Some(0.5);
    set(&mut revision, "MKL_NUM_THREADS", "7");
    let replica = bench.start(revision).await.unwrap();
    assert_eq!(answer(&replica, "").await, serde_json::json!([1, "1", "7"]));
}

#[tokio::test]
async fn folders_are_where_the_original_has_them() {
    let bench = Bench::new();
    bench.file(
        "score.py",
        "import os, tempfile\n\
         from azureml.core.model import Model\n\
         def init():\n\
         \x20 open('outputs/note', 'w').write(open('beside.txt').read())\n\
         \x20 open(os.path.join(tempfile.gettempdir(), 'a'), 'w').write('1')\n\
         \x20 os.chdir('/')\n\
         def run(raw_data):\n\
         \x20 path = os.path.join(os.environ['AZUREML_MODEL_DIR'], 'm.onnx')\n\
         \x20 return [open(path).read(), open(Model.get_model_path('m')).read(), os.environ['AML_APP_ROOT']]\n",
    );
    bench.file("beside.txt", "beside");
    let mut revision = revision(&bench);
    revision.models = vec![bench.model("m", "weights")];
    set(&mut revision, "AZUREML_MODEL_DIR", "azureml-models/m/1");
    let replica = bench.start(revision).await.unwrap();
    let said = answer(&replica, "").await;
    assert_eq!((&said[0], &said[1]), (&"weights".into(), &"weights".into()));
    let note = bench.folder.path().join("outputs/bench/1/0/note");
    assert_eq!(fs::read_to_string(note).unwrap(), "beside");
    let root = PathBuf::from(said[2].as_str().unwrap());
    assert!(root.starts_with(bench.folder.path().join("tmp")));
    drop(replica);
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while root.exists() {
        ticks.tick().await;
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

#[tokio::test]
async fn packages_of_an_image_are_the_only_ones() {
    let bench = Bench::new();
    bench.file(
        "score.py",
        "import os, subprocess, sys, dish, side\n\
         def init(): pass\n\
         def run(raw_data):\n\
         \x20 child = subprocess.run([sys.executable, '-c', 'import dish; print(dish.NAME)'], stdout=subprocess.PIPE)\n\
         \x20 return [dish.NAME, side.NAME, child.stdout.decode().strip(), [each for each in sys.path if 'site-packages' in each]]\n",
    );
    let packages = bench.folder.path().join("packages");
    for (name, text) in [
        ("dish.py", "NAME = 'soup'\n"),
        ("more/side.py", "NAME = 'bread'\n"),
        ("more.pth", "more\n"),
    ] {
        let path = packages.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut revision = revision(&bench);
    revision.image = Some(Arc::new(ImageFiles {
        packages: Some(packages.clone()),
        interpreter: Some(PathBuf::from("python3")),
    }));
    let replica = bench.start(revision).await.unwrap();
    let said = answer(&replica, "").await;
    let expected = serde_json::json!(["soup", "bread", "soup", []]);
    assert_eq!(said, expected);
    // Compiled code is kept, and not among the packages.
    let compiled = files_below(&bench.folder.path().join("tmp"));
    let is_kept = |path: &PathBuf| path.to_str().unwrap().contains("/dish.cpython-");
    assert!(compiled.iter().any(is_kept), "{compiled:?}");
    assert!(!packages.join("__pycache__").exists());
}

#[tokio::test]
async fn a_missing_package_of_an_image_is_named_with_the_way_out() {
    let bench = Bench::new();
    bench.file(
        "score.py",
        "import sklearn\ndef init(): pass\ndef run(raw_data): pass\n",
    );
    let mut revision = revision(&bench);
    fs::create_dir(bench.folder.path().join("packages")).unwrap();
    revision.image = Some(Arc::new(ImageFiles {
        packages: Some(bench.folder.path().join("packages")),
        interpreter: None,
    }));
    let error = bench.start(revision).await.unwrap_err();
    let detail = &error.details[0].message;
    assert!(
        detail.contains("add `scikit-learn` to its conda or pip dependencies"),
        "{detail}"
    );
}

/// A stand-in for debugpy that waits as it does.
const DEBUGPY: &str = "import socket\n\
     def listen(address):\n\
     \x20 global server\n\
     \x20 server = socket.create_server(address)\n\
     def wait_for_client(): server.accept()\n";

#[tokio::test]
async fn a_script_waits_for_its_debugger() {
    let bench = Bench::new();
    bench.file("score.py", ECHO);
    bench.file("tools/debugpy.py", DEBUGPY);
    let port = {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let mut revision = revision(&bench);
    revision.debug_port = Some(port);
    set(&mut revision, "WORKER_COUNT", "3");
    let tools = bench.folder.path().join("app/tools");
    set(&mut revision, "PYTHONPATH", tools.to_str().unwrap());
    let mut starting = Box::pin(bench.start(revision));
    let words = format!("waiting for a debugger on 127.0.0.1:{port}");
    tokio::select! {
        _ = &mut starting => panic!("it did not wait"),
        () = logged(&bench, &words, 1) => {}
    }
    assert!((&mut starting).now_or_never().is_none());
    let _debugger = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let replica = starting.await.unwrap();
    assert_eq!(answer(&replica, "a").await, "a");
}

#[tokio::test]
async fn a_debugger_that_is_not_installed_is_named() {
    let bench = Bench::new();
    bench.file("score.py", ECHO);
    let mut revision = revision(&bench);
    revision.debug_port = Some(1);
    // An image without packages hides a debugpy that this machine may have.
    fs::create_dir(bench.folder.path().join("packages")).unwrap();
    revision.image = Some(Arc::new(ImageFiles {
        packages: Some(bench.folder.path().join("packages")),
        interpreter: None,
    }));
    let error = bench.start(revision).await.unwrap_err();
    assert!(
        error.message.contains("has no debugpy; add `debugpy`"),
        "{error}"
    );
}

const HELPER: &str = "LUSK_TEST_KILLED_HOST";

fn host_on(folder: &Path) -> Arc<LocalHost> {
    let host = LocalHost::new(LocalHostOptions {
        aot_dir: folder.join("aot"),
        tmp_dir: folder.join("tmp"),
        backends: Vec::new(),
        compile: CompileIn::ThisProcess,
        outputs: Arc::new(TestOutputs(folder.join("outputs"))),
    });
    host.unwrap()
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn a_host_that_is_killed() {
    let Some(folder) = env::var_os(HELPER) else {
        return;
    };
    let bench = Bench::on(host_on(Path::new(&folder)), tempfile::tempdir().unwrap());
    let script = "import os, subprocess, time\n\
         def init(): pass\n\
         def run(raw_data):\n\
         \x20 if raw_data: print('asleep', flush=True); time.sleep(1000)\n\
         \x20 child = subprocess.Popen(['sleep', '1000'])\n\
         \x20 other = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
         \x20 return [os.getpid(), child.pid, other.pid]\n";
    let replica = start(&bench, script).await.unwrap();
    let pids = answer(&replica, "").await;
    let busy = score(&replica, "x");
    let busy = async {
        tokio::join!(busy, async {
            logged(&bench, "asleep", 1).await;
            println!("\nPIDS {pids}");
        })
    };
    drop(busy.await);
}

#[tokio::test]
async fn nothing_outlives_a_lusk_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    let mut lusk = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_host_that_is_killed", "--nocapture"])
        .env(HELPER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(lusk.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("PIDS ")?.to_owned()));
    let pids: Vec<i32> = serde_json::from_str(&told.unwrap()).unwrap();
    lusk.kill().unwrap();
    lusk.wait().unwrap();
    // The runner sees to its group by itself.
    gone(pids[0]).await;
    gone(pids[1]).await;
    // The one in a session of its own is found by the next lusk.
    assert!(Path::new(&format!("/proc/{}", pids[2])).exists());
    let _host = host_on(folder.path());
    gone(pids[2]).await;
}

/// The suite's actors.
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
        set(&mut revision, "AZUREML_ENTRY_SCRIPT", name);
        set(&mut revision, "WORKER_COUNT", &slots.to_string());
        revision.slots = slots;
        if actor == Actor::Unreadable {
            revision.runtime = RuntimeKind::Wasm;
        }
        Arc::new(revision)
    }
}

#[tokio::test]
async fn the_host_keeps_the_promises_of_hosts() {
    replica_host::suite(&Troupe(Bench::new())).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_a_request() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder.join("tmp")).unwrap();
    for runtime in [RuntimeKind::Process, RuntimeKind::Python] {
        let bench = Bench::on(host_on(folder), tempfile::tempdir().unwrap());
        bench.file("score.py", ECHO);
        let mut revision = revision(&bench);
        revision.runtime = runtime;
        drop(bench.start(revision).await.unwrap());
        let mut revision = self::revision(&bench);
        revision.runtime = runtime;
        let revision = Arc::new(revision);
        bench
            .host
            .prepare(&revision, &testing::Events::default())
            .await
            .unwrap();
        let mut starts = Vec::new();
        let mut replicas = Vec::new();
        for number in 0..10 {
            let started = Instant::now();
            let revision = Arc::clone(&revision);
            let plan = ReplicaPlan { revision, number };
            replicas.push(bench.host.start(plan).await.unwrap());
            starts.push(started.elapsed());
        }
        starts.sort_unstable();
        let replica = &replicas[0];
        for size in [10, 100_000] {
            let body = "y".repeat(size);
            let mut times = Vec::new();
            for _ in 0..2_000 {
                let started = Instant::now();
                score(replica, &body).await.unwrap();
                times.push(started.elapsed());
            }
            times.sort_unstable();
            println!(
                "{}: start {:?} (of 10), {size} bytes: median {:?}, 99 % {:?}",
                runtime.as_str(),
                starts[5],
                times[1_000],
                times[1_980]
            );
        }
    }
}
