//! Replicas follow the load.

use std::thread;

use serde_json::json;

use crate::lusk::{Lusk, constant, machine_memory, until};

/// A script whose requests run until the test lets them.
const GATED: &str = "
import os
import time


def init():
    pass


def run(raw_data):
    while not os.path.exists(raw_data):
        time.sleep(0.01)
    return 1
";

/// A deployment config with one slot a replica and a queue that is patient.
fn config(lusk: &Lusk, min: u32, max: u32) {
    let config = json!({
        "computeType": "aks",
        "autoScaler": {"autoscaleEnabled": true, "minReplicas": min, "maxReplicas": max},
        "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": 0.1},
        "maxQueueWaitMs": 60_000,
        "scoringTimeoutMs": 60_000,
        "authEnabled": false,
    });
    lusk.file("deploymentconfig.json", config.to_string());
}

#[test]
fn a_load_step_gets_its_replicas_and_the_log_says_why() {
    let lusk = Lusk::start("scaling");
    config(&lusk, 1, 6);
    lusk.deploy("gated")
        .python(GATED)
        .args(&["--rt", "process", "--dc", "deploymentconfig.json"])
        .done();
    let gate = lusk.folder().join("open");
    let body = gate.to_str().expect("a path");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| lusk.score("gated", body).expect(200));
        }
        // Four at 70 % of one slot each.
        until("there are six replicas", || {
            lusk.metric("lusk_replicas_ready", "gated") >= 6.0
        });
        lusk.file("open", "");
    });
    let log = lusk
        .cli(&["service", "scaling-log", "-n", "gated", "-o", "json"])
        .json();
    let first = &log[0];
    assert_eq!(first["reason"], "demand", "{log:#}");
    assert!(
        first["text"]
            .as_str()
            .expect("a text")
            .contains("the demand of the last 1 s needs"),
        "{log:#}"
    );
    let table = lusk.cli(&["service", "scaling-log", "-n", "gated"]).ok();
    assert!(table.contains("-> "), "{table}");
}

#[test]
fn a_node_without_room_bounds_the_growth_and_says_so() {
    let lusk = Lusk::start("bounded");
    let config = json!({
        "computeType": "aks",
        "autoScaler": {"autoscaleEnabled": true, "minReplicas": 1, "maxReplicas": 50},
        // Memory for one replica and no other.
        "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": machine_memory() * 0.6 / 1e9},
        "maxQueueWaitMs": 60_000,
        "authEnabled": false,
    });
    lusk.file("deploymentconfig.json", config.to_string());
    lusk.deploy("gated")
        .python(GATED)
        .args(&["--rt", "process", "--dc", "deploymentconfig.json"])
        .done();
    let gate = lusk.folder().join("open");
    let body = gate.to_str().expect("a path");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| lusk.score("gated", body).expect(200));
        }
        until("the service says that it is bound", || {
            let service = lusk.service("gated");
            service["deploymentStatus"]["error"]["message"]
                .as_str()
                .is_some_and(|text| text.contains("CapacityBound"))
        });
        lusk.file("open", "");
    });
}

#[test]
fn a_service_without_replicas_starts_one_for_its_first_request() {
    let lusk = Lusk::start("sleeping");
    config(&lusk, 0, 2);
    lusk.deploy("sleepy")
        .wat(&constant("1"))
        .args(&["--dc", "deploymentconfig.json"])
        .done();
    // A minute without a request, and it is gone.
    until("it sleeps", || {
        lusk.metric("lusk_replicas_ready", "sleepy") == 0.0
    });
    assert_eq!(lusk.service("sleepy")["state"], "Healthy");
    assert_eq!(lusk.score("sleepy", "{}").expect(200).text(), "1");
    assert!(lusk.metric("lusk_replicas_ready", "sleepy") >= 1.0);
}
