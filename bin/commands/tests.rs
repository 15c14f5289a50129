//! Commands against a stand-in for the admin door: what they ask for, in
//! which order, and what they make of the answers. The real door is behind the
//! tests of the whole binary.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use clap::Parser as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lusk_domain::Digest;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::render;

/// A request as the stand-in saw it.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    authorization: String,
    digest: Option<String>,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers in order, to whatever is asked.
struct Door {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Door {
    async fn open(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                let service =
                    service_fn(move |request| answer(request, log.clone(), answers.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, seen }
    }

    /// Runs a command in `folder` against this door.
    async fn run(&self, folder: &Path, words: &[&str]) -> anyhow::Result<()> {
        let folder = folder.to_str().unwrap();
        let mut line = vec![
            "lusk",
            "--admin-url",
            &self.url,
            "--admin-token",
            "secret",
            "--path",
            folder,
            "--only-show-errors",
            "-o",
            "none",
        ];
        line.extend(words);
        run(Cli::try_parse_from(line)?).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let seen = Seen {
        line: format!("{} {}", parts.method, parts.uri),
        authorization: header("authorization").unwrap_or_default(),
        digest: header("x-lusk-digest"),
        body: body.collect().await?.to_bytes(),
    };
    log.lock().unwrap().push(seen);
    let (status, body) = answers.lock().unwrap().pop_front().unwrap();
    let body = match body {
        Value::Null => String::new(),
        // What is no JSON as a whole.
        Value::String(text) => text,
        body => body.to_string(),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

fn ended(state: &str) -> Value {
    json!({"id": "5e0d", "state": state, "events": []})
}

#[tokio::test]
async fn a_model_is_registered_after_its_files_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), "weights").unwrap();
    let model = json!({"id": "digits:1"});
    let door = Door::open(vec![(404, Value::Null), (201, json!({})), (201, model)]).await;
    let words = [
        "model",
        "register",
        "-n",
        "digits",
        "-p",
        "model.onnx",
        "--model-framework",
        "onnx",
        "--tag",
        "a=b",
        "-t",
        "out.json",
    ];
    door.run(folder.path(), &words).await.unwrap();
    let digest = Digest::of(b"weights").to_string();
    assert_eq!(
        door.lines(),
        [
            format!("HEAD /workspaces/local/blobs/{digest}"),
            "POST /workspaces/local/blobs".to_owned(),
            "POST /workspaces/local/models".to_owned(),
        ]
    );
    let seen = door.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.authorization == "Bearer secret")
    );
    assert_eq!(seen[1].digest.as_deref(), Some(digest.as_str()));
    assert_eq!(seen[1].body, "weights");
    let draft = seen[2].json();
    assert_eq!(
        draft["files"][0],
        json!({"path": "model.onnx", "digest": digest, "size": 7})
    );
    assert_eq!(
        (&draft["framework"], &draft["kvTags"]["a"]),
        (&json!("Onnx"), &json!("b"))
    );
    let written = fs::read_to_string(folder.path().join("out.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&written).unwrap()["modelId"],
        "digits:1"
    );
}

#[tokio::test]
async fn what_is_stored_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "same").unwrap();
    let door = Door::open(vec![(200, Value::Null), (201, json!({"id": "m:2"}))]).await;
    door.run(folder.path(), &["model", "register", "-n", "m", "-p", "a"])
        .await
        .unwrap();
    assert_eq!(door.lines().len(), 2);
}

#[tokio::test]
async fn a_deployment_sends_snapshot_then_service_then_waits() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("score.py", "def init(): pass");
    write(
        "i.json",
        r#"{"entryScript": "score.py", "environment": {"name": "e", "environmentVariables": {"A": "1"}}}"#,
    );
    write(
        "d.yml",
        "computeType: aks\nnumReplicas: 2\nkeys: {primaryKey: mine}\n",
    );
    write("meta.json", r#"{"modelId": "other:3"}"#);
    let door = Door::open(vec![
        (404, Value::Null),
        (201, json!({})),
        (202, ended("Running")),
        (200, ended("Running")),
        (200, ended("Succeeded")),
        (200, json!({"name": "digits", "state": "Healthy"})),
    ])
    .await;
    let words = [
        "model",
        "deploy",
        "-n",
        "digits",
        "-m",
        "digits:1",
        "-f",
        "meta.json",
        "--ic",
        "i.json",
        "--dc",
        "d.yml",
        "--cc",
        "0.5",
        "--overwrite",
        "--tag",
        "a=b",
    ];
    door.run(folder.path(), &words).await.unwrap();
    let lines = door.lines();
    assert_eq!(
        lines[2..],
        [
            "POST /workspaces/local/services",
            "GET /workspaces/local/operations/5e0d?wait=true&seen=0",
            "GET /workspaces/local/operations/5e0d?wait=true&seen=0",
            "GET /workspaces/local/services/digits",
        ]
    );
    let body = door.seen()[2].json();
    let image = &body["environmentImageRequest"];
    assert_eq!(image["modelIds"], json!(["digits:1", "other:3"]));
    assert_eq!(image["driverProgram"], "score.py");
    assert_eq!(image["environment"]["environmentVariables"]["A"], "1");
    let digest = door.seen()[1].digest.clone().unwrap();
    assert_eq!(image["assets"][0]["url"], format!("lusk://blobs/{digest}"));
    assert_eq!(body["numReplicas"], 2);
    assert_eq!(body["containerResourceRequirements"], json!({"cpu": 0.5}));
    assert_eq!(body["keys"]["primaryKey"], "mine");
    assert_eq!(
        (&body["overwrite"], &body["computeType"]),
        (&json!(true), &json!("AKS"))
    );
}

#[tokio::test]
async fn a_wrong_config_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("d.json"),
        r#"{"computeType": "aks", "numReplicas": 0}"#,
    )
    .unwrap();
    let door = Door::open(Vec::new()).await;
    let words = [
        "model", "deploy", "-n", "digits", "--es", "none.py", "--dc", "d.json",
    ];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`none.py` does not exist") && text.contains("`numReplicas`: 0 is"),
        "{text}"
    );
    assert_eq!(render::exit_code(&error), render::FAILED);
    assert!(door.seen().is_empty());
}

#[tokio::test]
async fn a_failed_deployment_is_a_failure_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let failed = json!({"id": "5e0d", "state": "Failed", "events": [],
        "error": {"message": "replicas: init() raised", "details": [{"message": "ValueError"}]}});
    let door = Door::open(vec![(202, ended("Running")), (200, failed)]).await;
    let words = ["model", "deploy", "-n", "digits", "-m", "digits:1"];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "deployment of service `digits` failed: replicas: init() raised"
    );
    assert_eq!(
        door.seen()[0].json()["environmentImageRequest"],
        json!({"modelIds": ["digits:1"]})
    );
}

#[tokio::test]
async fn an_update_is_a_patch_of_what_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, json!({})),
    ])
    .await;
    let words = [
        "service",
        "update",
        "-n",
        "digits",
        "-m",
        "digits:2",
        "--nr",
        "3",
        "--add-tag",
        "a/b=c",
        "--remove-tag",
        "old",
        "-d",
        "text",
    ];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(door.lines()[0], "PATCH /workspaces/local/services/digits");
    assert_eq!(
        door.seen()[0].json(),
        json!([
            {"op": "replace", "path": "/numReplicas", "value": 3},
            {"op": "replace", "path": "/description", "value": "text"},
            {"op": "remove", "path": "/kvTags/old"},
            {"op": "add", "path": "/kvTags/a~1b", "value": "c"},
            {"op": "replace", "path": "/modelIds", "value": ["digits:2"]},
        ])
    );
}

#[tokio::test]
async fn an_update_of_nothing_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(Vec::new()).await;
    for words in [
        ["service", "update", "-n", "digits"],
        ["model", "update", "-i", "digits:1"],
    ] {
        let error = door.run(folder.path(), &words).await.unwrap_err();
        assert_eq!(render::exit_code(&error), render::MISUSED);
    }
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = |link: Value| json!({"value": [{"id": "m:1"}], "nextLink": link});
    let door = Door::open(vec![
        (
            200,
            page(json!(
                "http://elsewhere/workspaces/local/models?$skipToken=m%3A1"
            )),
        ),
        (200, page(Value::Null)),
    ])
    .await;
    let words = [
        "model", "list", "-n", "m", "-l", "--tag", "a", "--tag", "b=c",
    ];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(
        door.lines(),
        [
            "GET /workspaces/local/models?name=m&latest=true&tags=a%2Cb%3Dc",
            "GET /workspaces/local/models?$skipToken=m%3A1",
        ]
    );
}

fn model_of(content: &[u8], path: &str) -> Value {
    json!({"id": "m:1", "name": "m", "files": [
        {"path": path, "digest": Digest::of(content), "size": content.len()}]})
}

#[tokio::test]
async fn a_download_is_checked_before_it_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    // The stand-in answers in JSON, so this is the blob's content.
    let content = br#"{"a":1}"#;
    let blob = json!({"a": 1});
    let words = ["model", "download", "-i", "m:1", "-t", "out"];
    let door = Door::open(vec![(200, model_of(content, "m/f")), (200, blob.clone())]).await;
    door.run(folder.path(), &words).await.unwrap();
    let file = folder.path().join("out/m/f");
    assert_eq!(fs::read(&file).unwrap(), content);

    let door = Door::open(vec![(200, model_of(content, "m/f"))]).await;
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(
        error.to_string().ends_with("out/m/f would be replaced"),
        "{error}"
    );

    let door = Door::open(vec![(200, model_of(b"else", "m/g")), (200, blob)]).await;
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().contains("arrived with digest"), "{error}");
    let left: Vec<_> = fs::read_dir(folder.path().join("out/m")).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn a_download_never_leaves_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![(200, model_of(b"x", "../escape"))]).await;
    let words = ["model", "download", "-i", "m:1", "-t", "out"];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`../escape` is not a plain relative path"),
        "{error}"
    );
    assert!(!folder.path().join("escape").exists());
}

#[tokio::test]
async fn a_request_carries_the_key_of_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let scoring = Door::open(vec![(200, json!([7])), (502, json!({"message": "boom"}))]).await;
    let service = json!({"scoringUri": format!("{}/score", scoring.url), "authEnabled": true});
    let keys = json!({"primaryKey": "k1", "secondaryKey": "k2"});
    let answers = [(200, service), (200, keys)];
    let door = Door::open(answers.iter().chain(&answers).cloned().collect()).await;
    fs::write(folder.path().join("body.json"), "[1]").unwrap();
    let words = ["service", "run", "-n", "digits", "-d", "@body.json"];
    door.run(folder.path(), &words).await.unwrap();
    let seen = scoring.seen();
    assert_eq!(
        (seen[0].authorization.as_str(), &seen[0].body[..]),
        ("Bearer k1", &b"[1]"[..])
    );
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service `digits` answered 502 Bad Gateway"
    );
}

#[tokio::test]
async fn a_node_that_is_not_there_is_said_to_be_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let cli = Cli::try_parse_from(["lusk", "model", "list", "--data", data]).unwrap();
    let error = run(cli).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no node runs in {data}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let line = [
        "lusk",
        "model",
        "list",
        "--admin-url",
        &url,
        "--admin-token",
        "x",
    ];
    let error = run(Cli::try_parse_from(line).unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no answer from {url}"));
}

/// Environments and images against the same stand-in.
mod endpoints;
mod environments;
mod images;
mod scripts;
