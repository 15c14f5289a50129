//! Endpoints: which version answers, and what every answer says of it.

use std::collections::BTreeMap;

use futures::future::join_all;
use lusk_domain::EndpointRecord;
use lusk_router::EndpointRoute;

use super::*;
use crate::testing::shop::{
    DEPLOYMENT, SHOP, ask, endpoint, named, publish, shop, version_info, version_route,
    version_with,
};

/// A door to `shop` with these versions, each answering with its name.
async fn node(versions: &[(&str, f64)]) -> Node {
    let node = Node::serving(version_route(versions[0].0)).await;
    for (name, _) in &versions[1..] {
        node.router.publish(version_route(name));
    }
    publish(&node.router, &endpoint(versions));
    node
}

fn own(version: &str) -> String {
    format!("/api/v1/endpoint/shop/version/{version}/score")
}

#[tokio::test]
async fn shares_are_exact_over_connections_that_stay() {
    let node = node(&[("blue", 0.0), ("green", 20.0), ("spare", 0.0)]).await;
    let callers = (0..4).map(|_| async {
        let mut client = node.connect().await;
        let mut seen = BTreeMap::new();
        for _ in 0..250 {
            *seen.entry(ask(&mut client, &[]).await).or_insert(0) += 1;
        }
        seen
    });
    let mut seen = BTreeMap::new();
    for (name, count) in join_all(callers).await.into_iter().flatten() {
        *seen.entry(name).or_insert(0) += count;
    }
    let green = seen["green"];
    assert!((199..=201).contains(&green), "{seen:?}");
    assert_eq!(seen["blue"], 1_000 - green);
    assert_eq!(seen.len(), 2);
    // What is counted as a pick was tried, and nothing else was.
    let counted = |name| {
        let route = node.router.route(name).expect("published");
        route.status().counters.by_class[1]
    };
    assert_eq!(counted("shop/green"), green);
    assert_eq!(counted("shop/spare"), 0);
}

#[tokio::test]
async fn requests_that_are_refused_are_nobodys_turn() {
    let node = node(&[("blue", 50.0), ("green", 50.0)]).await;
    let mut client = node.connect().await;
    let mut seen = Vec::new();
    for _ in 0..10 {
        assert_eq!(node.ask("POST", SHOP, &[], "x").await.status, 401);
        assert_eq!(node.ask("PUT", SHOP, &[BEARER], "x").await.status, 405);
        assert_eq!(node.ask("OPTIONS", SHOP, &[BEARER], "").await.status, 200);
        let wish = [BEARER, (DEPLOYMENT, "blue")];
        assert_eq!(node.ask("POST", SHOP, &wish, "x").await.status, 200);
        seen.push(ask(&mut client, &[]).await);
    }
    let green = seen.iter().filter(|name| *name == "green").count();
    assert_eq!(green, 5);
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
}

#[tokio::test]
async fn a_header_picks_a_version_and_reaches_the_script_as_it_came() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    node.router
        .publish(version_with("spare", Fake::new(Behaviour::Echo)));
    let mut client = node.connect().await;
    for wish in ["green", "spare", "blue"] {
        assert_eq!(ask(&mut client, &[(DEPLOYMENT, wish)]).await, wish);
    }
    assert_eq!(ask(&mut client, &[(DEPLOYMENT, "")]).await, "blue");

    let headers = [BEARER, ("Azureml-Model-Deployment", "spare")];
    let answer = node.ask("POST", SHOP, &headers, "x").await;
    assert_eq!(answer.json()["headers"][DEPLOYMENT], "spare");
    assert_eq!(answer.json()["headers"].get("x-lusk-mirrored"), None);
}

#[tokio::test]
async fn callers_with_a_key_are_told_that_there_is_no_such_version() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    let stranger = node.ask("POST", SHOP, &[(DEPLOYMENT, "red")], "x").await;
    assert_eq!(stranger.status, 401);
    assert!(!stranger.message().contains("blue"));

    let wish = [BEARER, (DEPLOYMENT, "red")];
    let answer = node.ask("POST", SHOP, &wish, "x").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.message(),
        "endpoint shop has no version `red`, it has blue, green"
    );
    assert_eq!(answer.header(DEPLOYMENT), None);

    let long = "x".repeat(5_000);
    for wish in [
        long.as_str(),
        "blue/",
        "/blue",
        "blue/blue",
        "\u{e9}",
        "Blue",
    ] {
        let wish = [BEARER, (DEPLOYMENT, wish)];
        let answer = node.ask("POST", SHOP, &wish, "x").await;
        assert_eq!(answer.status, 404, "{wish:?}");
        assert!(answer.message().len() < 120, "{wish:?}");
    }
}

#[tokio::test]
async fn a_version_answers_at_its_own_path_whatever_its_share() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    let elsewhere = [BEARER, (DEPLOYMENT, "blue")];
    let answer = node.ask("POST", &own("green"), &elsewhere, "x").await;
    assert_eq!((answer.status, named(&answer).as_str()), (200, "green"));
    assert_eq!(answer.body, "green");
    assert_eq!(node.ask("POST", &own("green"), &[], "x").await.status, 401);

    let health = own("green").replace("/score", "");
    let answer = node.ask("GET", &health, &[], "").await;
    assert_eq!((answer.status, named(&answer).as_str()), (200, "green"));
    let swagger = own("green").replace("/score", "/swagger.json");
    let answer = node.ask("GET", &swagger, &[BEARER], "").await;
    assert!(
        answer.json()["paths"].get(own("green")).is_some(),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_version_is_found_nowhere_else() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    node.router.publish(route_that(Behaviour::Echo));
    for path in [
        "/api/v1/service/shop/blue/score",
        "/api/v1/service/shop%2Fblue/score",
        "/api/v1/service/shop%2fblue/score",
        "/api/v1/service/shop/version/red/score",
        "/api/v1/service/shop/version/shop%2Fblue/score",
        "/api/v1/service/shop%2Fversion/blue/score",
        "/api/v1/service/blue/score",
        "/api/v1/service/digits/version/blue/score",
        "/api/v1/service/none/version/blue/score",
    ] {
        for headers in [&[][..], &[BEARER]] {
            let answer = node.ask("POST", path, headers, "x").await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.message(), "nothing is at this path");
        }
    }
}

#[tokio::test]
async fn before_a_version_was_healthy_the_endpoint_says_that_it_is_not_ready() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let mut record = endpoint(&[("blue", 0.0)]);
    record.traffic = None;
    publish(&node.router, &record);
    for (method, resource) in [("POST", "score"), ("GET", "swagger.json"), ("GET", "")] {
        let path = format!("/api/v1/endpoint/shop/{resource}");
        let answer = node.ask(method, &path, &[BEARER], "").await;
        assert_eq!(answer.status, 503, "{resource}");
        assert_eq!(answer.message(), "No ready replicas for service shop");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header(DEPLOYMENT), None);
    }
    assert_eq!(node.ask("POST", SHOP, &[], "x").await.status, 401);
    assert_eq!(node.ask("OPTIONS", SHOP, &[], "").await.status, 200);
    // The first one is on its way, and can be asked for already.
    node.router.publish(version_route("blue"));
    assert_eq!(node.ask("POST", SHOP, &[BEARER], "x").await.status, 503);
    let wish = [BEARER, (DEPLOYMENT, "blue")];
    assert_eq!(node.ask("POST", SHOP, &wish, "x").await.status, 200);
}

#[tokio::test]
async fn errors_of_a_version_name_it() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    let raises = Behaviour::Fail(ScriptError::Raised("no".to_owned()));
    node.router
        .publish(version_with("raises", Fake::new(raises)));
    let empty = Route::new(version_info("empty"), access(AuthMode::Key));
    node.router.publish(Arc::new(empty));
    let mut lies = reply(StatusCode::IM_A_TEAPOT, "");
    let name = HeaderName::from_static(DEPLOYMENT);
    lies.headers
        .insert(name, HeaderValue::from_static("another"));
    let lies = Fake::new(Behaviour::Reply(lies));
    node.router.publish(version_with("lies", lies));
    for (wish, status) in [("raises", 502), ("empty", 503), ("lies", 418)] {
        for (path, headers) in [
            (SHOP, &[BEARER, (DEPLOYMENT, wish)][..]),
            (&own(wish), &[BEARER]),
        ] {
            let answer = node.ask("POST", path, headers, "x").await;
            assert_eq!(answer.status, status, "{wish}");
            assert_eq!(named(&answer), wish);
        }
    }
}

#[tokio::test]
async fn the_default_version_speaks_for_the_endpoint() {
    let node = node(&[("blue", 10.0), ("green", 90.0)]).await;
    let mut info = version_info("blue");
    info.cors = Some("https://a.example".to_owned());
    let blue = Arc::new(Route::new(info, access(AuthMode::Key)));
    node.router.publish(Arc::clone(&blue));
    let preflight = [
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = node.ask("OPTIONS", SHOP, &preflight, "").await;
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!((answer.status, allowed), (200, Some("https://a.example")));

    let health = SHOP.replace("/score", "/");
    let answer = node.ask("GET", &health, &[], "").await;
    assert_eq!((answer.status, named(&answer).as_str()), (503, "blue"));
    blue.add(0, Fake::new(Behaviour::Echo), 1);
    let answer = node.ask("GET", &health, &[], "").await;
    assert_eq!((answer.status, named(&answer).as_str()), (200, "blue"));

    let swagger = SHOP.replace("/score", "/swagger.json");
    assert_eq!(node.ask("GET", &swagger, &[], "").await.status, 401);
    let answer = node.ask("GET", &swagger, &[BEARER], "").await;
    assert_eq!(answer.json()["info"]["title"], "blue");
    assert!(answer.json()["paths"].get(SHOP).is_some());
}

#[tokio::test]
async fn the_endpoints_own_keys_open_it() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    let mut changed = access(AuthMode::Key);
    changed.keys.primary_key = lusk_domain::Secret::new("another-key");
    let record = endpoint(&[("blue", 100.0)]);
    let open = EndpointRoute::new(&record, changed, None);
    node.router.publish_endpoint(Arc::new(open));
    assert_eq!(node.ask("POST", SHOP, &[BEARER], "x").await.status, 401);
    let new = ("Authorization", "Bearer another-key");
    assert_eq!(node.ask("POST", SHOP, &[new], "x").await.status, 200);
    let none = EndpointRoute::new(&record, access(AuthMode::None), None);
    node.router.publish_endpoint(Arc::new(none));
    assert_eq!(node.ask("POST", SHOP, &[], "x").await.status, 200);
}

#[tokio::test]
async fn a_change_of_shares_while_the_body_comes_counts() {
    let node = node(&[("blue", 100.0), ("green", 0.0)]).await;
    let mut client = node.connect().await;
    let headers = [BEARER, ("Expect", "100-continue"), ("Content-Length", "5")];
    client.send(request("POST", SHOP, &headers, "")).await;
    assert_eq!(client.answer().await.status, 100);
    publish(&node.router, &endpoint(&[("green", 100.0)]));
    let blue = node.router.withdraw(&version_info("blue").name);
    client.send("seven").await;
    assert_eq!(named(&client.answer().await), "green");
    let counters = blue.expect("published").status().counters;
    assert_eq!(counters, Default::default());

    client.send(request("POST", SHOP, &headers, "")).await;
    assert_eq!(client.answer().await.status, 100);
    node.router.withdraw_endpoint(&shop());
    client.send("seven").await;
    assert_eq!(client.answer().await.status, 404);
}

fn sticky(versions: &[(&str, f64)], by: &str) -> EndpointRecord {
    EndpointRecord {
        sticky: Some(by.parse().expect("something to stay by")),
        ..endpoint(versions)
    }
}

#[tokio::test]
async fn who_is_named_stays_and_others_are_split_request_by_request() {
    let shares = [("blue", 50.0), ("green", 50.0)];
    let node = node(&shares).await;
    let mut client = node.connect().await;
    let of_two = |seen: &[String]| seen.iter().filter(|name| *name == "green").count();
    for (by, header, value) in [
        ("header:x-user", "X-User", "caller"),
        ("cookie:user", "Cookie", "a=1; user=caller"),
    ] {
        publish(&node.router, &sticky(&shares, by));
        let mut greens = 0;
        for number in 0..40 {
            let value = format!("{value}{number}");
            let first = ask(&mut client, &[(header, &value)]).await;
            for _ in 0..3 {
                assert_eq!(ask(&mut client, &[(header, &value)]).await, first);
            }
            greens += usize::from(first == "green");
        }
        assert!((5..=35).contains(&greens), "{by}: {greens} of 40");
        for without in [&[][..], &[(header, "")], &[("x-other", "caller")]] {
            let mut seen = Vec::new();
            for _ in 0..10 {
                seen.push(ask(&mut client, without).await);
            }
            assert_eq!(of_two(&seen), 5, "{by}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_key_names_its_caller_where_keys_are_asked_for() {
    let shares = [("blue", 50.0), ("green", 50.0)];
    let node = node(&shares).await;
    let mut client = node.connect().await;
    publish(&node.router, &sticky(&shares, "key"));
    let first = ask(&mut client, &[]).await;
    for _ in 0..20 {
        assert_eq!(ask(&mut client, &[]).await, first);
    }
    let mut open = sticky(&shares, "key");
    open.auth = AuthMode::None;
    publish(&node.router, &open);
    let mut greens = 0;
    for _ in 0..20 {
        greens += u32::from(ask(&mut client, &[]).await == "green");
    }
    assert_eq!(greens, 10);
}

#[tokio::test]
async fn callers_move_only_to_a_version_that_grew() {
    let before = [("blue", 80.0), ("green", 20.0)];
    let after = [("blue", 50.0), ("green", 50.0)];
    let node = node(&before).await;
    let mut client = node.connect().await;
    let callers: Vec<_> = (0..60).map(|number| format!("caller{number}")).collect();
    let mut seen = Vec::new();
    for shares in [&before, &after] {
        publish(&node.router, &sticky(shares, "header:x-user"));
        let mut now = Vec::new();
        for caller in &callers {
            now.push(ask(&mut client, &[("x-user", caller)]).await);
        }
        seen.push(now);
    }
    let moved = seen[0].iter().zip(&seen[1]).filter(|(old, new)| old != new);
    let moved: Vec<_> = moved.collect();
    assert!(!moved.is_empty());
    assert!(moved.iter().all(|(_, new)| *new == "green"), "{moved:?}");
}
