//! Deployments: from files and flags to a service that answers.

use serde_json::{Value, json};

use crate::{
    lusk::{Lusk, constant, plain_script, until},
    tar,
};

#[test]
fn files_that_azure_took_deploy_unchanged() {
    let lusk = Lusk::start("digits");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let cli = |words: &[&str]| lusk.cli_in(example.as_ref(), words);
    cli(&[
        "model",
        "register",
        "-n",
        "digits",
        "-p",
        "model/digits.onnx",
    ])
    .ok();
    let deployed = cli(&[
        "model",
        "deploy",
        "-n",
        "digits",
        "-m",
        "digits:1",
        "--ic",
        "inferenceconfig.json",
        "--dc",
        "deploymentconfig.json",
    ]);
    let line = deployed.ok();
    assert!(line.starts_with("Healthy after "), "{line}");
    for step in ["snapshot", "image", "model", "replicas"] {
        assert!(
            deployed.stderr().contains(step),
            "{step} in {}",
            deployed.stderr()
        );
    }
    let service = lusk.service("digits");
    assert_eq!(service["state"], "Healthy");
    assert_eq!(service["runtime"], "python");
    assert_eq!(service["scoringTimeoutMs"], 5000);
    assert_eq!(service["numReplicas"], 1);

    let seven = std::fs::read(format!("{example}/digit-seven.json")).unwrap();
    let answer = lusk.score("digits", seven).expect(200).json();
    assert_eq!(answer["label"], json!([7]), "{answer}");
    let log = cli(&["service", "get-logs", "-n", "digits"]).ok();
    assert!(log.contains("loaded "), "{log}");
}

#[test]
fn a_wasm_text_deploys_and_answers() {
    let lusk = Lusk::start("wat");
    let service = lusk.deploy("noop").wat(&constant(r#"{"a": 1}"#)).done();
    assert_eq!(service["runtime"], "wasm");
    let reply = lusk.score("noop", "x").expect(200);
    assert_eq!(reply.json(), json!({"a": 1}));
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
}

#[test]
fn everything_that_is_wrong_is_reported_together() {
    let lusk = Lusk::start("violations");
    lusk.file(
        "deploymentconfig.json",
        r#"{
  "computeType": "aks",
  "autoScaler": {"minReplicas": 4, "maxReplicas": 2},
  "scoringTimeoutMs": 300001,
  "authEnabled": true, "tokenAuthEnabled": true,
  "numReplica": 3
}"#,
    );
    lusk.file("inferenceconfig.json", r#"{"entryScript": "missing.py"}"#);
    let refused = lusk
        .cli(&[
            "model",
            "deploy",
            "-n",
            "bad",
            "--ic",
            "inferenceconfig.json",
            "--dc",
            "deploymentconfig.json",
        ])
        .fails(1);
    for expected in [
        "autoScaler.minReplicas",
        "autoScaler.maxReplicas",
        "scoringTimeoutMs",
        "tokenAuthEnabled",
        "missing.py",
        "deploymentconfig.json line 4",
        "did you mean `numReplicas`",
    ] {
        assert!(refused.contains(expected), "{expected} in\n{refused}");
    }
    assert_eq!(
        lusk.admin("GET", "/services", &Value::Null).json()["value"],
        json!([])
    );
}

#[test]
fn unknown_keys_warn_and_deploy() {
    let lusk = Lusk::start("unknown-keys");
    lusk.file("d.yml", "computeType: aks\nnumReplicas: 1\nnumReplika: 2\n");
    let run = lusk
        .deploy("warned")
        .wat(&constant("{}"))
        .args(&["--dc", "d.yml"])
        .run();
    run.ok();
    assert!(run.stderr().contains("warning:"), "{}", run.stderr());
    assert!(run.stderr().contains("numReplika"), "{}", run.stderr());
}

#[test]
fn files_that_are_not_json_or_yaml_are_named_with_their_line() {
    let lusk = Lusk::start("malformed");
    for (name, text, line) in [
        (
            "d.json",
            "{\n  \"computeType\": \"aks\",\n  oops\n}",
            "line 3",
        ),
        ("d.yml", "computeType: aks\nnumReplicas: [1\n", "line"),
        ("d.json", "", "d.json"),
        ("d.json", "\u{0}\u{1}", "d.json"),
    ] {
        lusk.file(name, text);
        let refused = lusk
            .deploy("bad")
            .wat(&constant("{}"))
            .args(&["--dc", name])
            .fails();
        assert!(
            refused.contains(name) && refused.contains(line),
            "{refused}"
        );
    }
}

#[test]
fn a_name_is_taken_once_and_overwrite_replaces() {
    let lusk = Lusk::start("overwrite");
    lusk.deploy("once").wat(&constant("1")).done();
    let key = lusk.key("once");
    let refused = lusk.deploy("once").wat(&constant("2")).fails();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(lusk.score("once", "").text(), "1");
    lusk.deploy("once")
        .wat(&constant("2"))
        .args(&["--overwrite"])
        .done();
    assert_eq!(lusk.score("once", "").text(), "2");
    assert_eq!(lusk.key("once"), key, "callers keep their key");
}

#[test]
fn without_waiting_the_deployment_goes_on() {
    let lusk = Lusk::start("no-wait");
    let run = lusk
        .deploy("later")
        .wat(&constant("1"))
        .args(&["--no-wait"])
        .run();
    run.ok();
    until("the service is healthy", || {
        lusk.service("later")["state"] == "Healthy"
    });
    assert_eq!(lusk.score("later", "").text(), "1");
}

#[test]
fn a_failed_update_keeps_what_ran() {
    let lusk = Lusk::start("failed-update");
    lusk.deploy("keep")
        .python("def init():\n    pass\n\ndef run(raw_data):\n    return 'old'\n")
        .done();
    let key = lusk.key("keep");
    let broken = "import nothing_that_is_there\n\ndef init():\n    pass\n\ndef run(raw_data):\n    return 'new'\n";
    let refused = lusk
        .deploy("keep")
        .python(broken)
        .args(&["--overwrite"])
        .fails();
    assert!(refused.contains("nothing_that_is_there"), "{refused}");
    assert_eq!(lusk.score("keep", "").expect(200).text(), "\"old\"");
    assert_eq!(lusk.key("keep"), key);
    let raised =
        "def init():\n    raise ValueError('no luck')\n\ndef run(raw_data):\n    return 'new'\n";
    let refused = lusk
        .deploy("keep")
        .python(raised)
        .args(&["--overwrite"])
        .fails();
    assert!(refused.contains("no luck"), "{refused}");
    assert_eq!(lusk.score("keep", "").expect(200).text(), "\"old\"");
}

#[test]
fn a_first_deployment_that_fails_says_why_and_can_be_repaired() {
    let lusk = Lusk::start("failed-first");
    let refused = lusk
        .deploy("fresh")
        .python(
            "def init():\n    raise ValueError('no luck')\n\ndef run(raw_data):\n    return 1\n",
        )
        .fails();
    assert!(refused.contains("no luck"), "{refused}");
    let logs = lusk.cli(&["service", "get-logs", "-n", "fresh"]).ok();
    assert!(logs.contains("raise ValueError('no luck')"), "{logs}");
    let service = lusk.service("fresh");
    assert_eq!(service["state"], "Failed");
    assert!(service["error"]["message"].is_string(), "{service:#}");
    let reply = lusk.score("fresh", "").expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    lusk.score_without_key("fresh").expect(401);
    lusk.deploy("fresh")
        .python(&plain_script())
        .args(&["--overwrite"])
        .done();
    lusk.score("fresh", "1").expect(200);
}

#[test]
fn a_broken_script_is_named_and_nothing_serves() {
    let lusk = Lusk::start("broken-scripts");
    for (service, name, text, expected) in [
        ("python", "score.py", "def run(raw_data:\n", "SyntaxError"),
        ("no-run", "score.py", "def init():\n    pass\n", "run"),
        ("wat", "score.wat", "(module (func", "score.wat"),
        ("exports", "score.wat", "(module)", "lusk_alloc"),
        ("wasm", "score.wasm", "no wasm at all", "score.wasm"),
        ("javascript", "score.js", "1", "does not export init()"),
    ] {
        let refused = lusk.deploy(service).script(name, text.as_bytes()).fails();
        assert!(refused.contains(expected), "{service}: {refused}");
        lusk.score(service, "").expect(503);
    }
    // Refused before the node hears of it.
    let refused = lusk.deploy("identifier").script("1-score.py", b"1").fails();
    assert!(refused.contains("`1-score`"), "{refused}");
    let services = lusk.cli(&["service", "list", "-o", "json"]).json();
    let services = services.as_array().expect("a list");
    assert!(services.iter().all(|it| it["name"] != "identifier"));
}

#[test]
fn a_thousand_models_deploy_and_one_more_is_refused_by_name() {
    let lusk = Lusk::start("thousand");
    let digest = lusk.upload(b"weights");
    let draft = json!({"name": "m", "files": [{"path": "m.bin", "digest": digest, "size": 7}]});
    for _ in 0..1001 {
        lusk.admin("POST", "/models", &draft).expect(201);
    }
    let script = tar::archive(&[tar::Entry::File("score.wat", constant("1").as_bytes())]);
    let snapshot = lusk.upload(&script);
    let body = |count: u32| {
        let ids: Vec<_> = (1..=count).map(|version| format!("m:{version}")).collect();
        json!({"name": "many", "computeType": "AKS", "numReplicas": 1, "environmentImageRequest": {
            "driverProgram": "score.wat", "modelIds": ids,
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{snapshot}")}]}})
    };
    let refused = lusk
        .admin("POST", "/services", &body(1001))
        .expect(400)
        .text();
    assert!(refused.contains("m:1001"), "{refused}");
    let operation = lusk.finish(&lusk.admin("POST", "/services", &body(1000)));
    assert_eq!(operation["state"], "Succeeded", "{operation:#}");
    assert_eq!(lusk.score("many", "").text(), "1");
}

#[test]
fn model_folders_are_where_scripts_look_for_them() {
    let lusk = Lusk::start("model-dir");
    lusk.file("one.bin", "first");
    lusk.file("two/deep.bin", "second");
    lusk.cli(&["model", "register", "-n", "one", "-p", "one.bin"])
        .ok();
    lusk.cli(&["model", "register", "-n", "two", "-p", "two"])
        .ok();
    let script = "import os\nfrom azureml.core.model import Model\n\ndef init():\n    pass\n\ndef run(raw_data):\n    return {'dir': os.environ['AZUREML_MODEL_DIR'], 'file': open(os.path.join(os.environ['AZUREML_MODEL_DIR'], raw_data)).read(), 'path': Model.get_model_path('one')}\n";
    lusk.deploy("single").model("one:1").python(script).done();
    let answer = lusk.score("single", "one.bin").expect(200).json();
    assert_eq!(answer["dir"], "azureml-models/one/1");
    assert_eq!(answer["file"], "first");
    assert!(
        answer["path"]
            .as_str()
            .unwrap()
            .ends_with("azureml-models/one/1/one.bin"),
        "{answer}"
    );
    lusk.deploy("several")
        .model("one:1")
        .model("two:1")
        .python(script)
        .done();
    let answer = lusk
        .score("several", "two/1/two/deep.bin")
        .expect(200)
        .json();
    assert_eq!(answer["dir"], "azureml-models");
    assert_eq!(answer["file"], "second");
}

#[test]
fn two_operations_on_one_service_do_not_mix() {
    let lusk = Lusk::start("busy");
    let endless =
        "def init():\n    while True:\n        pass\n\ndef run(raw_data):\n    return 1\n";
    lusk.deploy("slow")
        .python(endless)
        .args(&["--no-wait"])
        .run()
        .ok();
    let patch = json!([{"op": "replace", "path": "/description", "value": "new"}]);
    let refused = lusk.admin("PATCH", "/services/slow", &patch).expect(409);
    assert_eq!(refused.json()["code"], "Conflict");
    let refused = lusk
        .deploy("slow")
        .wat(&constant("1"))
        .args(&["--overwrite"])
        .fails();
    assert!(refused.contains("still running"), "{refused}");
}

#[test]
fn a_service_that_does_not_fit_says_what_is_missing() {
    let lusk = Lusk::start("no-room");
    let run = lusk
        .deploy("huge")
        .wat(&constant("1"))
        .args(&["--cc", "100000", "--no-wait"])
        .run();
    run.ok();
    until("the lack of room is told", || {
        lusk.service("huge")["state"] == "Unschedulable"
    });
    let error = lusk.service("huge")["error"].clone();
    assert_eq!(error["code"], "Unschedulable");
    assert!(
        error["message"].as_str().unwrap().contains("100000"),
        "{error}"
    );
}
