//! A real model, computed in batches and call by call.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(
    dead_code,
    reason = "written for the unit tests; not all is needed here"
)]
#[path = "../src/testing.rs"]
mod testing;

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures::future::join_all;
use lusk_contract::{Backend, BatchReport, Batches, Replica};
use lusk_domain::{BatchSettings, Digest, RuntimeKind};
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use lusk_tract::TractBackend;
use serde_json::{Value, json};
use testing::{Bench, post};

/// A replica of the digits model, with 8 slots.
async fn digits(bench: &Bench, batching: Option<BatchSettings>) -> Arc<dyn Replica> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/model");
    let content = fs::read(path.join("digits.onnx")).unwrap();
    let mut model = bench.model("digits", "");
    bench.file(&model.files[0].0, &content);
    model.files[0].1 = Digest::of(&content);
    model.batching = batching;
    let mut revision = bench.revision(RuntimeKind::None, "");
    revision.models = vec![model];
    revision.slots = 8;
    bench.start(revision).await.unwrap()
}

fn bench() -> Bench {
    Bench::with_backends(vec![Arc::new(TractBackend::new()) as Arc<dyn Backend>])
}

/// `rows` made-up pictures, others for each `seed`.
fn pictures(seed: usize, rows: usize) -> String {
    let pixel = |row, at| ((seed * 31 + row * 7 + at * (seed + 3)) % 17) as f64 / 16.0;
    let picture = |row| (0..64).map(|at| pixel(row, at)).collect::<Vec<_>>();
    json!({"data": (0..rows).map(picture).collect::<Vec<_>>()}).to_string()
}

fn numbers(answer: &Value) -> Vec<f64> {
    match answer {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values().flat_map(numbers).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

async fn answer(replica: &dyn Replica, body: String) -> Vec<f64> {
    let reply = replica.score(post(body)).await.unwrap();
    numbers(&serde_json::from_slice(&reply.body).unwrap())
}

fn only_report(bench: &Bench) -> BatchReport {
    let mut reports = bench.host.batches();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

#[tokio::test]
async fn a_real_model_answers_in_batches_as_it_does_alone() {
    let settings = BatchSettings {
        max_rows: 16,
        max_delay: Duration::from_millis(100),
    };
    let (joined, alone) = (bench(), bench());
    let (joins, computes) = (
        digits(&joined, Some(settings)).await,
        digits(&alone, None).await,
    );
    let bodies: Vec<_> = (0..64).map(|seed| pictures(seed, seed % 4 + 1)).collect();
    // Eight at a time, as the slots allow.
    for bodies in bodies.chunks(8) {
        let together = bodies.iter().map(|body| answer(&*joins, body.clone()));
        for (got, body) in join_all(together).await.iter().zip(bodies) {
            let right = answer(&*computes, body.clone()).await;
            assert_eq!(got.len(), right.len());
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6;
            assert!(got.iter().zip(&right).all(near), "{got:?}\n{right:?}");
        }
    }
    let report = only_report(&joined);
    assert_eq!((report.without_effect, report.counts.calls), (None, 64));
    assert!(report.counts.batches() < 64, "{:?}", report.counts);
    assert!(alone.host.batches().is_empty());
}
