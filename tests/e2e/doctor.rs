//! `lusk doctor`: what it says of folders, nodes, disks and registries.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::lusk::{Lusk, command, skip, test_folder};

/// What the doctor found.
struct Report {
    findings: Vec<Value>,
    code: Option<i32>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let findings = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            let talk = String::from_utf8_lossy(&output.stderr);
            panic!("{error}: {talk}")
        });
        Self {
            findings,
            code: output.status.code(),
        }
    }

    fn finding(&self, check: &str) -> &Value {
        let found = self.findings.iter().find(|it| it["check"] == check);
        found.unwrap_or_else(|| panic!("no {check} in {:?}", self.findings))
    }

    /// The text of a check that ended so.
    fn expect(&self, check: &str, state: &str) -> &str {
        let finding = self.finding(check);
        assert_eq!(finding["state"], state, "{finding}");
        assert_eq!(finding["remedy"].is_null(), state == "ok", "{finding}");
        finding["text"].as_str().unwrap()
    }
}

fn run(data: &Path, more: &[&str]) -> Output {
    command(data)
        .env("LUSK_LISTEN", "127.0.0.1:0")
        .env("LUSK_ADMIN_LISTEN", "127.0.0.1:0")
        .arg("doctor")
        .args(more)
        .output()
        .expect("a command")
}

fn examine(data: &Path, more: &[&str]) -> Report {
    Report::of(&run(data, &[&["-o", "json"], more].concat()))
}

#[test]
fn a_fresh_machine_is_fine_and_stays_as_it_is() {
    let folder = test_folder("doctor-fresh");
    let data = folder.path().join("data");
    let report = examine(&data, &[]);
    assert_eq!(report.code, Some(0), "{:?}", report.findings);
    assert!(report.expect("folder", "ok").contains("not there yet"));
    assert!(report.expect("node", "ok").starts_with("no node runs here"));
    report.expect("fileSystem", "ok");
    report.expect("registry", "ok");
    let backends = report.expect("backends", "ok");
    assert!(backends.starts_with("tract on cpu"), "{backends}");
    let sandbox = report.expect("sandbox", "ok");
    assert!(sandbox.contains("will be compiled"), "{sandbox}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let table = run(&data, &[]);
    let text = String::from_utf8_lossy(&table.stdout);
    assert_eq!(text.lines().count(), report.findings.len() + 1, "{text}");
    assert!(text.starts_with("State"), "{text}");
}

#[test]
fn a_running_node_is_found_by_its_folder() {
    let mut lusk = Lusk::start("doctor-node");
    let report = examine(lusk.data(), &[]);
    assert_eq!(report.code, Some(0), "{:?}", report.findings);
    let lock = report.expect("lock", "ok");
    assert_eq!(
        lock,
        format!("process {} holds the data folder", lusk.pid())
    );
    let node = report.expect("node", "ok");
    assert!(node.contains(&lusk.admin.to_string()), "{node}");
    let ports = report.expect("ports", "ok");
    assert!(ports.contains(&lusk.scoring.to_string()), "{ports}");
    let sandbox = report.expect("sandbox", "ok");
    assert!(sandbox.contains("Python runner is compiled"), "{sandbox}");
    report.expect("clock", "ok");

    // Another folder cannot have its ports.
    let other = lusk.folder().join("other");
    let admin = lusk.admin.to_string();
    let report = examine(&other, &["--admin", &admin]);
    assert_eq!(report.code, Some(1));
    assert!(report.expect("ports", "failed").contains(&admin));

    lusk.kill();
    let report = examine(lusk.data(), &[]);
    assert!(report.expect("node", "warning").contains("was killed"));
    report.expect("lock", "ok");
    lusk.restart();
    lusk.stop();
    let report = examine(lusk.data(), &[]);
    assert!(report.expect("node", "ok").starts_with("no node runs here"));
}

#[test]
fn a_folder_that_others_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = test_folder("doctor-mode");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let report = examine(folder.path(), &[]);
    assert!(report.expect("folder", "warning").contains("0755"));
    let remedy = report.finding("folder")["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("chmod 700"), "{remedy}");
}

#[test]
fn a_registry_and_a_store_that_are_down_fail() {
    let folder = test_folder("doctor-registry");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let report = examine(folder.path(), &["--registry", &address]);
    assert_eq!(report.code, Some(1));
    let down = report.expect("registry", "failed");
    assert!(down.contains("not reachable"), "{down}");
    report.expect("globalRegistry", "ok");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let url = format!("file://{}", file.display());
    let report = examine(folder.path(), &["--outputs", &url]);
    assert_eq!(report.code, Some(1));
    report.expect("outputs", "failed");
}

#[test]
fn a_registry_that_is_up_answers() {
    let registry = crate::registry::Registry::start("doctor-up");
    let folder = test_folder("doctor-answers");
    let report = examine(folder.path(), &["--global-registry", &registry.url()]);
    let text = report.expect("globalRegistry", "ok");
    assert!(text.contains("answers in"), "{text}");
    let locked = crate::registry::Registry::start_locked("doctor-locked");
    let report = examine(folder.path(), &["--registry", &locked.url()]);
    assert!(report.expect("registry", "failed").contains("401"));
}

/// A file system of its own; unmounted on drop.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn at(place: &'a Path, options: &str) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let run = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(place)
            .output();
        run.is_ok_and(|run| run.status.success())
            .then_some(Self(place))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_is_read_only_or_full_fails() {
    let folder = test_folder("doctor-disk");
    let (fixed, small) = (folder.path().join("fixed"), folder.path().join("small"));
    let Some(_fixed) = Mounted::at(&fixed, "ro,mode=700") else {
        return skip("doctor::disk", "mounting a tmpfs needs root");
    };
    let report = examine(&fixed.join("data"), &[]);
    assert_eq!(report.code, Some(1));
    let text = report.expect("fileSystem", "failed");
    assert!(text.to_lowercase().contains("read-only"), "{text}");
    let remedy = report.finding("fileSystem")["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("mount it writable"), "{remedy}");

    let _small = Mounted::at(&small, "size=1m,mode=700").expect("another tmpfs");
    let report = examine(&small, &[]);
    assert_eq!(report.code, Some(1));
    assert!(
        report
            .expect("disk", "failed")
            .contains("free on the device")
    );
    report.expect("fileSystem", "ok");
    let _ = fs::write(small.join("filler"), vec![7; 2 << 20]);
    let report = examine(&small, &[]);
    assert!(report.expect("fileSystem", "failed").contains("failed"));
}
