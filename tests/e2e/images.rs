//! Images by hand: built, shown, removed, scanned, and carried to a box without a
//! network.

use std::fs;

use serde_json::{Value, json};

use crate::lusk::{Lusk, Setup, constant};

/// A script that shows its package and its model.
const SCRIPT: &str = "
import os

import six


def init():
    pass


def run(raw_data):
    with open(os.path.join(os.environ['AZUREML_MODEL_DIR'], 'weights.txt')) as weights:
        return [six.__version__, weights.read()]
";

const ENVIRONMENT: &str = r#"{
    "name": "pure",
    "python": {"condaDependencies": {
        "dependencies": [{"pip": ["azureml-defaults", "six==1.16.0"]}]
    }}
}"#;

fn node(name: &str) -> Lusk {
    let lusk = Lusk::start_with(name, Setup::default().with_tools());
    lusk.file("env/azureml_environment.json", ENVIRONMENT);
    lusk.file("score.py", SCRIPT);
    lusk
}

fn images(lusk: &Lusk) -> Vec<Value> {
    let listed = lusk.cli(&["image", "list", "-o", "json"]).json();
    listed.as_array().expect("a list").clone()
}

/// Deploys [`SCRIPT`] with a model of this content.
fn deploy(lusk: &Lusk, content: &str) {
    lusk.file("weights.txt", content);
    let words = ["model", "register", "-n", "weights", "-p", "weights.txt"];
    lusk.cli(&words).ok();
    let words = ["--es", "score.py", "--ed", "env", "-m", "weights:1"];
    lusk.deploy("carried").args(&words).done();
}

#[test]
fn an_image_is_built_shown_and_removed() {
    let lusk = node("image-build");
    assert_eq!(images(&lusk), Vec::<Value>::new());
    let said = lusk.cli(&["image", "show", "--ed", "env"]).fails(1);
    assert!(said.contains("help: `lusk image build`"), "{said}");
    let build = ["image", "build", "--ed", "env", "-o", "json"];
    assert_eq!(lusk.cli(&build).json()["source"], "built");
    assert_eq!(lusk.cli(&build).json()["source"], "local");
    let again = ["image", "build", "--ed", "env", "--rebuild", "-o", "json"];
    assert_eq!(lusk.cli(&again).json()["source"], "built");

    let shown = lusk
        .cli(&["image", "show", "--ed", "env", "-o", "json"])
        .json();
    assert_eq!(
        shown["images"][0]["lock"].as_str().expect("a lock").trim(),
        "six==1.16.0"
    );
    let layers = shown["images"][0]["layers"].as_array().expect("layers");
    assert!(
        layers.iter().any(|layer| layer["package"] == "six 1.16.0"),
        "{layers:?}"
    );
    let table = lusk.cli(&["image", "list"]).ok();
    assert!(table.starts_with("KEY "), "{table}");
    assert!(table.contains("shared layers save"), "{table}");

    deploy(&lusk, "w");
    let words = ["image", "prune", "-o", "json"];
    assert_eq!(lusk.cli(&words).json()["images"], json!([]));
    lusk.cli(&["service", "delete", "-n", "carried"]).ok();
    let later = ["image", "prune", "--unused-for", "1d", "-o", "json"];
    assert_eq!(lusk.cli(&later).json()["images"], json!([]));
    let gone = lusk.cli(&words).json();
    assert_eq!(gone["images"][0]["variant"], "python3.14-wasm");
    assert!(gone["bytes"].as_u64().expect("bytes") > 0);
    assert_eq!(images(&lusk), Vec::<Value>::new());
}

#[test]
fn a_service_is_carried_to_a_box_without_a_network() {
    let sender = node("sender");
    deploy(&sender, "carried weights");
    let words = ["image", "export", "-n", "carried", "--file", "carried.tar"];
    sender.cli(&words).ok();
    let file = sender.folder().join("carried.tar");
    let path = file.to_str().expect("a path");

    // No tools and no registry: what is not in the file cannot be had.
    let box_ = Setup::default().variable("PATH", "/nonexistent");
    let receiver = Lusk::start_with("receiver", box_);
    receiver.file("weights.txt", "other weights");
    let words = ["model", "register", "-n", "weights", "-p", "weights.txt"];
    receiver.cli(&words).ok();
    let import = ["image", "import", path, "-o", "json"];
    let done = receiver.cli(&import).json();
    assert_eq!(
        done["models"],
        json!([{"id": "weights:2", "was": "weights:1", "reused": false}])
    );
    let answer = receiver.score("carried", "{}").expect(200).json();
    assert_eq!(answer, json!(["1.16.0", "carried weights"]));
    assert_eq!(images(&receiver)[0]["source"], "imported");

    let said = receiver.cli(&import).fails(1);
    assert!(said.contains("nothing was taken in"), "{said}");
    let done = receiver
        .cli(&["image", "import", path, "--name", "copy", "-o", "json"])
        .json();
    assert_eq!(done["models"][0]["reused"], true);
    assert_eq!(done["service"]["name"], "copy");
    assert_ne!(sender.key("carried"), receiver.key("carried"));
}

#[test]
fn a_damaged_file_changes_nothing() {
    let sender = node("damaged");
    deploy(&sender, "w");
    let words = ["image", "export", "-n", "carried", "--file", "carried.tar"];
    sender.cli(&words).ok();
    let whole = fs::read(sender.folder().join("carried.tar")).expect("a file");
    let receiver = Lusk::start("undamaged");
    let mut changed = whole.clone();
    let middle = whole.len() / 2;
    changed[middle] ^= 1;
    for content in [&whole[..middle], &whole[..whole.len() - 512], &changed] {
        receiver.file("carried.tar", content);
        let said = receiver.cli(&["image", "import", "carried.tar"]).fails(1);
        assert!(said.contains("is damaged"), "{said}");
    }
    assert_eq!(images(&receiver), Vec::<Value>::new());
    let models = receiver.cli(&["model", "list", "-o", "json"]).json();
    assert_eq!(models, json!([]));
}

#[test]
fn an_image_alone_is_carried_in_a_format_of_others() {
    let sender = node("image-sender");
    sender.cli(&["image", "build", "--ed", "env"]).ok();
    let words = ["image", "export", "--ed", "env", "--file", "image.tar"];
    sender.cli(&words).ok();
    let content = fs::read(sender.folder().join("image.tar")).expect("a file");
    let receiver = Lusk::start("image-receiver");
    receiver.file("image.tar", &content[..content.len() / 2]);
    receiver.cli(&["image", "import", "image.tar"]).fails(1);
    assert_eq!(images(&receiver), Vec::<Value>::new());
    receiver.file("image.tar", &content);
    receiver.cli(&["image", "import", "image.tar"]).ok();
    assert_eq!(images(&receiver).len(), 1);
}

#[test]
fn a_script_without_packages_has_no_image() {
    let lusk = Lusk::start("no-image");
    lusk.deploy("plain").wat(&constant("7")).done();
    let said = lusk.cli(&["image", "show", "-n", "plain"]).fails(1);
    assert!(
        said.contains("has no image: its runtime is `wasm`"),
        "{said}"
    );
    let words = ["image", "export", "-n", "plain", "--file", "plain.tar"];
    lusk.cli(&words).ok();
    let receiver = Lusk::start("plain-receiver");
    let file = lusk.folder().join("plain.tar");
    let words = ["image", "import", file.to_str().expect("a path")];
    receiver.cli(&words).ok();
    assert_eq!(receiver.score("plain", "{}").expect(200).text(), "7");
}

#[test]
fn a_scan_tells_by_its_exit_code() {
    let lusk = node("scan");
    lusk.cli(&["image", "build", "--ed", "env"]).ok();
    let advisory = |package: &str| {
        json!({
            "id": "GHSA-test", "modified": "2024-01-01T00:00:00Z", "summary": "a hole",
            "affected": [{
                "package": {"ecosystem": "PyPI", "name": package},
                "ranges": [{"type": "ECOSYSTEM",
                            "events": [{"introduced": "0"}, {"fixed": "1.17.0"}]}],
            }],
        })
        .to_string()
    };
    lusk.file("bad/six.json", advisory("six"));
    lusk.file("good/other.json", advisory("other"));
    let scan = |database: &str| {
        lusk.cli(&[
            "image",
            "scan",
            "--ed",
            "env",
            "--osv",
            database,
            "--sbom",
            "sbom.json",
            "-o",
            "json",
        ])
    };
    let found = scan("bad");
    assert_eq!(found.fails(1), "");
    let report: Value = serde_json::from_str(&found.stdout()).expect("JSON");
    assert_eq!(report["findings"][0]["package"], "six");
    assert_eq!(report["findings"][0]["fixed"], json!(["1.17.0"]));
    assert_eq!(scan("good").json()["findings"], json!([]));
    assert!(scan("absent").fails(1).contains("absent"));
    let sbom = fs::read(lusk.folder().join("sbom.json")).expect("a file");
    let sbom: Value = serde_json::from_slice(&sbom).expect("JSON");
    assert_eq!(sbom["bomFormat"], "CycloneDX");
}
