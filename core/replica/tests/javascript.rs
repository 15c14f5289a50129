//! JavaScript scripts on the carried runner.
//!
//! A program of its own, as for Python: the compiled runner stays in the target
//! folder.

#![allow(
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

use http::Method;
use lusk_contract::{
    Replica, ReplicaHost, Revision, ScoreReply, ScriptError, ScriptKind, StartError,
    StartErrorKind,
    conformance::replica_host::{self, Actor, Stage},
};
use lusk_domain::RuntimeKind;
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use serde_json::{Value, json};
use testing::{Bench, FakeBackend, post};

const INIT: &str = "export function init() {}\n";

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
    let mut revision = bench.revision(RuntimeKind::Javascript, "score.js");
    revision.variables = [
        ("AML_APP_ROOT", "/var/azureml-app"),
        ("AZUREML_ENTRY_SCRIPT", "score.js"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect::<BTreeMap<_, _>>();
    revision
}

async fn start(bench: &Bench, script: &str) -> Result<Arc<dyn Replica>, StartError> {
    bench.file("score.js", script);
    bench.start(revision(bench)).await
}

async fn started(script: &str) -> (Bench, Arc<dyn Replica>) {
    let bench = bench();
    let replica = start(&bench, script).await.unwrap();
    (bench, replica)
}

async fn score(replica: &Arc<dyn Replica>, body: &str) -> Result<ScoreReply, ScriptError> {
    replica.score(post(body.to_owned())).await
}

async fn answer(replica: &Arc<dyn Replica>, body: &str) -> Value {
    let reply = score(replica, body).await.unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

/// The script does `bad` for `x` and serves the next requests.
async fn survives(bad: &str) -> (Bench, ScriptError) {
    let script = format!(
        "{INIT}export async function run(data) {{\n  if (data === 'x') {{ {bad} }}\n  return data;\n}}\n"
    );
    let (bench, replica) = started(&script).await;
    let error = score(&replica, "x").await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(score(&replica, "1").await.unwrap().body, "1");
    }
    replica.probe().await.unwrap();
    (bench, error)
}

#[tokio::test]
async fn a_script_answers_and_its_variables_live() {
    let (bench, replica) = started(
        "let seen = 0;\n\
         export function init() { seen = 40; console.log('ready', [1, { a: 'b' }]); }\n\
         export function run(data) {\n\
         \x20 seen += 1;\n\
         \x20 console.error('seen', seen, '✓');\n\
         \x20 return { data: JSON.parse(data).data, seen };\n\
         }\n",
    )
    .await;
    for seen in [41, 42] {
        let reply = score(&replica, r#"{"data": [1, "é"]}"#).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(!reply.headers.contains_key("x-ms-run-function-failed"));
        assert!(!reply.function_failed);
        let json: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(json, json!({"data": [1, "é"], "seen": seen}));
    }
    assert_eq!(replica.schema().kind, ScriptKind::Plain);
    let lines = bench.log.lines();
    assert_eq!(
        lines,
        ["ready [ 1, { a: \"b\" } ]", "seen 41 ✓", "seen 42 ✓"]
    );
}

#[tokio::test]
async fn promises_are_awaited_on_the_way() {
    let (_bench, replica) = started(
        "let ready = await Promise.resolve(1);\n\
         export async function init() { await null; ready += 1; }\n\
         export async function run(data) {\n\
         \x20 const all = await Promise.all([1, 2].map(async (x) => { await null; return x * 2; }));\n\
         \x20 return { ready, all };\n\
         }\n",
    )
    .await;
    let expected = json!({"ready": 2, "all": [2, 4]});
    assert_eq!(answer(&replica, "").await, expected);
    assert_eq!(answer(&replica, "").await, expected);
}

#[tokio::test]
async fn a_promise_that_nothing_settles_is_an_error() {
    let (_bench, error) = survives("await new Promise(() => {})").await;
    assert!(
        matches!(&error, ScriptError::Raised(text) if text.contains("never settles")),
        "{error:?}"
    );
}

#[tokio::test]
async fn modules_of_the_snapshot_are_imported() {
    let bench = bench();
    bench.file(
        "lib/names.mjs",
        "import { two } from './deep/two.js';\nexport const names = ['one', two];\n",
    );
    bench.file("lib/deep/two.js", "export const two = 'two';\n");
    bench.file("labels.json", r#"{"3": "three"}"#);
    bench.file("node_modules/pad/package.json", r#"{"main": "main.js"}"#);
    bench.file(
        "node_modules/pad/main.js",
        "export default (text) => text.padStart(6);\n",
    );
    bench.file("late.js", "export default 'late';\n");
    let replica = start(
        &bench,
        "import { names } from './lib/names.mjs';\n\
         import labels from './labels.json';\n\
         import pad from 'pad';\n\
         export default {\n\
         \x20 init() { this.own = 1; },\n\
         \x20 async run() {\n\
         \x20   const late = (await import('./late.js')).default;\n\
         \x20   return [...names, labels['3'], pad(late), this.own];\n\
         \x20 },\n\
         };\n",
    )
    .await
    .unwrap();
    let expected = json!(["one", "two", "three", "  late", 1]);
    assert_eq!(answer(&replica, "").await, expected);
}

#[tokio::test]
async fn what_run_returns_becomes_an_answer() {
    let (bench, replica) = started(&format!(
        "import {{ Response }} from 'lusk:http';\n{INIT}\
         export function run(data, request) {{\n\
         \x20 switch (data) {{\n\
         \x20   case 'text': return 'plain ü';\n\
         \x20   case 'nothing': return;\n\
         \x20   case 'raw': return new Response(new Uint8Array([1, 255]), {{ status: 202, headers: {{ 'X-A': 1 }} }});\n\
         \x20   case 'json': return Response.json({{ a: 1 }}, {{ status: 503 }});\n\
         \x20   case 'request': return request;\n\
         \x20   case 'circle': {{ const it = {{}}; it.it = it; return it; }}\n\
         \x20   case 'function': return () => 1;\n\
         \x20   default: return data;\n\
         \x20 }}\n\
         }}\n"
    ))
    .await;
    let reply = score(&replica, "text").await.unwrap();
    assert_eq!(reply.body, "plain ü");
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(score(&replica, "nothing").await.unwrap().body, "{}");
    let reply = score(&replica, "raw").await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), &reply.body[..]),
        (202, &[1, 255][..])
    );
    assert_eq!(reply.headers["x-a"], "1");
    assert_eq!(reply.headers["content-type"], "application/octet-stream");
    let reply = score(&replica, "json").await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.function_failed), (503, true));
    assert_eq!(reply.body, r#"{"a":1}"#);
    for body in ["circle", "function"] {
        let reply = score(&replica, body).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.function_failed), (500, false));
        let last = bench.log.lines().pop().unwrap();
        assert!(last.contains("cannot be written as JSON"), "{last}");
    }
    let mut request = post("request");
    request.headers.append("x-b", "1".parse().unwrap());
    request.headers.append("x-b", "2".parse().unwrap());
    let reply = replica.score(request).await.unwrap();
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        told,
        json!({"method": "POST", "target": "/score", "headers": {"x-b": "1, 2"}})
    );
    let mut request = post("");
    request.method = Method::GET;
    request.target = "/score?a=1&a=%22x%22&b=it+is%20&c".to_owned();
    let reply = replica.score(request).await.unwrap();
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(told, json!({"a": [1, "x"], "b": "it is ", "c": ""}));
    let error = replica.score(post(&b"\xff"[..])).await.unwrap_err();
    assert_eq!(
        error,
        ScriptError::BadRequest("the body is not UTF-8".to_owned())
    );
}

#[tokio::test]
async fn a_script_reaches_its_model() {
    let bench = bench();
    bench.file(
        "score.js",
        "import { InferenceSession, Tensor } from 'lusk:onnx';\n\
         import { readText } from 'lusk:files';\n\
         let session;\n\
         export async function init() {\n\
         \x20 const path = `${process.env.AZUREML_MODEL_DIR}/m.onnx`;\n\
         \x20 if (readText(path) !== 'double') throw new Error('not the model');\n\
         \x20 for (const missing of [() => readText('no/file'), () => InferenceSession.create('no/model')]) {\n\
         \x20   try { await missing(); } catch (error) { console.log(error.message); }\n\
         \x20 }\n\
         \x20 session = await InferenceSession.create(path);\n\
         }\n\
         async function many() {\n\
         \x20 const good = { x: new Tensor('float32', [1, 2], [1, 2]) };\n\
         \x20 const bad = { x: new Tensor('float32', [1, 2, 3], [1, 3]) };\n\
         \x20 let round = 0;\n\
         \x20 for (; round < 11000; round += 1) {\n\
         \x20   await session.run(good);\n\
         \x20   await session.run(bad).catch(() => {});\n\
         \x20   console.log(round);\n\
         \x20 }\n\
         \x20 return `${round}`;\n\
         }\n\
         export async function run(data) {\n\
         \x20 if (data === 'many') return many();\n\
         \x20 const rows = JSON.parse(data);\n\
         \x20 const x = new Tensor('float32', rows.flat(), [rows.length, rows[0].length]);\n\
         \x20 const { y } = await session.run({ [session.inputNames[0]]: x });\n\
         \x20 return { y: Array.from(y.data), dims: y.dims, type: y.type, of: session.inputMetadata };\n\
         }\n",
    );
    let mut revision = revision(&bench);
    revision.models = vec![bench.model("m", "double")];
    revision.variables.insert(
        "AZUREML_MODEL_DIR".to_owned(),
        "azureml-models/m/1".to_owned(),
    );
    let replica = bench.start(revision).await.unwrap();
    let lines = bench.log.lines();
    assert!(
        lines[0].contains("no/file") && lines[1].contains("no/model"),
        "{lines:?}"
    );
    let expected = json!({
        "y": [2, 1, 6, 8], "dims": [2, 2], "type": "float32",
        "of": [{"name": "x", "isTensor": true, "type": "float32", "shape": [-1, 2]}],
    });
    for _ in 0..3 {
        assert_eq!(answer(&replica, "[[1, 0.5], [3, 4]]").await, expected);
    }
    // More tensors, errors and lines than an instance may have handles.
    let reply = score(&replica, "many").await.unwrap();
    assert_eq!(reply.body, "11000");
    let error = score(&replica, "[[1, 2, 3]]").await.unwrap_err();
    assert!(
        matches!(&error, ScriptError::Raised(text) if text.contains("invalid-argument")),
        "{error:?}"
    );
}

#[tokio::test]
async fn errors_of_init_have_the_originals_names() {
    use StartErrorKind::{UserScriptFunctionNotFound, UserScriptImportError, UserScriptInitFailed};
    for (script, kind, message, detail) in [
        (
            "export function init( {}\n",
            UserScriptImportError,
            "SyntaxError",
            "score.js:",
        ),
        (
            "import './nothing.js';\n",
            UserScriptImportError,
            "nothing.js",
            "nothing.js",
        ),
        (
            "import { x } from './score.js';\nimport fs from 'node:fs';\n",
            UserScriptImportError,
            "node:fs",
            "nor carried by lusk",
        ),
        (
            "const a = undefined.b;\nexport function init() {}\n",
            UserScriptImportError,
            "TypeError",
            "score.js:1",
        ),
        (
            "export function init() {}\n",
            UserScriptFunctionNotFound,
            "run()",
            "run",
        ),
        (
            "export function run() {}\n",
            UserScriptFunctionNotFound,
            "init()",
            "init",
        ),
        (
            "export async function init() {\n  await null;\n  throw new Error('no luck');\n}\nexport function run() {}\n",
            UserScriptInitFailed,
            "Error: no luck",
            "score.js:3",
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
    let text = "the entry script `score.js` is not in the snapshot";
    assert_eq!(error.message, text);
}

#[tokio::test]
async fn too_little_memory_is_refused_with_figures() {
    let bench = bench();
    bench.file("score.js", INIT);
    let mut revision = revision(&bench);
    revision.memory_limit = 1 << 20;
    let error = bench.start(revision).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::OutOfMemory);
    let way_out = "may have 1.0 MiB; raise memoryInGB";
    assert!(error.message.contains(way_out), "{error}");
}

#[tokio::test]
async fn an_exception_costs_one_request_and_its_stack_is_logged() {
    let (bench, error) = survives("(function deep() { throw new TypeError('no luck') })()").await;
    assert_eq!(error, ScriptError::Raised("TypeError: no luck".to_owned()));
    let log = bench.log.lines().join("\n");
    assert!(
        log.contains("TypeError: no luck\n    at deep (/var/azureml-app/score.js:3"),
        "{log}"
    );
    assert!(!log.contains("scoring.js"), "{log}");
    let (_bench, error) = survives("throw { code: 7 }").await;
    assert_eq!(
        error,
        ScriptError::Raised("thrown: {\"code\":7}".to_owned())
    );
}

#[tokio::test]
async fn infinite_recursion_costs_one_request() {
    let (_bench, error) = survives("const f = () => f() + 1; f();").await;
    assert!(
        matches!(error, ScriptError::Raised(_) | ScriptError::Died(_)),
        "{error:?}"
    );
    let (_bench, error) = survives("const f = async () => { await f(); }; await f();").await;
    assert!(
        matches!(error, ScriptError::Raised(_) | ScriptError::Died(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn endless_memory_costs_one_request() {
    let (_bench, error) =
        survives("let hoard = 'x'; for (;;) hoard = [hoard, new Uint8Array(1e6)];").await;
    assert!(
        matches!(error, ScriptError::Raised(_) | ScriptError::Died(_)),
        "{error:?}"
    );
    let (_bench, error) = survives("for (;;) await Promise.all(Array(1e6).fill(null).map(async () => 1).concat(globalThis.h = [globalThis.h, Array(1e6).fill(1)]));").await;
    assert!(
        matches!(error, ScriptError::Raised(_) | ScriptError::Died(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_exit_costs_one_request() {
    let (_bench, error) = survives("process.exit(3)").await;
    assert!(matches!(error, ScriptError::Died(_)), "{error:?}");
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_deadline() {
    for endless in [
        "for (;;);",
        "for (;;) await null;",
        "/(a*)*b/.test('a'.repeat(50));",
    ] {
        let (_bench, replica) = started(&format!(
            "{INIT}export async function run(data) {{ if (data === 'x') {{ {endless} }} return data; }}\n"
        ))
        .await;
        let limit = Duration::from_millis(50);
        let ended = tokio::time::timeout(limit, score(&replica, "x")).await;
        ended.unwrap_err();
        assert_eq!(score(&replica, "1").await.unwrap().body, "1");
    }
}

#[tokio::test]
async fn instances_have_nothing_in_common() {
    let script = format!(
        "const own = [Math.random(), crypto.randomUUID()];\n{INIT}\
         export function run() {{ return [...own, globalThis.mark ??= own[1], typeof require]; }}\n"
    );
    let (_one, first) = started(&script).await;
    let (_other, second) = started(&script).await;
    let (first, second) = (answer(&first, "").await, answer(&second, "").await);
    for place in 0..3 {
        assert_ne!(first[place], second[place]);
    }
    assert_eq!(first[3], "undefined");
}

#[tokio::test]
async fn text_survives_the_carried_codecs() {
    let (_bench, replica) = started(&format!(
        "{INIT}export function run(data) {{\n\
         \x20 const bytes = new TextEncoder().encode(data);\n\
         \x20 let fatal = false;\n\
         \x20 try {{ new TextDecoder('utf-8', {{ fatal: true }}).decode(new Uint8Array([0xc0, 0x80])); }}\n\
         \x20 catch {{ fatal = true; }}\n\
         \x20 return {{\n\
         \x20   same: new TextDecoder().decode(bytes) === data,\n\
         \x20   size: bytes.length,\n\
         \x20   half: Array.from(new TextEncoder().encode('\\ud800')),\n\
         \x20   bad: new TextDecoder().decode(new Uint8Array([0x61, 0xf0, 0x9f, 0x98, 0x62])),\n\
         \x20   fatal,\n\
         \x20 }};\n\
         }}\n"
    ))
    .await;
    let text = "aé€😀\u{0}".repeat(3000);
    let told = answer(&replica, &text).await;
    let expected = json!({
        "same": true, "size": text.len(), "half": [0xef, 0xbf, 0xbd], "bad": "a\u{fffd}b", "fatal": true,
    });
    assert_eq!(told, expected);
}

/// The suite's actors in JavaScript.
struct Troupe(Bench);

impl Stage for Troupe {
    fn host(&self) -> Arc<dyn ReplicaHost> {
        Arc::clone(&self.0.host) as Arc<dyn ReplicaHost>
    }

    fn revision(&self, actor: Actor, slots: usize) -> Arc<Revision> {
        let (name, script) = match actor {
            Actor::Obedient => (
                "obedient.js",
                "export function init() {}\n\
                 export function run(data) {\n\
                 \x20 if (data === 'raise') throw new Error('raised');\n\
                 \x20 if (data === 'die') process.exit(1);\n\
                 \x20 while (data === 'loop');\n\
                 \x20 return data;\n\
                 }\n",
            ),
            Actor::FailsInit => (
                "fails.js",
                "export function init() { throw new Error('no'); }\nexport function run() {}\n",
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
