//! The scoring contract: codes, bodies and headers, with a plain and a raw
//! script. What a script must do is in the request, so that one deployment
//! serves many rows.

use serde_json::json;

use crate::{
    http::{Connection, Reply, Request},
    lusk::{Lusk, constant, running, until},
};

/// Does what its body says.
const PLAIN: &str = r#"
import json

def init():
    pass

def run(raw_data, request_headers):
    if raw_data == 'none':
        return None
    if raw_data == 'text':
        return 'quo"ted'
    if raw_data == 'raise':
        raise ValueError('the words of the script')
    if raw_data == 'unserialisable':
        return object()
    if raw_data == 'headers':
        return {name.lower(): value for name, value in request_headers.items()}
    return {'got': raw_data}
"#;

/// Answers with the status in its body.
const RAW: &str = r#"
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    if request.method == 'GET':
        return AMLResponse(dict(request.args), 200, json_str=True)
    body = request.get_data()
    if body[:1] == b'\xff':
        return AMLResponse({'bytes': len(body)}, 200, json_str=True)
    return AMLResponse('told to', int(body), {'x-mine': 'a,b'})
"#;

fn service(name: &str, script: &str) -> Lusk {
    let lusk = Lusk::start(name);
    lusk.deploy(name).python(script).done();
    lusk
}

#[test]
fn results_become_json() {
    let lusk = service("results", PLAIN);
    for (body, answer) in [
        ("hello", r#"{"got": "hello"}"#),
        ("none", "{}"),
        ("text", r#""quo\"ted""#),
        ("", r#"{"got": ""}"#),
        ("žluť", "{\"got\": \"\\u017elu\\u0165\"}"),
    ] {
        let reply = lusk.score("results", body).expect(200);
        assert_eq!(reply.text(), answer);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
        let time = reply.header("x-ms-run-fn-exec-ms").unwrap();
        assert_eq!(time.split_once('.').unwrap().1.len(), 3, "{time}");
    }
}

#[test]
fn failures_of_a_script_are_502_and_its_words_stay_in_the_log() {
    let lusk = service("raises", PLAIN);
    let reply = lusk.score("raises", "raise").expect(502);
    assert!(!reply.message().contains("the words of the script"));
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("True"));
    let log = lusk.cli(&["service", "get-logs", "-n", "raises"]).ok();
    assert!(log.contains("the words of the script"), "{log}");

    let reply = lusk.score("raises", "unserialisable").expect(502);
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
    lusk.score("raises", "fine").expect(200);
}

#[test]
fn text_that_is_no_text_is_400() {
    let lusk = service("utf-8", PLAIN);
    let reply = lusk.score("utf-8", [0xff, 0xfe, 0x00]).expect(400);
    assert!(!reply.message().is_empty());
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
}

#[test]
fn a_query_is_a_body_too() {
    let lusk = service("query", PLAIN);
    let reply = Request::new(
        "GET",
        "/api/v1/service/query/score?a=1&a=2&b=x&c=%7B%22d%22%3A1%7D",
    )
    .bearer(&lusk.key("query"))
    .send(lusk.scoring)
    .expect(200);
    let got = reply.json()["got"].as_str().unwrap().to_owned();
    let got: serde_json::Value = serde_json::from_str(&got).unwrap();
    assert_eq!(got, json!({"a": [1, 2], "b": "x", "c": {"d": 1}}));
}

#[test]
fn a_body_with_the_content_type_of_curl_is_delivered() {
    let lusk = service("form", PLAIN);
    let reply = Request::new("POST", "/api/v1/service/form/score")
        .bearer(&lusk.key("form"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("{\"a\": 1}")
        .send(lusk.scoring);
    assert_eq!(reply.expect(200).json()["got"], "{\"a\": 1}");
}

#[test]
fn a_script_sees_headers_but_never_the_key() {
    let lusk = service("headers", PLAIN);
    let reply = lusk
        .score_request("headers", "headers")
        .header("x-mine", "1")
        .send(lusk.scoring);
    let seen = reply.expect(200).json();
    assert_eq!(seen["x-mine"], "1");
    assert_eq!(seen["content-type"], "application/json");
    assert!(seen.get("authorization").is_none(), "{seen}");
}

#[test]
fn ids_of_a_request_come_back_by_the_table() {
    let lusk = service("ids", PLAIN);
    let names = ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"];
    for (given, expected) in [
        (["", "", ""], ["new", "new", ""]),
        (["A", "", ""], ["A", "A", ""]),
        (["", "B", ""], ["new", "B", "B"]),
        (["", "", "C"], ["new", "C", "C"]),
        (["A", "B", "C"], ["A", "B", "C"]),
    ] {
        let mut request = lusk.score_request("ids", "x");
        for (name, value) in names
            .iter()
            .zip(given)
            .filter(|(_, value)| !value.is_empty())
        {
            request = request.header(name, value);
        }
        let reply = request.send(lusk.scoring).expect(200);
        let new = reply.header("x-request-id").unwrap().to_owned();
        for (name, value) in names.iter().zip(expected) {
            let expected = match value {
                "" => None,
                "new" => Some(new.as_str()),
                given => Some(given),
            };
            assert_eq!(reply.header(name), expected, "{name} of {given:?}");
        }
        assert!(new == "A" || new.len() == 36, "{new}");
    }
    let long = "i".repeat(101);
    let reply = lusk
        .score_request("ids", "x")
        .header("x-request-id", &long)
        .send(lusk.scoring);
    reply.expect(431).message();
}

#[test]
fn every_answer_says_who_gives_it() {
    let lusk = service("server", PLAIN);
    for body in ["fine", "raise"] {
        let reply = lusk
            .score_request("server", body)
            .header("TraceId", "t-1")
            .send(lusk.scoring);
        assert_eq!(reply.header("traceid"), Some("t-1"));
        let server = reply.header("x-ms-server-version").unwrap();
        assert!(server.starts_with("lusk/"), "{server}");
    }
}

#[test]
fn who_has_no_key_learns_nothing() {
    let lusk = service("auth", PLAIN);
    let path = "/api/v1/service/auth/score";
    let first = Request::new("POST", path)
        .body("x")
        .send(lusk.scoring)
        .expect(401);
    assert_eq!(first.header("www-authenticate"), Some("Bearer"));
    for value in ["Bearer wrong", "Bearer ", "Basic x", "x"] {
        let reply = Request::new("POST", path)
            .header("Authorization", value)
            .body("x")
            .send(lusk.scoring);
        assert_eq!(reply.expect(401).message(), first.message(), "{value}");
    }
    let keys = lusk
        .cli(&["service", "get-keys", "-n", "auth", "-o", "json"])
        .json();
    for kind in ["primaryKey", "secondaryKey"] {
        let key = keys[kind].as_str().unwrap();
        assert_eq!(key.len(), 32);
        Request::new("POST", path)
            .bearer(key)
            .body("x")
            .send(lusk.scoring)
            .expect(200);
    }
}

#[test]
fn paths_and_methods_that_lead_nowhere() {
    let lusk = service("paths", PLAIN);
    let key = lusk.key("paths");
    let ask = |method: &str, path: &str| Request::new(method, path).bearer(&key).send(lusk.scoring);
    let unknown = ask("POST", "/api/v1/service/absent/score").expect(404);
    assert!(!unknown.message().contains("paths"));
    ask("GET", "/nothing").expect(404);
    ask("GET", "/api/v1/service/paths/nothing").expect(404);
    ask("PUT", "/api/v1/service/paths/score").expect(405);
    ask("DELETE", "/api/v1/service/paths/score").expect(405);
    ask("OPTIONS", "/api/v1/service/paths/score").expect(200);
    ask("GET", "/").expect(200);
    ask("GET", "/api/v1/service/paths/").expect(200);
    let twin = Request::new("POST", "/api/v1/endpoint/paths/score")
        .bearer(&key)
        .body("x");
    twin.send(lusk.scoring).expect(200);
}

#[test]
fn swagger_describes_the_service() {
    let lusk = service("swagger", PLAIN);
    let ask = |query: &str| -> Reply {
        Request::new(
            "GET",
            &format!("/api/v1/service/swagger/swagger.json{query}"),
        )
        .bearer(&lusk.key("swagger"))
        .send(lusk.scoring)
    };
    let document = ask("").expect(200).json();
    assert_eq!(document["swagger"], "2.0");
    assert_eq!(
        document["definitions"]["ServiceInput"],
        json!({"type": "object", "example": {}})
    );
    assert_eq!(ask("?version=3").expect(200).json()["openapi"], "3.0.3");
    assert_eq!(ask("?version=3.1").expect(200).json()["openapi"], "3.1.0");
    ask("?version=4").expect(404);
}

#[test]
fn a_raw_script_sets_status_and_headers() {
    let lusk = service("raw", RAW);
    for status in [200, 201, 404, 418] {
        let reply = lusk.score("raw", status.to_string()).expect(status);
        assert_eq!(reply.text(), "told to");
        assert_eq!(reply.header("x-mine"), Some("a, b"));
        assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
    }
    let reply = lusk.score("raw", "503").expect(503);
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("True"));
    lusk.score("raw", "500").expect(502);
    let reply = lusk.score("raw", [0xff; 10]).expect(200);
    assert_eq!(reply.json()["bytes"], 10);
    let reply = Request::new("GET", "/api/v1/service/raw/score?a=1").bearer(&lusk.key("raw"));
    assert_eq!(
        reply.send(lusk.scoring).expect(200).json(),
        json!({"a": "1"})
    );
}

#[test]
fn without_auth_anybody_may_call() {
    let lusk = Lusk::start("open");
    lusk.deploy("open")
        .wat(&constant("1"))
        .args(&["--ae", "false"])
        .done();
    let reply = Request::new("POST", "/api/v1/service/open/score")
        .body("x")
        .send(lusk.scoring);
    assert_eq!(reply.expect(200).text(), "1");
}

#[test]
fn a_full_service_is_503_and_says_when_to_come_back() {
    let lusk = Lusk::start("full");
    let endless = running("(loop $l (br $l)) (i64.const 0)");
    lusk.deploy("full")
        .wat(&endless)
        .args(&["--mr", "100", "--tm", "20000"])
        .done();
    let first = lusk.score_request("full", "x");
    let mut busy = Connection::open(lusk.scoring).unwrap();
    busy.write(first.head().as_bytes()).unwrap();
    busy.write(b"x").unwrap();
    until("the only slot is busy", || {
        lusk.metric("lusk_slots_busy", "full") == 1.0
    });
    let reply = lusk.score("full", "x").expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    let message = reply.message();
    assert!(message.contains("maxQueueWaitMs is 100"), "{message}");
    assert_eq!(lusk.metric("lusk_requests_overloaded_total", "full"), 1.0);

    // Who goes away frees the slot: the script is interrupted.
    drop(busy);
    until("the slot is free again", || {
        lusk.metric("lusk_slots_busy", "full") == 0.0
    });
    assert_eq!(lusk.metric("lusk_requests_abandoned_total", "full"), 1.0);
}

#[test]
fn slots_are_replicas_times_requests() {
    let lusk = Lusk::start("slots");
    lusk.deploy("slots")
        .wat(&constant("1"))
        .args(&["--nr", "3", "--rm", "2"])
        .done();
    assert_eq!(lusk.metric("lusk_slots", "slots"), 6.0);
    assert_eq!(
        lusk.service("slots")["deploymentStatus"]["availableReplicas"],
        3
    );
}

#[test]
fn cors_is_answered_when_it_is_switched_on() {
    let lusk = Lusk::start("cors");
    lusk.file(
        "i.json",
        json!({"entryScript": "score.wat", "environment": {"name": "e",
        "environmentVariables": {"AML_CORS_ORIGINS": "https://a.example, https://b.example"}}})
        .to_string(),
    );
    lusk.file("score.wat", constant("1"));
    lusk.deploy("cors").args(&["--ic", "i.json"]).done();
    let origin = |origin: &str| {
        let request = lusk.score_request("cors", "x").header("Origin", origin);
        let reply = request.send(lusk.scoring).expect(200);
        reply
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(
        origin("https://b.example").as_deref(),
        Some("https://b.example")
    );
    assert_eq!(origin("https://c.example"), None);
}
