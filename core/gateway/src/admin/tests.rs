//! The admin door in front of a real control room whose doers live in memory.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use axum::body::Body;
use http::{Method, header};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use lusk_contract::{Images, SystemClock, testing::StubImages};
use lusk_control::{Capacity, Parts};
use lusk_domain::Digest;
use serde_json::{Value, json};

use super::*;
use fakes::{Echoes, MemoryBlobs, MemoryLogs, MemoryRecords, NoDoors};

mod comparing;
mod endpoints;
mod environments;
mod fakes;
mod images;
pub(crate) mod views;

/// What a door is told in tests.
pub(crate) fn options() -> AdminOptions {
    AdminOptions {
        token: Secret::new("token"),
        workspace: "local".parse().unwrap(),
        scoring_address: "127.0.0.1:8080".parse().unwrap(),
        scoring_tls: false,
        blobs: Arc::new(MemoryBlobs::default()),
        books: Arc::default(),
        batches: Arc::new(()),
        mirror_log: Arc::new(()),
    }
}

struct Door {
    app: TowerToHyperService<Routes>,
    disk_full: Arc<std::sync::atomic::AtomicBool>,
    stopping: CancellationToken,
    _tmp: tempfile::TempDir,
}

struct Reply {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Door {
    async fn open() -> Self {
        Self::with(Arc::new(StubImages::default())).await
    }

    async fn with(images: Arc<dyn Images>) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(MemoryBlobs::default());
        let disk_full = Arc::clone(&blobs.full);
        let options = AdminOptions { blobs, ..options() };
        let router = Arc::new(Router::new());
        let parts = Parts {
            records: Arc::new(MemoryRecords::default()),
            blobs: Arc::clone(&options.blobs),
            images,
            host: Arc::new(Echoes),
            logs: Arc::new(MemoryLogs::default()),
            clock: Arc::new(SystemClock),
            router: Arc::clone(&router),
            doors: Arc::new(NoDoors),
            tmp: tmp.path().to_owned(),
            workspace: options.workspace.clone(),
            capacity: Capacity {
                cores: 8.0,
                bytes: 8_000_000_000,
            },
        };
        let stopping = CancellationToken::new();
        let admin = Admin {
            control: Control::start(parts).await.unwrap(),
            router,
            options,
            stopping: stopping.clone(),
        };
        Self {
            app: TowerToHyperService::new(app(Arc::new(admin))),
            disk_full,
            stopping,
            _tmp: tmp,
        }
    }

    async fn raw(&self, request: http::Request<Body>) -> Reply {
        let response = self.app.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        let request = http::Request::builder()
            .method(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap())
            .uri(path)
            .header(header::HOST, "node:81")
            .header(header::AUTHORIZATION, "Bearer token")
            .body(body.into())
            .unwrap();
        self.raw(request).await
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, &format!("/workspaces/local{path}"), body)
            .await
    }

    /// Sends what starts an operation, and waits for its end.
    async fn operate(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.ask(method, path, body).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        let location = reply.header("operation-location").to_owned();
        let path = location.strip_prefix("http://node:81").unwrap();
        let mut seen = 0;
        loop {
            let reply = self
                .send(
                    "GET",
                    &format!("{path}?wait=true&seen={seen}"),
                    Body::empty(),
                )
                .await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            let operation = reply.json();
            if !operation["endTime"].is_null() {
                return operation;
            }
            seen = operation["events"].as_array().unwrap().len();
        }
    }

    async fn upload(&self, content: &'static [u8]) -> String {
        let reply = self.send("POST", "/workspaces/local/blobs", content).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()["digest"].as_str().unwrap().to_owned()
    }

    async fn register(&self, name: &str) -> Reply {
        let digest = self.upload(b"weights").await;
        let draft = json!({"name": name, "framework": "Onnx", "kvTags": {"of": name},
            "files": [{"path": "m.onnx", "digest": digest, "size": 7}]});
        self.ask("POST", "/models", draft).await
    }

    async fn deploy(&self, name: &str) -> Value {
        self.register(name).await;
        let body = json!({"name": name, "computeType": "AKS", "numReplicas": 1,
            "environmentImageRequest": {"modelIds": [format!("{name}:1")]}});
        let operation = self.operate("POST", "/services", body).await;
        assert_eq!(operation["state"], "Succeeded", "{operation:#}");
        operation
    }
}

fn assert_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    let error = reply.json();
    assert_eq!(error["code"], code, "{}", reply.text);
    assert_eq!(error["statusCode"], status);
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert!(error["details"].is_array());
    assert_eq!(
        error["correlation"]["RequestId"],
        reply.header("x-ms-request-id")
    );
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let door = Door::open().await;
    for authorization in [
        None,
        Some("Bearer wrong"),
        Some("Basic token"),
        Some("Bearer "),
    ] {
        for path in ["/workspaces/local/services", "/nothing", "/metrics"] {
            let mut request = http::Request::builder().uri(path);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let reply = door.raw(request.body(Body::empty()).unwrap()).await;
            assert_error(&reply, 401, "Unauthorized");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    for path in ["/healthz", "/openapi.json"] {
        let request = http::Request::builder().uri(path).body(Body::empty());
        assert_eq!(door.raw(request.unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn every_prefix_leads_to_the_same_place_and_other_workspaces_nowhere() {
    let door = Door::open().await;
    for prefix in PREFIXES {
        let prefix = prefix
            .replace("{subscription}", "any")
            .replace("{group}", "one");
        let path = format!("{prefix}/workspaces/local/services");
        let reply = door.send("GET", &path, Body::empty()).await;
        assert_eq!(reply.json(), json!({"value": []}));
        let path = format!("{prefix}/workspaces/other/services");
        let reply = door.send("GET", &path, Body::empty()).await;
        assert_error(&reply, 404, "NotFound");
        assert!(reply.text.contains("no workspace `other`"));
    }
}

#[tokio::test]
async fn what_is_not_served_is_an_error_object() {
    let door = Door::open().await;
    assert_error(
        &door.ask("GET", "/servics", Value::Null).await,
        404,
        "NotFound",
    );
    assert_error(
        &door.ask("PUT", "/services", Value::Null).await,
        405,
        "MethodNotAllowed",
    );
    assert_error(
        &door.ask("GET", "/services/absent", Value::Null).await,
        404,
        "NotFound",
    );
    assert_error(
        &door.ask("GET", "/services/BAD", Value::Null).await,
        400,
        "BadRequest",
    );
    assert_error(
        &door.ask("GET", "/models/m:1", Value::Null).await,
        404,
        "NotFound",
    );
    assert_error(
        &door.ask("GET", "/operations/x", Value::Null).await,
        400,
        "BadRequest",
    );
    let unknown = format!("/operations/{}", uuid::Uuid::nil());
    assert_error(
        &door.ask("GET", &unknown, Value::Null).await,
        404,
        "NotFound",
    );
    let digest = format!("/blobs/{}", Digest::of(b"absent"));
    assert_error(
        &door.ask("GET", &digest, Value::Null).await,
        404,
        "NotFound",
    );
    assert_error(
        &door.ask("POST", "/packages", json!({})).await,
        501,
        "NotSupported",
    );
    assert_error(
        &door.ask("POST", "/services/migrate", json!({})).await,
        501,
        "NotSupported",
    );
    assert_error(
        &door.ask("GET", "/services?expand=maybe", Value::Null).await,
        400,
        "BadRequest",
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_long_is_refused() {
    let door = Door::open().await;
    let services = "/workspaces/local/services";
    let reply = door
        .send("POST", services, "{\"name\": \"abc\",\n oops}")
        .await;
    assert_error(&reply, 400, "BadRequest");
    assert!(reply.text.contains("line 2 column"), "{}", reply.text);
    let reply = door.send("POST", services, "").await;
    assert_error(&reply, 400, "BadRequest");
    // A body that announces its length is not read at all.
    let announced = http::Request::builder()
        .method("POST")
        .uri(services)
        .header(header::AUTHORIZATION, "Bearer token")
        .header(header::CONTENT_LENGTH, input::MAX_JSON_BYTES + 1)
        .body(Body::empty());
    assert_error(&door.raw(announced.unwrap()).await, 413, "TooLarge");
    let long = vec![b' '; input::MAX_JSON_BYTES + 1];
    assert_error(&door.send("POST", services, long).await, 413, "TooLarge");
}

#[tokio::test]
async fn an_array_is_no_body_where_an_object_is_expected() {
    let door = Door::open().await;
    door.register("digits").await;
    for (method, path) in [
        ("PATCH", "/models/digits:1"),
        ("POST", "/models"),
        ("POST", "/services"),
        ("POST", "/environments"),
        ("POST", "/images"),
        ("POST", "/images/prune"),
    ] {
        let reply = door.ask(method, path, json!(["hello"])).await;
        assert_error(&reply, 400, "BadRequest");
        assert!(reply.text.contains("expected an object"), "{}", reply.text);
    }
    let model = door.ask("GET", "/models/digits:1", Value::Null).await;
    assert_ne!(model.json()["description"], "hello");
}

#[tokio::test]
async fn a_key_that_a_body_of_our_own_does_not_know_is_refused_with_those_it_knows() {
    let door = Door::open().await;
    door.register("digits").await;
    for (method, path, known) in [
        ("PATCH", "/models/digits:1", "addTags"),
        ("POST", "/images", "environmentReference"),
        ("POST", "/images/prune", "unusedForSeconds"),
    ] {
        let reply = door.ask(method, path, json!({"oops": 1})).await;
        assert_error(&reply, 400, "BadRequest");
        assert!(reply.text.contains("`oops`"), "{}", reply.text);
        assert!(reply.text.contains(known), "{}", reply.text);
    }
}

#[tokio::test]
async fn the_ids_of_a_request_come_back() {
    let door = Door::open().await;
    let request = http::Request::builder()
        .uri("/healthz")
        .header("x-ms-client-request-id", "mine");
    let reply = door.raw(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.header("x-ms-client-request-id"), "mine");
    assert_eq!(reply.header("x-ms-request-id").len(), 36);
    assert_eq!(reply.header("api-supported-versions"), "1.0");
}

#[tokio::test]
async fn blobs_go_in_and_out_and_a_full_disk_is_told() {
    let door = Door::open().await;
    let digest = door.upload(b"content").await;
    let path = format!("/workspaces/local/blobs/{digest}");
    let reply = door.send("GET", &path, Body::empty()).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "content"));
    let reply = door.send("HEAD", &path, Body::empty()).await;
    assert_eq!((reply.status, reply.header("content-length")), (200, "7"));

    let request = http::Request::builder()
        .method("POST")
        .uri("/workspaces/local/blobs")
        .header(header::AUTHORIZATION, "Bearer token")
        .header("x-lusk-digest", Digest::of(b"promised").to_string())
        .body(Body::from("delivered"));
    assert_error(&door.raw(request.unwrap()).await, 400, "BadRequest");

    door.disk_full.store(true, Ordering::SeqCst);
    let reply = door.send("POST", "/workspaces/local/blobs", "more").await;
    assert_error(&reply, 507, "StorageFailed");
}

#[tokio::test]
async fn models_are_registered_listed_changed_and_deleted() {
    let door = Door::open().await;
    let reply = door.register("digits").await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let model = reply.json();
    assert_eq!(model["id"], "digits:1");
    assert_eq!(model["files"][0]["path"], "m.onnx");
    door.register("digits").await;
    door.register("other").await;

    let page = door.ask("GET", "/models?count=2", Value::Null).await.json();
    assert_eq!(page["value"].as_array().unwrap().len(), 2);
    let next = page["nextLink"].as_str().unwrap();
    let next = next.strip_prefix("http://node:81").unwrap();
    let page = door.send("GET", next, Body::empty()).await.json();
    assert_eq!(page["value"][0]["id"], "other:1");
    assert_eq!(page["nextLink"], Value::Null);
    let page = door
        .ask("GET", "/models?name=other", Value::Null)
        .await
        .json();
    assert_eq!(page["value"].as_array().unwrap().len(), 1);

    let change = json!({"addProperties": {"p": "1"}, "addTags": {"t": "1"}, "removeTags": ["of"]});
    let reply = door.ask("PATCH", "/models/digits:1", change.clone()).await;
    assert_eq!(reply.json()["kvTags"], json!({"t": "1"}));
    let again = door.ask("PATCH", "/models/digits:1", change).await;
    assert_error(&again, 400, "BadRequest");

    assert_eq!(
        door.ask("DELETE", "/models/digits:1", Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        door.ask("DELETE", "/models/digits:1", Value::Null)
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn a_service_lives_from_create_to_delete() {
    let door = Door::open().await;
    let operation = door.deploy("digits").await;
    assert_eq!(operation["service"], "digits");
    assert!(!operation["events"].as_array().unwrap().is_empty());
    assert_eq!(
        operation["resourceLocation"],
        "http://node:81/workspaces/local/services/digits"
    );
    let log = operation["operationLog"].as_str().unwrap();
    let log = log.strip_prefix("http://node:81").unwrap();
    let log = door.send("GET", log, Body::empty()).await;
    assert_eq!(
        log.text,
        operation["streamingOperationLog"].as_str().unwrap()
    );

    let shown = door
        .ask("GET", "/services/digits?expand=True", Value::Null)
        .await
        .json();
    assert_eq!(shown["state"], "Healthy", "{shown:#}");
    assert_eq!(shown["modelDetails"][0]["id"], "digits:1");
    assert_error(
        &door.ask("DELETE", "/models/digits:1", Value::Null).await,
        412,
        "DeletionRequired",
    );

    let keys = door
        .ask("POST", "/services/digits/listkeys", Value::Null)
        .await
        .json();
    assert_eq!(keys["primaryKey"].as_str().unwrap().len(), 32);
    let body = json!({"keyType": "Primary", "keyValue": "mine"});
    door.operate("POST", "/services/digits/regenerateKeys", body)
        .await;
    let new = door
        .ask("POST", "/services/digits/listkeys", Value::Null)
        .await
        .json();
    assert_eq!(
        new,
        json!({"primaryKey": "mine", "secondaryKey": keys["secondaryKey"]})
    );

    let patch = json!([
        {"op": "replace", "path": "/description", "value": "new"},
        {"op": "replace", "path": "/kvTags", "value": {"a": "b"}},
        {"op": "replace", "path": "/scoringTimeoutMs", "value": 1234},
    ]);
    let operation = door.operate("PATCH", "/services/digits", patch).await;
    assert_eq!(operation["state"], "Succeeded", "{operation:#}");
    let shown = door
        .ask("GET", "/services/digits", Value::Null)
        .await
        .json();
    assert_eq!(shown["description"], "new");
    assert_eq!(shown["kvTags"], json!({"a": "b"}));
    assert_eq!(shown["scoringTimeoutMs"], 1234);
    let unknown = json!([{"op": "replace", "path": "/name", "value": "x"}]);
    assert_error(
        &door.ask("PATCH", "/services/digits", unknown).await,
        400,
        "BadRequest",
    );

    // Two deployments, one line each.
    for (tail, expected) in [(0, ""), (1, "ready"), (9, "ready\nready")] {
        let path = format!("/services/digits/logs?tail={tail}");
        let logs = door.ask("GET", &path, Value::Null).await.json();
        assert_eq!(logs["content"], expected);
    }
    let logs = door
        .ask("GET", "/services/digits/logs?init=true", Value::Null)
        .await
        .json();
    assert_eq!(logs["content"], "");
    assert_error(
        &door
            .ask("POST", "/services/digits/token", Value::Null)
            .await,
        400,
        "BadRequest",
    );
    let reload = json!({"driverProgram": "s.py"});
    assert_error(
        &door.ask("POST", "/services/digits/reload", reload).await,
        400,
        "BadRequest",
    );

    door.operate("DELETE", "/services/digits", Value::Null)
        .await;
    assert_eq!(
        door.ask("DELETE", "/services/digits", Value::Null)
            .await
            .status,
        204
    );
    assert_error(
        &door.ask("GET", "/services/digits", Value::Null).await,
        404,
        "NotFound",
    );
}

#[tokio::test]
async fn lists_of_services_are_filtered() {
    let door = Door::open().await;
    door.deploy("one").await;
    door.deploy("two").await;
    let tag = json!([{"op": "add", "path": "/kvTags/team", "value": "red"}]);
    door.operate("PATCH", "/services/two", tag).await;
    for (query, expected) in [
        ("", &["one", "two"][..]),
        ("computeType=aks", &["one", "two"]),
        ("computeType=LOCAL", &[]),
        ("modelName=one", &["one"]),
        ("modelId=two:1", &["two"]),
        ("tags=team", &["two"]),
        ("tags=team=blue", &[]),
        ("properties=p", &[]),
        ("imageDigest=x", &[]),
        ("count=1", &["one"]),
    ] {
        let page = door
            .ask("GET", &format!("/services?{query}"), Value::Null)
            .await
            .json();
        let names: Vec<_> = page["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|service| service["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[tokio::test]
async fn a_refused_create_names_what_is_wrong() {
    let door = Door::open().await;
    door.deploy("digits").await;
    let image = json!({"modelIds": ["digits:1"]});
    let create = |more: Value| {
        let mut body =
            json!({"name": "digits", "computeType": "AKS", "environmentImageRequest": image});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        door.ask("POST", "/services", body)
    };
    assert_error(&create(json!({})).await, 409, "Conflict");
    let broken = json!({"name": "new", "autoScaler": {"minReplicas": 2}, "maxQueueWaitMs": 0});
    let reply = create(broken).await;
    assert_error(&reply, 400, "BadRequest");
    assert!(
        reply.json()["details"].as_array().unwrap().len() >= 2,
        "{}",
        reply.text
    );
    let missing = json!({"name": "new", "environmentImageRequest": {"driverProgram": "s.py",
        "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{}", Digest::of(b"absent"))}]}});
    let reply = create(missing).await;
    assert_error(&reply, 400, "BadRequest");
    assert!(reply.text.contains("is not stored here"), "{}", reply.text);
}

#[tokio::test]
async fn dry_checks_tell_what_they_find() {
    let door = Door::open().await;
    door.deploy("digits").await;
    let good = json!({"name": "new", "computeType": "AKS", "environmentImageRequest": {"modelIds": ["digits:1"]}});
    let taken = json!({"name": "digits", "computeType": "AKS"});
    let lost = json!({"name": "new", "computeType": "AKS", "environmentImageRequest": {"modelIds": ["digits:9"]}});
    for (path, body, expected) in [
        ("/name/fresh", Value::Null, None),
        ("/name/digits", Value::Null, Some("exists already")),
        ("/name/BAD", Value::Null, Some("is not a service name")),
        ("/resource", json!({"scoringTimeoutMs": 5}), None),
        (
            "/resource",
            json!({"scoringTimeoutMs": 300_001}),
            Some("over the limit"),
        ),
        ("", good, None),
        ("", taken, Some("exists already")),
        ("", lost, Some("no model `digits:9`")),
    ] {
        let reply = door
            .ask("POST", &format!("/services/validate{path}"), body)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let verdict = reply.json();
        assert_eq!(verdict["valid"], expected.is_none(), "{path}: {verdict}");
        match expected {
            None => assert_eq!(verdict["error"], Value::Null),
            Some(text) => assert!(verdict["error"]["message"].as_str().unwrap().contains(text)),
        }
    }
}

#[tokio::test]
async fn a_waiting_caller_is_let_go_when_the_node_stops() {
    let door = Door::open().await;
    door.register("endless").await;
    let body = json!({"name": "endless", "computeType": "AKS", "numReplicas": 1,
        "environmentImageRequest": {"modelIds": ["endless:1"]}});
    let accepted = door.ask("POST", "/services", body).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/operations/{id}?wait=true&seen=999");
    door.stopping.cancel();
    // Without the cancellation the wait would take 30 s.
    let asked = door.ask("GET", &path, Value::Null);
    let reply = tokio::time::timeout(Duration::from_secs(15), asked).await;
    assert_eq!(reply.unwrap().json()["state"], "Running");
}

/// Method and path of every operation of the admin door in the document.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if item.get("servers").is_some() {
            continue;
        }
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
        {
            found.insert((method.clone(), path.clone()));
        }
    }
    found
}

#[tokio::test]
async fn the_document_lists_every_route_and_every_listed_route_answers() {
    let door = Door::open().await;
    let document = door
        .send("GET", "/openapi.json", Body::empty())
        .await
        .json();
    let listed = documented(&document);
    let below = |prefix: &str, routes: Vec<routes::Route>| -> Vec<_> {
        routes
            .into_iter()
            .map(|route| (route.method.to_owned(), format!("{prefix}{}", route.path)))
            .collect()
    };
    let mut served: BTreeSet<_> = below(WORKSPACE, routes::workspace()).into_iter().collect();
    served.extend(below("", routes::node()));
    assert_eq!(listed, served);

    for (method, path) in listed {
        let path = path
            .replace("{workspace}", "local")
            .replace("{name}", "absent")
            .replace("{id}", "absent:1")
            .replace("{version}", "1")
            .replace("{key}", "0123456789abcdef0123456789abcdef")
            .replace("{digest}", &Digest::of(b"absent").to_string());
        let reply = door.send(&method, &path, "{}").await;
        assert_ne!(reply.status, 405, "{method} {path}");
        assert!(!reply.text.contains("no route"), "{method} {path}");
    }
}
