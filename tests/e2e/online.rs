//! v2's YAML and words over endpoints and versions, and mirrored answers.

use serde_json::Value;

use crate::{
    http::Request,
    lusk::{Lusk, Run, constant, until},
};

const HEADER: &str = "azureml-model-deployment";

/// An endpoint `shop` without deployments.
fn endpoint(lusk: &Lusk) -> Value {
    let text =
        "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: shop
type: kubernetes
auth_mode: key
compute: azureml:k8s
tags: {team: red}
";
    lusk.file("endpoint.yml", text);
    let line = [
        "online-endpoint",
        "create",
        "-f",
        "endpoint.yml",
        "-o",
        "json",
    ];
    let run = lusk.cli(&line);
    assert!(
        run.stderr().contains("without effect here: `compute`"),
        "{}",
        run.stderr()
    );
    run.json()
}

/// Deploys a script that answers `answer`. Its folder lies beside the file.
fn deploy(lusk: &Lusk, name: &str, answer: &str, words: &[&str]) -> Run {
    lusk.file(&format!("{name}/src/score.wat"), constant(answer));
    let text = format!(
        "name: {name}
endpoint_name: shop
code_configuration: {{code: ./src, scoring_script: score.wat}}
environment_variables: {{LEVEL: 1}}
instance_type: defaultinstancetype
instance_count: 1
"
    );
    lusk.file(&format!("{name}/{name}.yml"), text);
    let file = format!("{name}/{name}.yml");
    let mut line = vec!["online-deployment", "create", "-f", &file];
    line.extend(words);
    lusk.cli(&line)
}

fn score(lusk: &Lusk) -> (String, String) {
    let reply = Request::new("POST", "/api/v1/endpoint/shop/score")
        .bearer(&lusk.key("shop"))
        .body("{}")
        .send(lusk.scoring)
        .expect(200);
    (
        reply.header(HEADER).expect("a version").to_owned(),
        reply.text(),
    )
}

fn show(lusk: &Lusk) -> Value {
    let line = ["online-endpoint", "show", "-n", "shop", "-o", "json"];
    lusk.cli(&line).json()
}

#[test]
fn blue_and_green_as_the_examples_of_v2_have_it() {
    let lusk = Lusk::start("online");
    let made = endpoint(&lusk);
    assert_eq!(made["provisioning_state"], "Succeeded");
    assert_eq!(made["tags"]["team"], "red");
    let blue = deploy(&lusk, "blue", "\"blue\"", &["--all-traffic", "-o", "json"]).json();
    assert_eq!(blue["provisioning_state"], "Succeeded");
    assert_eq!(blue["request_settings"]["request_timeout_ms"], 5_000);
    assert_eq!(blue["liveness_probe"]["failure_threshold"], 30);
    assert_eq!(show(&lusk)["traffic"]["blue"], 100.0);

    deploy(&lusk, "green", "\"green\"", &[]).ok();
    assert_eq!(score(&lusk).0, "blue");
    lusk.file("request.json", "{}");
    let invoke = [
        "online-endpoint",
        "invoke",
        "-n",
        "shop",
        "-r",
        "request.json",
        "-d",
        "green",
    ];
    assert_eq!(lusk.cli(&invoke).ok().trim(), "\"green\"");
    for line in [
        &[&invoke[..], &["-o", "none"]].concat()[..],
        &[
            "endpoint", "realtime", "run", "-n", "shop", "-d", "{}", "-o", "none",
        ],
    ] {
        let run = lusk.cli(line);
        assert_eq!(run.ok(), "", "{line:?}");
        assert!(run.stderr().contains("` answered"), "{}", run.stderr());
    }
    let again = lusk
        .cli(&["online-endpoint", "create", "-n", "shop"])
        .fails(1);
    assert!(again.contains("`shop` exists already"), "{again}");
    assert!(!again.contains("overwrite"), "{again}");

    let update = |traffic: &str| {
        lusk.cli(&[
            "online-endpoint",
            "update",
            "-n",
            "shop",
            "--traffic",
            traffic,
        ])
    };
    let refused = update("blue=90 green=5").fails(2);
    assert!(
        refused.contains("blue 90 + green 5 = 95 percent, expected 100 or 0"),
        "{refused}"
    );
    update("blue=90 green=10").ok();
    assert_eq!(show(&lusk)["traffic"]["green"], 10.0);

    // Who gets everything is the default, so that the other one can go.
    update("blue=0 green=100").ok();
    assert_eq!(score(&lusk), ("green".to_owned(), "\"green\"".to_owned()));
    lusk.cli(&[
        "online-deployment",
        "delete",
        "-e",
        "shop",
        "-n",
        "blue",
        "-y",
    ])
    .ok();
    let list = ["online-deployment", "list", "-e", "shop", "-o", "json"];
    let left = lusk.cli(&list).json();
    assert_eq!(left.as_array().map(Vec::len), Some(1));

    lusk.file("green/src/score.wat", constant("\"lime\""));
    let words = ["online-deployment", "update", "-f", "green/green.yml"];
    lusk.cli(&words).ok();
    assert_eq!(score(&lusk).1, "\"lime\"");
    let keys = [
        "online-endpoint",
        "get-credentials",
        "-n",
        "shop",
        "-o",
        "json",
    ];
    assert_eq!(lusk.cli(&keys).json()["primaryKey"], lusk.key("shop"));
    lusk.cli(&["online-endpoint", "delete", "-n", "shop", "-y"])
        .ok();
    let gone = lusk
        .cli(&["online-endpoint", "show", "-n", "shop"])
        .fails(1);
    assert!(gone.contains("no endpoint `shop`"), "{gone}");
}

#[test]
fn what_a_file_says_wrong_is_told_with_its_line() {
    let lusk = Lusk::start("online-wrong");
    lusk.file("e.yml", "name: shop\ntraffic: {blue: 100}\n");
    let early = lusk
        .cli(&["online-endpoint", "create", "-f", "e.yml"])
        .fails(1);
    assert!(
        early.contains("a new endpoint has no deployments"),
        "{early}"
    );
    lusk.file(
        "d.yml",
        "name: blue\nendpoint_name: shop\nmodel: digits\ninstance_count: 0\n",
    );
    let told = lusk
        .cli(&["online-deployment", "create", "-f", "d.yml"])
        .fails(1);
    assert!(told.contains("d.yml line 3: `model`"), "{told}");
    assert!(told.contains("d.yml line 4: `instance_count`: 0"), "{told}");
    lusk.file(
        "d.yml",
        "name: blue\nendpoint_name: shop\nmodel: azureml:digits@latest\n",
    );
    let none = lusk
        .cli(&["online-deployment", "create", "-f", "d.yml"])
        .fails(1);
    assert!(none.contains("no endpoint `shop`"), "{none}");
}

#[test]
fn mirrored_answers_are_kept_beside_the_live_ones_until_the_endpoint_goes() {
    let mut lusk = Lusk::start("mirror-log");
    endpoint(&lusk);
    deploy(&lusk, "blue", "[1.0, 2]", &["--all-traffic"]).ok();
    deploy(&lusk, "green", "[1.0000001, 2]", &[]).ok();
    lusk.cli(&[
        "online-endpoint",
        "update",
        "-n",
        "shop",
        "--mirror-traffic",
        "green=50",
    ])
    .ok();
    let keep = [
        "endpoint",
        "realtime",
        "update",
        "-n",
        "shop",
        "--mirror-keep-answers",
        "true",
    ];
    lusk.cli(&keep).ok();
    for _ in 0..10 {
        assert_eq!(score(&lusk).0, "blue");
    }
    let log = |lusk: &Lusk| {
        let path = "/services/shop/mirror?tail=100";
        lusk.admin("GET", path, &Value::Null).expect(200).json()
    };
    until("five copies were answered", || log(&lusk)["equal"] == 5);
    let kept = log(&lusk);
    assert_eq!(kept["different"], 0);
    assert_eq!(kept["dropped"], 0);
    let pair = &kept["pairs"][0];
    assert_eq!(pair["live"]["version"], "blue");
    assert_eq!(pair["live"]["body"], "[1.0, 2]");
    assert_eq!(pair["mirror"]["version"], "green");
    assert_eq!(pair["mirror"]["body"], "[1.0000001, 2]");
    assert_eq!(pair["mirror"]["status"], 200);

    lusk.kill();
    lusk.restart();
    let line = ["endpoint", "realtime", "mirror-log", "-n", "shop"];
    let run = lusk.cli(&line);
    let table = run.ok();
    assert_eq!(table.matches("green").count(), 5, "{table}");
    assert!(run.stderr().contains("0 of 5 differ"), "{}", run.stderr());

    let pairs = lusk.data().join("mirror/shop");
    assert!(pairs.join("pairs.jsonl").is_file());
    lusk.cli(&["online-endpoint", "delete", "-n", "shop", "-y"])
        .ok();
    until("the answers are gone too", || !pairs.exists());
    lusk.admin("GET", "/services/shop/mirror", &Value::Null)
        .expect(404);
}
