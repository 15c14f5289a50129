//! What Debian's registry and `skopeo` make of lusk's images. Both are
//! installed by `tests/run`; a machine without them passes over these tests.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use lusk_contract::{ImageSource, Images as _};
use lusk_domain::ImageKey;
use serde_json::Value;

use crate::testing::{Heard, Node, environment};

/// A running registry; it ends when dropped.
struct RealRegistry {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl RealRegistry {
    /// None when it is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\nstorage:\n  filesystem: \
             {{rootdirectory: {}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.ok()?;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        });
        // Whoever writes to a pipe that nobody reads comes to a stop.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            address: said.unwrap(),
            _folder: folder,
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn skopeo(arguments: &[&str]) -> Option<String> {
    let mut child = Command::new("skopeo")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut output = String::new();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    stdout.read_to_string(&mut output).unwrap();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{arguments:?}: {said}");
    Some(output)
}

fn policy(folder: &Path) -> String {
    let path = folder.join("policy.json");
    fs::write(&path, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_foreign_client_reads_and_copies_what_was_sent() {
    let Some(registry) = RealRegistry::start() else {
        return;
    };
    let node = Node::with(&registry.url());
    let heard = Heard::default();
    let packages = ["a=1", "native-b=2"];
    let images = node.images();
    images
        .ensure(&crate::testing::wish(&packages), &heard)
        .await
        .unwrap();
    assert_eq!(heard.warnings(), ["a remark"]);
    let key = ImageKey::of(&environment(&packages));
    let pushed = images.push(&key, &heard).await.unwrap();
    assert!(pushed.moved_bytes < 5_000, "all blobs were there");

    let there = format!("docker://{}", pushed.references[1]);
    let Some(seen) = skopeo(&["inspect", "--tls-verify=false", &there]) else {
        return;
    };
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let manifest = images.list().await.unwrap()[0].record.manifest.clone();
    assert_eq!(seen["Digest"], manifest);
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 3);
    assert_eq!(seen["RepoTags"].as_array().unwrap().len(), 2);

    // To a layout of its own, and from lusk's own layout to another registry.
    let policy = policy(node.folder.path());
    let copy = format!("oci:{}:x", node.folder.path().join("copy").display());
    skopeo(&[
        "copy",
        "--policy",
        &policy,
        "--src-tls-verify=false",
        &there,
        &copy,
    ]);
    let Some(other) = RealRegistry::start() else {
        return;
    };
    let name = pushed.references[1].split_once('/').unwrap().1;
    let here = format!("oci:{}:{name}", node.layout().display());
    let to = format!("docker://{}/{name}", other.address);
    skopeo(&[
        "copy",
        "--policy",
        &policy,
        "--dest-tls-verify=false",
        &here,
        &to,
    ]);
    let second = Node::with_global(&other.url());
    let found = second.ensure(&packages).await;
    assert_eq!(found.source, ImageSource::Global);
    assert_eq!(found.record.manifest, manifest);
}

#[tokio::test]
async fn large_blobs_go_both_ways() {
    let Some(registry) = RealRegistry::start() else {
        return;
    };
    let first = Node::with(&registry.url());
    first
        .builds
        .large
        .store(11 << 20, std::sync::atomic::Ordering::SeqCst);
    let built = first.ensure(&["a"]).await;
    let second = Node::with(&registry.url());
    let found = second.ensure(&["a"]).await;
    assert_eq!(found.source, ImageSource::Workspace);
    assert_eq!(found.record, built.record);
    assert!(found.moved_bytes > 11 << 20);

    // Another repository, the same layer: the registry has it already.
    first.ensure(&["a", "b"]).await;
    let listed = first.images().list().await.unwrap();
    assert_ne!(listed[0].record.key, built.record.key);
    assert!(listed[0].moved_bytes < 1 << 20, "{}", listed[0].moved_bytes);
}
