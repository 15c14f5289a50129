//! The entry scripts under `examples/` that are not Python.
//!
//! Those in C and Rust are compiled by their own build scripts. A test whose
//! compiler is missing notes that in the file `LUSK_TEST_SKIPS`.
//! `LUSK_TEST_RUST_WASM` is a folder with Debian's rustc and its WebAssembly
//! library; without it, the machine's own rustc is tried.

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
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use lusk_contract::{Replica, ScriptError};
use lusk_domain::RuntimeKind;
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use testing::{Bench, post};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}

/// A bench with the files of an example, compiled; `None` without a compiler.
fn built(name: &str) -> Option<Bench> {
    let bench = Bench::new();
    let app = bench.folder.path().join("app");
    for entry in fs::read_dir(example(name)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "score.wasm" {
            fs::copy(entry.path(), app.join(entry.file_name())).unwrap();
        }
    }
    let mut build = Command::new("sh");
    build.arg(app.join("build"));
    if let Some(root) = env::var_os("LUSK_TEST_RUST_WASM") {
        let usr = Path::new(&root).join("usr");
        let rustc = format!("{0}/bin/rustc --sysroot {0}", usr.display());
        let libraries =
            ["lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib"].map(|folder| usr.join(folder));
        build
            .env("RUSTC", rustc)
            .env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap());
    }
    let built = build.output().unwrap();
    if built.status.success() {
        return Some(bench);
    }
    note_skip(name, String::from_utf8_lossy(&built.stderr).trim());
    None
}

fn note_skip(name: &str, why: &str) {
    let line = format!("examples/{name}: {}\n", why.replace('\n', " "));
    print!("{line}");
    if let Some(path) = env::var_os("LUSK_TEST_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).open(path).unwrap();
        skips.write_all(line.as_bytes()).unwrap();
    }
}

async fn start(bench: &Bench, script: &str) -> Arc<dyn Replica> {
    bench
        .start(bench.revision(RuntimeKind::Wasm, script))
        .await
        .unwrap()
}

/// Both answer the mean of numbers, and refuse what is none.
async fn answers_means(bench: &Bench, mean: &str) {
    let replica = start(bench, "score.wasm").await;
    for _ in 0..3 {
        let reply = replica.score(post(r#"{"data": [1, 2.5, 4]}"#)).await;
        assert_eq!(reply.unwrap().body, mean);
        for bad in ["", "{}", r#"{"data": []}"#, r#"{"data": [1, "x"]}"#] {
            let error = replica.score(post(bad)).await.unwrap_err();
            let expected = "expected {\"data\": [numbers]}".to_owned();
            assert_eq!(error, ScriptError::BadRequest(expected), "{bad}");
        }
    }
    let numbers = vec!["1"; 200_000].join(", ");
    let reply = replica.score(post(format!("[{numbers}]"))).await.unwrap();
    assert!(reply.body.ends_with(b"\"count\": 200000}"));
}

#[tokio::test]
async fn c_answers_means() {
    if let Some(bench) = built("c-mean") {
        answers_means(&bench, r#"{"mean": 2.500000, "count": 3}"#).await;
    }
}

#[tokio::test]
async fn rust_answers_means() {
    if let Some(bench) = built("rust-mean") {
        answers_means(&bench, r#"{"mean": 2.5, "count": 3}"#).await;
    }
}

#[tokio::test]
async fn wat_echoes() {
    let bench = Bench::new();
    let text = fs::read(example("wat-echo").join("score.wat")).unwrap();
    bench.file("score.wat", text);
    let replica = start(&bench, "score.wat").await;
    for length in [0, 5, 64_512, 64_513, 1_000_000] {
        let body = vec![b'1'; length];
        let reply = replica.score(post(body.clone())).await.unwrap();
        assert_eq!(reply.body, body);
    }
}
