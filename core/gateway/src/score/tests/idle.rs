//! Connections that are idle: parked, woken, and closed in the end.

use super::*;

fn parking(idle: Duration) -> ScoringOptions {
    let mut options = ScoringOptions::default();
    options.listener.park_after = Duration::from_millis(1);
    options.listener.idle_timeout = idle;
    options
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_parked_connection_takes_requests_as_before() {
    let node = Node::with(route_that(Behaviour::Echo), parking(LONG)).await;
    let mut client = node.connect().await;
    for number in 0..5 {
        let body = format!("body {number}");
        let text = request("POST", SCORE, &[BEARER], &body);
        // The first bytes wake it; the rest comes when hyper waits for it.
        let (begin, rest) = text.split_at(text.len() / 2);
        client.send(begin).await;
        until(|| node.books.idle_connections() == 0).await;
        client.send(rest).await;
        assert_eq!(client.answer().await.json()["body"], body);
        until(|| node.books.idle_connections() == 1).await;
    }
    assert_eq!(node.books.open_connections(), 1);
    drop(client);
    until(|| node.books.open_connections() == 0).await;
    assert_eq!(node.books.idle_connections(), 0);
}

#[tokio::test]
async fn a_connection_with_work_is_not_parked() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::with(route_to(info(), &replica), parking(LONG)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(node.books.idle_connections(), 0);
    replica.go_on.notify_one();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_refused_body_is_read_out_before_its_connection_is_parked() {
    let node = Node::with(route_that(Behaviour::Echo), parking(LONG)).await;
    let mut client = node.connect().await;
    let text = request("POST", "/nowhere", &[], "seven");
    let (begin, rest) = text.split_at(text.len() - 1);
    client.send(begin).await;
    assert_eq!(client.answer().await.status, 404);
    tokio::time::sleep(SHORT).await;
    assert_eq!(node.books.idle_connections(), 0);
    client.send(rest).await;
    until(|| node.books.idle_connections() == 1).await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(client.answer().await.json()["body"], "x");
}

#[tokio::test]
async fn a_parked_connection_is_closed_in_the_end_and_by_its_door() {
    let node = Node::with(route_that(Behaviour::Echo), parking(SHORT)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);

    let node = Node::with(route_that(Behaviour::Echo), parking(LONG)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(client.answer().await.status, 200);
    until(|| node.books.idle_connections() == 1).await;
    node.shutdown.cancel();
    assert!(client.is_closed().await);
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
}
