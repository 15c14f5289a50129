//! A disk that is full: clear answers, and a store that stays whole.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{
    lusk::{Lusk, Setup, constant, plain_script, skip, test_folder},
    warm,
};

/// A small file system of its own; unmounted on drop.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, megabytes: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|run| run.status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the node may not be gone yet.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Bytes below `folder`.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                size(&path)
            } else {
                path.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let folder = test_folder("disk-full");
    let probe = folder.path().join("probe");
    warm::fill(&probe);
    let megabytes = size(&probe) / 1_000_000 + 24;
    let data = folder.path().join("data");
    let Some(disk) = SmallDisk::mount(&data, megabytes) else {
        return skip("disk_full", "mounting a tmpfs needs root");
    };
    warm::fill(&data);
    let mut lusk = Lusk::start_at(folder, data);
    lusk.file("small.bin", "small");
    lusk.cli(&["model", "register", "-n", "small", "-p", "small.bin"])
        .ok();
    lusk.deploy("svc")
        .model("small:1")
        .wat(&constant("1"))
        .done();

    let large = fs::File::create(lusk.folder().join("large.bin")).unwrap();
    large.set_len((megabytes + 50) * 1_000_000).unwrap();
    for _ in 0..3 {
        let refused = lusk
            .cli(&["model", "register", "-n", "large", "-p", "large.bin"])
            .fails(1);
        assert!(refused.contains("no space left"), "{refused}");
    }
    // Nothing of the refused uploads takes room.
    assert_eq!(files_in_tmp(&lusk), 0);
    let list = lusk.cli(&["model", "list", "-o", "json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(lusk.score("svc", "").expect(200).text(), "1");

    // With no byte left, reading goes on and writing is refused.
    let filler = lusk.data().join("outputs/filler");
    fill(&filler);
    let digest = format!("sha256:{}", "0".repeat(64));
    let draft = json!({"name": "more", "files": [{"path": "m", "digest": digest, "size": 1}]});
    assert_ne!(lusk.admin("POST", "/models", &draft).status, 201);
    let reply = lusk
        .admin_request("POST", "/blobs")
        .body(vec![7; 100_000])
        .send(lusk.admin);
    assert_eq!(reply.expect(507).json()["code"], "StorageFailed");
    assert_eq!(lusk.score("svc", "").expect(200).text(), "1");

    // With room again, everything is as before, also after the end of the process.
    fs::remove_file(filler).unwrap();
    lusk.cli(&["model", "register", "-n", "small", "-p", "small.bin"])
        .ok();
    lusk.kill();
    lusk.restart();
    let list = lusk.cli(&["model", "list", "-o", "json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(lusk.score("svc", "").expect(200).text(), "1");
    lusk.stop();
    drop(disk);
}

#[test]
fn an_environment_that_does_not_fit_leaves_nothing() {
    let folder = test_folder("build-full");
    let probe = folder.path().join("probe");
    warm::fill(&probe);
    let megabytes = size(&probe) / 1_000_000 + 70;
    let data = folder.path().join("data");
    let Some(_disk) = SmallDisk::mount(&data, megabytes) else {
        return skip("disk_full::build", "mounting a tmpfs needs root");
    };
    warm::fill(&data);
    let lusk = Lusk::start_in(folder, data, Setup::default().with_tools());
    let config = json!({
        "entryScript": "score.py",
        "environment": {"name": "large", "python": {"condaDependencies": {
            "dependencies": ["python=3.11", {"pip": ["scikit-learn==1.9.1"]}],
        }}},
    });
    lusk.file("score.py", plain_script());
    lusk.file("inferenceconfig.json", config.to_string());
    let refused = lusk
        .deploy("large")
        .args(&["--ic", "inferenceconfig.json"])
        .fails();
    assert!(refused.contains("no space left"), "{refused}");
    assert_eq!(files_in_tmp(&lusk), 0);
    let listed = lusk.cli(&["image", "list", "-o", "json"]).json();
    assert_eq!(listed, json!([]));
    lusk.deploy("small").python(&plain_script()).done();
    lusk.score("small", "1").expect(200);
}

/// Files in the node's `tmp/`; folders hold what services run from.
fn files_in_tmp(lusk: &Lusk) -> usize {
    let entries = fs::read_dir(lusk.data().join("tmp")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().is_file())
        .count()
}

/// Writes until there is no room.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    for part in [vec![0; 65_536], vec![0; 512]] {
        while file.write_all(&part).is_ok() {}
    }
}
