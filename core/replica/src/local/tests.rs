use futures::{FutureExt, future::join_all};
use lusk_contract::{
    ScoreReply, ScriptError, ScriptKind,
    conformance::replica_host::{self, Actor, Stage},
};

use super::*;
use crate::testing::{Bench, COMPONENT_BODY, Events, FakeBackend, INFERRING_BODY, module, post};

async fn score(replica: &Arc<dyn Replica>, body: &str) -> Result<ScoreReply, ScriptError> {
    replica.score(post(body.to_owned())).await
}

async fn echoes(replica: &Arc<dyn Replica>) {
    let reply = score(replica, "hello").await.unwrap();
    assert_eq!(reply.body, "hello");
}

/// A module whose `run` does `bad` when the body is not empty, else echoes.
fn bad_unless_empty(bad: &str) -> String {
    module(&format!(
        r#"(func $bad {bad})
        (func (export "run") (param i32 i32) (result i64)
          (if (local.get 1) (then (call $bad)))
          (i64.const 0))"#
    ))
}

/// `bad` costs the one request, and the replica serves the next one.
async fn dies_of(bad: &str, words: &str) {
    let bench = Bench::new();
    let replica = bench.start_wat(&bad_unless_empty(bad)).await.unwrap();
    for _ in 0..3 {
        match score(&replica, "x").await.unwrap_err() {
            ScriptError::Died(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(score(&replica, "").await.unwrap().body, "");
    }
    replica.probe().await.unwrap();
}

#[tokio::test]
async fn a_core_module_answers() {
    let bench = Bench::new();
    let replica = bench.start_wat(&module("")).await.unwrap();
    let reply = score(&replica, "[1,2]").await.unwrap();
    assert_eq!(reply.body, "[1,2]");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert!(reply.run_time.is_some());
    assert_eq!(replica.schema().kind, ScriptKind::Plain);
    replica.probe().await.unwrap();
}

#[tokio::test]
async fn a_get_hands_over_its_query() {
    let bench = Bench::new();
    let replica = bench.start_wat(&module("")).await.unwrap();
    let mut request = post("");
    request.method = http::Method::GET;
    request.target = "/score?a=1".to_owned();
    assert_eq!(replica.score(request).await.unwrap().body, r#"{"a":1}"#);
}

#[tokio::test]
async fn globals_live_from_request_to_request() {
    let bench = Bench::new();
    let counter = module(
        r#"(memory (export "memory") 1)
        (func (export "_initialize") (i32.store8 (i32.const 8) (i32.const 48)))
        (func (export "init") (result i32)
          (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 4)))
          (i32.const 0))
        (func (export "run") (param i32 i32) (result i64)
          (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
          (i64.const 0x0000_0008_0000_0001))"#,
    );
    let replica = bench.start_wat(&counter).await.unwrap();
    for expected in ["5", "6", "7"] {
        assert_eq!(score(&replica, "x").await.unwrap().body, expected);
    }
}

#[tokio::test]
async fn pointers_out_of_the_memory_are_found() {
    for (what, words) in [
        // A reply that begins in the memory and ends behind it.
        ("0x0000_ffff_0000_0002", "2 bytes at 65535"),
        // Pointers and lengths above 2 GiB are no negative numbers.
        ("0xffff_fff0_0000_0001", "1 bytes at 4294967280"),
        ("0x0000_0000_ffff_ffff", "4294967295 bytes at 0"),
        ("0xffff_ffff_ffff_fff0", "4294967280 bytes at 4294967295"),
    ] {
        let bench = Bench::new();
        let replica = bench
            .start_wat(&module(&format!(
                r#"(func (export "run") (param i32 i32) (result i64) (i64.const {what}))"#
            )))
            .await
            .unwrap();
        match score(&replica, "x").await.unwrap_err() {
            ScriptError::Died(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_allocator_that_lies_is_found() {
    for (pointer, words) in [
        ("65535", "lusk_alloc returned the range of 5 bytes at 65535"),
        ("-4", "5 bytes at 4294967292"),
        ("0", "no memory for the request"),
    ] {
        let bench = Bench::new();
        let replica = bench
            .start_wat(&module(&format!(
                r#"(func (export "lusk_alloc") (param i32) (result i32) (i32.const {pointer}))"#
            )))
            .await
            .unwrap();
        match score(&replica, "12345").await.unwrap_err() {
            ScriptError::Died(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_trap_costs_one_request() {
    dies_of("unreachable", "unreachable").await;
}

#[tokio::test]
async fn infinite_recursion_costs_one_request() {
    dies_of("(call $bad)", "call stack exhausted").await;
}

#[tokio::test]
async fn hitting_the_memory_limit_costs_one_request() {
    // Grows until it fails, then traps as allocators do.
    let grow = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    dies_of(grow, "more than its memory limit of 64.0 MiB allows").await;
}

#[tokio::test]
async fn a_script_that_exits_costs_one_request() {
    let bench = Bench::new();
    let text = module(
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "run") (param i32 i32) (result i64) (call $exit (i32.const 3)) (i64.const 0))"#,
    );
    let replica = bench.start_wat(&text).await.unwrap();
    let error = score(&replica, "x").await.unwrap_err();
    assert_eq!(error, ScriptError::Died("it called exit(3)".to_owned()));
}

#[tokio::test]
async fn a_dropped_request_interrupts_the_script() {
    let bench = Bench::new();
    let replica = bench
        .start_wat(&bad_unless_empty("(loop (br 0))"))
        .await
        .unwrap();
    // The guest gives its thread back at each tick, so this poll returns.
    assert!(score(&replica, "x").now_or_never().is_none());
    assert_eq!(score(&replica, "").await.unwrap().body, "");
}

#[tokio::test]
async fn a_busy_script_does_not_hold_up_its_deadline() {
    let bench = Bench::new();
    let replica = bench
        .start_wat(&bad_unless_empty("(loop (br 0))"))
        .await
        .unwrap();
    let limit = std::time::Duration::from_millis(30);
    tokio::time::timeout(limit, score(&replica, "x"))
        .await
        .unwrap_err();
    assert_eq!(score(&replica, "").await.unwrap().body, "");
}

#[tokio::test]
async fn a_script_says_why_it_failed_on_standard_error() {
    let text = |code: &str| {
        module(&format!(
            r#"(import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "first\nno such model")
            (func (export "run") (param i32 i32) (result i64)
              (i32.store (i32.const 0) (i32.const 16))
              (i32.store (i32.const 4) (i32.const 19))
              (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
              (i64.const {code}))"#
        ))
    };
    let bench = Bench::new();
    let replica = bench.start_wat(&text("-1")).await.unwrap();
    assert_eq!(
        score(&replica, "x").await.unwrap_err(),
        ScriptError::Raised("no such model".to_owned())
    );
    assert_eq!(bench.log.lines(), ["first", "no such model"]);
    let replica = bench.start_wat(&text("-2")).await.unwrap();
    assert_eq!(
        score(&replica, "x").await.unwrap_err(),
        ScriptError::BadRequest("no such model".to_owned())
    );
}

#[tokio::test]
async fn a_flood_of_output_ends_with_its_request() {
    let bench = Bench::new();
    let text = module(
        r#"(import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "run") (param i32 i32) (result i64)
          (i32.store (i32.const 0) (i32.const 1024))
          (i32.store (i32.const 4) (i32.const 4096))
          (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))
          (i64.const 0))"#,
    );
    let replica = bench.start_wat(&text).await.unwrap();
    let limit = std::time::Duration::from_millis(30);
    tokio::time::timeout(limit, score(&replica, "x"))
        .await
        .unwrap_err();
    replica.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_slot_serves_one_request_at_a_time() {
    let bench = Bench::new();
    bench.file("score.wat", module(""));
    let mut revision = bench.revision(RuntimeKind::Wasm, "score.wat");
    revision.slots = 4;
    let replica = bench.start(revision).await.unwrap();
    let all = (0..400).map(|n| {
        let replica = Arc::clone(&replica);
        tokio::spawn(async move {
            let body = format!("request {n}");
            assert_eq!(score(&replica, &body).await.unwrap().body, body);
        })
    });
    for done in join_all(all).await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_failed_init_says_why() {
    for (init, kind, words) in [
        (
            "(i32.const 3)",
            StartErrorKind::UserScriptInitFailed,
            "init() returned 3",
        ),
        (
            "(unreachable)",
            StartErrorKind::UserScriptInitFailed,
            "unreachable",
        ),
        (
            "(drop (memory.grow (i32.const 2000))) (unreachable)",
            StartErrorKind::OutOfMemory,
            "asked for 125.0 MiB more than a replica may have (64.0 MiB)",
        ),
    ] {
        let bench = Bench::new();
        let text = module(&format!(r#"(func (export "init") (result i32) {init})"#));
        let error = bench.start_wat(&text).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[tokio::test]
async fn a_memory_limit_below_the_first_pages_is_refused_with_figures() {
    let bench = Bench::new();
    let text = module(r#"(memory (export "memory") 2000)"#);
    let error = bench.start_wat(&text).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::OutOfMemory);
    assert_eq!(
        error.message,
        "`score.wat` needs 125.0 MiB to start, but a replica may have 64.0 MiB; raise memoryInGB"
    );
}

#[tokio::test]
async fn scripts_that_do_not_fit_are_refused_in_words() {
    for (text, kind, words) in [
        (
            "(module (func $x".to_owned(),
            StartErrorKind::InvalidScript,
            "score.wat:1:",
        ),
        (
            "\0asm\x01\0\0\0\x07garbage".to_owned(),
            StartErrorKind::InvalidScript,
            "",
        ),
        (
            "(module)".to_owned(),
            StartErrorKind::UserScriptFunctionNotFound,
            "no function `init`: func (result i32)",
        ),
        (
            module(r#"(func (export "run") (param i32) (result i32) (i32.const 0))"#),
            StartErrorKind::UserScriptFunctionNotFound,
            "`run` is func (param i32) (result i32), expected func (param i32 i32) (result i64)",
        ),
        (
            module(r#"(import "env" "secret" (func))"#),
            StartErrorKind::InvalidScript,
            "secret",
        ),
        (
            "(component)".to_owned(),
            StartErrorKind::UserScriptFunctionNotFound,
            "it exports no instance `lusk:scoring/entry@0.1.0`",
        ),
    ] {
        let bench = Bench::new();
        let error = bench.start_wat(&text).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains("score.wat"), "{}", error.message);
        let details = format!("{:?}", error.details);
        assert!(details.contains(words), "{details}");
    }
}

#[tokio::test]
async fn a_component_with_other_types_is_refused() {
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $entry (export "init" (func $f)) (export "run" (func $f)))
        (export "lusk:scoring/entry@0.1.0" (instance $entry)))"#;
    let error = Bench::new().start_wat(text).await.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::UserScriptFunctionNotFound);
    assert!(
        error.message.contains("other types than the world's"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_script_is_named() {
    let bench = Bench::new();
    let error = bench
        .start(bench.revision(RuntimeKind::Wasm, "gone.wasm"))
        .await
        .unwrap_err();
    assert_eq!(error.message, "the entry script `gone.wasm` cannot be read");
}

#[tokio::test]
async fn the_second_deployment_finds_compiled_code() {
    let bench = Bench::new();
    bench.file("score.wat", module(""));
    for words in ["compiled in", "found in the AOT cache"] {
        let revision = Arc::new(bench.revision(RuntimeKind::Wasm, "score.wat"));
        let events = Events::default();
        bench.host.prepare(&revision, &events).await.unwrap();
        assert!(events.texts()[0].contains(words), "{:?}", events.texts());
    }
}

#[tokio::test]
async fn a_replica_leaves_nothing_on_disk() {
    let bench = Bench::new();
    let replica = bench.start_wat(&module("")).await.unwrap();
    echoes(&replica).await;
    let tmp = bench.folder.path().join("tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 1);
    drop(replica);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

#[tokio::test]
async fn an_abandoned_revision_is_forgotten() {
    let bench = Bench::new();
    bench.file("score.wat", module(""));
    let revision = Arc::new(bench.revision(RuntimeKind::Wasm, "score.wat"));
    bench
        .host
        .prepare(&revision, &Events::default())
        .await
        .unwrap();
    forget_abandoned(&bench.host.entries);
    assert_eq!(lock(&bench.host.entries).len(), 1);
    drop(revision);
    forget_abandoned(&bench.host.entries);
    assert_eq!(lock(&bench.host.entries).len(), 0);
}

#[tokio::test]
async fn a_component_answers_in_every_way() {
    let bench = Bench::new();
    let replica = bench.start_wat(COMPONENT_BODY).await.unwrap();
    for body in [&b"\"text\""[..], b"\xff\xfe bytes", b"", &[b'x'; 300_000]] {
        let reply = replica.score(post(body.to_vec())).await.unwrap();
        assert_eq!(&reply.body[..], body);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    let says = "no such model".to_owned();
    for (order, error) in [
        ("b", ScriptError::BadRequest(says.clone())),
        ("r", ScriptError::Raised(says.clone())),
    ] {
        assert_eq!(score(&replica, order).await.unwrap_err(), error);
        echoes(&replica).await;
    }
    assert_eq!(bench.log.lines(), [says]);
    let error = score(&replica, "t").await.unwrap_err();
    assert!(matches!(error, ScriptError::Died(_)), "{error:?}");
    echoes(&replica).await;
}

const ONE_AND_HALF: [u8; 8] = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x3f];
const TWO_AND_ONE: [u8; 8] = [0, 0, 0, 0x40, 0, 0, 0x80, 0x3f];

/// A replica whose script infers with one of these models.
async fn inferring(models: &[(&str, &str)]) -> (Bench, Arc<dyn Replica>) {
    let bench = Bench::with_backends(vec![Arc::new(FakeBackend)]);
    bench.file("score.wat", INFERRING_BODY);
    let mut revision = bench.revision(RuntimeKind::Wasm, "score.wat");
    revision.models = models
        .iter()
        .map(|(name, content)| bench.model(name, content))
        .collect();
    let replica = bench.start(revision).await.unwrap();
    (bench, replica)
}

async fn infer(replica: &Arc<dyn Replica>, model: &str) -> Result<ScoreReply, ScriptError> {
    let mut request = post(ONE_AND_HALF.to_vec());
    request.target = format!("/{model}");
    replica.score(request).await
}

#[tokio::test]
async fn a_script_reaches_a_model_by_each_of_its_names() {
    let (_bench, replica) = inferring(&[("other", "fails"), ("m", "double")]).await;
    for name in [
        "m",
        "m:1",
        "azureml-models/m/1/m.onnx",
        "azureml-models/m/1",
        "/var/azureml-app/azureml-models/m/1/m.onnx",
        "./azureml-models/m/../m/1/m.onnx",
    ] {
        for _ in 0..3 {
            let reply = infer(&replica, name).await.unwrap();
            assert_eq!(&reply.body[..], TWO_AND_ONE, "{name}");
        }
    }
}

#[tokio::test]
async fn a_script_is_told_why_it_got_no_inference() {
    let (_bench, replica) = inferring(&[("m", "fails"), ("n", "Scaler")]).await;
    for (name, words) in [
        ("m", "model `m` failed: no luck"),
        (
            "n",
            "`n:1/m.onnx` needs operator(s) that backend `fake` lacks: Scaler",
        ),
        ("gone", "neither a file below /var/azureml-app nor a model"),
        ("../../etc/passwd", "neither a file"),
    ] {
        match infer(&replica, name).await.unwrap_err() {
            ScriptError::Raised(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn tensors_count_against_the_memory_limit() {
    let bench = Bench::with_backends(vec![Arc::new(FakeBackend)]);
    bench.file("score.wat", INFERRING_BODY);
    let start = async |limit: u64| {
        let mut revision = bench.revision(RuntimeKind::Wasm, "score.wat");
        revision.models = vec![bench.model("m", "double")];
        revision.memory_limit = limit;
        bench.start(revision).await
    };
    // Two pages, and a small table that the component needs.
    let mut limit = 2 << 16;
    while start(limit).await.is_err() {
        limit += 16;
        assert!(limit < 3 << 16, "a guest of two pages does not start");
    }
    let replica = start(limit + 7).await.unwrap();
    match infer(&replica, "m").await.unwrap_err() {
        ScriptError::Died(text) => assert!(text.contains("8 bytes more than"), "{text}"),
        other => panic!("{other:?}"),
    }
    let replica = start(limit + 8).await.unwrap();
    for _ in 0..3 {
        infer(&replica, "m").await.unwrap();
    }
}

#[tokio::test]
async fn prepare_names_models_and_what_they_lack() {
    let bench = Bench::with_backends(vec![Arc::new(FakeBackend)]);
    bench.file("score.wat", module(""));
    let mut revision = bench.revision(RuntimeKind::Wasm, "score.wat");
    revision.models = vec![bench.model("m", "double"), bench.model("n", "Scaler")];
    let events = Events::default();
    let revision = Arc::new(revision);
    bench.host.prepare(&revision, &events).await.unwrap();
    let texts = events.texts();
    assert!(
        texts[0].starts_with("m:1/m.onnx loaded on cpu (fake, 1 thread) in "),
        "{texts:?}"
    );
    assert!(
        texts[1].contains("lacks: Scaler; the entry script cannot use it"),
        "{texts:?}"
    );
}

async fn without_code(models: &[(&str, &str)]) -> (Bench, Result<Arc<dyn Replica>, StartError>) {
    let bench = Bench::with_backends(vec![Arc::new(FakeBackend)]);
    let mut revision = bench.revision(RuntimeKind::None, "");
    revision.models = models
        .iter()
        .map(|(name, content)| bench.model(name, content))
        .collect();
    let replica = bench.start(revision).await;
    (bench, replica)
}

#[tokio::test]
async fn a_model_without_code_answers() {
    let (_bench, replica) = without_code(&[("m", "double")]).await;
    let replica = replica.unwrap();
    for _ in 0..3 {
        let reply = score(&replica, r#"{"data": [[1, 0.5]]}"#).await.unwrap();
        assert_eq!(reply.body, r#"{"y":[[2.0,1.0]]}"#);
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    let error = score(&replica, r#"{"data": [1, 0.5]}"#).await.unwrap_err();
    assert_eq!(
        error,
        ScriptError::BadRequest(
            "input `x` (tensor(float), shape [?, 2]) was given with the shape [2] \
             at line 1 column 18"
                .to_owned()
        )
    );
    assert_eq!(replica.schema().kind, ScriptKind::Tensors);
    assert_eq!(
        replica.schema().input,
        serde_json::json!({
            "type": "object",
            "properties": {"x": {"type": "array", "items": {
                "type": "array", "items": {"type": "number", "format": "float"}}}},
            "example": {"x": [[0.0, 0.0]]},
        })
    );
}

#[tokio::test]
async fn a_failure_of_a_model_without_code_is_in_the_log() {
    let (bench, replica) = without_code(&[("m", "fails")]).await;
    let error = score(&replica.unwrap(), r#"{"x": [[1, 2]]}"#)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        ScriptError::Raised("model `m` failed: no luck".to_owned())
    );
    assert_eq!(bench.log.lines(), ["model `m` failed: no luck"]);
}

#[tokio::test]
async fn no_code_wants_one_model_that_runs() {
    for (models, words) in [
        (
            &[][..],
            "exactly one ONNX file among its models, found none",
        ),
        (
            &[("m", "double"), ("n", "double")][..],
            "found azureml-models/m/1/m.onnx, azureml-models/n/1/m.onnx",
        ),
        (&[("m", "Scaler")][..], "lacks: Scaler"),
    ] {
        let (_bench, replica) = without_code(models).await;
        let error = replica.unwrap_err();
        assert_eq!(error.kind, StartErrorKind::ModelNotSupported);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[tokio::test]
async fn a_panic_of_the_host_costs_one_request() {
    let (_bench, replica) = without_code(&[("m", "double")]).await;
    let replica = replica.unwrap();
    for _ in 0..3 {
        let error = score(&replica, r#"{"x": [[null, 0]]}"#).await.unwrap_err();
        let costs_one = matches!(error, ScriptError::Died(_) | ScriptError::Raised(_));
        assert!(costs_one, "{error:?}");
        score(&replica, r#"{"x": [[1, 0]]}"#).await.unwrap();
    }
    let (_bench, replica) = inferring(&[("m", "double")]).await;
    for _ in 0..3 {
        let mut request = post([0xff; 8].to_vec());
        request.target = "/m".to_owned();
        let error = replica.score(request).await.unwrap_err();
        let costs_one = matches!(error, ScriptError::Died(_) | ScriptError::Raised(_));
        assert!(costs_one, "{error:?}");
        infer(&replica, "m").await.unwrap();
    }
}

#[tokio::test]
async fn a_backend_that_panics_on_a_model_refuses_it() {
    let (_bench, replica) = without_code(&[("m", "panics")]).await;
    let error = replica.unwrap_err();
    assert_eq!(error.kind, StartErrorKind::ModelNotSupported);
    assert!(error.message.contains("panicked"), "{}", error.message);
}

#[tokio::test]
async fn a_full_folder_ends_the_request_and_is_emptied() {
    let bench = Bench::new();
    let replica = bench
        .start_wat(&bad_unless_empty("(loop (br 0))"))
        .await
        .unwrap();
    let tmp = bench.folder.path().join("tmp");
    let instance = fs::read_dir(&tmp).unwrap().next().unwrap().unwrap().path();
    fs::write(instance.join("tmp/file"), vec![1; 10_000]).unwrap();
    let mut endless = Box::pin(score(&replica, "x"));
    assert!(futures::poll!(&mut endless).is_pending());
    bench.host.folders.measure(1_000);
    match endless.await.unwrap_err() {
        ScriptError::Died(text) => assert!(text.contains("in /tmp"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(score(&replica, "").await.unwrap().body, "");
    assert!(!instance.exists());
}

/// Three scripts in WebAssembly text.
struct Troupe(Bench);

impl Stage for Troupe {
    fn host(&self) -> Arc<dyn ReplicaHost> {
        Arc::clone(&self.0.host) as Arc<dyn ReplicaHost>
    }

    fn revision(&self, actor: Actor, slots: usize) -> Arc<Revision> {
        // Orders are told apart by their first letter.
        let obedient = r#"(func (export "run") (param i32 i32) (result i64)
            (local $first i32)
            (local.set $first (i32.load8_u (local.get 0)))
            (if (i32.eq (local.get $first) (i32.const 114)) (then (return (i64.const -1))))
            (if (i32.eq (local.get $first) (i32.const 100)) (then unreachable))
            (if (i32.eq (local.get $first) (i32.const 108)) (then (loop (br 0))))
            (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
                    (i64.extend_i32_u (local.get 1))))"#;
        let (name, text) = match actor {
            Actor::Obedient => ("obedient.wat", module(obedient)),
            Actor::FailsInit => (
                "fails.wat",
                module(r#"(func (export "init") (result i32) (i32.const 1))"#),
            ),
            Actor::Unreadable => ("unreadable.wat", "(module (func".to_owned()),
        };
        self.0.file(name, text);
        let mut revision = self.0.revision(RuntimeKind::Wasm, name);
        revision.slots = slots;
        Arc::new(revision)
    }
}

#[tokio::test]
async fn the_host_keeps_the_promises_of_hosts() {
    replica_host::suite(&Troupe(Bench::new())).await;
}
