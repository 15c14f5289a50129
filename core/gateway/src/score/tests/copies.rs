//! Copies of requests for a mirrored version: the caller never hears of them.

use futures::future::join_all;

use super::*;
use crate::{
    books::CopyOutcome,
    testing::{
        Answer,
        shop::{
            DEPLOYMENT, Pairs, SHOP, ask, endpoint, mirroring, publish, shop, version_info,
            version_route, version_with,
        },
    },
};

/// A door whose `blue` is live and whose `shadow` gets copies of so many percent.
async fn node(shadow: Arc<Route>, percent: f64, options: ScoringOptions) -> Node {
    let node = Node::with(version_route("blue"), options).await;
    node.router.publish(shadow);
    let record = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    publish(&node.router, &mirroring(record, "shadow", percent));
    node
}

async fn plain(shadow: Arc<Route>) -> Node {
    node(shadow, 50.0, ScoringOptions::default()).await
}

/// Copies that were sent, dropped and failed.
fn counted(node: &Node) -> [u64; CopyOutcome::ALL.len()] {
    let copies = node.books.copies(|_| true);
    copies.get(&shop()).copied().unwrap_or_default()
}

/// Copies that are due of so many first requests.
fn due(requests: usize, percent: f64) -> u64 {
    let router = lusk_router::Router::new();
    router.publish(version_route("shadow"));
    let record = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    publish(&router, &mirroring(record, "shadow", percent));
    let Some(Lead::Endpoint(versions)) = router.lead("shop") else {
        panic!("no endpoint");
    };
    let picks = (0..requests).filter(|_| versions.pick_mirror().is_some());
    picks.count() as u64
}

/// A copy whose script is asked about what it saw.
async fn keeping(shadow: Arc<Route>, log: &Arc<Pairs>) -> Node {
    let options = ScoringOptions {
        mirror_log: Some(Arc::clone(log) as Arc<dyn lusk_contract::MirrorLog>),
        ..ScoringOptions::default()
    };
    let node = node(shadow, 50.0, options).await;
    keep(&node);
    node
}

fn keep(node: &Node) {
    let record = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    let mut record = mirroring(record, "shadow", 50.0);
    record.mirror.as_mut().expect("a mirror").keeps_answers = true;
    publish(&node.router, &record);
}

/// Two requests, one of which is copied.
async fn two(node: &Node) -> [Answer; 2] {
    let headers = [BEARER, ("x-request-id", "the-id")];
    [
        node.ask("POST", SHOP, &headers, "seven").await,
        node.ask("POST", SHOP, &headers, "seven").await,
    ]
}

#[tokio::test]
async fn copies_are_exactly_the_share_and_live_answers_stay() {
    let shadow = Fake::new(Behaviour::Echo);
    let node = node(
        version_with("shadow", Arc::clone(&shadow) as Arc<dyn Replica>),
        20.0,
        ScoringOptions::default(),
    )
    .await;
    let mut client = node.connect().await;
    for _ in 0..200 {
        assert_eq!(ask(&mut client, &[]).await, "blue");
    }
    let copies = due(200, 20.0);
    until(|| counted(&node)[CopyOutcome::Sent as usize] == copies).await;
    assert_eq!(counted(&node), [copies, 0, 0]);
    assert_eq!(shadow.begun() as u64, copies);
}

#[tokio::test]
async fn a_copy_is_the_request_with_a_mark() {
    let log = Arc::new(Pairs::default());
    let shadow = version_with("shadow", Fake::new(Behaviour::Echo));
    let node = keeping(shadow, &log).await;
    let headers = [BEARER, ("X-Mine", "1")];
    for _ in 0..2 {
        let path = format!("{SHOP}?a=1");
        let answer = node.ask("POST", &path, &headers, "seven").await;
        assert_eq!(answer.body, "blue");
    }
    until(|| log.count() == 1).await;
    let copy = log.only().copy;
    let seen: serde_json::Value = serde_json::from_slice(&copy.body).expect("JSON");
    assert_eq!(
        (&seen["target"], &seen["body"]),
        (&"/score?a=1".into(), &"seven".into())
    );
    let headers = &seen["headers"];
    assert_eq!(headers["x-lusk-mirrored"], "1");
    assert_eq!(headers["x-mine"], "1");
    assert_eq!(headers.get("authorization"), None);
}

#[tokio::test]
async fn who_names_a_version_is_not_copied() {
    let shadow = Fake::new(Behaviour::Echo);
    let node = plain(version_with(
        "shadow",
        Arc::clone(&shadow) as Arc<dyn Replica>,
    ))
    .await;
    let own = "/api/v1/endpoint/shop/version/blue/score";
    for _ in 0..4 {
        let wish = [BEARER, (DEPLOYMENT, "blue")];
        assert_eq!(node.ask("POST", SHOP, &wish, "x").await.status, 200);
        assert_eq!(node.ask("POST", own, &[BEARER], "x").await.status, 200);
    }
    // Nor have they been anybody's turn: of the next two, one is.
    two(&node).await;
    until(|| counted(&node) == [1, 0, 0]).await;
    assert_eq!(shadow.begun(), 1);
}

#[tokio::test]
async fn a_mirrored_version_that_hangs_delays_nobody_and_copies_are_bounded() {
    let shadow = Fake::new(Behaviour::Wait);
    let node = plain(version_with(
        "shadow",
        Arc::clone(&shadow) as Arc<dyn Replica>,
    ))
    .await;
    let callers = (0..4).map(|_| async {
        let mut client = node.connect().await;
        for _ in 0..50 {
            assert_eq!(ask(&mut client, &[]).await, "blue");
        }
    });
    join_all(callers).await;
    let over = due(200, 50.0) - 64;
    assert!(over > 0);
    assert_eq!(counted(&node), [0, over, 0]);
    until(|| shadow.begun() == 64).await;
    shadow.go_on.notify_one();
    until(|| counted(&node) == [1, over, 0]).await;

    // What is still under way when the node stops is given up.
    node.shutdown.cancel();
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
    assert_eq!(shadow.interrupted(), 63);
    let route = node.router.route("shop/shadow").expect("published");
    assert_eq!(route.status().busy, 0);
    assert_eq!(node.books.copies(|_| true)[&shop()], [1, over, 63]);
}

#[tokio::test]
async fn the_bytes_of_copies_are_bounded() {
    let shadow = version_with("shadow", Fake::new(Behaviour::Wait));
    let node = plain(shadow).await;
    let large = "x".repeat(24 * 1024 * 1024);
    for _ in 0..6 {
        let answer = node.ask("POST", SHOP, &[BEARER], &large).await;
        assert_eq!(answer.status, 200);
    }
    // Two have room.
    assert_eq!(counted(&node), [0, due(6, 50.0) - 2, 0]);
}

#[tokio::test]
async fn copies_that_fail_are_counted_and_the_caller_hears_nothing() {
    let empty = Route::new(version_info("shadow"), access(AuthMode::Key));
    let fails = |behaviour| version_with("shadow", Fake::new(behaviour));
    let closed = version_route("shadow");
    closed.drain().await;
    for shadow in [
        Arc::new(empty),
        closed,
        fails(Behaviour::Panic),
        fails(Behaviour::Fail(ScriptError::Died("of it".to_owned()))),
    ] {
        let node = plain(shadow).await;
        for answer in two(&node).await {
            assert_eq!((answer.status, answer.body.as_str()), (200, "blue"));
        }
        until(|| counted(&node) == [0, 0, 1]).await;
    }
}

#[tokio::test]
async fn without_a_route_there_is_no_copy() {
    let node = plain(version_route("shadow")).await;
    node.router.withdraw(&version_info("shadow").name);
    two(&node).await;
    assert_eq!(counted(&node), [0, 0, 0]);
}

#[tokio::test]
async fn both_answers_are_kept_together() {
    let log = Arc::new(Pairs::default());
    let says = reply(StatusCode::INTERNAL_SERVER_ERROR, "eight");
    let shadow = version_with("shadow", Fake::new(Behaviour::Reply(says)));
    let node = keeping(shadow, &log).await;
    two(&node).await;
    until(|| log.count() == 1).await;
    let pair = log.only();
    assert_eq!((pair.endpoint, pair.request.as_str()), (shop(), "the-id"));
    assert_eq!(pair.live.version.as_str(), "blue");
    assert_eq!((pair.live.status, pair.live.error), (Some(200), None));
    assert_eq!(pair.live.body, "blue");
    assert_eq!(pair.copy.version.as_str(), "shadow");
    // As a caller would have seen it.
    assert_eq!((pair.copy.status, pair.copy.error), (Some(502), None));
    assert_eq!(pair.copy.body, "eight");
    assert_eq!(counted(&node), [1, 0, 0]);
}

#[tokio::test]
async fn the_lack_of_an_answer_is_kept_as_its_reason() {
    let log = Arc::new(Pairs::default());
    let node = keeping(version_route("shadow"), &log).await;
    let raises = Behaviour::Fail(ScriptError::Raised("no".to_owned()));
    node.router.publish(version_with("blue", Fake::new(raises)));
    let answers = two(&node).await;
    assert!(answers.iter().all(|answer| answer.status == 502));
    until(|| log.count() == 1).await;
    let live = log.only().live;
    assert_eq!((live.status, live.body.len()), (None, 0));
    let why = "the entry script raised an exception: no";
    assert_eq!(live.error.as_deref(), Some(why));
    assert_eq!(log.only().copy.body, "shadow");
}

#[tokio::test]
async fn nothing_is_kept_where_nobody_wants_it() {
    let log = Arc::new(Pairs::default());
    let node = keeping(version_route("shadow"), &log).await;
    let record = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    publish(&node.router, &mirroring(record, "shadow", 50.0));
    two(&node).await;
    until(|| counted(&node) == [1, 0, 0]).await;
    keep(&node);
    two(&node).await;
    until(|| counted(&node) == [2, 0, 0]).await;
    until(|| log.count() == 1).await;
}

#[tokio::test]
async fn a_caller_who_goes_leaves_nothing_to_compare() {
    let log = Arc::new(Pairs::default());
    let node = keeping(version_route("shadow"), &log).await;
    let blue = Fake::new(Behaviour::Wait);
    node.router
        .publish(version_with("blue", Arc::clone(&blue) as Arc<dyn Replica>));
    for number in 1..=2 {
        let mut client = node.connect().await;
        client.send(request("POST", SHOP, &[BEARER], "x")).await;
        until(|| blue.begun() == number).await;
        drop(client);
    }
    until(|| counted(&node) == [1, 0, 0]).await;
    assert_eq!(log.count(), 0);
}
