//! Lives of connections: callers who go, requests in a row, routes that change, the end.

use super::*;

#[tokio::test]
async fn a_caller_who_goes_interrupts_the_script() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    drop(client);
    until(|| replica.interrupted() == 1).await;
    let route = node.router.route("digits").expect("published");
    assert_eq!(route.status().busy, 0);
    assert_eq!(route.status().counters.abandoned, 1);
}

#[tokio::test]
async fn a_caller_who_goes_while_queued_is_never_run() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let route = node.router.route("digits").expect("published");
    let mut first = node.connect().await;
    first.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    let mut gone = node.connect().await;
    gone.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| route.status().queued == 1).await;
    drop(gone);
    until(|| route.status().queued == 0).await;
    replica.go_on.notify_one();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(replica.begun(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_in_the_middle_of_a_body_leaves_nothing() {
    let options = ScoringOptions {
        max_buffered_bytes: 1500,
        ..ScoringOptions::default()
    };
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    for _ in 0..5 {
        let mut client = node.connect().await;
        let whole = request("POST", SCORE, &[BEARER], &"x".repeat(1400));
        client.send(&whole[..whole.len() - 10]).await;
    }
    // The share of the budget comes back as soon as the door sees that the callers went.
    within(async { while node.post(&"x".repeat(1400)).await.status != 200 {} }).await;
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_order() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let all: String = (0..10)
        .map(|number| request("POST", SCORE, &[BEARER], &format!("body {number}")))
        .collect();
    client.send(all).await;
    for number in 0..10 {
        let answer = client.answer().await;
        assert_eq!(answer.json()["body"], format!("body {number}"));
    }
}

#[tokio::test]
async fn a_connection_takes_one_request_after_another() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    for (key, status) in [("wrong", 401), ("the-first-key", 200), ("wrong", 401)] {
        let header = format!("Bearer {key}");
        let headers = [("Authorization", header.as_str())];
        client.send(request("POST", SCORE, &headers, "x")).await;
        assert_eq!(client.answer().await.status, status);
    }
}

#[tokio::test]
async fn a_request_that_finds_its_route_closing_goes_on_to_the_next_one() {
    let old = route_that(Behaviour::Reply(reply(StatusCode::OK, "old")));
    let new = route_that(Behaviour::Reply(reply(StatusCode::OK, "new")));
    let node = Node::serving(Arc::clone(&old)).await;
    let mut client = node.connect().await;
    let headers = [BEARER, ("Expect", "100-continue"), ("Content-Length", "5")];
    client.send(request("POST", SCORE, &headers, "")).await;
    // The door has looked up the old route and waits for the body.
    assert_eq!(client.answer().await.status, 100);
    node.router.publish(new);
    old.drain().await;
    client.send("seven").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "new"));
}

#[tokio::test]
async fn a_request_whose_service_is_deleted_meanwhile_is_404() {
    let route = route_that(Behaviour::Echo);
    let node = Node::serving(Arc::clone(&route)).await;
    let mut client = node.connect().await;
    let headers = [BEARER, ("Expect", "100-continue"), ("Content-Length", "5")];
    client.send(request("POST", SCORE, &headers, "")).await;
    assert_eq!(client.answer().await.status, 100);
    node.router.withdraw(&route.info().name);
    route.drain().await;
    client.send("seven").await;
    assert_eq!(client.answer().await.status, 404);
}

#[tokio::test]
async fn a_door_that_closes_ends_what_runs_and_takes_nothing_new() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut idle = node.connect().await;
    idle.send(request("GET", "/", &[], "")).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut silent = node.connect().await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;

    node.shutdown.cancel();
    assert!(idle.is_closed().await);
    assert!(silent.is_closed().await);
    assert!(!node.served.is_finished());
    replica.go_on.notify_one();
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
    let refused = tokio::net::TcpStream::connect(node.address).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let replica = Fake::new(Behaviour::Wait);
    let mut options = ScoringOptions::default();
    options.listener.grace = SHORT;
    let node = Node::with(route_to(info(), &replica), options).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    node.shutdown.cancel();
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
    assert!(client.is_closed().await);
    assert_eq!(replica.interrupted(), 1);
}

#[tokio::test]
async fn a_caller_who_ends_sending_gets_the_answer() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    client.end_sending().await;
    if cfg!(target_os = "linux") {
        // By this the door finds out that somebody is still there.
        assert_eq!(client.answer().await.status, 100);
    }
    replica.go_on.notify_one();
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);
    assert_eq!(replica.interrupted(), 0);
}

#[tokio::test]
async fn a_caller_who_sends_all_and_ends_gets_all_answers() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let all: String = (0..3)
        .map(|number| request("POST", SCORE, &[BEARER], &format!("body {number}")))
        .collect();
    client.send(all).await;
    client.end_sending().await;
    for number in 0..3 {
        let mut answer = client.answer().await;
        while answer.status == 100 {
            answer = client.answer().await;
        }
        assert_eq!(answer.json()["body"], format!("body {number}"));
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_caller_who_ends_sending_and_then_goes_interrupts_the_script() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    client.end_sending().await;
    if cfg!(target_os = "linux") {
        assert_eq!(client.answer().await.status, 100);
    }
    assert_eq!(replica.interrupted(), 0);
    // It has said all and is silent: who goes with an answer unread tells so by a reset,
    // and any other is told of by the next word that it is sent.
    client.vanish();
    until(|| replica.interrupted() == 1).await;
}

#[tokio::test]
async fn a_caller_of_http10_who_ends_sending_is_taken_for_gone() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut client = node.connect().await;
    let old = request("POST", SCORE, &[BEARER], "x").replace("HTTP/1.1", "HTTP/1.0");
    client.send(old).await;
    until(|| replica.begun() == 1).await;
    client.end_sending().await;
    until(|| replica.interrupted() == 1).await;
}

#[tokio::test]
async fn a_caller_who_ends_sending_in_the_middle_of_a_body_is_400() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let whole = request("POST", SCORE, &[BEARER], "seven");
    client.send(&whole[..whole.len() - 1]).await;
    client.end_sending().await;
    let mut answer = client.answer().await;
    while answer.status == 100 {
        answer = client.answer().await;
    }
    assert_eq!(answer.status, 400);
    assert!(client.is_closed().await);
}
