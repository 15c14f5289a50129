//! Every error of the contract: code, body, headers.

use super::*;

fn failing(error: ScriptError) -> Arc<Route> {
    route_that(Behaviour::Fail(error))
}

#[tokio::test]
async fn unknown_services_and_unknown_paths_look_the_same_with_and_without_a_key() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    for path in [
        "/api/v1/service/digit/score",
        "/api/v1/service/digit/",
        "/api/v1/service/digit/swagger.json",
        "/api/v1/service/digits/other",
        "/score",
        "/favicon.ico",
    ] {
        for headers in [&[][..], &[BEARER]] {
            let answer = node.ask("GET", path, headers, "").await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.message(), "nothing is at this path");
        }
    }
}

#[tokio::test]
async fn other_methods_are_told_which_ones_are_taken() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::serving(route_to(info(), &replica)).await;
    for (method, path, allowed) in [
        ("PUT", SCORE, "GET, POST, OPTIONS"),
        ("DELETE", SCORE, "GET, POST, OPTIONS"),
        ("HEAD", SCORE, "GET, POST, OPTIONS"),
        ("POST", "/api/v1/service/digits/", "GET, HEAD, OPTIONS"),
        (
            "POST",
            "/api/v1/service/digits/swagger.json",
            "GET, HEAD, OPTIONS",
        ),
        ("POST", "/", "GET, HEAD"),
    ] {
        let answer = node.ask(method, path, &[BEARER], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed));
        assert!(answer.header("x-ms-request-id").is_some());
    }
    assert_eq!(replica.begun(), 0);
}

#[tokio::test]
async fn no_key_and_a_wrong_key_get_the_same_answer() {
    let replica = Fake::new(Behaviour::Echo);
    let node = Node::serving(route_to(info(), &replica)).await;
    let mut bodies = Vec::new();
    for headers in [
        &[][..],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", "Basic dTpw")],
        &[("Authorization", "the-first-key")],
    ] {
        let answer = node.ask("POST", SCORE, headers, "x").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
        bodies.push(answer.message());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(replica.begun(), 0);
}

#[tokio::test]
async fn an_id_over_100_characters_is_refused_and_not_repeated() {
    let node = Node::serving(route_that(Behaviour::Echo)).await;
    let long = "i".repeat(101);
    for name in ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"] {
        let answer = node.ask("POST", SCORE, &[BEARER, (name, &long)], "x").await;
        assert_eq!(answer.status, 431, "{name}");
        assert!(answer.message().contains(name));
        assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
        assert!(!answer.headers.values().any(|value| value == &long));
    }
}

#[tokio::test]
async fn a_failed_script_is_502_and_its_words_stay_inside() {
    let node = Node::serving(failing(ScriptError::Raised("secret".to_owned()))).await;
    let answer = node.post("x").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("True"));
    assert!(!answer.message().contains("secret"));
}

#[tokio::test]
async fn a_replica_that_dies_is_502_and_says_why() {
    let why = "memory limit of 500000000 bytes";
    let node = Node::serving(failing(ScriptError::Died(why.to_owned()))).await;
    let answer = node.post("x").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("True"));
    let message = answer.message();
    assert!(message.starts_with("Replica closed connection before replying"));
    assert!(message.contains(why));
}

#[tokio::test]
async fn what_the_script_does_not_take_is_400() {
    let error = ScriptError::BadRequest("the body is not UTF-8".to_owned());
    let node = Node::serving(failing(error)).await;
    let answer = node.post("x").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.message(), "the body is not UTF-8");
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
}

#[tokio::test]
async fn a_lone_replica_that_cannot_begin_is_503() {
    let error = ScriptError::NotBegun("its process is gone".to_owned());
    let node = Node::serving(failing(error)).await;
    let answer = node.post("x").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.message().contains("its process is gone"));
}

#[tokio::test]
async fn a_scripts_500_becomes_502_with_its_body() {
    let mut from = reply(
        StatusCode::INTERNAL_SERVER_ERROR,
        "{\"message\":\"as it says\"}",
    );
    for (failed, said) in [(true, "True"), (false, "False")] {
        // A result that cannot be written is a 500, but the script did not fail.
        from.function_failed = failed;
        let node = Node::serving(route_that(Behaviour::Reply(from.clone()))).await;
        let answer = node.post("x").await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.body, "{\"message\":\"as it says\"}");
        assert_eq!(answer.header("x-ms-run-function-failed"), Some(said));
    }
}

#[tokio::test]
async fn a_status_that_is_no_answer_is_502() {
    let from = reply(StatusCode::SWITCHING_PROTOCOLS, "");
    let node = Node::serving(route_that(Behaviour::Reply(from))).await;
    let answer = node.post("x").await;
    assert_eq!(answer.status, 502);
    assert!(answer.message().contains("101"));
}

#[tokio::test]
async fn a_service_without_replicas_is_503() {
    let route = route_that(Behaviour::Echo);
    route.remove(0);
    let node = Node::serving(route).await;
    let answer = node.post("x").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(answer.message(), "No ready replicas for service digits");
}

#[tokio::test]
async fn a_full_service_is_503_and_says_wait_limit_and_slots() {
    let mut info = info();
    info.limits.max_queue_wait = SHORT;
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info, &replica)).await;
    let mut busy = node.connect().await;
    busy.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    let answer = node.post("x").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    let message = answer.message();
    assert!(message.starts_with("Too many requests for service digits (overloaded)"));
    assert!(message.contains("maxQueueWaitMs is 50"), "{message}");
    assert!(message.contains("1 of 1 slots are busy"), "{message}");
    replica.go_on.notify_one();
    assert_eq!(busy.answer().await.status, 200);
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_504_and_interrupted() {
    let mut info = info();
    info.limits = Limits {
        scoring_timeout: SHORT,
        max_queue_wait: SHORT,
    };
    let replica = Fake::new(Behaviour::Wait);
    let node = Node::serving(route_to(info, &replica)).await;
    let answer = node.post("x").await;
    assert_eq!(answer.status, 504);
    assert!(answer.message().contains("scoringTimeoutMs of 50"));
    assert_eq!(replica.interrupted(), 1);
}

#[tokio::test]
async fn a_panic_is_one_failed_request() {
    let node = Node::serving(route_that(Behaviour::Panic)).await;
    let mut client = node.connect().await;
    for _ in 0..2 {
        client.send(request("POST", SCORE, &[BEARER], "x")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 500);
        answer.message();
    }
    let status = node.router.route("digits").expect("published").status();
    assert_eq!(status.busy, 0);
}
