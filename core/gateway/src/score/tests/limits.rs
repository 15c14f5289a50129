//! Bounds: what a caller may send, how long, and how many at a time.

use super::*;
use crate::books::Refusal;

fn options(change: impl FnOnce(&mut ScoringOptions)) -> ScoringOptions {
    let mut options = ScoringOptions::default();
    change(&mut options);
    options
}

fn small_bodies() -> ScoringOptions {
    options(|options| options.max_body_bytes = 1000)
}

fn head(more: &str) -> String {
    format!(
        "POST {SCORE} HTTP/1.1\r\nHost: lusk\r\n{}: {}\r\n{more}\r\n",
        BEARER.0, BEARER.1
    )
}

#[test]
fn a_body_may_have_100_million_bytes() {
    assert_eq!(ScoringOptions::default().max_body_bytes, 100_000_000);
}

#[tokio::test]
async fn a_body_of_the_limit_is_taken() {
    let node = Node::with(route_that(Behaviour::Echo), small_bodies()).await;
    let answer = node.post(&"x".repeat(1000)).await;
    assert_eq!(
        (answer.status, answer.json()["length"].as_u64()),
        (200, Some(1000))
    );
}

#[tokio::test]
async fn a_body_that_tells_it_is_too_long_is_refused_unread() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::with(route_to(info(), &replica), small_bodies()).await;
    let mut client = node.connect().await;
    client.send(head("Content-Length: 1001\r\n")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 413);
    assert!(answer.message().contains("1001 bytes, at most 1000"));
    assert_eq!(replica.begun(), 0);
}

#[tokio::test]
async fn a_caller_who_sends_all_before_looking_finds_the_answer() {
    let limit = 8 * 1024 * 1024;
    let options = options(|options| options.max_body_bytes = limit);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut client = node.connect().await;
    for (path, status) in [(SCORE, 413), ("/nowhere", 404)] {
        let body = "x".repeat(limit + usize::from(status == 413));
        client.send(request("POST", path, &[BEARER], &body)).await;
        assert_eq!(client.answer().await.status, status);
    }
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(
        client.answer().await.status,
        200,
        "the connection is still good"
    );
}

#[tokio::test]
async fn a_chunked_body_is_taken_up_to_the_limit() {
    let node = Node::with(route_that(Behaviour::Echo), small_bodies()).await;
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    let mut client = node.connect().await;
    client.send(head("Transfer-Encoding: chunked\r\n")).await;
    client.send(&chunk).await;
    client.send(&chunk).await;
    client.send("0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.json()["length"].as_u64()),
        (200, Some(1000))
    );

    client.send(head("Transfer-Encoding: chunked\r\n")).await;
    for _ in 0..3 {
        client.send(&chunk).await;
    }
    let answer = client.answer().await;
    assert_eq!(answer.status, 413);
    assert!(answer.message().contains("larger than 1000 bytes"));
}

#[tokio::test]
async fn a_body_in_many_parts_arrives_whole() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client.send(head("Content-Length: 300000\r\n")).await;
    for part in 0..30 {
        client.send(format!("{part:09}\n").repeat(1000)).await;
    }
    let seen = client.answer().await.json();
    let expected: String = (0..30)
        .map(|part| format!("{part:09}\n").repeat(1000))
        .collect();
    assert_eq!(seen["body"], expected);
}

#[tokio::test]
async fn who_asks_first_is_told_to_go_on_or_refused() {
    let node = Node::with(route_that(Behaviour::Echo), small_bodies()).await;
    let mut client = node.connect().await;
    let ask = |length: usize| {
        head(&format!(
            "Expect: 100-continue\r\nContent-Length: {length}\r\n"
        ))
    };
    client.send(ask(5)).await;
    assert_eq!(client.answer().await.status, 100);
    client.send("seven").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, &answer.json()["body"]),
        (200, &"seven".into())
    );

    client.send(ask(5000)).await;
    assert_eq!(client.answer().await.status, 413);
    assert!(client.is_closed().await, "leave to send after the refusal");
}

#[tokio::test]
async fn headers_of_64_kib_are_431() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let large = "h".repeat(64 * 1024);
    let answer = node
        .ask("POST", SCORE, &[BEARER, ("x-large", &large)], "x")
        .await;
    assert_eq!(answer.status, 431);
    assert!(answer.message().contains("at most 65536"));

    let fits = "h".repeat(63 * 1024);
    let answer = node
        .ask("POST", SCORE, &[BEARER, ("x-large", &fits)], "x")
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn headers_without_end_are_431_and_the_connection_closes() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    let endless = format!(
        "POST {SCORE} HTTP/1.1\r\nx-large: {}",
        "h".repeat(96 * 1024)
    );
    client.send(&endless[..96 * 1024]).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 431);
    assert!(answer.message().contains("65536 bytes"));
    assert!(client.is_closed().await);
    assert_eq!(refused(&node, Refusal::HeadersTooLarge), 1);
}

#[tokio::test]
async fn a_hundred_headers_are_taken_and_more_are_431() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let names: Vec<_> = (0..100).map(|number| format!("x-{number}")).collect();
    let mut headers = vec![BEARER];
    headers.extend(names.iter().map(|name| (name.as_str(), "1")));
    // The host and the length of the body are headers, too.
    let answer = node.ask("POST", SCORE, &headers[..98], "x").await;
    assert_eq!(answer.status, 200);
    let answer = node.ask("POST", SCORE, &headers[..99], "x").await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (431, Some("close"))
    );
    assert!(answer.message().contains("more than 100"));
}

#[tokio::test]
async fn a_request_in_one_go_with_what_is_none_is_answered_first() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client
        .send(request("POST", SCORE, &[BEARER], "x") + "\x01 nonsense\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.answer().await.status, 400);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_is_not_http_is_400() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client.send("\x16\x03\x01 this is no request\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("no request of HTTP"));
    assert!(client.is_closed().await);
    assert_eq!(refused(&node, Refusal::NotHttp), 1);
}

#[tokio::test]
async fn a_request_of_http11_names_one_host() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::with(route_to(info(), &replica), ScoringOptions::default()).await;
    for (hosts, count) in [("", "0"), ("Host: a\r\nHost: a\r\n", "2")] {
        let mut client = node.connect().await;
        let head = format!(
            "POST {SCORE} HTTP/1.1\r\n{hosts}Authorization: {}\r\n",
            BEARER.1
        );
        client.send(head + "Content-Length: 1\r\n\r\nx").await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (400, Some("close"))
        );
        let words = format!("has {count} `Host` headers");
        assert!(answer.message().contains(&words), "{answer:?}");
        assert!(client.is_closed().await);
    }
    assert_eq!((replica.begun(), refused(&node, Refusal::NotHttp)), (0, 2));
    let mut client = node.connect().await;
    let head = format!("POST {SCORE} HTTP/1.0\r\nAuthorization: {}\r\n", BEARER.1);
    client.send(head + "Content-Length: 1\r\n\r\nx").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_caller_who_stops_in_the_headers_is_cut_off() {
    let options = options(|options| options.listener.header_timeout = SHORT);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut silent = node.connect().await;
    assert!(silent.is_closed().await);
    for begun in ["P", "POST /api/v1/service/digits/score HTTP/1.1\r\nHost: l"] {
        let mut client = node.connect().await;
        client.send(begun).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 408, "{begun:?}");
        assert!(answer.message().contains("50 ms"));
        assert!(client.is_closed().await);
    }
    assert_eq!(refused(&node, Refusal::HeadersSlow), 2);
}

#[tokio::test]
async fn a_caller_who_sends_headers_byte_by_byte_is_cut_off() {
    let options = options(|options| options.listener.header_timeout = SHORT);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    assert_eq!(drip(&node, "").await, 408);
}

#[tokio::test]
async fn a_caller_who_sends_a_body_byte_by_byte_is_408() {
    let options = options(|options| {
        options.body_timeout = SHORT;
        options.min_body_rate = 1_000_000;
    });
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::with(route_to(info(), &replica), options).await;
    let begun = head("Content-Length: 1000000\r\n");
    assert_eq!(drip(&node, &begun).await, 408);
    assert_eq!(replica.begun(), 0);
    until(|| node.books.buffered_bytes() == 0).await;
    assert_eq!(refused(&node, Refusal::BodySlow), 1);
}

/// Sends one byte after another, and returns the status that comes.
async fn drip(node: &Node, begun: &str) -> u16 {
    let stream = tokio::net::TcpStream::connect(node.address).await;
    let (mut read, mut write) = stream.expect("a connection").into_split();
    let begun = begun.to_owned();
    let drip = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        if write.write_all(begun.as_bytes()).await.is_err() {
            return;
        }
        // Ends by an error, when the other side has closed.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let mut rest = Vec::new();
    let closed = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut rest);
    // Either end of a connection that is cut off: an orderly one or a reset.
    let _ = within(closed).await;
    within(drip).await.expect("no panic");
    let text = String::from_utf8(rest).expect("text");
    text.get(9..12)
        .unwrap_or_default()
        .parse()
        .expect("a status")
}

fn refused(node: &Node, which: Refusal) -> u64 {
    let found = node.books.refused().find(|(refusal, _)| *refusal == which);
    found.map_or(0, |(_, count)| count)
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let options = options(|options| options.listener.header_timeout = SHORT);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_caller_who_stops_in_the_body_is_408_and_closed() {
    let options = options(|options| options.body_timeout = SHORT);
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::with(route_to(info(), &replica), options).await;
    let mut client = node.connect().await;
    client.send(head("Content-Length: 10\r\n")).await;
    client.send("seven").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (408, Some("close"))
    );
    assert!(answer.message().contains("50 ms"));
    assert!(client.is_closed().await);
    assert_eq!(replica.begun(), 0);
}

#[tokio::test]
async fn a_chunked_body_that_breaks_the_rules_is_400() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client.send(head("Transfer-Encoding: chunked\r\n")).await;
    client.send("not a size\r\n").await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn one_connection_too_many_is_503_and_a_place_that_is_free_again_is_taken() {
    let options = options(|options| options.listener.max_connections = 1);
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut first = node.connect().await;
    first.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(first.answer().await.status, 200);
    let mut over = node.connect().await;
    let answer = over.answer().await;
    assert_eq!(
        (
            answer.status,
            answer.header("retry-after"),
            answer.header("connection")
        ),
        (503, Some("1"), Some("close"))
    );
    assert!(answer.message().contains("1 connections open"));
    assert!(over.is_closed().await);
    assert_eq!(refused(&node, Refusal::ConnectionsFull), 1);
    assert_eq!(node.books.open_connections(), 1);
    drop(first);
    until(|| node.books.open_connections() == 0).await;
    assert_eq!(node.post("x").await.status, 200);
}

#[tokio::test]
async fn a_caller_who_never_reads_is_cut_off() {
    let answer = "x".repeat(32 * 1024 * 1024);
    let options = options(|options| {
        options.listener.max_connections = 1;
        options.listener.write_timeout = SHORT;
    });
    let route = route_that(Behaviour::Reply(reply(StatusCode::OK, &answer)));
    let node = Node::with(route, options).await;
    let mut deaf = node.connect().await;
    deaf.send(request("POST", SCORE, &[BEARER], "x")).await;
    // The one place that there is becomes free, though this caller stays.
    within(async { while node.ask("GET", "/", &[], "").await.status != 200 {} }).await;
    drop(deaf);
}

#[tokio::test]
async fn bodies_under_way_take_no_more_memory_than_allowed() {
    let replica = Fake::new(Behaviour::Wait);
    let options = options(|options| options.max_buffered_bytes = 1500);
    let node = Node::with(route_to(info(), &replica), options).await;
    let body = "x".repeat(1000);
    let mut first = node.connect().await;
    first.send(request("POST", SCORE, &[BEARER], &body)).await;
    until(|| replica.begun() == 1).await;

    let answer = node.post(&body).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.message().contains("1500 bytes"));

    replica.go_on.notify_one();
    assert_eq!(first.answer().await.status, 200);
    replica.go_on.notify_one();
    assert_eq!(node.post(&body).await.status, 200);
}

#[tokio::test]
async fn a_body_that_tells_it_does_not_fit_is_503_before_it_is_read() {
    let replica = Fake::new(Behaviour::Wait);
    let options = options(|options| options.max_buffered_bytes = 1500);
    let node = Node::with(route_to(info(), &replica), options).await;
    let mut first = node.connect().await;
    first
        .send(request("POST", SCORE, &[BEARER], &"x".repeat(1000)))
        .await;
    until(|| replica.begun() == 1).await;
    assert_eq!(node.books.buffered_bytes(), 1000);

    let mut second = node.connect().await;
    second.send(head("Content-Length: 501\r\n")).await;
    let answer = second.answer().await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(refused(&node, Refusal::BuffersFull), 1);

    // One that claims much and sends nothing keeps nobody out.
    let mut third = node.connect().await;
    third.send(head("Content-Length: 500\r\n")).await;
    let mut fourth = node.connect().await;
    let fits = request("POST", SCORE, &[BEARER], &"x".repeat(500));
    fourth.send(fits).await;
    until(|| node.books.buffered_bytes() == 1500).await;
    for client in [&mut first, &mut fourth] {
        replica.go_on.notify_one();
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(replica.begun(), 2);
    until(|| node.books.buffered_bytes() == 0).await;
}

#[tokio::test]
async fn the_bytes_of_a_body_come_back_however_its_request_ends() {
    use lusk_contract::ScriptError;

    let raised = ScriptError::Raised("ValueError".to_owned());
    for behaviour in [Behaviour::Echo, Behaviour::Fail(raised), Behaviour::Panic] {
        let node = Node::with(route_that(behaviour), small_bodies()).await;
        node.post("seven").await;
        assert_eq!(node.books.buffered_bytes(), 0);
    }

    // Too long, broken, silent, and the caller gone in the middle.
    let bounds = options(|options| {
        options.max_body_bytes = 1000;
        options.body_timeout = SHORT;
    });
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::with(route_to(info(), &replica), bounds).await;
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    for (rest, status) in [
        (chunk.repeat(2), 413),
        ("none\r\n".to_owned(), 400),
        (String::new(), 408),
    ] {
        let mut client = node.connect().await;
        client.send(head("Transfer-Encoding: chunked\r\n")).await;
        client.send(chunk.clone() + &rest).await;
        assert_eq!(client.answer().await.status, status);
        until(|| node.books.buffered_bytes() == 0).await;
    }

    // While the script runs.
    let mut client = node.connect().await;
    client
        .send(request("POST", SCORE, &[BEARER], "seven"))
        .await;
    until(|| replica.begun() == 1).await;
    assert_eq!(node.books.buffered_bytes(), 5);
    drop(client);
    until(|| node.books.buffered_bytes() == 0).await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let node = Node::with(route_that(Behaviour::Echo), small_bodies()).await;
    node.ask("POST", SCORE, &[], "x").await;
    node.ask("POST", "/nowhere", &[BEARER], "x").await;
    node.ask("POST", "/api/v1/service/other/score", &[BEARER], "x")
        .await;
    node.ask("DELETE", SCORE, &[BEARER], "").await;
    node.post(&"x".repeat(1001)).await;
    let long = "i".repeat(101);
    node.ask("POST", SCORE, &[BEARER, ("x-request-id", &long)], "x")
        .await;
    node.post("x").await;
    for (refusal, count) in [
        (Refusal::Unauthorized, 1),
        (Refusal::NotFound, 2),
        (Refusal::Method, 1),
        (Refusal::BodyTooLarge, 1),
        (Refusal::IdTooLong, 1),
    ] {
        assert_eq!(refused(&node, refusal), count, "{refusal:?}");
    }
    assert_eq!(node.books.refused().map(|(_, count)| count).sum::<u64>(), 6);
}

#[tokio::test]
async fn trailers_of_a_chunked_body_are_ignored() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut client = node.connect().await;
    client
        .send(head("Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n"))
        .await;
    client.send("5\r\nseven\r\n0\r\nx-sum: 7\r\n\r\n").await;
    let seen = client.answer().await.json();
    assert_eq!(seen["body"], "seven");
    assert!(seen["headers"].get("x-sum").is_none());
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn doors_with_the_same_books_share_their_bounds() {
    let bounds = options(|options| options.listener.max_connections = 1);
    let first = Node::with(route_that(Behaviour::Echo), bounds.clone()).await;
    let second = Node::with(route_that(Behaviour::Echo), bounds).await;
    let mut client = first.connect().await;
    client.send(request("GET", "/", &[], "")).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(second.connect().await.answer().await.status, 503);
    drop(client);
    until(|| first.books.open_connections() == 0).await;
    assert_eq!(second.ask("GET", "/", &[], "").await.status, 200);
}
