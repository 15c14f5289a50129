//! What survives the end of a node.

use std::fs;

use serde_json::json;

use crate::lusk::{Lusk, constant, plain_script};

#[test]
fn everything_is_there_again_after_a_restart() {
    let mut lusk = Lusk::start("restart");
    lusk.file("m.bin", "weights");
    lusk.cli(&[
        "model", "register", "-n", "m", "-p", "m.bin", "--tag", "a=1",
    ])
    .ok();
    lusk.deploy("wat")
        .model("m:1")
        .wat(&constant("1"))
        .args(&["--nr", "2"])
        .done();
    lusk.deploy("python").python(&plain_script()).done();
    lusk.deploy("local")
        .wat(&constant("2"))
        .args(&["--cp", "local"])
        .done();
    let keys = (lusk.key("wat"), lusk.key("python"));
    let local = lusk.service("local")["localAddress"].clone();
    let operation = lusk
        .admin("GET", "/services/wat", &serde_json::Value::Null)
        .json()["revision"]
        .clone();

    for round in 0..2 {
        if round == 0 {
            lusk.stop();
        } else {
            lusk.kill();
        }
        lusk.restart();
        assert_eq!((lusk.key("wat"), lusk.key("python")), keys);
        assert_eq!(lusk.score("wat", "").expect(200).text(), "1");
        assert_eq!(lusk.score("python", "x").expect(200).text(), "\"x\"");
        let service = lusk.service("wat");
        assert_eq!(service["deploymentStatus"]["availableReplicas"], 2);
        assert_eq!(service["revision"], operation);
        assert_eq!(lusk.service("local")["state"], "Healthy");
        let model = lusk
            .cli(&["model", "show", "-i", "m:1", "-o", "json"])
            .json();
        assert_eq!(model["kvTags"], json!({"a": "1"}));
    }
    assert!(local.is_string());
}

#[test]
fn a_clean_stop_leaves_no_trace_of_a_running_node() {
    let mut lusk = Lusk::start("stop");
    lusk.deploy("wat").wat(&constant("1")).done();
    lusk.stop();
    assert!(!lusk.data().join("node.json").exists());
    let refused = lusk.cli(&["service", "list"]).fails(1);
    assert!(refused.contains("no node runs in"), "{refused}");
    assert_eq!(fs::read_dir(lusk.data().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_service_that_cannot_start_again_does_not_stop_the_others() {
    let mut lusk = Lusk::start("lost-blob");
    lusk.deploy("good").wat(&constant("1")).done();
    lusk.file("m.bin", "weights that are lost");
    lusk.cli(&["model", "register", "-n", "m", "-p", "m.bin"])
        .ok();
    lusk.deploy("lost").model("m:1").wat(&constant("2")).done();
    let model = lusk
        .cli(&["model", "show", "-i", "m:1", "-o", "json"])
        .json();
    let digest = model["files"][0]["digest"]
        .as_str()
        .unwrap()
        .replace("sha256:", "");
    lusk.stop();
    let blob = find(&lusk.data().join("blobs"), &digest).expect("the blob");
    fs::remove_file(blob).unwrap();
    lusk.restart();
    assert_eq!(lusk.score("good", "").expect(200).text(), "1");
    let service = lusk.service("lost");
    assert_ne!(service["state"], "Healthy");
    let error = service["error"].to_string();
    assert!(error.contains(&digest), "{error}");
}

fn find(folder: &std::path::Path, digest: &str) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = find(&path, digest) {
                return Some(found);
            }
        } else if path.to_string_lossy().replace('/', "").contains(digest) {
            return Some(path);
        }
    }
    None
}
