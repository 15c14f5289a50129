//! Endpoints with versions: what a command asks for, and what it leaves alone.

use super::*;

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
async fn logs_may_be_those_of_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let content = json!({"content": "init ran"});
    let door = Door::open(vec![(200, content.clone()), (200, content)]).await;
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
            "GET /workspaces/local/services/shop/versions/blue/logs?tail=5&init=false",
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
