//! Endpoints whose versions come, go and are replaced under traffic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::testing::{
    Client,
    shop::{DEPLOYMENT, SHOP, ask, endpoint, named, publish, version_info, version_route},
};

/// A version with one slot, which waits.
fn busy(name: &str) -> (Arc<Route>, Arc<Fake>) {
    let replica = Fake::new(Behaviour::Wait);
    (route_to(version_info(name), &replica), replica)
}

/// A door to `blue`, whose only slot is in use, and somebody who waits for it.
struct Waiting {
    node: Node,
    blue: Arc<Route>,
    _replica: Arc<Fake>,
    _first: Client,
    client: Client,
}

impl Waiting {
    async fn with(headers: &[(&str, &str)]) -> Self {
        let (blue, replica) = busy("blue");
        let node = Node::serving(Arc::clone(&blue)).await;
        publish(&node.router, &endpoint(&[("blue", 100.0)]));
        let mut first = node.connect().await;
        first.send(request("POST", SHOP, &[BEARER], "x")).await;
        until(|| replica.begun() == 1).await;
        let mut client = node.connect().await;
        let headers = [&[BEARER], headers].concat();
        client.send(request("POST", SHOP, &headers, "x")).await;
        until(|| blue.status().queued == 1).await;
        Self {
            node,
            blue,
            _replica: replica,
            _first: first,
            client,
        }
    }

    /// Sends those who wait at the old route elsewhere.
    async fn close(&mut self) {
        self.blue.remove(0);
        let blue = Arc::clone(&self.blue);
        tokio::spawn(async move { blue.drain().await });
        until(|| self.blue.status().draining).await;
    }
}

#[tokio::test]
async fn who_waits_for_a_version_that_is_replaced_goes_on_to_the_new_one() {
    for headers in [&[][..], &[(DEPLOYMENT, "blue")]] {
        let mut waiting = Waiting::with(headers).await;
        waiting.node.router.publish(version_route("blue"));
        waiting.node.router.publish(version_route("green"));
        // The same version, although it has no share any more.
        let shares = endpoint(&[("green", 100.0), ("blue", 0.0)]);
        publish(&waiting.node.router, &shares);
        waiting.close().await;
        let answer = waiting.client.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "blue"));
        assert_eq!(named(&answer), "blue");
    }
}

#[tokio::test]
async fn who_waits_for_a_version_that_is_deleted_goes_to_another_one() {
    let mut waiting = Waiting::with(&[]).await;
    waiting.node.router.publish(version_route("green"));
    publish(&waiting.node.router, &endpoint(&[("green", 100.0)]));
    waiting.node.router.withdraw(&version_info("blue").name);
    waiting.close().await;
    let answer = waiting.client.answer().await;
    assert_eq!((answer.status, named(&answer).as_str()), (200, "green"));
}

#[tokio::test]
async fn who_asked_for_a_version_by_name_hears_that_it_was_deleted() {
    let mut waiting = Waiting::with(&[(DEPLOYMENT, "blue")]).await;
    waiting.node.router.publish(version_route("green"));
    publish(&waiting.node.router, &endpoint(&[("green", 100.0)]));
    waiting.node.router.withdraw(&version_info("blue").name);
    waiting.close().await;
    let answer = waiting.client.answer().await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().ends_with("it has green"), "{answer:?}");
}

#[tokio::test]
async fn a_plan_that_is_ahead_of_the_routes_fails_nobody() {
    // The version whose turn it is is gone, or closing, and the plan does not know yet.
    let node = Node::serving(version_route("blue")).await;
    publish(&node.router, &endpoint(&[("blue", 50.0), ("green", 50.0)]));
    let mut client = node.connect().await;
    for _ in 0..4 {
        assert_eq!(ask(&mut client, &[]).await, "blue");
    }
    let green = version_route("green");
    node.router.publish(Arc::clone(&green));
    green.drain().await;
    for _ in 0..4 {
        assert_eq!(ask(&mut client, &[]).await, "blue");
    }
}

#[tokio::test]
async fn an_endpoint_whose_every_route_is_closing_says_so() {
    let blue = version_route("blue");
    let node = Node::serving(Arc::clone(&blue)).await;
    publish(&node.router, &endpoint(&[("blue", 100.0)]));
    blue.drain().await;
    let answer = node.ask("POST", SHOP, &[BEARER], "x").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let wish = [BEARER, (DEPLOYMENT, "blue")];
    let answer = node.ask("POST", SHOP, &wish, "x").await;
    assert!(answer.message().contains("being stopped or replaced"));
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const NAMES: [&str; 5] = ["blue", "green", "red", "gold", "grey"];

/// One change, as control makes them: a version is there before it has a share, and has
/// none any more before it goes.
fn change(router: &lusk_router::Router, there: &mut Vec<&'static str>, dice: &mut Dice) {
    let closes = |route: Option<Arc<Route>>| {
        if let Some(route) = route {
            tokio::spawn(async move { route.drain().await });
        }
    };
    let gone: Vec<_> = NAMES.into_iter().filter(|it| !there.contains(it)).collect();
    match dice.roll(4) {
        0 if !gone.is_empty() => {
            let name = gone[dice.roll(gone.len())];
            router.publish(version_route(name));
            there.push(name);
        }
        1 if there.len() > 1 => {
            let name = there.remove(dice.roll(there.len()));
            share(router, there, dice);
            closes(router.withdraw(&version_info(name).name));
        }
        2 => {
            let name = there[dice.roll(there.len())];
            closes(router.publish(version_route(name)));
        }
        _ => share(router, there, dice),
    }
}

/// Any default, any shares.
fn share(router: &lusk_router::Router, there: &mut [&'static str], dice: &mut Dice) {
    let turn = dice.roll(there.len());
    there.rotate_left(turn);
    let most = 100 / there.len();
    let shares: Vec<_> = there
        .iter()
        .map(|name| (*name, dice.roll(most + 1) as f64))
        .collect();
    let mut record = endpoint(&shares);
    if dice.roll(3) == 0 {
        record.sticky = "header:x-user".parse().ok();
    }
    publish(router, &record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_versions_and_shares_change() {
    let node = Node::serving(version_route("blue")).await;
    publish(&node.router, &endpoint(&[("blue", 100.0)]));
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        let mut client = node.connect().await;
        callers.spawn(async move {
            let user = format!("caller{caller}");
            while !stop.load(SeqCst) {
                let headers: &[(&str, &str)] = match caller % 2 {
                    0 => &[("x-user", &user)],
                    _ => &[],
                };
                client
                    .send(request("POST", SHOP, &[&[BEARER], headers].concat(), "x"))
                    .await;
                let answer = client.answer().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(named(&answer), answer.body);
                assert!(NAMES.contains(&answer.body.as_str()));
                asked.fetch_add(1, SeqCst);
            }
        });
    }
    let (mut there, mut dice) = (vec!["blue"], Dice(5));
    for _ in 0..400 {
        let seen = asked.load(SeqCst);
        for _ in 0..dice.roll(4) {
            change(&node.router, &mut there, &mut dice);
        }
        until(|| asked.load(SeqCst) > seen + 3).await;
    }
    stop.store(true, SeqCst);
    while let Some(caller) = within(callers.join_next()).await {
        caller.expect("every answer");
    }
}
