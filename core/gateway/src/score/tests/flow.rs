//! Flow of HTTP/2: callers who read slowly, bodies that break off, farewells.

use futures::channel::mpsc;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Frame, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{
    http2::{Connection, told},
    *,
};

type Parts = mpsc::UnboundedReceiver<Result<Frame<Bytes>, std::io::Error>>;

/// A connection whose bodies are sent in parts.
async fn parts_to(node: &Node) -> SendRequest<StreamBody<Parts>> {
    let stream = TcpStream::connect(node.address).await.expect("connected");
    let io = TokioIo::new(stream);
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (send, connection) = shaken.expect("HTTP/2");
    tokio::spawn(connection);
    send
}

#[tokio::test]
async fn a_caller_who_reads_slowly_holds_neither_slot_nor_its_other_streams() {
    const LENGTH: usize = 1024 * 1024;
    let large = reply(StatusCode::OK, &"x".repeat(LENGTH));
    let node = Node::serving(route_that(Behaviour::Reply(large))).await;
    let route = node.router.route("digits").expect("published");
    let mut connection = Connection::to(&node).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        // The head has come; of the body, only what its window holds.
        let answer = within(connection.post(&[BEARER], "x")).await;
        slow.push(answer.expect("an answer").into_body());
        until(|| route.status().busy == 0).await;
    }
    let answer = within(connection.post(&[], "x")).await;
    assert_eq!(answer.expect("an answer").status(), 401);
    for body in slow {
        let body = within(body.collect()).await.expect("a body");
        assert_eq!(body.to_bytes().len(), LENGTH);
    }
}

#[tokio::test]
async fn bodies_that_nobody_read_leave_room_for_others() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut connection = Connection::to(&node).await;
    // Together more than the window of the connection, which all streams share.
    let body = "x".repeat(512 * 1024);
    for _ in 0..8 {
        let answer = within(connection.post(&[], body.clone())).await;
        assert_eq!(answer.expect("an answer").status(), 401);
    }
    let answer = within(connection.post(&[BEARER], body.clone())).await;
    let (status, seen) = told(answer.expect("an answer")).await;
    assert_eq!(
        (status, seen["length"].as_u64()),
        (200, Some(body.len() as u64))
    );
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_of_its_body_leaves_nothing() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut send = parts_to(&node).await;
    let mut begin = || {
        let (parts, body) = mpsc::unbounded();
        let request = Request::post(format!("http://lusk{SCORE}"))
            .header(BEARER.0, BEARER.1)
            .body(StreamBody::new(body))
            .expect("a request");
        (parts, send.send_request(request))
    };
    let part = |length: usize| Ok(Frame::data(Bytes::from("x".repeat(length))));
    let (broken, first) = begin();
    broken.unbounded_send(part(1000)).expect("listening");
    let first = tokio::spawn(first);
    until(|| node.books.buffered_bytes() == 1000).await;
    // An error of the body is a reset to hyper.
    let torn = std::io::Error::other("torn");
    broken.unbounded_send(Err(torn)).expect("listening");
    assert!(within(first).await.expect("no panic").is_err());
    until(|| node.books.buffered_bytes() == 0).await;
    assert_eq!(replica.begun(), 0);

    let (whole, second) = begin();
    whole.unbounded_send(part(5)).expect("listening");
    drop(whole);
    let (status, seen) = told(within(second).await.expect("an answer")).await;
    assert_eq!((status, seen["length"].as_u64()), (200, Some(5)));
}

#[tokio::test]
async fn a_door_that_closes_says_so_and_takes_no_new_stream() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut connection = Connection::to(&node).await;
    let runs = tokio::spawn(connection.post(&[BEARER], "x"));
    until(|| replica.begun() == 1).await;
    node.shutdown.cancel();
    // Until the farewell (GOAWAY) has come, a new stream may still be begun; it ends
    // without having run, and without waiting for the one that does.
    let refused = async {
        loop {
            if connection.post(&[], "x").await.is_err() {
                return;
            }
        }
    };
    within(refused).await;
    assert_eq!(replica.begun(), 1);
    replica.go_on.notify_one();
    let answer = within(runs).await.expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
}
