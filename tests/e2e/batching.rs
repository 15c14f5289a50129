//! Calls of a model that come at the same time are computed together.

use std::thread;

use serde_json::{Value, json};

use crate::{
    http::Request,
    lusk::{Lusk, Run, until},
};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/digits/model/digits.onnx"
);

/// A model of two numbers, no more and no less.
const FIXED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/onnx/divide.onnx"
);

/// Sends its input through the model; what it answers is the model's answer. The
/// pause lets the others begin before the first one computes.
const SCRIPT: &str = "
import json
import os
import time

import numpy as np
import onnxruntime


def init():
    global session
    path = os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'digits.onnx')
    session = onnxruntime.InferenceSession(path)


def run(raw_data):
    time.sleep(0.02)
    data = np.array(json.loads(raw_data)['data'], dtype=np.float32)
    name = session.get_inputs()[0].name
    labels, probabilities = session.run(None, {name: data})
    return {'label': labels.tolist(), 'probabilities': probabilities.tolist()}
";

fn register(lusk: &Lusk, name: &str, path: &str, more: &[&str]) -> Run {
    let mut words = vec!["model", "register", "-n", name, "-p", path];
    words.extend(["--model-framework", "Onnx"]);
    words.extend(more);
    lusk.cli(&words)
}

/// A deployment config for requests that come together.
fn config(lusk: &Lusk, replicas: u32, slots: u32) {
    let config = json!({
        "computeType": "aks",
        "numReplicas": replicas,
        "autoScaler": {"autoscaleEnabled": false},
        "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": 0.3},
        "maxConcurrentRequestsPerContainer": slots,
        "maxQueueWaitMs": 60_000,
        "scoringTimeoutMs": 60_000,
        "authEnabled": false,
    });
    lusk.file("deploymentconfig.json", config.to_string());
}

/// `rows` made-up pictures, others for each `seed`.
fn pictures(seed: usize, rows: usize) -> String {
    let pixel = |row, at| ((seed * 31 + row * 7 + at * (seed + 3)) % 17) as f64 / 16.0;
    let picture = |row| (0..64).map(|at| pixel(row, at)).collect::<Vec<_>>();
    json!({"data": (0..rows).map(picture).collect::<Vec<_>>()}).to_string()
}

/// All numbers of an answer, in order.
fn numbers(answer: &Value) -> Vec<f64> {
    match answer {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values().flat_map(numbers).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

fn batches(lusk: &Lusk, service: &str) -> Value {
    lusk.cli(&["service", "batches", "-n", service, "-o", "json"])
        .json()
}

/// Sends requests of 1 to 3 rows at the same time until some were joined, and
/// compares each answer with that of `alone`, whose calls are not joined.
fn joins_and_answers_right(lusk: &Lusk, service: &str, alone: &str) {
    let cases: Vec<_> = (0..16)
        .map(|seed| {
            let body = pictures(seed, seed % 3 + 1);
            let right = numbers(&lusk.score(alone, &body).expect(200).json());
            (body, right)
        })
        .collect();
    until("calls were joined", || {
        thread::scope(|scope| {
            for (body, right) in &cases {
                scope.spawn(move || {
                    let answer = lusk.score(service, body).expect(200).json();
                    let got = numbers(&answer);
                    assert_eq!(got.len(), right.len(), "{answer}");
                    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-5;
                    assert!(got.iter().zip(right).all(near), "{got:?}\n{right:?}");
                });
            }
        });
        let model = &batches(lusk, service)[0];
        model["calls"].as_u64() > model["batches"].as_u64()
    });
}

#[test]
fn requests_that_come_together_are_computed_together_and_the_books_say_so() {
    let lusk = Lusk::start("batching");
    config(&lusk, 1, 8);
    register(&lusk, "plain", MODEL, &[]).ok();
    let flags = ["--max-batch-size", "16", "--max-batch-delay-ms", "100"];
    register(&lusk, "joined", MODEL, &flags).ok();
    let deploy = |name: &str, model: &str| {
        let deployment = lusk.deploy(name).model(model);
        deployment.args(&["--dc", "deploymentconfig.json"]).run()
    };
    deploy("alone", "plain:1").ok();
    let said = deploy("digits", "joined:1");
    said.ok();
    let text = "in batches of up to 16 rows";
    assert!(said.stderr().contains(text), "{}", said.stderr());
    joins_and_answers_right(&lusk, "digits", "alone");

    let model = batches(&lusk, "digits")[0].clone();
    assert_eq!(model["model"], "joined:1");
    assert_eq!(model["maxBatchSize"], 16);
    assert_eq!(model["maxBatchDelayMs"], 100);
    assert_eq!(model["withoutEffect"], Value::Null);
    let closed = model["closed"].as_object().expect("reasons");
    let closed: u64 = closed.values().filter_map(Value::as_u64).sum();
    assert_eq!(Some(closed), model["batches"].as_u64(), "{model:#}");
    assert_eq!(batches(&lusk, "alone"), json!([]));
    let table = lusk.cli(&["service", "batches", "-n", "digits"]).ok();
    assert!(table.contains("16 rows, 100 ms"), "{table}");
    assert!(table.contains("Gone"), "{table}");

    let page = Request::new("GET", "/metrics").bearer(&lusk.token());
    let page = page.send(lusk.admin).expect(200).text();
    let count = format!(
        "lusk_batch_rows_count{{service=\"digits\",model=\"joined:1\"}} {}",
        model["batches"]
    );
    assert!(page.contains(&count), "{count}\n{page}");
    let single = "lusk_batch_rows_bucket{service=\"digits\",model=\"joined:1\",le=\"1\"} ";
    let single = page.lines().find_map(|line| line.strip_prefix(single));
    let single: u64 = single.expect("a bucket").parse().expect("a number");
    assert!(Some(single) < model["batches"].as_u64(), "{page}");
    assert!(
        page.contains("lusk_batches_total{service=\"digits\",model=\"joined:1\",closed=\"idle\"}")
    );
}

#[test]
fn replicas_of_a_script_share_batches() {
    let lusk = Lusk::start("batching-script");
    config(&lusk, 4, 1);
    register(&lusk, "digits", MODEL, &["--max-batch-size", "32"]).ok();
    register(&lusk, "plain", MODEL, &[]).ok();
    for (name, model) in [("alone", "plain:1"), ("script", "digits:1")] {
        let deployment = lusk.deploy(name).python(SCRIPT).model(model);
        deployment.args(&["--dc", "deploymentconfig.json"]).done();
    }
    joins_and_answers_right(&lusk, "script", "alone");
}

#[test]
fn a_model_of_fixed_rows_says_that_it_cannot_be_joined() {
    let lusk = Lusk::start("batching-fixed");
    config(&lusk, 1, 2);
    register(&lusk, "pairs", FIXED, &["--max-batch-size", "8"]).ok();
    let deployment = lusk.deploy("pairs").model("pairs:1");
    let said = deployment.args(&["--dc", "deploymentconfig.json"]).run();
    said.ok();
    let remark = "model pairs:1 has a fixed batch of 2 (input `a`): maxBatchSize is without effect";
    assert!(said.stderr().contains(remark), "{}", said.stderr());
    let answer = lusk.score("pairs", r#"{"a": [6, 9], "b": [2, 3]}"#);
    assert_eq!(numbers(&answer.expect(200).json()), [3.0, 3.0]);
    let model = &batches(&lusk, "pairs")[0];
    assert_eq!(model["batches"], 0);
    assert_eq!(model["withoutEffect"], "has a fixed batch of 2 (input `a`)");
}

#[test]
fn settings_of_batches_are_checked_changed_and_removed() {
    let lusk = Lusk::start("batching-settings");
    config(&lusk, 1, 2);
    for (flags, words) in [
        (&["--max-batch-size", "1"][..], "from 2 to 1024"),
        (&["--max-batch-size", "-1"], "from 2 to 1024"),
        (&["--max-batch-size", "many"], "`many`"),
        (&["--tag", "maxBatchSize=+8"], "`+8`"),
        (&["--tag", "maxBatchSize=2000"], "`2000`"),
        (&["--max-batch-delay-ms", "5"], "set both, or remove both"),
    ] {
        let refused = register(&lusk, "digits", MODEL, flags).fails(1);
        assert!(refused.contains(words), "{refused}");
    }
    register(&lusk, "digits", MODEL, &[]).ok();
    let digest = lusk.upload(b"m");
    let draft = json!({
        "name": "raw",
        "files": [{"path": "m.onnx", "digest": digest, "size": 1}],
        "kvTags": {"maxBatchSize": "0"},
    });
    let refused = lusk.admin("POST", "/models", &draft);
    assert!(
        refused.text().contains("from 2 to 1024"),
        "{}",
        refused.text()
    );
    assert!((400..500).contains(&refused.status), "{}", refused.status);

    let dc = ["--dc", "deploymentconfig.json"];
    lusk.deploy("digits").model("digits:1").args(&dc).done();
    let update = |flags: &[&str]| {
        let mut words = vec!["model", "update", "-i", "digits:1"];
        words.extend(flags);
        lusk.cli(&words)
    };
    update(&["--max-batch-size", "4096"]).fails(1);
    update(&["--max-batch-size", "64", "--max-batch-delay-ms", "1"]).ok();
    assert_eq!(batches(&lusk, "digits"), json!([]));
    let next = |description: &str| {
        lusk.cli(&[
            "service",
            "update",
            "-n",
            "digits",
            "-m",
            "digits:1",
            "--description",
            description,
        ])
        .ok()
    };
    next("one");
    assert_eq!(batches(&lusk, "digits")[0]["maxBatchSize"], 64);
    update(&["--remove-tag", "maxBatchSize"]).fails(1);
    update(&["--no-batches"]).ok();
    next("two");
    until("the revision before is gone", || {
        batches(&lusk, "digits") == json!([])
    });
}
