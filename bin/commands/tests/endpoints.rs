//! Endpoints with versions: what a command asks for, and what it leaves alone.

use super::*;
use crate::client::Refusal;

fn endpoint() -> Value {
    json!({"name": "shop", "state": "Healthy", "computeType": "AKSENDPOINT",
        "versions": {"blue": {"name": "blue", "computeType": "AKS", "isDefault": true,
            "trafficPercentile": 0, "environmentImageRequest": {}}}})
}

/// Runs a command that asks for the endpoint, changes it and looks at it again; gives
/// the change.
async fn changed_by(words: &[&str]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let answers = vec![
        (200, endpoint()),
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, endpoint()),
    ];
    let door = Door::open(answers).await;
    let words: Vec<_> = ["endpoint", "realtime"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    door.run(folder.path(), &words).await.unwrap();
    let lines = door.lines();
    assert_eq!(lines[0], "GET /workspaces/local/services/shop");
    assert_eq!(lines[3], lines[0]);
    door.seen()[1].clone()
}

#[tokio::test]
async fn a_first_version_makes_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"computeType": "aksendpoint", "versionName": "blue",
        "trafficPercentile": 20, "authEnabled": false, "numReplicas": 2}"#;
    fs::write(folder.path().join("d.json"), config).unwrap();
    let answers = vec![
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, endpoint()),
    ];
    let door = Door::open(answers).await;
    let words = [
        "model", "deploy", "-n", "shop", "-m", "digits:1", "--dc", "d.json", "--tag", "a=b",
    ];
    door.run(folder.path(), &words).await.unwrap();
    let seen = &door.seen()[0];
    assert_eq!(seen.line, "POST /workspaces/local/services");
    let body = seen.json();
    assert_eq!(body["computeType"], "AKSENDPOINT");
    assert_eq!(body["authEnabled"], false);
    assert_eq!(body["kvTags"], json!({"a": "b"}));
    assert_eq!(
        body["versions"],
        json!({"blue": {"computeType": "AKS", "trafficPercentile": 20.0, "numReplicas": 2,
            "environmentImageRequest": {"modelIds": ["digits:1"]}}})
    );
}

#[tokio::test]
async fn a_new_version_is_added_whole() {
    let words = [
        "create-version",
        "-n",
        "shop",
        "--vn",
        "green",
        "-m",
        "digits:2",
        "--tp",
        "10.5",
        "--cvt",
        "--is-default",
        "false",
        "--nr",
        "2",
        "--add-tag",
        "a=b",
        "--abort-if",
        "p99>250ms",
    ];
    let seen = changed_by(&words).await;
    assert_eq!(seen.line, "PATCH /workspaces/local/services/shop");
    let version = json!({
        "computeType": "AKS", "trafficPercentile": 10.5, "type": "Control",
        "numReplicas": 2, "abortIf": "p99>250ms",
        "description": null, "kvTags": {"a": "b"}, "properties": {},
        "environmentImageRequest": {"modelIds": ["digits:2"]},
    });
    assert_eq!(
        seen.json(),
        json!([{"op": "add", "path": "/versions/green", "value": version}])
    );
}

#[tokio::test]
async fn a_version_is_changed_field_by_field() {
    let words = [
        "update-version",
        "-n",
        "shop",
        "--vn",
        "blue",
        "--tp",
        "40",
        "--is-default",
        "--mi",
        "2",
        "--as",
        "--no-abort-if",
        "-m",
        "digits:3",
        "--remove-tag",
        "old",
        "-d",
        "text",
    ];
    let seen = changed_by(&words).await;
    let replaced = |path: &str, value: Value| json!({"op": "replace", "path": format!("/versions/blue/{path}"), "value": value});
    assert_eq!(
        seen.json(),
        json!([
            replaced("autoScaler/autoscaleEnabled", json!(true)),
            replaced("autoScaler/minReplicas", json!(2)),
            replaced("trafficPercentile", json!(40.0)),
            replaced("abortIf", Value::Null),
            replaced("isDefault", json!(true)),
            replaced("description", json!("text")),
            json!({"op": "remove", "path": "/versions/blue/kvTags/old"}),
            replaced("modelIds", json!(["digits:3"])),
        ])
    );
}

#[tokio::test]
async fn none_ends_the_rule_that_rolls_a_version_back() {
    let words = [
        "update-version",
        "-n",
        "shop",
        "--vn",
        "blue",
        "--abort-if",
        "none",
    ];
    let seen = changed_by(&words).await;
    assert_eq!(
        seen.json(),
        json!([{"op": "replace", "path": "/versions/blue/abortIf", "value": null}])
    );
}

#[tokio::test]
async fn what_is_unknown_is_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "get-keys -n shop",
        "regen-key -n shop -k Primary",
        "compare -n shop",
        "mirror-log -n shop",
        "get-logs -n shop",
        "run -n shop -d {}",
        "get-access-token -n shop",
        "promote -n shop --vn blue",
        "rollback -n shop",
        "delete-version -n shop --vn blue",
    ] {
        let unknown = json!({"statusCode": 404, "message": "no service `shop`"});
        let door = Door::open(vec![(404, unknown.clone()), (404, unknown)]).await;
        let words: Vec<_> = ["endpoint", "realtime"]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        let error = door.run(folder.path(), &words).await.unwrap_err();
        let help = error.downcast_ref::<Refusal>().and_then(Refusal::help);
        let said = format!("{error}; {}", help.unwrap_or_default());
        assert!(said.contains("no endpoint `shop`"), "{line}: {said}");
        assert!(
            said.contains("`lusk endpoint realtime list`"),
            "{line}: {said}"
        );
    }
}

#[tokio::test]
async fn an_online_endpoint_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![(200, Value::Null), (200, endpoint())]).await;
    let words = ["online-endpoint", "create", "-n", "shop"];
    door.run(folder.path(), &words).await.unwrap();
    let body = door.seen()[0].json();
    assert_eq!(
        (&body["name"], &body["authEnabled"]),
        (&json!("shop"), &json!(true))
    );

    let door = Door::open(vec![
        (200, endpoint()),
        (200, Value::Null),
        (200, endpoint()),
    ])
    .await;
    let words = [
        "online-endpoint",
        "update",
        "-n",
        "shop",
        "--set",
        "traffic.blue=30",
        "--set",
        "traffic.green=70",
    ];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(
        door.seen()[1].json(),
        json!([{"op": "replace", "path": "/traffic", "value": {"blue": 30.0, "green": 70.0}}])
    );
    let part = [&words[..4], &["--set", "traffic.blue=30"]].concat();
    let error = door.run(folder.path(), &part).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(
        said.contains("blue 30 = 30 percent, expected 100 or 0"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unchanged_model_in_a_deployments_file_is_registered_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("digits.onnx"), "weights").unwrap();
    let text = "name: green\nendpoint_name: shop\nmodel: {path: ./digits.onnx}\n";
    fs::write(folder.path().join("green.yml"), text).unwrap();
    let words = ["online-deployment", "create", "-f", "green.yml"];
    let model = |content: &str| {
        json!({"id": "digits.onnx:3", "files": [{"path": "digits.onnx",
            "digest": Digest::of(content.as_bytes()), "size": content.len()}]})
    };

    let newest = json!({"value": [model("weights")]});
    let answers = vec![
        (200, endpoint()),
        (200, newest),
        (200, Value::Null),
        (200, endpoint()),
    ];
    let door = Door::open(answers).await;
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(
        door.lines()[1],
        "GET /workspaces/local/models?name=digits.onnx&latest=true"
    );
    let version = &door.seen()[2].json()[0]["value"];
    assert_eq!(
        version["environmentImageRequest"]["modelIds"],
        json!(["digits.onnx:3"])
    );

    // Of the same size, but other bytes.
    let newest = json!({"value": [model("WEIGHTS")]});
    let made = json!({"id": "digits.onnx:4"});
    let answers = vec![
        (200, endpoint()),
        (200, newest),
        (200, Value::Null),
        (201, made),
        (200, Value::Null),
        (200, endpoint()),
    ];
    let door = Door::open(answers).await;
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(door.lines()[3], "POST /workspaces/local/models");
}

#[tokio::test]
async fn nobody_stops_being_the_default_by_saying_so() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![(200, endpoint()), (200, endpoint())]).await;
    let words = [
        "endpoint",
        "realtime",
        "update-version",
        "-n",
        "shop",
        "--vn",
        "blue",
        "--is-default",
        "false",
    ];
    door.run(folder.path(), &words).await.unwrap();
    assert!(door.lines().iter().all(|line| line.starts_with("GET ")));
}

#[tokio::test]
async fn a_change_of_nothing_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![(200, endpoint())]).await;
    for words in [
        ["update-version", "-n", "shop", "--vn", "blue"].as_slice(),
        &["update", "-n", "shop"],
    ] {
        let words: Vec<_> = ["endpoint", "realtime"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let error = door.run(folder.path(), &words).await.unwrap_err();
        assert_eq!(render::exit_code(&error), render::MISUSED);
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let service = json!({"name": "shop", "computeType": "AKS"});
    let door = Door::open(vec![(200, endpoint()), (200, service), (404, Value::Null)]).await;
    let words = |vn| {
        [
            "endpoint",
            "realtime",
            "update-version",
            "-n",
            "shop",
            "--vn",
            vn,
            "--nr",
            "2",
        ]
    };
    let mut said = Vec::new();
    for vn in ["green", "blue", "blue"] {
        let error = door.run(folder.path(), &words(vn)).await.unwrap_err();
        said.push(error.to_string());
    }
    assert_eq!(
        said,
        [
            "endpoint `shop` has no version `green`, it has blue",
            "`shop` is a service without versions, not an endpoint",
            "no endpoint `shop`",
        ]
    );
    assert!(door.lines().iter().all(|line| line.starts_with("GET ")));
}

#[tokio::test]
async fn a_trial_ends_either_way_in_one_request() {
    let folder = tempfile::tempdir().unwrap();
    for (words, path, body) in [
        (
            ["promote", "-n", "shop", "--vn", "blue"].as_slice(),
            "promote",
            json!({"version": "blue"}),
        ),
        (
            &["rollback", "-n", "shop", "--vn", "blue"],
            "rollback",
            json!({"version": "blue"}),
        ),
        (&["rollback", "-n", "shop"], "rollback", json!({})),
    ] {
        let door = Door::open(vec![(200, json!({})), (200, endpoint())]).await;
        let words: Vec<_> = ["endpoint", "realtime"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        door.run(folder.path(), &words).await.unwrap();
        let seen = &door.seen()[0];
        assert_eq!(
            seen.line,
            format!("POST /workspaces/local/services/shop/{path}")
        );
        assert_eq!(seen.json(), body);
    }
}

#[tokio::test]
async fn a_service_is_left_alone_by_commands_about_endpoints() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "endpoint realtime delete -n svc",
        "endpoint realtime delete-version -n svc --vn blue",
        "endpoint realtime get-keys -n svc",
        "endpoint realtime regen-key -n svc -k Primary",
        "endpoint realtime get-logs -n svc",
        "endpoint realtime run -n svc -d {}",
        "online-endpoint delete -n svc -y",
        "online-endpoint get-credentials -n svc",
        "online-endpoint invoke -n svc",
    ] {
        let service = json!({"name": "svc", "computeType": "AKS"});
        let door = Door::open(vec![(200, service)]).await;
        let words: Vec<_> = line.split(' ').collect();
        let error = door.run(folder.path(), &words).await.unwrap_err();
        let expected = "`svc` is a service without versions, not an endpoint";
        assert_eq!(error.to_string(), expected, "{line}");
        assert_eq!(
            door.lines(),
            ["GET /workspaces/local/services/svc"],
            "{line}"
        );
    }
}

#[tokio::test]
async fn logs_may_be_those_of_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let content = json!({"content": "init ran"});
    let answers = [endpoint(), content.clone(), endpoint(), content];
    let door = Door::open(answers.map(|answer| (200, answer)).into()).await;
    for vn in [["--vn", "blue"].as_slice(), &[]] {
        let words: Vec<_> = ["endpoint", "realtime", "get-logs", "-n", "shop", "-l", "5"]
            .iter()
            .chain(vn)
            .copied()
            .collect();
        door.run(folder.path(), &words).await.unwrap();
    }
    assert_eq!(
        door.lines(),
        [
            "GET /workspaces/local/services/shop",
            "GET /workspaces/local/services/shop/versions/blue/logs?tail=5&init=false",
            "GET /workspaces/local/services/shop",
            "GET /workspaces/local/services/shop/logs?tail=5&init=false",
        ]
    );
}

#[tokio::test]
async fn a_service_update_of_an_endpoint_tells_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let refused = json!({"statusCode": 400, "message": "no such field"});
    let door = Door::open(vec![(400, refused), (200, endpoint())]).await;
    let words = ["service", "update", "-n", "shop", "--nr", "2"];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().contains("is an endpoint"), "{error}");
    assert_eq!(render::exit_code(&error), render::MISUSED);
}
