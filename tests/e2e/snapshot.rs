//! What of a project folder is deployed.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{
    http::Reply,
    lusk::{Lusk, constant},
    tar::{Entry, archive},
};

/// Lists the folder that it was deployed with.
const LIST: &str = "import os\n\ndef init():\n    pass\n\ndef run(raw_data):\n    found = []\n    for place, _, names in os.walk('.'):\n        found += [os.path.join(place, name)[2:] for name in names]\n    return sorted(found)\n";

fn project(lusk: &Lusk, ignore: &[(&str, &str)]) -> serde_json::Value {
    lusk.file("app/score.py", LIST);
    lusk.file("app/keep.txt", "1");
    lusk.file("app/drop.log", "1");
    lusk.file("app/deep/drop.log", "1");
    lusk.file("app/deep/keep.log", "1");
    lusk.file("app/outputs/big.bin", "1");
    for (name, text) in ignore {
        lusk.file(&format!("app/{name}"), text);
    }
    lusk.deploy("list")
        .args(&["--es", "score.py", "--sd", "app", "--overwrite"])
        .done();
    lusk.score("list", "").expect(200).json()
}

#[test]
fn an_amlignore_says_what_stays_out() {
    let lusk = Lusk::start("amlignore");
    let rules = "*.log\n!deep/keep.log\n/outputs/\n";
    let seen = project(
        &lusk,
        &[(".amlignore", rules), (".gitignore", "keep.txt\n")],
    );
    assert_eq!(
        seen,
        json!([
            "app/.amlignore",
            "app/.gitignore",
            "app/deep/keep.log",
            "app/keep.txt",
            "app/score.py"
        ])
    );
}

#[test]
fn without_one_the_gitignore_counts() {
    let lusk = Lusk::start("gitignore");
    let seen = project(&lusk, &[(".gitignore", "*.log\noutputs\n")]);
    assert_eq!(
        seen,
        json!(["app/.gitignore", "app/keep.txt", "app/score.py"])
    );
}

#[test]
fn an_unchanged_folder_is_not_sent_again() {
    let lusk = Lusk::start("unchanged");
    lusk.file("app/score.wat", constant("1"));
    let deploy = || {
        lusk.deploy("same")
            .args(&["--es", "score.wat", "--sd", "app", "--overwrite"])
            .run()
    };
    let first = deploy();
    first.ok();
    assert!(!first.stderr().contains("unchanged"), "{}", first.stderr());
    let digest = lusk.service("same")["environmentImageRequest"]["assets"][0]["url"].clone();
    // A new time is no change.
    fs::write(lusk.folder().join("app/score.wat"), constant("1")).unwrap();
    let second = deploy();
    second.ok();
    assert!(second.stderr().contains("unchanged"), "{}", second.stderr());
    assert_eq!(
        lusk.service("same")["environmentImageRequest"]["assets"][0]["url"],
        digest
    );
}

#[test]
fn too_many_files_are_refused_with_the_number() {
    let lusk = Lusk::start("many-files");
    lusk.file("app/score.wat", constant("1"));
    for number in 0..2000 {
        lusk.file(&format!("app/files/{number}"), "");
    }
    let refused = lusk
        .deploy("many")
        .args(&["--es", "score.wat", "--sd", "app"])
        .fails();
    assert!(
        refused.contains("2001") && refused.contains("2000") || refused.contains("2,001"),
        "{refused}"
    );
}

#[test]
fn too_many_bytes_are_refused_with_the_largest_files() {
    let lusk = Lusk::start("many-bytes");
    lusk.file("app/score.wat", constant("1"));
    for name in ["huge-a", "huge-b", "huge-c"] {
        let file = fs::File::create(lusk.folder().join("app").join(name)).unwrap();
        file.set_len(110_000_000).unwrap();
    }
    let refused = lusk
        .deploy("heavy")
        .args(&["--es", "score.wat", "--sd", "app"])
        .fails();
    assert!(
        refused.contains("huge-a") && refused.contains("300"),
        "{refused}"
    );
}

#[test]
fn links_stay_inside_the_folder() {
    let lusk = Lusk::start("links");
    lusk.file("secret", "not yours");
    lusk.file("app/score.wat", constant("1"));
    symlink("../secret", lusk.folder().join("app/link")).unwrap();
    let refused = lusk
        .deploy("links")
        .args(&["--es", "score.wat", "--sd", "app"])
        .fails();
    assert!(refused.contains("link"), "{refused}");
}

fn deploy_archive(lusk: &Lusk, bytes: &[u8]) -> Reply {
    let digest = lusk.upload(bytes);
    let body = json!({"name": "evil", "computeType": "AKS", "numReplicas": 1, "overwrite": true,
        "environmentImageRequest": {"driverProgram": "score.wat",
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{digest}")}]}});
    lusk.admin("POST", "/services", &body)
}

#[test]
fn archives_that_reach_outside_are_refused_and_write_nothing() {
    let lusk = Lusk::start("evil");
    let script = constant("1");
    let file = Entry::File("score.wat", script.as_bytes());
    let marks = lusk.folder().join("evil-mark");
    let absolute = marks.to_str().unwrap().to_owned();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("..", archive(&[file, Entry::File("../evil-mark", b"x")])),
        (
            "deep ..",
            archive(&[
                Entry::File("score.wat", script.as_bytes()),
                Entry::File("a/../../../evil-mark", b"x"),
            ]),
        ),
        (
            "absolute",
            archive(&[
                Entry::File("score.wat", script.as_bytes()),
                Entry::File(&absolute, b"x"),
            ]),
        ),
        (
            "link out",
            archive(&[
                Entry::File("score.wat", script.as_bytes()),
                Entry::Link("out", "../../.."),
                Entry::File("out/evil-mark", b"x"),
            ]),
        ),
        (
            "absolute link",
            archive(&[
                Entry::File("score.wat", script.as_bytes()),
                Entry::Link("out", "/etc/passwd"),
            ]),
        ),
        ("no archive", b"this is no tar archive at all".repeat(40)),
        ("empty", Vec::new()),
    ];
    for (name, bytes) in cases {
        let reply = deploy_archive(&lusk, &bytes);
        let complaint = if reply.status == 202 {
            let operation = lusk.finish(&reply);
            assert_eq!(operation["state"], "Failed", "{name}: {operation:#}");
            operation["error"]["message"].to_string()
        } else {
            assert_eq!(reply.status, 400, "{name}: {}", reply.text());
            reply.text()
        };
        assert!(complaint.len() > 20, "{name}: {complaint}");
        for place in [lusk.folder(), lusk.data(), &lusk.data().join("tmp")] {
            assert!(!place.join("evil-mark").exists(), "{name}");
        }
    }
    let good = archive(&[Entry::File("score.wat", script.as_bytes())]);
    let operation = lusk.finish(&deploy_archive(&lusk, &good));
    assert_eq!(operation["state"], "Succeeded", "{operation:#}");
    assert_eq!(lusk.score("evil", "").text(), "1");
}
