//! Corners of HTTP/1: leave to send, strange lengths and chunks, callers who read slowly.

use super::*;

fn head(more: &str) -> String {
    request("POST", SCORE, &[BEARER], "").replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"))
}

#[tokio::test]
async fn who_asks_first_and_is_refused_gets_no_leave_to_send() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let asks = "Expect: 100-continue\r\nContent-Length: 5";
    let long = format!("{asks}\r\nx-request-id: {}", "i".repeat(101));
    for (head, status) in [
        (head(asks).replace("first", "wrong"), 401),
        (head(asks).replace("digits", "other"), 404),
        (head(asks).replace("POST", "DELETE"), 405),
        (head(&long), 431),
    ] {
        let mut client = node.connect().await;
        client.send(head).await;
        assert_eq!(client.answer().await.status, status);
        assert!(client.is_closed().await, "{status} and leave to send");
    }
}

#[tokio::test]
async fn who_asks_first_and_sends_at_once_is_answered() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let asks = head("Expect: 100-continue\r\nContent-Length: 5");
    for body in ["seven", "eight"] {
        client.send(asks.clone() + body).await;
        let mut answer = client.answer().await;
        if answer.status == 100 {
            answer = client.answer().await;
        }
        assert_eq!((answer.status, &answer.json()["body"]), (200, &body.into()));
    }
}

#[tokio::test]
async fn lengths_that_contradict_themselves_are_400_and_the_connection_ends() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    for lengths in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: -5",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: chunked, gzip",
    ] {
        let mut client = node.connect().await;
        client.send(head(lengths)).await;
        assert_eq!(client.answer().await.status, 400, "{lengths}");
        assert!(client.is_closed().await, "{lengths}");
    }
}

#[tokio::test]
async fn a_request_with_length_and_chunks_is_never_two_requests() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let both = head("Content-Length: 4\r\nTransfer-Encoding: chunked");
    // To a reader of the length, what follows the first four bytes is another request.
    let hidden = request("GET", "/nowhere", &[], "");
    let body = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    client.send(both + &body).await;
    let answer = client.answer().await;
    match answer.status {
        400 => {}
        status => assert_eq!((status, &answer.json()["body"]), (200, &hidden.into())),
    }
    client.end_sending().await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn chunks_that_break_the_rules_are_400_and_nothing_runs() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::serving(route_to(info(), &replica)).await;
    for chunks in [
        "not a size\r\n",
        "5\r\nseven and more\r\n",
        "fffffffffffffffff\r\n",
        "5 seven\r\n",
        "5\r\nseven\r\n0\r\nno trailer\r\n\r\n",
    ] {
        let mut client = node.connect().await;
        client
            .send(head("Transfer-Encoding: chunked") + chunks)
            .await;
        assert_eq!(client.answer().await.status, 400, "{chunks:?}");
        assert!(client.is_closed().await, "{chunks:?}");
    }
    assert_eq!(replica.begun(), 0);
    until(|| node.books.buffered_bytes() == 0).await;
}

#[tokio::test]
async fn trailers_without_end_are_refused() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let trailers = "x-sum: 7\r\n".repeat(16 * 1024);
    client
        .send(head("Transfer-Encoding: chunked") + "0\r\n" + &trailers)
        .await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn extensions_of_chunks_are_overlooked() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client.send(head("Transfer-Encoding: chunked")).await;
    client.send("5;name=value\r\nseven\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.json()["body"], "seven");
}

#[tokio::test]
async fn a_caller_who_reads_slowly_holds_no_slot() {
    let large = reply(StatusCode::OK, &"x".repeat(32 * 1024 * 1024));
    let node = Node::serving(route_that(Behaviour::Reply(large))).await;
    let route = node.router.route("digits").expect("published");
    assert_eq!(route.status().slots, 1);
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut client = node.connect().await;
        client.send(request("POST", SCORE, &[BEARER], "x")).await;
        slow.push(client);
    }
    // Each has been answered as far as the replica is concerned; none has read a byte.
    until(|| route.status().counters.by_class.iter().sum::<u64>() == 3).await;
    assert_eq!((route.status().busy, route.status().queued), (0, 0));
    assert_eq!(node.books.open_connections(), 3);
    for mut client in slow {
        assert_eq!(client.answer().await.body.len(), 32 * 1024 * 1024);
    }
}

#[tokio::test]
async fn http10_is_answered_and_closed_unless_it_asks_to_stay() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let old = request("POST", SCORE, &[BEARER], "x").replace("HTTP/1.1", "HTTP/1.0");
    let mut client = node.connect().await;
    client.send(&old).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);

    let stays = old.replace("Host:", "Connection: keep-alive\r\nHost:");
    let mut client = node.connect().await;
    for _ in 0..2 {
        client.send(&stays).await;
        assert_eq!(client.answer().await.status, 200);
    }
}
