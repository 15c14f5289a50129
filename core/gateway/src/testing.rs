//! What the tests of the doors share: replicas that behave as told, a door on a free
//! port, and a client that says exactly the bytes it is given.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use lusk_contract::{Replica, ScoreReply, ScoreRequest, ScriptError, ScriptKind, ScriptSchema};
use lusk_domain::{AuthMode, KeyPair, Secret};
use lusk_router::{Access, Limits, Route, RouteInfo, Router};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{Books, ScoringOptions, serve_scoring};

pub(crate) mod shop;

/// The key of every service in these tests.
pub(crate) const KEY: &str = "the-first-key";

/// Longest wait for what must come; a test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a replica does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answers with what it saw, as JSON.
    Echo,
    /// Answers this.
    Reply(ScoreReply),
    /// Fails like this.
    Fail(ScriptError),
    /// Runs until it is told to go on, then answers `{}`.
    Wait,
    /// Panics.
    Panic,
}

/// A replica that behaves as told.
#[derive(Debug)]
pub(crate) struct Fake {
    behaviour: Behaviour,
    schema: ScriptSchema,
    pub(crate) begun: AtomicUsize,
    pub(crate) interrupted: AtomicUsize,
    pub(crate) go_on: Notify,
}

impl Fake {
    pub(crate) fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour,
            schema: plain_schema(),
            begun: AtomicUsize::new(0),
            interrupted: AtomicUsize::new(0),
            go_on: Notify::new(),
        })
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    pub(crate) fn interrupted(&self) -> usize {
        self.interrupted.load(SeqCst)
    }
}

struct Interruption<'a>(Option<&'a AtomicUsize>);

impl Drop for Interruption<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, SeqCst);
        }
    }
}

#[async_trait]
impl Replica for Fake {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        self.begun.fetch_add(1, SeqCst);
        match &self.behaviour {
            Behaviour::Echo => Ok(json_reply(&seen(&request))),
            Behaviour::Reply(reply) => Ok(reply.clone()),
            Behaviour::Fail(error) => Err(error.clone()),
            Behaviour::Wait => {
                let mut interruption = Interruption(Some(&self.interrupted));
                self.go_on.notified().await;
                interruption.0 = None;
                Ok(json_reply(&json!({})))
            }
            Behaviour::Panic => panic!("a replica that panics, as the test wants"),
        }
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

fn seen(request: &ScoreRequest) -> Value {
    let headers: BTreeMap<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    json!({
        "method": request.method.as_str(),
        "target": request.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
        "length": request.body.len(),
    })
}

fn json_reply(body: &Value) -> ScoreReply {
    let mut reply = reply(StatusCode::OK, &body.to_string());
    let json = HeaderValue::from_static("application/json");
    reply.headers.insert(CONTENT_TYPE, json);
    reply
}

/// A script's answer as plain text.
pub(crate) fn reply(status: StatusCode, body: &str) -> ScoreReply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    ScoreReply {
        status,
        headers,
        body: Bytes::from(body.to_owned()),
        run_time: Some(Duration::from_micros(1500)),
        function_failed: false,
    }
}

/// The schema of an undecorated script.
pub(crate) fn plain_schema() -> ScriptSchema {
    let any = json!({ "type": "object", "example": {} });
    ScriptSchema {
        kind: ScriptKind::Plain,
        input: any.clone(),
        output: any,
    }
}

/// A service named `digits` with key auth and long limits.
pub(crate) fn info() -> RouteInfo {
    RouteInfo {
        name: "digits".parse().expect("a service name"),
        limits: Limits {
            scoring_timeout: PATIENCE,
            max_queue_wait: PATIENCE,
        },
        cors: None,
        schema: plain_schema(),
        version: "7".to_owned(),
        title: "digits".to_owned(),
        swagger_files: BTreeMap::new(),
    }
}

pub(crate) fn access(mode: AuthMode) -> Access {
    let keys = KeyPair {
        primary_key: Secret::new(KEY),
        secondary_key: Secret::new("the-second-key"),
    };
    Access { mode, keys }
}

/// A route with one replica of one slot.
pub(crate) fn route_to(info: RouteInfo, replica: &Arc<Fake>) -> Arc<Route> {
    let route = Route::new(info, access(AuthMode::Key));
    route.add(0, Arc::clone(replica) as Arc<dyn Replica>, 1);
    Arc::new(route)
}

/// A route to a replica that behaves like this.
pub(crate) fn route_that(behaviour: Behaviour) -> Arc<Route> {
    route_to(info(), &Fake::new(behaviour))
}

/// A scoring door on a free port.
pub(crate) struct Node {
    pub(crate) router: Arc<Router>,
    pub(crate) books: Arc<Books>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

impl Node {
    /// A door with the usual bounds.
    pub(crate) async fn serving(route: Arc<Route>) -> Self {
        Self::with(route, ScoringOptions::default()).await
    }

    /// A door with these bounds.
    pub(crate) async fn with(route: Arc<Route>, options: ScoringOptions) -> Self {
        let router = Arc::new(Router::new());
        router.publish(route);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let books = Arc::clone(&options.books);
        let served = serve_scoring(listener, Arc::clone(&router), options, shutdown.clone());
        Self {
            router,
            books,
            address,
            shutdown,
            served: tokio::spawn(served),
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request with the key, on a connection of its own.
    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.ask("POST", SCORE, &[BEARER], body).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut client = self.connect().await;
        client.send(&request(method, path, headers, body)).await;
        client.answer_to(method).await
    }
}

/// The path that scores.
pub(crate) const SCORE: &str = "/api/v1/service/digits/score";

/// The header that opens a service.
pub(crate) const BEARER: (&str, &str) = ("Authorization", "Bearer the-first-key");

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: lusk\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// An answer, as it came over the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By lower-case name; several values of one name stand joined by `|`.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The text of an error, after a look at what all errors have in common.
    pub(crate) fn message(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-ms-request-id").is_some(), "{self:?}");
        let body = self.json();
        assert_eq!(body.as_object().map(|keys| keys.len()), Some(1), "{self:?}");
        body["message"].as_str().expect("a message").to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A connection that says what it is told.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Sends without letting anybody else have a turn.
    pub(crate) fn send_now(&self, text: &str) {
        let sent = self.stream.try_write(text.as_bytes());
        assert_eq!(sent.expect("room"), text.len());
    }

    /// Goes without a word of farewell.
    pub(crate) fn vanish(self) {
        let at_once = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&self.stream, at_once).expect("set");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        let read = Vec::new();
        Self { stream, read }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = self.stream.write_all(bytes.as_ref());
        within(written).await.expect("the other side reads");
    }

    /// The stream, to be read as it is.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn end_sending(&mut self) {
        within(self.stream.shutdown()).await.expect("shut down");
    }

    /// The next answer; `100 Continue` counts as one.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        let end = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.more().await, "closed before an answer"),
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).expect("text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a status line");
        let status = status[9..12].parse().expect("a status");
        let mut headers = BTreeMap::<String, String>::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header");
            let name = name.to_ascii_lowercase();
            let entry = headers.entry(name).or_default();
            if !entry.is_empty() {
                entry.push('|');
            }
            entry.push_str(value);
        }
        let length = headers.get("content-length").map_or(0, |text| {
            if method == "HEAD" {
                return 0;
            }
            text.parse().expect("a length")
        });
        while self.read.len() < length {
            assert!(self.more().await, "closed in the middle of an answer");
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).expect("text");
        Answer {
            status,
            headers,
            body,
        }
    }

    /// These bytes come next.
    pub(crate) async fn expect(&mut self, bytes: &str) {
        while self.read.len() < bytes.len() {
            assert!(self.more().await, "closed before {bytes:?}");
        }
        let came: Vec<u8> = self.read.drain(..bytes.len()).collect();
        assert_eq!(String::from_utf8_lossy(&came), bytes);
    }

    /// True when the other side closes without a further word.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more().await
    }

    /// Reads some; false when the other side has closed.
    async fn more(&mut self) -> bool {
        let read = within(self.stream.read_buf(&mut self.read)).await;
        !matches!(read, Ok(0) | Err(_))
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// What must come, comes before a test gives up.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

/// Waits until something that others do has happened.
pub(crate) async fn until(mut happened: impl FnMut() -> bool) {
    within(async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
