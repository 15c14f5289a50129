//! Registered models, from the command line.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::lusk::{Lusk, constant};

#[test]
fn a_file_gets_versions_that_count_up() {
    let lusk = Lusk::start("versions");
    lusk.file("m.bin", "one");
    for version in 1..=3 {
        let model = lusk
            .cli(&["model", "register", "-n", "m", "-p", "m.bin", "-o", "json"])
            .json();
        assert_eq!(model["id"], format!("m:{version}"));
        assert_eq!(model["version"], version);
        assert_eq!(model["files"][0]["path"], "m.bin");
        assert_eq!(model["url"], format!("aml://asset/m:{version}"));
    }
    let all = lusk.cli(&["model", "list", "-o", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let latest = lusk
        .cli(&["model", "list", "-n", "m", "-l", "-o", "json"])
        .json();
    assert_eq!(latest[0]["id"], "m:3");
    assert_eq!(latest.as_array().unwrap().len(), 1);

    // A number that was given is never given again.
    lusk.cli(&["model", "delete", "-i", "m:3"]).ok();
    let model = lusk
        .cli(&["model", "register", "-n", "m", "-p", "m.bin", "-o", "json"])
        .json();
    assert_eq!(model["id"], "m:4");
}

#[test]
fn a_folder_is_registered_whole_and_comes_back_whole() {
    let lusk = Lusk::start("folder");
    lusk.file("model/a.bin", "alpha");
    lusk.file("model/deep/er/b.bin", [0, 159, 146, 150]);
    let model = lusk
        .cli(&["model", "register", "-n", "m", "-p", "model", "-o", "json"])
        .json();
    let paths: Vec<_> = model["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["model/a.bin", "model/deep/er/b.bin"]);

    let got = lusk
        .cli(&["model", "download", "-i", "m:1", "-t", "back", "-o", "json"])
        .json();
    let back = lusk.folder().join("back/model");
    assert_eq!(got["path"].as_str().unwrap(), back.to_str().unwrap());
    assert_eq!(fs::read(back.join("a.bin")).unwrap(), b"alpha");
    assert_eq!(
        fs::read(back.join("deep/er/b.bin")).unwrap(),
        [0, 159, 146, 150]
    );

    let refused = lusk
        .cli(&["model", "download", "-i", "m:1", "-t", "back"])
        .fails(1);
    assert!(refused.contains("would be replaced"), "{refused}");
    lusk.cli(&[
        "model",
        "download",
        "-i",
        "m:1",
        "-t",
        "back",
        "--overwrite",
    ])
    .ok();
}

#[test]
fn tags_change_and_properties_only_grow() {
    let lusk = Lusk::start("labels");
    lusk.file("m.bin", "one");
    let register = [
        "model",
        "register",
        "-n",
        "m",
        "-p",
        "m.bin",
        "--tag",
        "a=1",
        "--tag",
        "b=2",
        "--property",
        "p=1",
        "-d",
        "text",
        "--model-framework",
        "onnx",
    ];
    lusk.cli(&register).ok();
    let update = [
        "model",
        "update",
        "-i",
        "m:1",
        "--add-tag",
        "a=9",
        "--remove-tag",
        "b",
        "--add-property",
        "q=2",
        "--description",
        "new",
        "-o",
        "json",
    ];
    let model = lusk.cli(&update).json();
    assert_eq!(model["kvTags"], json!({"a": "9"}));
    assert_eq!(model["properties"], json!({"p": "1", "q": "2"}));
    assert_eq!(model["description"], "new");
    assert_eq!(model["framework"], "Onnx");

    let refused = lusk
        .cli(&[
            "model",
            "update",
            "-i",
            "m:1",
            "--add-property",
            "p=2",
            "--add-tag",
            "z=1",
        ])
        .fails(1);
    assert!(refused.contains("`p` is set to `1` already"), "{refused}");
    let model = lusk
        .cli(&["model", "show", "-i", "m:1", "-o", "json"])
        .json();
    assert_eq!(
        model["kvTags"],
        json!({"a": "9"}),
        "a refused change changes nothing"
    );

    for (filter, count) in [("a", 1), ("a=9", 1), ("a=1", 0), ("b", 0)] {
        let list = lusk
            .cli(&["model", "list", "--tag", filter, "-o", "json"])
            .json();
        assert_eq!(list.as_array().unwrap().len(), count, "{filter}");
    }
    let list = lusk
        .cli(&["model", "list", "--property", "q=2", "-o", "json"])
        .json();
    assert_eq!(list[0]["id"], "m:1");
}

#[test]
fn a_model_in_use_is_not_deleted() {
    let lusk = Lusk::start("in-use");
    lusk.file("m.bin", "one");
    lusk.cli(&["model", "register", "-n", "m", "-p", "m.bin"])
        .ok();
    lusk.deploy("user").model("m:1").wat(&constant("{}")).done();
    let refused = lusk.cli(&["model", "delete", "-i", "m:1"]).fails(1);
    assert!(refused.contains("`user`"), "{refused}");
    let reply = lusk
        .admin("DELETE", "/models/m:1", &Value::Null)
        .expect(412);
    assert_eq!(reply.json()["code"], "DeletionRequired");

    lusk.cli(&["service", "delete", "-n", "user"]).ok();
    lusk.cli(&["model", "delete", "-i", "m:1"]).ok();
    lusk.cli(&["model", "show", "-i", "m:1"]).fails(1);
}

#[test]
fn what_cannot_be_registered_is_named() {
    let lusk = Lusk::start("refused-models");
    let missing = lusk
        .cli(&["model", "register", "-n", "m", "-p", "nowhere.onnx"])
        .fails(1);
    assert!(missing.contains("nowhere.onnx"), "{missing}");

    lusk.file("secret", "not yours");
    lusk.file("model/real", "yours");
    symlink("../secret", lusk.folder().join("model/link")).unwrap();
    let link = lusk
        .cli(&["model", "register", "-n", "m", "-p", "model"])
        .fails(1);
    assert!(
        link.contains("model/link") && link.contains("out of"),
        "{link}"
    );

    lusk.file("m.bin", "one");
    for (flags, expected) in [
        (&["-n", "bad name"][..], "model name"),
        (
            &["-n", "m", "--model-framework", "Keras"],
            "unknown framework `Keras`",
        ),
        (
            &["-n", "m", "--model-framework-version", "1"],
            "without a framework",
        ),
    ] {
        let mut words = vec!["model", "register", "-p", "m.bin"];
        words.extend(flags);
        let run = lusk.cli(&words);
        assert!(run.stderr().contains(expected), "{}", run.stderr());
        assert!(run.stdout().is_empty());
    }
    let list = lusk.cli(&["model", "list", "-o", "json"]).json();
    assert_eq!(list, json!([]));
}

#[test]
fn a_metadata_file_leads_from_register_to_deploy() {
    let lusk = Lusk::start("metadata");
    lusk.file("m.bin", "one");
    lusk.cli(&[
        "model", "register", "-n", "m", "-p", "m.bin", "-t", "m.json",
    ])
    .ok();
    let service = lusk
        .deploy("meta")
        .args(&["-f", "m.json"])
        .wat(&constant("{}"))
        .done();
    assert_eq!(service["modelDetails"][0]["id"], "m:1");
}

#[test]
fn the_same_content_is_stored_once() {
    let lusk = Lusk::start("once");
    lusk.file("a.bin", "content");
    let first = lusk.cli(&["model", "register", "-n", "a", "-p", "a.bin"]);
    assert!(
        !first.stderr().contains("stored before"),
        "{}",
        first.stderr()
    );
    lusk.file("b.bin", "content");
    let second = lusk.cli(&["model", "register", "-n", "b", "-p", "b.bin"]);
    assert!(
        second.stderr().contains("1 stored before"),
        "{}",
        second.stderr()
    );
}
