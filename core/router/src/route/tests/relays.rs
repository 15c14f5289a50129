//! Requests that pass through, and replicas that rest.

use std::sync::OnceLock;

use futures::{StreamExt as _, stream};
use lusk_contract::{BrokenOff, Flow, NotRelayed, RelayReply, RelayRequest};

use super::*;

/// What a replica does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Answers in parts, the second one after a rest.
    Parts,
    /// Breaks off after a part.
    Breaks,
    /// Did not begin; the request comes back.
    Returns,
    /// Did not begin, some of the request is gone.
    Loses,
}

#[derive(Debug)]
struct Relay {
    does: Does,
    schema: ScriptSchema,
    seen: AtomicUsize,
    standing: OnceLock<Arc<dyn Standing>>,
    cut: Mutex<Vec<String>>,
}

impl Relay {
    fn new(does: Does) -> Arc<Self> {
        Arc::new(Self {
            does,
            schema: route("any").info.schema.clone(),
            seen: AtomicUsize::new(0),
            standing: OnceLock::new(),
            cut: Mutex::default(),
        })
    }

    fn set(&self, takes_requests: bool) {
        self.standing.get().expect("added").set(takes_requests);
    }

    fn seen(&self) -> usize {
        self.seen.load(SeqCst)
    }
}

const REST: Duration = Duration::from_secs(1);

#[async_trait]
impl Replica for Relay {
    async fn score(&self, _: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        panic!("requests are relayed")
    }

    fn relays(&self) -> bool {
        true
    }

    async fn relay(&self, request: RelayRequest) -> Result<RelayReply, NotRelayed> {
        self.seen.fetch_add(1, SeqCst);
        let second = match self.does {
            Does::Parts => Ok(Bytes::from_static(b"two")),
            Does::Breaks => Err(BrokenOff("it died".to_owned())),
            Does::Returns | Does::Loses => {
                return Err(NotRelayed {
                    error: ScriptError::NotBegun("nobody is there".to_owned()),
                    request: matches!(self.does, Does::Returns).then(|| Box::new(request)),
                });
            }
        };
        let first = stream::iter([Ok(Bytes::from_static(b"one"))]);
        let second = stream::once(async {
            sleep(REST).await;
            second
        });
        Ok(RelayReply {
            status: StatusCode::CREATED,
            headers: HeaderMap::new(),
            body: Flow::Parts {
                length: None,
                parts: first.chain(second).boxed(),
            },
            run_time: None,
            function_failed: false,
        })
    }

    fn cut(&self, why: &str) {
        self.cut.lock().expect("no panic").push(why.to_owned());
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    fn tell(&self, standing: Arc<dyn Standing>) {
        self.standing.set(standing).expect("added once");
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

fn relaying(replicas: &[&Arc<Relay>]) -> Arc<Route> {
    let route = Arc::new(route("away"));
    for (number, replica) in (0..).zip(replicas) {
        route.add(number, Arc::clone(replica) as Arc<dyn Replica>, 1);
    }
    route
}

async fn pass(route: &Arc<Route>) -> Result<Relayed, RouteError> {
    route
        .own_turn()
        .await?
        .relay(request("/score").into())
        .await
}

/// The parts of an answer as they come.
fn parts(relayed: Relayed) -> lusk_contract::Parts {
    match relayed.reply.body {
        Flow::Parts { parts, .. } => parts,
        Flow::Whole(_) => panic!("it comes in parts"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_slot_is_in_use_until_the_last_part() {
    let route = relaying(&[&Relay::new(Does::Parts)]);
    let mut parts = parts(pass(&route).await.expect("an answer"));
    assert_eq!(parts.next().await, Some(Ok("one".into())));
    assert_eq!(route.status().busy, 1);
    let waiting = tokio::spawn({
        let route = Arc::clone(&route);
        async move { pass(&route).await.is_ok() }
    });
    settle().await;
    assert_eq!(route.status().queued, 1);
    waiting.abort();
    settle().await;
    assert_eq!(parts.next().await, Some(Ok("two".into())));
    assert_eq!(parts.next().await, None);
    let counters = route.status().counters;
    assert_eq!(counters.by_class, [0, 1, 0, 0, 0]);
    assert!(counters.latency_sum >= REST);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_counts_as_a_failure() {
    let route = relaying(&[&Relay::new(Does::Breaks)]);
    let mut parts = parts(pass(&route).await.expect("an answer"));
    assert!(parts.next().await.expect("a part").is_ok());
    assert!(parts.next().await.expect("an end").is_err());
    assert_eq!(parts.next().await, None);
    assert_eq!(route.status().busy, 0);
    assert_eq!(route.status().counters.by_class, [0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_the_last_part_too() {
    let mut short = super::route("away");
    short.info.limits.scoring_timeout = REST / 2;
    let route = Arc::new(short);
    route.add(0, Relay::new(Does::Parts), 1);
    let mut parts = parts(pass(&route).await.expect("an answer"));
    assert!(parts.next().await.expect("a part").is_ok());
    let broken = parts.next().await.expect("an end").expect_err("cut");
    assert!(broken.to_string().contains("500ms"), "{broken}");
    assert_eq!(route.status().counters.timed_out, 1);
    assert_eq!(route.status().busy, 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_nobody_asks_for_more() {
    let mut short = super::route("away");
    short.info.limits.scoring_timeout = REST * 2;
    let route = Arc::new(short);
    let replica = Relay::new(Does::Parts);
    route.add(0, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let mut parts = parts(pass(&route).await.expect("an answer"));
    assert!(parts.next().await.expect("a part").is_ok());
    sleep(REST * 2 - Duration::from_millis(1)).await;
    assert_eq!(route.status().busy, 1);
    sleep(Duration::from_millis(2)).await;
    let status = route.status();
    assert_eq!((status.busy, status.counters.timed_out), (0, 1));
    assert_eq!(replica.cut.lock().expect("no panic").len(), 1);
    let broken = parts.next().await.expect("an end").expect_err("cut");
    assert!(broken.to_string().contains("2s"), "{broken}");
    assert_eq!(parts.next().await, None);
    drop(parts);
    assert_eq!(route.status().counters.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_abandoned() {
    let route = relaying(&[&Relay::new(Does::Parts)]);
    drop(pass(&route).await.expect("an answer"));
    assert_eq!(route.status().busy, 0);
    assert_eq!(route.status().counters.abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_request_that_came_back_is_tried_again() {
    for (does, tries) in [(Does::Returns, 2), (Does::Loses, 1)] {
        let replicas = [Relay::new(does), Relay::new(does)];
        let route = relaying(&[&replicas[0], &replicas[1]]);
        let error = pass(&route).await.expect_err("nobody begins");
        assert!(matches!(
            error,
            RouteError::Script(ScriptError::NotBegun(_))
        ));
        assert_eq!(replicas[0].seen() + replicas[1].seen(), tries);
        assert_eq!(route.status().busy, 0);
    }
    let (first, second) = (Relay::new(Does::Returns), Relay::new(Does::Parts));
    let route = relaying(&[&first, &second]);
    assert!(pass(&route).await.expect("an answer").retried);
    assert_eq!(route.status().counters.retried, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_rests_gets_nothing_until_it_wakes() {
    let (tired, other) = (Relay::new(Does::Parts), Relay::new(Does::Parts));
    let route = relaying(&[&tired, &other]);
    tired.set(false);
    for _ in 0..5 {
        pass(&route).await.expect("an answer");
    }
    assert_eq!((tired.seen(), other.seen()), (0, 5));
    let status = route.status();
    assert_eq!((status.ready_replicas, status.resting_replicas), (1, 1));
    assert_eq!(status.slots, 1);
    assert_eq!(route.replicas().len(), 2, "it keeps its place");
    // Who waits gets its slot as soon as it wakes.
    let _held = pass(&route).await.expect("an answer");
    let waits = Arc::clone(&route);
    let waiting = tokio::spawn(async move { pass(&waits).await.is_ok() });
    settle().await;
    tired.set(true);
    assert!(waiting.await.expect("no panic"));
    assert_eq!(tired.seen(), 1);
    assert_eq!(route.status().resting_replicas, 0);
}

#[tokio::test(start_paused = true)]
async fn when_all_rest_callers_are_told_at_once() {
    let tired = Relay::new(Does::Parts);
    let route = relaying(&[&tired]);
    route.set_wakes(true);
    tired.set(false);
    let error = pass(&route).await.expect_err("nobody is awake");
    assert_eq!(error, RouteError::NoReadyReplicas);
    route.remove(0);
    // The news of one that is gone is no news.
    tired.set(true);
    assert_eq!(route.status().ready_replicas, 0);
    assert_eq!(route.status().resting_replicas, 0);
}
