//! Registered environments: from a folder, under a name, into a service.

use std::fs;

use serde_json::{Value, json};

use crate::lusk::Lusk;

/// A script that shows a variable of its environment.
const SCRIPT: &str = "
import os


def init():
    pass


def run(raw_data):
    return os.environ['GREETING']
";

/// Scaffolds an environment that greets, and registers it.
fn register(lusk: &Lusk, greeting: &str) -> Value {
    let folder = lusk.folder().join("env");
    if !folder.exists() {
        let words = ["environment", "scaffold", "-n", "greeter", "-d", "env"];
        lusk.cli(&words).ok();
    }
    let file = folder.join("azureml_environment.json");
    let mut definition: Value =
        serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    definition["environmentVariables"] = json!({ "GREETING": greeting });
    fs::write(&file, definition.to_string()).expect("a file");
    let words = ["environment", "register", "-d", "env", "-o", "json"];
    lusk.cli(&words).json()
}

#[test]
fn a_service_runs_in_a_registered_environment() {
    let mut lusk = Lusk::start("environments");
    let first = register(&lusk, "hello");
    assert_eq!(first["version"], "1");
    assert_eq!(register(&lusk, "hello")["version"], "1");
    assert_eq!(register(&lusk, "ahoj")["version"], "2");

    let deploy = |name: &str, words: &[&str]| {
        lusk.deploy(name).python(SCRIPT).args(words).done();
        lusk.score(name, "{}").expect(200).json()
    };
    assert_eq!(deploy("newest", &["-e", "greeter"]), "ahoj");
    assert_eq!(deploy("older", &["-e", "greeter", "--ev", "1"]), "hello");
    let by_file =
        r#"{"entryScript": "score.py", "environment": {"name": "greeter", "version": "1"}}"#;
    lusk.file("score.py", SCRIPT);
    lusk.file("i.json", by_file);
    lusk.deploy("filed").args(&["--ic", "i.json"]).done();
    assert_eq!(lusk.score("filed", "{}").expect(200).json(), "hello");

    let words = [
        "service", "update", "-n", "filed", "--es", "score.py", "-e", "greeter",
    ];
    lusk.cli(&words).ok();
    assert_eq!(lusk.score("filed", "{}").expect(200).json(), "ahoj");

    // What is not given stays: the environment of a script, the script of an environment.
    let filed = |words: &[&str]| {
        let mut line = vec!["service", "update", "-n", "filed"];
        line.extend(words);
        lusk.cli(&line).ok();
        lusk.score("filed", "{}").expect(200).json()
    };
    assert_eq!(filed(&["--es", "score.py"]), "ahoj");
    assert_eq!(filed(&["-e", "greeter", "--ev", "1"]), "hello");

    lusk.kill();
    lusk.restart();
    let all = lusk.cli(&["environment", "list", "-o", "json"]).json();
    assert_eq!(all.as_array().expect("a list").len(), 1);
    assert_eq!(all[0]["version"], "2");
    assert_eq!(lusk.score("older", "{}").expect(200).json(), "hello");
}

#[test]
fn an_environment_comes_back_as_it_was_registered() {
    let lusk = Lusk::start("environment-download");
    register(&lusk, "hello");
    let words = ["environment", "download", "-n", "greeter", "-d", "out"];
    lusk.cli(&words).ok();
    let said = lusk.cli(&words).fails(1);
    assert!(said.contains("is there already"), "{said}");
    let words = ["environment", "register", "-d", "out", "-o", "json"];
    assert_eq!(lusk.cli(&words).json()["version"], "1");
    let changed = lusk.folder().join("out/conda_dependencies.yml");
    fs::write(&changed, "dependencies:\n- pip: [azureml-defaults, six]\n").expect("a file");
    let said = lusk.cli(&words).fails(1);
    assert!(
        said.contains("registered with another definition"),
        "{said}"
    );
}

#[test]
fn wrong_environments_are_refused_with_their_reason() {
    let lusk = Lusk::start("wrong-environments");
    register(&lusk, "hello");
    let words = ["environment", "scaffold", "-n", "AzureML-x", "-d", "other"];
    let said = lusk.cli(&words).fails(1);
    assert!(said.contains("curated"), "{said}");
    let refused = lusk.deploy("nobody").python(SCRIPT).args(&["-e", "greet"]);
    let said = refused.fails();
    assert!(said.contains("near it are `greeter`"), "{said}");
    let refused = lusk.deploy("nobody").python(SCRIPT);
    let said = refused.args(&["-e", "greeter", "--ev", "9"]).fails();
    assert!(said.contains("the newest of 1 is `1`"), "{said}");
    lusk.file(
        "env/conda_dependencies.yml",
        "dependencies: []\nchanels: []\n",
    );
    let said = lusk.cli(&["environment", "register", "-d", "env"]).stderr();
    assert!(
        said.contains("line 2: unknown key `chanels`") && said.contains("`channels`"),
        "{said}"
    );
}
