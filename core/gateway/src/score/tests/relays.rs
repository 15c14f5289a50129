//! Bodies that pass through in parts, both ways.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use lusk_contract::{BrokenOff, NotRelayed, RelayReply, Replica, ScoreReply, ScriptSchema};
use tokio::{io::AsyncReadExt as _, sync::mpsc};

mod versions;

use super::*;
use crate::testing::{Client, plain_schema};

/// What a replica sends: its parts as the test gives them.
type Sends = mpsc::UnboundedSender<Result<Bytes, BrokenOff>>;

/// A replica whose two ends the test holds.
#[derive(Debug)]
struct Relay {
    schema: ScriptSchema,
    /// Length of the answer as it is told.
    length: Option<u64>,
    /// What came of the request's body.
    came: mpsc::UnboundedSender<Result<Bytes, BrokenOff>>,
    /// What is to be answered, for one request.
    answer: std::sync::Mutex<Option<mpsc::UnboundedReceiver<Result<Bytes, BrokenOff>>>>,
    /// The answer begins before the request ended.
    is_early: bool,
    /// The answer was dropped before its end.
    was_dropped: Arc<AtomicBool>,
}

struct Ends {
    node: Node,
    route: Arc<Route>,
    came: mpsc::UnboundedReceiver<Result<Bytes, BrokenOff>>,
    sends: Option<Sends>,
    was_dropped: Arc<AtomicBool>,
}

impl Ends {
    async fn with(length: Option<u64>, is_early: bool, options: ScoringOptions) -> Self {
        Self::of(info(), length, is_early, options).await
    }

    async fn of(
        info: lusk_router::RouteInfo,
        length: Option<u64>,
        is_early: bool,
        options: ScoringOptions,
    ) -> Self {
        let (came_in, came) = mpsc::unbounded_channel();
        let (sends, answer) = mpsc::unbounded_channel();
        let was_dropped = Arc::new(AtomicBool::new(false));
        let replica = Relay {
            schema: plain_schema(),
            length,
            came: came_in,
            answer: std::sync::Mutex::new(Some(answer)),
            is_early,
            was_dropped: Arc::clone(&was_dropped),
        };
        let route = Arc::new(Route::new(info, access(AuthMode::Key)));
        route.add(0, Arc::new(replica), 1);
        Self {
            node: Node::with(Arc::clone(&route), options).await,
            route,
            came,
            sends: Some(sends),
            was_dropped,
        }
    }

    async fn new() -> Self {
        Self::with(None, true, ScoringOptions::default()).await
    }

    fn send(&self, part: &'static str) {
        let part = Ok(Bytes::from_static(part.as_bytes()));
        self.sends.as_ref().unwrap().send(part).unwrap();
    }

    fn counted(&self) -> lusk_router::Counters {
        self.route.status().counters
    }

    async fn came(&mut self) -> Result<Bytes, BrokenOff> {
        within(self.came.recv()).await.unwrap()
    }
}

/// Notes that it was dropped before its end.
struct Watched {
    is_over: bool,
    was_dropped: Arc<AtomicBool>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_over {
            self.was_dropped.store(true, SeqCst);
        }
    }
}

#[async_trait]
impl Replica for Relay {
    async fn score(&self, _: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        panic!("bodies are relayed")
    }

    fn relays(&self) -> bool {
        true
    }

    async fn relay(&self, request: RelayRequest) -> Result<RelayReply, NotRelayed> {
        let answer = self.answer.lock().unwrap().take().unwrap();
        let mut parts = match request.body {
            Flow::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
            Flow::Parts { parts, .. } => parts,
        };
        if self.is_early {
            let came = self.came.clone();
            tokio::spawn(async move {
                while let Some(part) = parts.next().await {
                    let _ = came.send(part);
                }
            });
        } else {
            while let Some(part) = parts.next().await {
                if let Err(broken) = &part {
                    return Err(ScriptError::CutShort(broken.to_string()).into());
                }
                let _ = self.came.send(part);
            }
        }
        let watched = Watched {
            is_over: false,
            was_dropped: Arc::clone(&self.was_dropped),
        };
        let parts = stream::unfold((answer, watched), |(mut answer, mut watched)| async {
            let part = answer.recv().await;
            watched.is_over = part.is_none();
            part.map(|part| (part, (answer, watched)))
        });
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert("trailer", HeaderValue::from_static("x-late"));
        Ok(RelayReply {
            status: StatusCode::OK,
            headers,
            body: Flow::Parts {
                length: self.length,
                parts: parts.boxed(),
            },
            run_time: None,
            function_failed: false,
        })
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A request whose body comes in chunks.
const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");

async fn ask(ends: &Ends, headers: &[(&str, &str)]) -> Client {
    let mut client = ends.node.connect().await;
    client.send(request("POST", SCORE, headers, "")).await;
    client
}

#[tokio::test]
async fn parts_pass_both_ways_while_the_other_side_goes_on() {
    let mut ends = Ends::new().await;
    let mut client = ask(&ends, &[BEARER, CHUNKED]).await;
    client.send("3\r\none\r\n").await;
    assert_eq!(ends.came().await.unwrap(), "one");
    ends.send("data: 1\n\n");
    let answer = client.answer().await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("trailer"), None);
    client.expect("9\r\ndata: 1\n\n\r\n").await;
    // Neither has ended: the slot is in use and nothing is counted.
    let status = ends.route.status();
    assert_eq!((status.busy, status.counters.by_class), (1, [0; 5]));
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(ends.came().await.unwrap(), "two");
    ends.send("data: 2\n\n");
    client.expect("9\r\ndata: 2\n\n\r\n").await;
    ends.sends = None;
    client.expect("0\r\n\r\n").await;
    until(|| ends.route.status().busy == 0).await;
    assert_eq!(ends.counted().by_class, [0, 1, 0, 0, 0]);
    assert!(!ends.was_dropped.load(SeqCst));
}

#[tokio::test]
async fn a_length_that_is_known_is_told_and_ends_the_answer() {
    let ends = Ends::with(Some(6), true, ScoringOptions::default()).await;
    let mut client = ask(&ends, &[BEARER]).await;
    ends.send("one");
    ends.send("two");
    let answer = client.answer().await;
    assert_eq!(
        (answer.body.as_str(), answer.header("content-length")),
        ("onetwo", Some("6"))
    );
    until(|| ends.route.status().busy == 0).await;
    assert_eq!(ends.counted().by_class, [0, 1, 0, 0, 0]);
    assert_eq!(ends.counted().abandoned, 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_clean_end_and_is_a_failure() {
    let ends = Ends::new().await;
    let mut client = ask(&ends, &[BEARER]).await;
    ends.send("one");
    client.answer().await;
    client.expect("3\r\none\r\n").await;
    let broken = Err(BrokenOff("it died".to_owned()));
    ends.sends.as_ref().unwrap().send(broken).unwrap();
    assert!(client.is_closed().await);
    assert_eq!(ends.counted().by_class, [0, 0, 0, 0, 1]);
    assert_eq!(ends.route.status().busy, 0);
}

#[tokio::test]
async fn what_came_before_an_answer_broke_off_reaches_the_caller() {
    let ends = Ends::new().await;
    ends.send("one");
    let broken = Err(BrokenOff("it died".to_owned()));
    ends.sends.as_ref().unwrap().send(broken).unwrap();
    let mut client = ask(&ends, &[BEARER]).await;
    assert_eq!(client.answer().await.status, 200);
    client.expect("3\r\none\r\n").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn the_scoring_timeout_cuts_an_answer_that_goes_on() {
    let mut info = info();
    info.limits.scoring_timeout = SHORT;
    let ends = Ends::of(info, None, true, ScoringOptions::default()).await;
    let mut client = ask(&ends, &[BEARER]).await;
    ends.send("one");
    client.answer().await;
    client.expect("3\r\none\r\n").await;
    assert!(client.is_closed().await);
    assert_eq!(ends.counted().timed_out, 1);
    assert!(ends.was_dropped.load(SeqCst));
    assert_eq!(ends.route.status().busy, 0);
}

#[tokio::test]
async fn a_caller_who_goes_in_the_middle_ends_the_work() {
    let ends = Ends::new().await;
    let mut client = ask(&ends, &[BEARER]).await;
    ends.send("one");
    client.answer().await;
    client.vanish();
    until(|| ends.was_dropped.load(SeqCst)).await;
    until(|| ends.route.status().busy == 0).await;
    assert_eq!(ends.counted().abandoned, 1);
}

#[tokio::test]
async fn a_caller_who_does_not_read_gives_the_slot_back() {
    let mut options = ScoringOptions::default();
    options.listener.write_timeout = SHORT;
    let ends = Ends::with(None, true, options).await;
    let _silent = ask(&ends, &[BEARER]).await;
    let part = Bytes::from(vec![b'x'; 1 << 20]);
    let sends = ends.sends.as_ref().unwrap();
    until(|| sends.is_closed() || sends.send(Ok(part.clone())).is_err()).await;
    until(|| ends.route.status().busy == 0).await;
    assert_eq!(ends.counted().abandoned, 1);
}

#[tokio::test]
async fn a_caller_who_does_not_read_has_the_slot_no_longer_than_others() {
    let mut info = info();
    info.limits.scoring_timeout = SHORT;
    let ends = Ends::of(info, None, true, ScoringOptions::default()).await;
    let silent = ask(&ends, &[BEARER]).await;
    let part = Bytes::from(vec![b'x'; 1 << 20]);
    let sends = ends.sends.as_ref().unwrap();
    until(|| sends.send(Ok(part.clone())).is_err()).await;
    until(|| ends.route.status().busy == 0).await;
    assert_eq!(ends.counted().timed_out, 1);
    assert_eq!(ends.counted().abandoned, 0);
    // What was on its way comes, and no clean end.
    let mut came = Vec::new();
    let _ = within(silent.into_stream().read_to_end(&mut came)).await;
    assert!(!came.ends_with(b"\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_on_its_way_gets_the_rules_answer() {
    for (bounds, sent, status, words) in [
        (
            (4, SHORT * 1000),
            "5\r\n12345\r\n",
            413,
            "larger than 4 bytes",
        ),
        ((100, SHORT), "1\r\nx\r\n", 408, "too slowly"),
        (
            (100, SHORT * 1000),
            "1\r\nx\r\nzz\r\n",
            400,
            "not what its headers say",
        ),
    ] {
        let (max_body_bytes, body_timeout) = bounds;
        let options = ScoringOptions {
            max_body_bytes,
            body_timeout,
            ..ScoringOptions::default()
        };
        let ends = Ends::with(None, false, options).await;
        let mut client = ask(&ends, &[BEARER, CHUNKED]).await;
        client.send(sent).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.message().contains(words), "{answer:?}");
        assert_eq!(ends.route.status().busy, 0);
        // The door's fault, not the service's.
        assert_eq!(ends.counted().by_class, [0; 5]);
        assert_eq!(ends.node.books.buffered_bytes(), 0);
    }
}

#[tokio::test]
async fn a_body_that_tells_that_it_is_too_long_is_refused_unread() {
    let options = ScoringOptions {
        max_body_bytes: 100_000,
        ..ScoringOptions::default()
    };
    let ends = Ends::with(None, false, options).await;
    let mut client = ends.node.connect().await;
    let headers = [BEARER, ("Content-Length", "100001")];
    client.send(request("POST", SCORE, &headers, "")).await;
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(ends.route.status().counters, Default::default());
}

#[tokio::test]
async fn only_the_part_on_its_way_counts_in_the_budget() {
    let options = ScoringOptions {
        max_buffered_bytes: 100_000,
        ..ScoringOptions::default()
    };
    let mut ends = Ends::with(None, false, options).await;
    let mut client = ask(&ends, &[BEARER, CHUNKED]).await;
    let part = "x".repeat(10_000);
    for _ in 0..50 {
        client.send(format!("2710\r\n{part}\r\n")).await;
        let mut left = part.len();
        while left > 0 {
            left -= ends.came().await.unwrap().len();
        }
        assert!(ends.node.books.buffered_bytes() <= 100_000);
    }
    client.send("0\r\n\r\n").await;
    ends.sends = None;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn leave_to_send_is_given_when_the_replica_takes_the_body() {
    let mut ends = Ends::with(Some(2), false, ScoringOptions::default()).await;
    let mut client = ends.node.connect().await;
    let headers = [BEARER, ("Expect", "100-continue"), CHUNKED];
    client.send(request("POST", SCORE, &headers, "")).await;
    assert_eq!(client.answer().await.status, 100);
    client.send("2\r\nhi\r\n0\r\n\r\n").await;
    assert_eq!(ends.came().await.unwrap(), "hi");
    ends.send("ok");
    assert_eq!(client.answer().await.body, "ok");
}
