//! Shards on real sockets: callers lose nothing, whatever is added and removed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use http::StatusCode;
use lusk_contract::{Replica, ScoreReply, ScoreRequest, ScriptError, ScriptSchema};
use lusk_domain::AuthMode;
use lusk_router::Route;
use tokio::task::JoinSet;

mod versions;

use super::*;
use crate::{
    Books,
    testing::{
        BEARER, Behaviour, Client, Fake, SCORE, access, info, plain_schema, reply, request,
        route_that, route_to, until, within,
    },
};

/// A door on shards, whose number the test sets by hand.
struct Node {
    crew: Crew<ScoringDoor>,
    books: Arc<Books>,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Node {
    async fn start(route: Arc<Route>, max: usize, options: ScoringOptions) -> Self {
        let router = Arc::new(Router::new());
        router.publish(route);
        Self::of(router, max, options).await
    }

    async fn of(router: Arc<Router>, max: usize, options: ScoringOptions) -> Self {
        let listeners = bind_shared((Ipv4Addr::LOCALHOST, 0).into(), max).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let door = Arc::new(ScoringDoor::new(router, &options));
        let books = Arc::clone(&options.books);
        let board = Arc::clone(books.shards());
        let shutdown = CancellationToken::new();
        let mut crew = Crew::new(listeners, door, &options, board, shutdown.clone()).unwrap();
        crew.set(1).await.unwrap();
        Self {
            crew,
            books,
            address,
            shutdown,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        within(self.crew.end()).await;
    }
}

/// A request that says which it is.
fn numbered(number: usize, close: bool) -> String {
    let close = if close { "close" } else { "keep-alive" };
    let headers = [BEARER, ("Connection", close)];
    request("POST", SCORE, &headers, &number.to_string())
}

async fn ask(client: &mut Client, number: usize, close: bool) {
    client.send(numbered(number, close)).await;
    let answer = client.answer_to("POST").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["body"], number.to_string());
}

/// Asks twice without waiting for the first answer.
async fn ask_ahead(client: &mut Client, numbers: [usize; 2]) {
    let both = numbers.map(|number| numbered(number, false)).concat();
    client.send(both).await;
    for number in numbers {
        let answer = client.answer_to("POST").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["body"], number.to_string());
    }
}

/// Callers who ask without a pause until they are told to stop: some on a new connection
/// each time, some on one for all, some of these ahead of the answers.
fn crowd(address: SocketAddr, stop: &Arc<AtomicBool>, asked: &Arc<AtomicUsize>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for caller in 0..12 {
        let (stop, asked) = (Arc::clone(stop), Arc::clone(asked));
        let (renews, asks_ahead) = (caller % 2 == 0, caller % 4 == 1);
        callers.spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.load(SeqCst) {
                if asks_ahead {
                    let number = asked.fetch_add(2, SeqCst);
                    ask_ahead(&mut client, [number, number + 1]).await;
                    continue;
                }
                let number = asked.fetch_add(1, SeqCst);
                ask(&mut client, number, renews).await;
                if renews {
                    client = Client::connect(address).await;
                }
            }
        });
    }
    callers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_caller_sends_is_lost_while_shards_come_and_go() {
    let replica = Fake::new(Behaviour::Echo);
    let route = Arc::new(Route::new(info(), access(AuthMode::Key)));
    route.add(0, Arc::clone(&replica) as Arc<dyn Replica>, 64);
    let mut node = Node::start(route, 4, ScoringOptions::default()).await;
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = crowd(node.address, &stop, &asked);
    for turn in 0..200_usize {
        let seen = asked.load(SeqCst);
        node.crew.set(1 + turn * 7 % 4).await.unwrap();
        until(|| asked.load(SeqCst) > seen + 8).await;
    }
    stop.store(true, SeqCst);
    while let Some(caller) = within(callers.join_next()).await {
        caller.expect("every answer");
    }
    assert_eq!(
        replica.begun(),
        asked.load(SeqCst),
        "each was run, none twice"
    );
    let times = node.books.shards().times();
    assert_eq!(times.count(), asked.load(SeqCst) as u64, "each was counted");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_shards_that_run_get_callers() {
    let mut node = Node::start(route_that(Behaviour::Echo), 4, ScoringOptions::default()).await;
    for running in [4, 3, 1, 2] {
        node.crew.set(running).await.unwrap();
        let mut before = node.crew.counts();
        before.resize(4, 0);
        // By chance none of 400 comes to a shard of one listener in four: 10^-50.
        for number in 0..400 {
            let mut client = Client::connect(node.address).await;
            ask(&mut client, number, true).await;
        }
        let now = node.crew.counts();
        let got: Vec<_> = now
            .iter()
            .zip(before)
            .map(|(now, then)| now - then)
            .collect();
        for (number, count) in got.iter().enumerate() {
            assert_eq!(*count > 0, number < running, "{running} run: {got:?}");
        }
    }
    assert_eq!(node.books.shards().running(), 2);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_stay_are_shared_with_a_new_shard_and_leave_one_that_rests() {
    let mut node = Node::start(route_that(Behaviour::Echo), 2, ScoringOptions::default()).await;
    let whole = numbered(7, false);
    let (begin, end) = whole.split_at(whole.len() / 2);
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(node.address).await;
        client.send(begin).await;
        clients.push(client);
    }
    until(|| node.crew.callers() == [16]).await;
    for (running, expected) in [(2, [8, 8]), (1, [16, 0])] {
        node.crew.set(running).await.unwrap();
        for number in 0.. {
            for client in &mut clients {
                // What was read of a next request moves with its caller.
                client.send([end, begin].concat()).await;
                assert_eq!(client.answer_to("POST").await.json()["body"], "7");
            }
            if node.crew.callers() == expected {
                break;
            }
            assert!(number < 1_000, "{:?}", node.crew.callers());
        }
    }
    assert_eq!(node.books.open_connections(), 16);
    // The end would wait for the rest of what they have begun to send.
    drop(clients);
    node.end().await;
}

/// Says which thread it runs on, or holds that thread up until it is told to go on.
#[derive(Debug)]
struct Thread {
    schema: ScriptSchema,
    begun: AtomicUsize,
    go_on: Mutex<mpsc::Receiver<()>>,
}

#[async_trait]
impl Replica for Thread {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        self.begun.fetch_add(1, SeqCst);
        if request.body == "long" {
            self.go_on.lock().unwrap().recv().unwrap();
        }
        let name = thread::current().name().unwrap_or_default().to_owned();
        Ok(reply(StatusCode::OK, &name))
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_script_holds_up_no_other_caller_and_a_short_one_stays_with_its_own() {
    let (go_on, held) = mpsc::channel();
    let replica = Arc::new(Thread {
        schema: plain_schema(),
        begun: AtomicUsize::new(0),
        go_on: Mutex::new(held),
    });
    let route = Arc::new(Route::new(info(), access(AuthMode::Key)));
    route.add(0, Arc::clone(&replica) as Arc<dyn Replica>, 8);
    let node = Node::start(Arc::clone(&route), 1, ScoringOptions::default()).await;

    let mut slow = Client::connect(node.address).await;
    slow.send(request("POST", SCORE, &[BEARER], "long")).await;
    until(|| replica.begun.load(SeqCst) == 1).await;
    let mut other = Client::connect(node.address).await;
    other.send(request("GET", "/", &[], "")).await;
    assert_eq!(other.answer().await.status, 200);
    go_on.send(()).unwrap();
    let name = slow.answer_to("POST").await.body;
    assert!(!name.starts_with("lusk-shard"), "{name}");

    // However slow this machine is: the usual run is short.
    while !route.pace().is_short() {
        route.pace().learn(Duration::from_nanos(1));
    }
    slow.send(request("POST", SCORE, &[BEARER], "short")).await;
    assert_eq!(slow.answer_to("POST").await.body, "lusk-shard-0");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_interrupts_a_script_that_runs_elsewhere() {
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::start(route_to(info(), &replica), 2, ScoringOptions::default()).await;
    let mut client = Client::connect(node.address).await;
    client.send(numbered(1, false)).await;
    until(|| replica.begun() == 1).await;
    client.vanish();
    until(|| replica.interrupted() == 1).await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_neither_the_shard_nor_the_connection() {
    let node = Node::start(route_that(Behaviour::Panic), 1, ScoringOptions::default()).await;
    let mut client = Client::connect(node.address).await;
    for number in 0..3 {
        client.send(numbered(number, false)).await;
        assert_eq!(client.answer_to("POST").await.status, 500);
    }
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_for_all_shards_together() {
    let mut options = ScoringOptions::default();
    options.listener.max_connections = 6;
    let mut node = Node::start(route_that(Behaviour::Echo), 3, options).await;
    node.crew.set(3).await.unwrap();
    let mut inside = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect(node.address).await;
        ask(&mut client, number, false).await;
        inside.push(client);
    }
    for _ in 0..6 {
        let mut client = Client::connect(node.address).await;
        assert_eq!(client.answer().await.status, 503);
    }
    drop(inside);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_waits_for_what_runs_on_any_shard_that_rests_or_not() {
    let replica = Fake::new(Behaviour::Wait);
    let route = Arc::new(Route::new(info(), access(AuthMode::Key)));
    route.add(0, Arc::clone(&replica) as Arc<dyn Replica>, 64);
    let mut node = Node::start(route, 2, ScoringOptions::default()).await;
    node.crew.set(2).await.unwrap();
    let mut clients = Vec::new();
    for number in 0..32 {
        let mut client = Client::connect(node.address).await;
        client.send(numbered(number, false)).await;
        clients.push(client);
    }
    until(|| replica.begun() == 32).await;
    node.crew.set(1).await.unwrap();
    node.shutdown.cancel();
    let mut end = tokio::spawn(node.crew.end());
    // Nothing has ended: all are told of the end, and still wait for their answers.
    assert!((&mut end).now_or_never().is_none());
    until(|| {
        replica.go_on.notify_waiters();
        end.is_finished()
    })
    .await;
    for client in &mut clients {
        assert_eq!(client.answer_to("POST").await.status, 200);
    }
}

#[tokio::test]
async fn what_has_come_when_the_door_closes_is_answered_by_every_shard() {
    let mut node = Node::start(route_that(Behaviour::Echo), 3, ScoringOptions::default()).await;
    node.crew.set(3).await.unwrap();
    let mut clients = Vec::new();
    for number in 0..24 {
        let mut client = Client::connect(node.address).await;
        if number % 2 == 0 {
            ask(&mut client, number, false).await;
        }
        clients.push(client);
    }
    for (number, client) in clients.iter().enumerate() {
        client.send_now(&numbered(number, false));
    }
    node.end().await;
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = client.answer_to("POST").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["body"], number.to_string());
    }
}
