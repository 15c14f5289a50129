//! What callers have sent when the door closes is answered, whatever it was doing then.

use std::net::Ipv4Addr;

use lusk_router::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    serve_scoring,
    testing::{Answer, Client},
};

fn last(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
}

/// Serves as long as its door, which closes at once, is not through with its callers.
async fn closing_at_once(listener: TcpListener) {
    let router = Arc::new(Router::new());
    router.publish(route_that(Behaviour::Echo));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let served = serve_scoring(listener, router, ScoringOptions::default(), shutdown);
    within(served).await.expect("served");
}

#[tokio::test]
async fn who_waits_in_the_listener_when_the_door_closes_is_answered() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut clients = Vec::new();
    for body in ["x", "y", "z"] {
        let mut client = Client::connect(address).await;
        client.send(request("POST", SCORE, &[BEARER], body)).await;
        clients.push((client, body));
    }
    let silent = Client::connect(address).await;
    closing_at_once(listener).await;
    for (mut client, body) in clients {
        let answer = client.answer().await;
        last(&answer);
        assert_eq!(answer.json()["body"], body);
        assert!(client.is_closed().await);
    }
    drop(silent);
}

/// On one thread, which hears of what a caller has sent only after it was told to close.
#[tokio::test]
async fn what_a_kept_connection_has_sent_when_the_door_closes_is_answered() {
    for park_after in [Duration::from_millis(1), Duration::from_mins(1)] {
        let mut options = ScoringOptions::default();
        options.listener.park_after = park_after;
        let node = Node::with(route_that(Behaviour::Echo), options).await;
        let mut client = node.connect().await;
        client.send(request("POST", SCORE, &[BEARER], "x")).await;
        assert_eq!(client.answer().await.status, 200);
        if park_after < SHORT {
            until(|| node.books.idle_connections() == 1).await;
        }
        client.send_now(&request("POST", SCORE, &[BEARER], "y"));
        node.shutdown.cancel();
        let answer = client.answer().await;
        last(&answer);
        assert_eq!(answer.json()["body"], "y");
        within(node.served)
            .await
            .expect("no panic")
            .expect("served");
    }
}

#[tokio::test]
async fn a_head_that_was_begun_has_a_moment_to_be_finished() {
    let text = request("POST", SCORE, &[BEARER], "x");
    for (is_first, at) in [(true, 1), (true, 20), (false, 1), (false, 20)] {
        let node = Node::serving(route_that(Behaviour::Echo)).await;
        let (mut client, mut other) = (node.connect().await, node.connect().await);
        if !is_first {
            client.send(text.clone()).await;
            assert_eq!(client.answer().await.status, 200);
        }
        client.send_now(&text[..at]);
        node.shutdown.cancel();
        assert!(other.is_closed().await);
        client.send(text[at..].to_owned()).await;
        last(&client.answer().await);
        within(node.served)
            .await
            .expect("no panic")
            .expect("served");
    }
}

#[tokio::test]
async fn a_head_that_is_not_finished_does_not_hold_the_end_up() {
    let mut options = ScoringOptions::default();
    options.listener.grace = Duration::from_hours(1);
    options.listener.header_timeout = Duration::from_hours(1);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut clients = Vec::new();
    for begun in ["P", "POST /api/v1/service/digits/score HTTP/1.1\r\nHost: l"] {
        let mut client = node.connect().await;
        client.send(begun).await;
        clients.push(client);
    }
    until(|| node.books.open_connections() == 2).await;
    node.shutdown.cancel();
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
    for client in &mut clients {
        assert!(client.is_closed().await);
    }
}
