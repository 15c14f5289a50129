//! Promises of a route, in tokio's paused time, with replicas that sleep.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use lusk_contract::ScriptKind;
use lusk_domain::{Secret, ServiceName};
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::pool::MAX_QUEUED;

mod relays;

const TIMEOUT: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(500);

/// A route without replicas, with the default limits.
pub(crate) fn route(name: &str) -> Route {
    named(name.parse().expect("a service name"))
}

pub(crate) fn named(name: ServiceName) -> Route {
    let schema = ScriptSchema {
        kind: ScriptKind::Plain,
        input: json!({}),
        output: json!({}),
    };
    let info = RouteInfo {
        title: name.to_string(),
        name,
        limits: Limits {
            scoring_timeout: TIMEOUT,
            max_queue_wait: WAIT,
        },
        cors: None,
        schema,
        version: "1".to_owned(),
        swagger_files: BTreeMap::new(),
    };
    let keys = KeyPair {
        primary_key: Secret::new("one"),
        secondary_key: Secret::new("two"),
    };
    let mode = AuthMode::Key;
    Route::new(info, Access { mode, keys })
}

/// A replica that answers after `runs_for`, or does not begin.
#[derive(Debug)]
struct Sleeper {
    runs_for: Duration,
    begins: bool,
    schema: ScriptSchema,
    running: AtomicUsize,
    most_running: AtomicUsize,
    interrupted: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

impl Sleeper {
    fn new(runs_for: Duration, begins: bool) -> Arc<Self> {
        Arc::new(Self {
            runs_for,
            begins,
            schema: route("any").info.schema.clone(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            interrupted: AtomicUsize::new(0),
            seen: Mutex::default(),
        })
    }

    fn of_millis(millis: u64) -> Arc<Self> {
        Self::new(Duration::from_millis(millis), true)
    }

    fn that_never_begins() -> Arc<Self> {
        Self::new(Duration::ZERO, false)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

struct Running<'a> {
    replica: &'a Sleeper,
    done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.replica.running.fetch_sub(1, SeqCst);
        if !self.done {
            self.replica.interrupted.fetch_add(1, SeqCst);
        }
    }
}

#[async_trait]
impl Replica for Sleeper {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        self.seen
            .lock()
            .expect("no panic")
            .push(request.target.clone());
        if !self.begins {
            return Err(ScriptError::NotBegun("its process is gone".to_owned()));
        }
        let now = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(now, SeqCst);
        let mut running = Running {
            replica: self,
            done: false,
        };
        sleep(self.runs_for).await;
        running.done = true;
        if request.target == "/raise" {
            return Err(ScriptError::Raised("division by zero".to_owned()));
        }
        Ok(ScoreReply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: request.body,
            run_time: Some(self.runs_for),
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

pub(crate) fn request(target: &str) -> ScoreRequest {
    ScoreRequest {
        method: Method::POST,
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
    }
}

type Answer = JoinHandle<Result<Scored, RouteError>>;

/// Sends a request and waits until it stands where it will stand.
async fn send(route: &Arc<Route>, target: &str) -> Answer {
    let (route, request) = (Arc::clone(route), request(target));
    let answer = tokio::spawn(async move { route.score(request).await });
    settle().await;
    answer
}

/// Lets every task that can run do so; the paused clock stands still meanwhile.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn route_with(replicas: &[(&Arc<Sleeper>, usize)]) -> Arc<Route> {
    let route = Arc::new(route("digits"));
    for (number, (replica, slots)) in (0..).zip(replicas) {
        route.add(number, Arc::clone(*replica) as Arc<dyn Replica>, *slots);
    }
    route
}

/// A route whose only slot is taken for half a minute.
pub(crate) async fn busy_route() -> Arc<Route> {
    let route = route_with(&[(&Sleeper::of_millis(30_000), 1)]);
    drop(send(&route, "/long").await);
    route
}

#[tokio::test(start_paused = true)]
async fn without_a_replica_callers_are_told_at_once() {
    let route = route_with(&[]);
    let before = Instant::now();
    assert_eq!(
        route.score(request("/score")).await.err(),
        Some(RouteError::NoReadyReplicas)
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(route.status().counters.not_ready, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_never_runs_more_than_its_slots() {
    let (small, large) = (Sleeper::of_millis(10), Sleeper::of_millis(10));
    let route = route_with(&[(&small, 1), (&large, 3)]);
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(send(&route, "/score").await);
    }
    assert_eq!(route.status().busy, 4);
    assert_eq!(route.status().queued, 36);
    for answer in answers {
        answer.await.expect("no panic").expect("an answer");
    }
    assert_eq!(small.most_running.load(SeqCst), 1);
    assert_eq!(large.most_running.load(SeqCst), 3);
    assert_eq!(route.status().busy, 0);
    assert_eq!(route.status().counters.by_class, [0, 40, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_they_came() {
    let replica = Sleeper::of_millis(10);
    let route = route_with(&[(&replica, 1)]);
    let mut answers = Vec::new();
    for number in 0..20 {
        answers.push(send(&route, &format!("/{number}")).await);
    }
    for answer in answers {
        answer.await.expect("no panic").expect("an answer");
    }
    let expected: Vec<_> = (0..20).map(|number| format!("/{number}")).collect();
    assert_eq!(replica.seen(), expected);
}

#[tokio::test(start_paused = true)]
async fn load_spreads_over_replicas_before_slots() {
    let (a, b) = (Sleeper::of_millis(10), Sleeper::of_millis(10));
    let route = route_with(&[(&a, 4), (&b, 4)]);
    let first = send(&route, "/score").await;
    let second = send(&route, "/score").await;
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
    first.await.expect("no panic").expect("an answer");
    second.await.expect("no panic").expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_slot_ends_at_its_limit_and_says_what_was_busy() {
    let replica = Sleeper::of_millis(10_000);
    let route = route_with(&[(&replica, 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let third = send(&route, "/third").await;
    let error = second.await.expect("no panic").expect_err("no slot");
    let RouteError::Overloaded {
        waited,
        limit,
        busy,
        slots,
        ..
    } = error
    else {
        panic!("unexpected {error}");
    };
    assert_eq!((limit, busy, slots), (WAIT, 1, 1));
    assert!(waited >= WAIT);
    third.await.expect("no panic").expect_err("no slot");
    first.await.expect("no panic").expect("an answer");
    assert_eq!(replica.seen(), ["/first"]);
    assert_eq!(route.status().counters.overloaded, 2);
    assert_eq!(route.status().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_told_with_the_answer() {
    let replica = Sleeper::of_millis(100);
    let route = route_with(&[(&replica, 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let first = first.await.expect("no panic").expect("an answer");
    let second = second.await.expect("no panic").expect("an answer");
    assert_eq!(first.queued_for, Duration::ZERO);
    assert!(second.queued_for >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_scoring_timeout_interrupts_the_script_and_frees_its_slot() {
    let replica = Sleeper::of_millis(61_000);
    let route = route_with(&[(&replica, 1)]);
    assert_eq!(
        route.score(request("/score")).await.err(),
        Some(RouteError::TimedOut { limit: TIMEOUT })
    );
    assert_eq!(replica.interrupted.load(SeqCst), 1);
    let status = route.status();
    assert_eq!((status.busy, status.counters.timed_out), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_scoring_timeout_holds_in_the_queue_too() {
    let replica = Sleeper::of_millis(10_000);
    let mut info = route("digits").info;
    info.limits.max_queue_wait = Duration::from_secs(100);
    info.limits.scoring_timeout = Duration::from_secs(12);
    let route = Arc::new(Route::new(info, Access::clone(&route("digits").access())));
    route.add(0, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let third = send(&route, "/third").await;
    first.await.expect("no panic").expect("an answer");
    let limit = Duration::from_secs(12);
    for late in [second, third] {
        let error = late.await.expect("no panic").expect_err("too late");
        assert_eq!(error, RouteError::TimedOut { limit });
    }
    assert_eq!(replica.seen(), ["/first", "/second"]);
    assert_eq!(route.status().busy, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_while_queued_is_never_run() {
    let replica = Sleeper::of_millis(10);
    let route = route_with(&[(&replica, 1)]);
    let first = send(&route, "/first").await;
    let gone = send(&route, "/gone").await;
    let third = send(&route, "/third").await;
    gone.abort();
    settle().await;
    assert_eq!(route.status().queued, 1);
    first.await.expect("no panic").expect("an answer");
    third.await.expect("no panic").expect("an answer");
    assert_eq!(replica.seen(), ["/first", "/third"]);
    assert_eq!(route.status().counters.abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_while_running_interrupts_the_script() {
    let replica = Sleeper::of_millis(10_000);
    let route = route_with(&[(&replica, 1)]);
    let gone = send(&route, "/gone").await;
    let next = send(&route, "/next").await;
    gone.abort();
    settle().await;
    assert_eq!(replica.interrupted.load(SeqCst), 1);
    assert_eq!(replica.running.load(SeqCst), 1, "the slot went to the next");
    next.await.expect("no panic").expect("an answer");
    assert_eq!(route.status().busy, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_sent_to_a_caller_who_just_went_is_not_lost() {
    let replica = Sleeper::of_millis(10);
    let route = route_with(&[(&replica, 1)]);
    let first = send(&route, "/first").await;
    let mut gone = Box::pin(route.score(request("/gone")));
    assert!(still_pending(&mut gone).await, "waits");
    first.await.expect("no panic").expect("an answer");
    // The slot is in the channel of a request that is dropped before it looks.
    assert_eq!(route.status().busy, 1);
    drop(gone);
    assert_eq!(route.status().busy, 0);
    route.score(request("/next")).await.expect("an answer");
    assert_eq!(replica.seen(), ["/first", "/next"]);
}

/// Polls once; true when it is still pending.
async fn still_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn what_had_not_begun_is_tried_once_on_another_replica() {
    let (broken, sound) = (Sleeper::that_never_begins(), Sleeper::of_millis(10));
    let route = route_with(&[(&broken, 1), (&sound, 1)]);
    let scored = route.score(request("/score")).await.expect("an answer");
    assert!(scored.retried);
    assert_eq!((broken.seen().len(), sound.seen().len()), (1, 1));
    assert_eq!(route.status().counters.retried, 1);
    assert_eq!(route.status().counters.by_class, [0, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_second_try_waits_for_another_replica_ahead_of_younger_requests() {
    let (broken, sound) = (Sleeper::that_never_begins(), Sleeper::of_millis(10));
    let route = route_with(&[(&sound, 1), (&broken, 1)]);
    let running = send(&route, "/running").await;
    let retried = send(&route, "/retried").await;
    assert_eq!(broken.seen(), ["/retried"]);
    route.remove(1);
    let younger = send(&route, "/younger").await;
    for answer in [running, retried, younger] {
        answer.await.expect("no panic").expect("an answer");
    }
    assert_eq!(sound.seen(), ["/running", "/retried", "/younger"]);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_third_try() {
    let broken: Vec<_> = (0..3).map(|_| Sleeper::that_never_begins()).collect();
    let route = route_with(&[(&broken[0], 1), (&broken[1], 1), (&broken[2], 1)]);
    let error = route.score(request("/score")).await.expect_err("no answer");
    assert!(matches!(
        error,
        RouteError::Script(ScriptError::NotBegun(_))
    ));
    let tries: usize = broken.iter().map(|replica| replica.seen().len()).sum();
    assert_eq!(tries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lone_replica_that_had_not_begun_is_not_tried_again() {
    let broken = Sleeper::that_never_begins();
    let route = route_with(&[(&broken, 2)]);
    let error = route.score(request("/score")).await.expect_err("no answer");
    assert!(matches!(
        error,
        RouteError::Script(ScriptError::NotBegun(_))
    ));
    assert_eq!(broken.seen().len(), 1);
    assert_eq!(route.status().busy, 0);
}

#[tokio::test(start_paused = true)]
async fn what_began_is_never_tried_again() {
    let (a, b) = (Sleeper::of_millis(1), Sleeper::of_millis(1));
    let route = route_with(&[(&a, 1), (&b, 1)]);
    let error = route.score(request("/raise")).await.expect_err("raised");
    assert!(matches!(error, RouteError::Script(ScriptError::Raised(_))));
    assert_eq!(a.seen().len() + b.seen().len(), 1);
    assert_eq!(route.status().counters.by_class, [0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_serves_those_who_wait() {
    let (slow, fresh) = (Sleeper::of_millis(10_000), Sleeper::of_millis(10));
    let route = route_with(&[(&slow, 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    route.add(1, Arc::clone(&fresh) as Arc<dyn Replica>, 1);
    settle().await;
    assert_eq!(fresh.seen(), ["/second"]);
    second.await.expect("no panic").expect("an answer");
    first.await.expect("no panic").expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn a_removed_replica_ends_its_work_and_gets_no_more() {
    let (old, new) = (Sleeper::of_millis(100), Sleeper::of_millis(10));
    let route = route_with(&[(&old, 1), (&new, 1)]);
    let first = send(&route, "/first").await;
    assert_eq!(old.seen(), ["/first"]);
    assert!(route.remove(0).is_some());
    assert!(route.remove(0).is_none());
    for _ in 0..5 {
        route.score(request("/next")).await.expect("an answer");
    }
    first.await.expect("no panic").expect("an answer");
    assert_eq!(old.seen(), ["/first"]);
    assert_eq!(Arc::strong_count(&old), 1, "the last holder is the test");
    assert_eq!(route.replicas().len(), 1);
    assert_eq!(route.status().slots, 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_run_holds_no_wait() {
    let replica = Sleeper::of_millis(100);
    let route = route_with(&[(&replica, 1)]);
    let answers = [
        send(&route, "/a").await,
        send(&route, "/b").await,
        send(&route, "/c").await,
    ];
    for answer in answers {
        answer.await.expect("no panic").expect("an answer");
    }
    let refused = route_with(&[]).score(request("/d")).await;
    refused.expect_err("nobody is there");
    let counters = route.status().counters;
    assert_eq!(counters.latency_sum.as_millis(), 600);
    assert_eq!((counters.runs, counters.run_sum.as_millis()), (3, 300));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_given_up_is_gone_with_its_last_request() {
    let (old, new) = (Sleeper::of_millis(100), Sleeper::of_millis(10));
    let route = route_with(&[(&old, 2), (&new, 2)]);
    let requests = [send(&route, "/a").await, send(&route, "/b").await];
    let third = send(&route, "/c").await;
    assert_eq!(old.seen(), ["/a", "/c"]);
    let begun = Instant::now();
    route.give_up(0).expect("it is there").await;
    assert_eq!(begun.elapsed().as_millis(), 100);
    assert!(route.give_up(0).is_none());
    route.give_up(1).expect("it is there").await;
    assert_eq!(begun.elapsed().as_millis(), 100, "nothing runs there");
    for answer in requests.into_iter().chain([third]) {
        answer.await.expect("no panic").expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_the_queue_and_refuses_the_new() {
    let replica = Sleeper::of_millis(100);
    let route = route_with(&[(&replica, 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let drained = {
        let route = Arc::clone(&route);
        tokio::spawn(async move { route.drain().await })
    };
    settle().await;
    assert_eq!(
        route.score(request("/new")).await.err(),
        Some(RouteError::Draining)
    );
    assert!(!drained.is_finished());
    first.await.expect("no panic").expect("an answer");
    assert!(!drained.is_finished());
    second.await.expect("no panic").expect("an answer");
    drained.await.expect("no panic");
    assert_eq!(replica.seen(), ["/first", "/second"]);
    assert_eq!(route.status().counters.by_class, [0, 2, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_those_away_who_wait_for_a_first_replica() {
    let route = Arc::new(route("digits"));
    route.set_wakes(true);
    let waiting = send(&route, "/first").await;
    assert_eq!(route.status().queued, 1);
    let begun = Instant::now();
    route.drain().await;
    let error = waiting.await.expect("no panic").expect_err("no slot");
    assert_eq!(error, RouteError::Draining);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_its_last_replica_goes_although_somebody_waits() {
    let route = route_with(&[(&Sleeper::of_millis(1_000), 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let drained = {
        let route = Arc::clone(&route);
        tokio::spawn(async move { route.drain().await })
    };
    settle().await;
    route.remove(0);
    let error = second.await.expect("no panic").expect_err("no slot");
    assert_eq!(error, RouteError::Draining);
    assert!(!first.is_finished(), "what runs goes on");
    first.await.expect("no panic").expect("an answer");
    drained.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_an_idle_route_ends_at_once() {
    let route = route_with(&[(&Sleeper::of_millis(1), 1)]);
    route.drain().await;
    route.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_the_last_who_waits_gives_up() {
    let route = route_with(&[(&Sleeper::of_millis(10_000), 1)]);
    let first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    let drained = {
        let route = Arc::clone(&route);
        tokio::spawn(async move { route.drain().await })
    };
    settle().await;
    second.abort();
    settle().await;
    assert!(!drained.is_finished());
    first.abort();
    drained.await.expect("no panic");
    settle().await;
    assert_eq!(route.status().counters.abandoned, 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_when_the_last_replica_goes_are_told_that_none_is_ready() {
    let route = route_with(&[(&Sleeper::of_millis(10_000), 1)]);
    let _first = send(&route, "/first").await;
    let second = send(&route, "/second").await;
    route.remove(0);
    let error = second.await.expect("no panic").expect_err("no slot");
    assert_eq!(error, RouteError::NoReadyReplicas);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let route = route_with(&[(&Sleeper::of_millis(10_000), 1)]);
    let _running = send(&route, "/first").await;
    let mut waiting = Vec::with_capacity(MAX_QUEUED);
    for _ in 0..MAX_QUEUED {
        let mut next = Box::pin(route.score(request("/score")));
        assert!(still_pending(&mut next).await);
        waiting.push(next);
    }
    let before = Instant::now();
    let error = route.score(request("/score")).await.expect_err("full");
    assert!(matches!(error, RouteError::Overloaded { queued, .. } if queued == MAX_QUEUED));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn keys_change_for_the_next_request() {
    let route = route("digits");
    let mut access = Access::clone(&route.access());
    access.keys.primary_key = Secret::new("new");
    route.set_access(access);
    assert_eq!(route.access().keys.primary_key.reveal(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_route_lets_its_first_request_wait_for_a_replica() {
    let route = Arc::new(route("sleepy"));
    route.set_wakes(true);
    let waiting = tokio::spawn({
        let route = Arc::clone(&route);
        async move { route.score(request("1")).await.map(|_| ()) }
    });
    route.pressed().await;
    // Longer than a place in the queue is worth otherwise.
    sleep(WAIT * 4).await;
    assert!(!waiting.is_finished());
    route.add(0, Sleeper::new(Duration::ZERO, true), 1);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_route_gives_up_at_the_scoring_timeout() {
    let route = route("sleepy");
    route.set_wakes(true);
    let begun = Instant::now();
    let refused = route.score(request("1")).await.map(|_| ());
    assert_eq!(refused, Err(RouteError::NoReadyReplicas));
    assert_eq!(begun.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_looks_at_once_when_a_request_begins_to_wait() {
    let route = Arc::new(route("busy"));
    route.add(0, Sleeper::new(Duration::from_secs(5), true), 1);
    let policy = lusk_domain::ScalePolicy {
        min_replicas: 1,
        max_replicas: 10,
        target_utilization: 70,
        slots_per_replica: 1,
        refresh: Duration::from_secs(3_600),
    };
    let mut autoscaler = crate::Autoscaler::new(Arc::clone(&route), policy);
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let route = Arc::clone(&route);
            tokio::spawn(async move { route.score(request("1")).await.map(|_| ()) })
        })
        .collect();
    let begun = Instant::now();
    autoscaler.due().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    tokio::task::yield_now().await;
    let decision = autoscaler.decide(0, 100);
    assert_eq!((decision.load.busy, decision.load.queued), (1, 2));
    assert_eq!(decision.replicas, 5);
    drop(calls);
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_a_slot_says_nothing_of_the_route() {
    let route = Arc::new(route("digits"));
    assert_eq!(
        route.turn_for_copy().await.err(),
        Some(RouteError::NoReadyReplicas)
    );
    assert_eq!(route.status().counters, Counters::default());
    assert!(route.own_turn().await.is_err());
    assert_eq!(route.status().counters.not_ready, 1);
}
