//! Versions of an endpoint whose bodies pass through.

use lusk_contract::MirrorLog;

use super::*;
use crate::testing::shop::{
    Pairs, SHOP, endpoint, mirroring, named, publish, version_info, version_route, version_with,
};

/// `blue`, which relays, behind the endpoint, which may have other versions.
async fn blue(shares: &[(&str, f64)], options: ScoringOptions) -> Ends {
    let ends = Ends::of(version_info("blue"), None, false, options).await;
    publish(&ends.node.router, &endpoint(shares));
    ends
}

async fn begin(ends: &Ends, headers: &[(&str, &str)]) -> Client {
    let mut client = ends.node.connect().await;
    client.send(request("POST", SHOP, headers, "")).await;
    client
}

fn versions(ends: &Ends) -> lusk_router::Versions {
    match ends.node.router.lead("shop").unwrap() {
        lusk_router::Lead::Endpoint(versions) => versions,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_body_passes_through_to_a_version_that_takes_it_so() {
    let mut ends = blue(&[("blue", 100.0)], ScoringOptions::default()).await;
    let mut client = begin(&ends, &[BEARER, CHUNKED]).await;
    client.send("3\r\none\r\n").await;
    // Before the caller has said all.
    assert_eq!(ends.came().await.unwrap(), "one");
    client.send("0\r\n\r\n").await;
    ends.sends = None;
    assert_eq!(named(&client.answer().await), "blue");
}

#[tokio::test]
async fn a_body_that_any_version_may_get_is_collected_first() {
    let shares = [("blue", 50.0), ("green", 50.0)];
    let mut ends = blue(&shares, ScoringOptions::default()).await;
    let echo = Fake::new(Behaviour::Echo);
    ends.node.router.publish(version_with("green", echo));
    ends.sends = None;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = begin(&ends, &[BEARER, CHUNKED]).await;
        client.send("3\r\none\r\n").await;
        client.send("3\r\ntwo\r\n0\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        match named(&answer).as_str() {
            "blue" => assert_eq!(ends.came().await.unwrap(), "onetwo"),
            _ => assert_eq!(answer.json()["body"], "onetwo"),
        }
        seen.push(named(&answer));
    }
    seen.sort();
    assert_eq!(seen, ["blue", "green"]);
}

#[tokio::test]
async fn who_waits_with_a_body_on_its_way_goes_on_to_one_that_takes_it_whole() {
    let ends = blue(&[("blue", 100.0)], ScoringOptions::default()).await;
    let mut first = begin(&ends, &[BEARER, CHUNKED]).await;
    first.send("3\r\none\r\n").await;
    until(|| ends.route.status().busy == 1).await;
    let mut client = begin(&ends, &[BEARER, CHUNKED]).await;
    until(|| ends.route.status().queued == 1).await;
    let echo = Fake::new(Behaviour::Echo);
    ends.node.router.publish(version_with("green", echo));
    publish(&ends.node.router, &endpoint(&[("green", 100.0)]));
    ends.node.router.withdraw(&version_info("blue").name);
    ends.route.remove(0);
    let closing = Arc::clone(&ends.route);
    tokio::spawn(async move { closing.drain().await });
    client.send("5\r\nseven\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, named(&answer).as_str()), (200, "green"));
    assert_eq!(answer.json()["body"], "seven");
}

#[tokio::test]
async fn an_answer_in_parts_is_kept_as_it_passes() {
    let log = Arc::new(Pairs::default());
    let options = ScoringOptions {
        mirror_log: Some(Arc::clone(&log) as Arc<dyn MirrorLog>),
        ..ScoringOptions::default()
    };
    let mut ends = blue(&[("blue", 100.0)], options).await;
    ends.node.router.publish(version_route("shadow"));
    let shares = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    let mut record = mirroring(shares, "shadow", 50.0);
    record.mirror.as_mut().unwrap().keeps_answers = true;
    publish(&ends.node.router, &record);
    ends.send("one");
    ends.send("two");
    ends.sends = None;
    let mut client = ends.node.connect().await;
    client.send(request("POST", SHOP, &[BEARER], "x")).await;
    assert_eq!(named(&client.answer().await), "blue");
    client.expect("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").await;
    until(|| log.count() == 1).await;
    let pair = log.only();
    assert_eq!(
        (pair.live.status, pair.live.body),
        (Some(200), "onetwo".into())
    );
    assert_eq!(pair.copy.body, "shadow");
}

#[tokio::test]
async fn what_passes_through_is_not_copied_and_told_as_dropped() {
    let mut ends = blue(&[("blue", 100.0)], ScoringOptions::default()).await;
    let shadow = Fake::new(Behaviour::Echo);
    let route = version_with("shadow", Arc::clone(&shadow) as Arc<dyn Replica>);
    ends.node.router.publish(route);
    let shares = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    publish(&ends.node.router, &mirroring(shares, "shadow", 50.0));
    ends.sends = None;
    let mut client = begin(&ends, &[BEARER, CHUNKED]).await;
    client.send("1\r\nx\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(ends.came().await.unwrap(), "x");
    let copies = ends.node.books.copies(|_| true);
    let shop = versions(&ends).endpoint().name().clone();
    assert_eq!(copies[&shop], [0, 1, 0]);
    assert_eq!(shadow.begun(), 0);
}
