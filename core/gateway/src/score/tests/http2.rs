//! HTTP/2 with prior knowledge, on the port of HTTP/1.

use std::sync::Mutex;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    client::conn::http2::{SendRequest, handshake},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use lusk_contract::Replica;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};

use super::*;

pub(super) struct Connection {
    send: SendRequest<Full<Bytes>>,
    /// Ends with the connection.
    life: JoinHandle<()>,
    tasks: Tasks,
}

/// What hyper runs beside, to be broken off.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().expect("no panic");
        tasks.spawn(async move {
            task.await;
        });
    }
}

impl Connection {
    pub(super) async fn to(node: &Node) -> Self {
        Self::over(TcpStream::connect(node.address).await.expect("connected")).await
    }

    pub(super) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(stream);
        let tasks = Tasks::default();
        let (send, connection) = handshake(tasks.clone(), io).await.expect("HTTP/2");
        let life = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { send, life, tasks }
    }

    /// Breaks the connection off.
    fn vanish(self) {
        self.life.abort();
        self.tasks.0.lock().expect("no panic").abort_all();
    }

    /// Sends a request at once; the answer comes when the future is awaited.
    pub(super) fn post<B: Into<Bytes>>(
        &mut self,
        headers: &[(&str, &str)],
        body: B,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<B> {
        let mut request = Request::post(format!("http://lusk.example{SCORE}?a=1"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        self.send.send_request(request)
    }
}

pub(super) async fn told(response: Response<Incoming>) -> (u16, serde_json::Value) {
    let status = response.status().as_u16();
    let body = within(response.into_body().collect()).await;
    let body = body.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_request_of_http2_reaches_the_script_like_any_other() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut connection = Connection::to(&node).await;
    let headers = [
        BEARER,
        ("x-request-id", "a"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let answer = within(connection.post(&headers, "{}"))
        .await
        .expect("an answer");
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.headers()["x-request-id"], "a");
    assert_eq!(answer.headers()["x-ms-run-function-failed"], "False");
    let (status, seen) = told(answer).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&seen["method"], &seen["body"]),
        (&"POST".into(), &"{}".into())
    );
    assert_eq!(seen["target"], "/score?a=1");
    assert_eq!(seen["headers"]["host"], "lusk.example");
    assert_eq!(seen["headers"]["cookie"], "a=1; b=2");
    assert!(seen["headers"].get("authorization").is_none());
}

#[tokio::test]
async fn two_streams_of_a_connection_run_at_once_and_http1_goes_on_beside() {
    let replica = Fake::new(Behaviour::Wait);
    let route = route_to(info(), &replica);
    route.add(1, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let node = Node::serving(route).await;
    let mut connection = Connection::to(&node).await;
    let first = tokio::spawn(connection.post(&[BEARER], "x"));
    let second = tokio::spawn(connection.post(&[BEARER], "y"));
    until(|| replica.begun() == 2).await;
    assert_eq!(node.ask("GET", "/", &[], "").await.status, 200);
    replica.go_on.notify_one();
    replica.go_on.notify_one();
    for answer in [first, second] {
        let answer = within(answer).await.expect("no panic");
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_interrupts_its_request_and_no_other() {
    let replica = Fake::new(Behaviour::Wait);
    let route = route_to(info(), &replica);
    route.add(1, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let node = Node::serving(route).await;
    let mut connection = Connection::to(&node).await;
    let stays = tokio::spawn(connection.post(&[BEARER], "x"));
    until(|| replica.begun() == 1).await;
    let goes = tokio::spawn(connection.post(&[BEARER], "x"));
    until(|| replica.begun() == 2).await;
    goes.abort();
    until(|| replica.interrupted() == 1).await;
    until(|| node.books.buffered_bytes() == 1).await;
    replica.go_on.notify_one();
    let answer = within(stays).await.expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_connection_that_goes_interrupts_all_its_requests() {
    let replica = Fake::new(Behaviour::Wait);
    let route = route_to(info(), &replica);
    route.add(1, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let node = Node::serving(route).await;
    let mut connection = Connection::to(&node).await;
    let waits = [
        tokio::spawn(connection.post(&[BEARER], "x")),
        tokio::spawn(connection.post(&[BEARER], "x")),
    ];
    until(|| replica.begun() == 2).await;
    connection.vanish();
    until(|| replica.interrupted() == 2).await;
    until(|| node.books.open_connections() == 0).await;
    assert_eq!(node.books.buffered_bytes(), 0);
    drop(waits);
}

#[tokio::test]
async fn refusals_are_the_same_as_those_of_http1() {
    let options = ScoringOptions {
        max_body_bytes: 1000,
        ..ScoringOptions::default()
    };
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut connection = Connection::to(&node).await;
    let large = "h".repeat(64 * 1024);
    let cases = [
        (vec![], 1, 401),
        (vec![BEARER], 1001, 413),
        (vec![BEARER, ("x-large", large.as_str())], 1, 431),
        (vec![BEARER], 1000, 200),
    ];
    for (headers, length, expected) in cases {
        let answer = connection.post(&headers, "x".repeat(length));
        let answer = within(answer).await.expect("an answer");
        assert!(answer.headers().contains_key("x-ms-request-id"));
        let (status, body) = told(answer).await;
        assert_eq!(status, expected);
        assert_eq!(body.get("message").is_some(), expected != 200);
    }
}

#[tokio::test]
async fn headers_beyond_what_is_read_are_431_too() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut connection = Connection::to(&node).await;
    let large = "h".repeat(128 * 1024);
    let answer = within(connection.post(&[("x-large", &large)], "x")).await;
    // Answered by the layer below, or by the end of the connection; not by the script.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(node.ask("GET", "/", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_body_in_many_frames_arrives_whole() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut connection = Connection::to(&node).await;
    // More than a window, so that the door must ask for more.
    let body = "x".repeat(3 * 1024 * 1024);
    let answer = within(connection.post(&[BEARER], body.clone())).await;
    let (status, seen) = told(answer.expect("an answer")).await;
    assert_eq!(
        (status, seen["length"].as_u64()),
        (200, Some(body.len() as u64))
    );
    until(|| node.books.buffered_bytes() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let mut options = ScoringOptions::default();
    options.listener.idle_timeout = SHORT;
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut connection = Connection::to(&node).await;
    let answer = within(connection.post(&[BEARER], "x")).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    within(connection.life).await.expect("no panic");
    until(|| node.books.open_connections() == 0).await;
}

#[tokio::test]
async fn a_connection_that_waits_for_its_answer_is_not_idle() {
    let replica = Fake::new(Behaviour::Wait);
    let mut options = ScoringOptions::default();
    options.listener.idle_timeout = Duration::from_millis(1);
    let node = Node::with(route_to(info(), &replica), options).await;
    let mut connection = Connection::to(&node).await;
    let answer = tokio::spawn(connection.post(&[BEARER], "x"));
    until(|| replica.begun() == 1).await;
    tokio::time::sleep(SHORT).await;
    replica.go_on.notify_one();
    let answer = within(answer).await.expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_door_that_closes_ends_the_streams_that_run() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut connection = Connection::to(&node).await;
    let answer = tokio::spawn(connection.post(&[BEARER], "x"));
    until(|| replica.begun() == 1).await;
    node.shutdown.cancel();
    assert!(!node.served.is_finished());
    replica.go_on.notify_one();
    let answer = within(answer).await.expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
    let served = within(node.served).await.expect("no panic");
    served.expect("served");
}

#[tokio::test]
async fn a_preface_in_pieces_is_one() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut stream = TcpStream::connect(node.address).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    for piece in ["P", "RI * HTT", "P/2.0\r\n\r\nSM\r\n", "\r\n"] {
        stream.write_all(piece.as_bytes()).await.expect("sent");
        tokio::task::yield_now().await;
    }
    const NO_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&NO_SETTINGS).await.expect("sent");
    let mut frame = [0; 9];
    within(stream.read_exact(&mut frame))
        .await
        .expect("a frame");
    assert_eq!(frame[3], 4, "the door's settings come first");
}

#[tokio::test]
async fn a_caller_who_stops_in_the_preface_is_cut_off() {
    let mut options = ScoringOptions::default();
    options.listener.header_timeout = SHORT;
    let node = Node::with(route_that(Behaviour::Echo), options).await;
    let mut client = node.connect().await;
    client.send("PRI * HTTP/2.0\r\n\r\nS").await;
    assert_eq!(client.answer().await.status, 408);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_flood_of_resets_leaves_nothing_behind() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut connection = Connection::to(&node).await;
    for _ in 0..2000 {
        // Hyper sends it, and a reset as soon as nobody waits for the answer.
        drop(connection.post(&[BEARER], "x"));
        tokio::task::yield_now().await;
    }
    connection.vanish();
    until(|| node.books.open_connections() == 0).await;
    until(|| node.books.buffered_bytes() == 0).await;
    let route = node.router.route("digits").expect("published");
    until(|| route.status().busy == 0).await;
    assert_eq!(node.post("x").await.status, 200);
}

#[tokio::test]
async fn a_caller_who_never_takes_its_answer_is_cut_off() {
    let answer = "x".repeat(4 * 1024 * 1024);
    let mut options = ScoringOptions::default();
    options.listener.idle_timeout = SHORT;
    let route = route_that(Behaviour::Reply(reply(StatusCode::OK, &answer)));
    let node = Node::with(route, options).await;
    let mut connection = Connection::to(&node).await;
    let begun = within(connection.post(&[BEARER], "x")).await;
    let deaf = begun.expect("an answer begins").into_body();
    // More than its window holds, so that the rest waits for a caller who reads nothing.
    until(|| node.books.open_connections() == 0).await;
    drop((deaf, connection));
}
