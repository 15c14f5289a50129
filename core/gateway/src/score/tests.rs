//! The scoring door over real sockets.

use std::time::Duration;

use http::{HeaderName, header::SET_COOKIE};
use lusk_contract::{Replica, ScriptError};
use lusk_domain::AuthMode;
use lusk_router::Limits;

use super::*;
use crate::scoring::ScoringOptions;
use crate::testing::{
    BEARER, Behaviour, Fake, Node, SCORE, access, info, reply, request, route_that, route_to,
    until, within,
};

const SHORT: Duration = Duration::from_millis(50);

mod copies;
mod corners;
mod ends;
mod errors;
mod flow;
mod http2;
mod idle;
mod limits;
mod lives;
mod moves;
mod relays;
mod tls;
mod versions;

fn with_origins(origins: &str) -> lusk_router::RouteInfo {
    lusk_router::RouteInfo {
        cors: Some(origins.to_owned()),
        ..info()
    }
}

#[tokio::test]
async fn a_request_reaches_the_script_as_the_originals_server_would_see_it() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    for form in ["service", "endpoint"] {
        let path = format!("/api/v1/{form}/digits/score?a=1&b=x%20y");
        let headers = [
            BEARER,
            ("Content-Type", "application/json"),
            ("X-Mine", "1"),
        ];
        let answer = node.ask("POST", &path, &headers, "{\"data\":1}").await;
        assert_eq!(answer.status, 200);
        let seen = answer.json();
        assert_eq!(seen["method"], "POST");
        assert_eq!(seen["target"], "/score?a=1&b=x%20y");
        assert_eq!(seen["body"], "{\"data\":1}");
        assert_eq!(seen["headers"]["content-type"], "application/json");
        assert_eq!(seen["headers"]["x-mine"], "1");
        assert!(seen["headers"].get("authorization").is_none());
    }
}

#[tokio::test]
async fn get_is_scored_too() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let path = format!("{SCORE}?a=1");
    let answer = node.ask("GET", &path, &[BEARER], "").await;
    assert_eq!(answer.status, 200);
    let seen = answer.json();
    assert_eq!(
        (&seen["method"], &seen["target"]),
        (&"GET".into(), &"/score?a=1".into())
    );
    assert_eq!(seen["body"], "");
}

#[tokio::test]
async fn a_success_carries_every_header_of_the_contract() {
    let node = Node::serving(route_that(Behaviour::Reply(reply(StatusCode::OK, "seven")))).await;
    let headers = [BEARER, ("x-request-id", "a"), ("TraceId", "t")];
    let answer = node.ask("POST", SCORE, &headers, "x").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "seven"));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-request-id", "a"),
        ("x-ms-request-id", "a"),
        ("traceid", "t"),
        ("x-ms-run-function-failed", "False"),
        ("x-ms-run-fn-exec-ms", "1.500"),
        (
            "x-ms-server-version",
            concat!("lusk/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("x-lusk-retried"), None);
    assert_eq!(answer.header("x-ms-client-request-id"), None);
}

#[tokio::test]
async fn a_time_that_run_did_not_take_is_not_told() {
    let mut silent = reply(StatusCode::OK, "seven");
    silent.run_time = None;
    let node = Node::serving(route_that(Behaviour::Reply(silent))).await;
    assert_eq!(node.post("x").await.header("x-ms-run-fn-exec-ms"), None);
}

#[tokio::test]
async fn statuses_and_headers_of_a_script_pass_through() {
    for status in [201, 204, 302, 404, 418, 429, 501, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut from = reply(status, "");
        from.headers
            .append(SET_COOKIE, HeaderValue::from_static("a=1"));
        from.headers
            .append(SET_COOKIE, HeaderValue::from_static("b=2"));
        from.function_failed = status.is_server_error();
        let node = Node::serving(route_that(Behaviour::Reply(from))).await;
        let answer = node.post("x").await;
        assert_eq!(answer.status, status.as_u16());
        assert_eq!(answer.header("set-cookie"), Some("a=1|b=2"));
        let failed = if status.is_server_error() {
            "True"
        } else {
            "False"
        };
        assert_eq!(answer.header("x-ms-run-function-failed"), Some(failed));
    }
}

#[tokio::test]
async fn a_script_cannot_say_what_the_door_says() {
    let mut from = reply(StatusCode::OK, "seven");
    for (name, value) in [
        ("content-length", "2"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("x-request-id", "mine"),
        ("x-ms-run-function-failed", "maybe"),
        ("x-ms-server-version", "mine"),
    ] {
        let name = HeaderName::from_static(name);
        from.headers.insert(name, HeaderValue::from_static(value));
    }
    let node = Node::serving(route_that(Behaviour::Reply(from))).await;
    let mut client = node.connect().await;
    for _ in 0..2 {
        let headers = [BEARER, ("x-request-id", "a")];
        client.send(request("POST", SCORE, &headers, "x")).await;
        let answer = client.answer().await;
        assert_eq!(answer.body, "seven");
        assert_eq!(answer.header("x-request-id"), Some("a"));
        assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
        assert_eq!(answer.header("x-hop"), None);
        assert_eq!(answer.header("connection"), None);
    }
}

#[tokio::test]
async fn health_is_told_without_a_key_and_without_a_slot() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut busy = node.connect().await;
    busy.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    for path in ["/", "/api/v1/service/digits/", "/api/v1/endpoint/digits"] {
        let answer = node.ask("GET", path, &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "Healthy"));
        let answer = node.ask("HEAD", path, &[], "").await;
        assert_eq!(answer.status, 200);
    }
    node.router.route("digits").expect("published").remove(0);
    let answer = node.ask("GET", "/api/v1/service/digits/", &[], "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.message(), "No ready replicas for service digits");
    assert_eq!(node.ask("GET", "/", &[], "").await.status, 200);
}

#[tokio::test]
async fn without_auth_no_key_is_asked_for() {
    let route = route_that(Behaviour::Echo);
    route.set_access(access(AuthMode::None));
    let node = Node::serving(route).await;
    assert_eq!(node.ask("POST", SCORE, &[], "x").await.status, 200);
}

#[tokio::test]
async fn either_key_opens_and_a_changed_key_opens_at_once() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let second = ("Authorization", "Bearer the-second-key");
    assert_eq!(node.ask("POST", SCORE, &[second], "x").await.status, 200);
    let mut changed = access(AuthMode::Key);
    changed.keys.secondary_key = lusk_domain::Secret::new("the-third-key");
    node.router
        .route("digits")
        .expect("published")
        .set_access(changed);
    assert_eq!(node.ask("POST", SCORE, &[second], "x").await.status, 401);
    let third = ("Authorization", "bearer the-third-key");
    assert_eq!(node.ask("POST", SCORE, &[third], "x").await.status, 200);
    assert_eq!(node.post("x").await.status, 200);
}

#[tokio::test]
async fn options_is_answered_without_a_key_and_without_the_script() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::serving(route_to(info(), &replica)).await;
    let answer = node.ask("OPTIONS", SCORE, &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
    assert_eq!(replica.begun(), 0);
}

#[tokio::test]
async fn a_raw_script_answers_options_itself_to_who_has_a_key() {
    let mut raw = info();
    raw.schema.kind = ScriptKind::Raw;
    let node = Node::serving(route_to(raw, &Fake::new(Behaviour::Echo))).await;
    assert_eq!(node.ask("OPTIONS", SCORE, &[], "").await.status, 401);
    let answer = node.ask("OPTIONS", SCORE, &[BEARER], "").await;
    assert_eq!(answer.json()["method"], "OPTIONS");
}

#[tokio::test]
async fn browsers_of_named_origins_may_read() {
    let replica = Fake::new(Behaviour::Echo);
    let origins = "https://a.example,https://b.example";
    let mut raw = with_origins(origins);
    raw.schema.kind = ScriptKind::Raw;
    for info in [with_origins(origins), raw] {
        let node = Node::serving(route_to(info, &replica)).await;
        let preflight = [
            ("Origin", "https://b.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization"),
        ];
        let answer = node.ask("OPTIONS", SCORE, &preflight, "").await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("access-control-allow-origin", "https://b.example"),
            ("access-control-allow-methods", "GET, POST"),
            ("access-control-allow-headers", "authorization"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert_eq!(replica.begun(), 0);

        let foreign = [BEARER, ("Origin", "https://c.example")];
        let answer = node.ask("POST", SCORE, &foreign, "x").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        replica.begun.store(0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test]
async fn errors_carry_the_origin_too() {
    let info = with_origins("https://a.example");
    let node = Node::serving(route_to(info, &Fake::new(Behaviour::Echo))).await;
    let answer = node.ask("POST", SCORE, &[], "x").await;
    assert_eq!(answer.status, 401);
    let origin = answer.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://a.example"));
}

#[tokio::test]
async fn swagger_needs_the_key_and_names_the_path_it_was_asked_under() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let path = "/api/v1/endpoint/digits/swagger.json?version=3";
    assert_eq!(node.ask("GET", path, &[], "").await.status, 401);
    let answer = node.ask("GET", path, &[BEARER], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["openapi"], "3.0.3");
    assert!(answer.json()["paths"]["/api/v1/endpoint/digits/score"].is_object());
}

#[tokio::test]
async fn a_second_replica_that_answers_is_told() {
    let broken = ScriptError::NotBegun("its process is gone".to_owned());
    let route = route_to(info(), &Fake::new(Behaviour::Fail(broken)));
    route.add(1, Fake::new(Behaviour::Echo) as Arc<dyn Replica>, 1);
    let node = Node::serving(route).await;
    let answer = node.post("x").await;
    assert_eq!(
        (answer.status, answer.header("x-lusk-retried")),
        (200, Some("1"))
    );
}
