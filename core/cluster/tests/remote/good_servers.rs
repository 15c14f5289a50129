//! What passes between lusk and a server that is well.

use std::{collections::BTreeSet, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode};
use lusk_cluster::{RemoteHost, RemoteOptions};
use lusk_contract::{ScoreRequest, ScriptKind};

use super::{obey, options, replica, request, revision, score, start};
use crate::upstream::{Act, Upstream, answer};

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    // Below a prefix nothing is healthy but the prefix itself.
    let server = Upstream::start(|asked| match asked.head.split(' ').nth(1) {
        Some("/a/b/" | "/a/b/swagger.json") => Act::Send(answer(200, "", "{}")),
        _ => obey(asked),
    })
    .await;
    let authority = server.url.strip_prefix("http://").unwrap();
    let base = format!("{}/a/b/", server.url);
    let replica = start(&RemoteHost::new(options()), &revision(&[&base], 1), 0).await;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("front.example"));
    headers.insert("content-length", HeaderValue::from_static("999"));
    headers.insert("x-request-id", HeaderValue::from_static("me"));
    let sent = ScoreRequest {
        target: "/score?a=1&b=%20".to_owned(),
        headers,
        ..request("[1]")
    };
    let reply = replica.score(sent).await.unwrap();
    assert_eq!(reply.body, "[1]");
    let asked = server.seen.last();
    assert!(
        asked
            .head
            .starts_with("POST /a/b/score?a=1&b=%20 HTTP/1.1\r\n"),
        "{}",
        asked.head
    );
    assert!(asked.head.contains("x-request-id: me\r\n"));
    assert!(asked.head.contains("content-length: 3\r\n"));
    assert!(asked.head.contains(&format!("host: {authority}\r\n")));
    assert!(!asked.head.contains("front.example"));
}

#[tokio::test]
async fn an_answer_is_passed_on_whatever_its_status_is() {
    let server = Upstream::scoring(|asked| match asked.body.as_str() {
        "418" => Act::Send(answer(
            418,
            "x-mine: 1\r\nx-ms-run-function-failed: False\r\n",
            "tea",
        )),
        "503" => Act::Send(answer(503, "retry-after: 7\r\n", "later")),
        _ => Act::Send(answer(204, "x-ms-run-fn-exec-ms: 2.25\r\n", "")),
    })
    .await;
    let replica = replica(&server).await;
    let tea = score(&*replica, "418").await.unwrap();
    assert_eq!(
        (tea.status, &tea.body[..]),
        (StatusCode::IM_A_TEAPOT, &b"tea"[..])
    );
    assert_eq!(
        (tea.headers["x-mine"].as_bytes(), tea.function_failed),
        (&b"1"[..], false)
    );
    let later = score(&*replica, "503").await.unwrap();
    assert_eq!((later.status.as_u16(), later.function_failed), (503, true));
    assert_eq!(later.headers["retry-after"], "7");
    let nothing = score(&*replica, "").await.unwrap();
    assert_eq!(nothing.run_time, Some(Duration::from_micros(2250)));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Upstream::scoring(obey).await;
    let replica = replica(&server).await;
    for _ in 0..50 {
        assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
        replica.probe().await.unwrap();
    }
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn a_large_body_comes_whole_both_ways() {
    let server = Upstream::scoring(obey).await;
    let options = RemoteOptions {
        max_reply_bytes: 8 << 20,
        ..options()
    };
    let replica = start(&RemoteHost::new(options), &revision(&[&server.url], 1), 0).await;
    let body = "0123456789abcdef".repeat(512 << 10);
    assert_eq!(score(&*replica, &body).await.unwrap().body, body);
}

#[tokio::test]
async fn a_server_tells_its_schema() {
    let document = r#"{"swagger": "2.0", "definitions": {"ServiceInput": {
        "type": "object", "properties": {"data": {"type": "array"}}}}}"#;
    let server = Upstream::start(move |asked| {
        Act::Send(answer(
            200,
            "",
            if asked.is_probe() { "" } else { document },
        ))
    })
    .await;
    let told = replica(&server).await;
    assert_eq!(told.schema().kind, ScriptKind::Schema);
    assert_eq!(told.schema().input["properties"]["data"]["type"], "array");
    let silent = Upstream::scoring(obey).await;
    assert_eq!(replica(&silent).await.schema().kind, ScriptKind::Plain);
}

#[tokio::test]
async fn each_replica_stands_for_another_server_and_a_replacement_for_the_same() {
    let name = |name: &'static str| Upstream::scoring(move |_| Act::Send(answer(200, "", name)));
    let servers = [name("a").await, name("b").await, name("c").await];
    let urls = servers.each_ref().map(|server| server.url.as_str());
    let (host, revision) = (RemoteHost::new(options()), revision(&urls, 1));
    let mut replicas = Vec::new();
    for number in 5..8 {
        replicas.push(start(&host, &revision, number).await);
    }
    let mut names = Vec::new();
    for replica in &replicas {
        let reply = score(&**replica, "").await.unwrap();
        names.push(String::from_utf8(reply.body.to_vec()).unwrap());
    }
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
    drop(replicas.remove(1));
    let next = start(&host, &revision, 9).await;
    assert_eq!(score(&*next, "").await.unwrap().body, names[1]);
}
