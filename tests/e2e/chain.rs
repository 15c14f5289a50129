//! Where images come from: this node, the workspace's registry, the global one,
//! and only then a build.

use serde_json::Value;

use crate::{
    lusk::{Lusk, Setup, plain_script},
    registry::{Registry, USER},
};

/// A pure-Python package and its version, and a script that shows it.
const SCRIPT: &str = "
import six


def init():
    pass


def run(raw_data):
    return six.__version__
";

const CONFIG: &str = r#"{
    "entryScript": "score.py",
    "environment": {
        "name": "pure",
        "python": {"condaDependencies": {
            "channels": ["conda-forge"],
            "dependencies": ["python=3.10", {"pip": ["azureml-defaults", "six==1.16.0"]}]
        }}
    }
}"#;

fn node(name: &str, flags: &[&str]) -> Lusk {
    Lusk::start_with(name, Setup::default().flags(flags).with_tools())
}

/// Deploys [`SCRIPT`]; gives what the image step said.
fn deploy(lusk: &Lusk, service: &str) -> String {
    lusk.file("score.py", SCRIPT);
    lusk.file("inferenceconfig.json", CONFIG);
    let run = lusk
        .deploy(service)
        .args(&["--ic", "inferenceconfig.json"])
        .run();
    run.ok();
    assert_eq!(lusk.score(service, "{}").expect(200).text(), "\"1.16.0\"");
    run.stderr()
}

fn images(lusk: &Lusk) -> Vec<Value> {
    let listed = lusk.cli(&["image", "list", "-o", "json"]).json();
    listed.as_array().expect("a list").clone()
}

#[test]
fn a_team_builds_an_environment_once() {
    let registry = Registry::start("team");
    let first = node("first", &["--registry", &registry.url()]);
    let said = deploy(&first, "pure");
    assert!(said.contains("built"), "{said}");
    let [image] = &images(&first)[..] else {
        panic!("one image, found {:?}", images(&first));
    };
    let key = image["key"].as_str().expect("a key").to_owned();

    let second = node("second", &["--registry", &registry.url()]);
    let said = deploy(&second, "pure");
    assert!(said.contains("found in the workspace registry"), "{said}");
    assert!(!said.contains("built"), "{said}");
    let said = deploy(&second, "again");
    assert!(said.contains("found in the local cache"), "{said}");
    let [image] = &images(&second)[..] else {
        panic!("one image");
    };
    assert_eq!(image["source"], "workspace");
    assert_eq!((&image["hits"], &image["misses"]), (&1.into(), &1.into()));
    assert!(image["movedBytes"].as_u64().expect("bytes") > 0);

    let repository = format!("azureml/azureml_{key}");
    for tag in ["latest", "python3.14-wasm"] {
        let seen = registry.inspect(&format!("{repository}:{tag}"));
        assert!(
            seen["Layers"].as_array().expect("layers").len() >= 2,
            "{seen}"
        );
    }
    registry.copy(&format!("{repository}:latest"));
}

#[test]
fn the_global_registry_is_asked_after_the_workspaces() {
    let (global, workspace) = (Registry::start("global"), Registry::start("workspace"));
    let publisher = node("publisher", &["--registry", &global.url()]);
    deploy(&publisher, "pure");
    let flags = [
        "--registry",
        &workspace.url(),
        "--global-registry",
        &global.url(),
    ];
    let reader = node("reader", &flags);
    let said = deploy(&reader, "pure");
    assert!(said.contains("found in the global registry"), "{said}");
}

#[test]
fn a_registry_that_is_down_costs_a_warning() {
    let address = {
        let registry = Registry::start("gone");
        registry.url()
    };
    let lusk = node("lonely", &["--registry", &address]);
    let said = deploy(&lusk, "pure");
    assert!(said.contains("warning"), "{said}");
    assert!(
        said.contains(address.trim_start_matches("http://")),
        "{said}"
    );
}

#[test]
fn a_locked_registry_takes_the_password_of_the_node() {
    let registry = Registry::start_locked("locked");
    let open = |user: &str, password: &str| {
        Setup::default()
            .flags(&["--registry", &registry.url()])
            .with_tools()
            .variable("LUSK_REGISTRY_USERNAME", user)
            .variable("LUSK_REGISTRY_PASSWORD", password)
    };
    let stranger = Lusk::start_with("stranger", open("stranger", "guessed"));
    let said = deploy(&stranger, "pure");
    assert!(said.contains("401") || said.contains("refused"), "{said}");
    assert!(!said.contains("guessed"), "{said}");

    let member = Lusk::start_with("member", open(USER.0, USER.1));
    deploy(&member, "pure");
    let other = Lusk::start_with("other", open(USER.0, USER.1));
    let said = deploy(&other, "pure");
    assert!(said.contains("found in the workspace registry"), "{said}");
    assert!(!other.log().contains(USER.1), "{}", other.log());
}

#[test]
fn an_environment_that_lusk_carries_needs_no_tool_and_no_network() {
    let nowhere = Setup::default().variable("PATH", "/nowhere");
    let lusk = Lusk::start_with("bare", nowhere);
    lusk.deploy("plain").python(&plain_script()).done();
    assert_eq!(lusk.score("plain", "1").expect(200).text(), "\"1\"");
}
