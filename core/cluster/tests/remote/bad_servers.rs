//! Servers that break the rules cost one request, or get none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lusk_cluster::{RemoteHost, RemoteOptions};
use lusk_contract::{Replica, ScriptError};
use tokio::task::yield_now;

use super::{obey, options, replica, revision, score, start};
use crate::upstream::{Act, Upstream, answer};

async fn died(act: fn() -> Act, words: &str) {
    let server = Upstream::scoring(move |asked| match asked.body.as_str() {
        "bad" => act(),
        _ => obey(asked),
    })
    .await;
    let replica = replica(&server).await;
    let error = score(&*replica, "bad").await.unwrap_err();
    let ScriptError::Died(why) = &error else {
        panic!("{error:?}");
    };
    assert!(why.contains(words), "{why}");
    assert!(!why.contains("127.0.0.1"), "{why}");
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_death() {
    died(|| Act::SendAndClose(Vec::new()), "broke before it answered").await;
    died(|| Act::SendAndClose(b"hello\r\n\r\n".into()), "not HTTP").await;
    let short = || {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort";
        Act::SendAndClose(head.into())
    };
    died(short, "in the middle of its answer").await;
    let twice = || {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        Act::SendAndClose(head.into())
    };
    died(twice, "in the middle of its answer").await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_passed_on_is_refused_before_its_head_is() {
    let upgrade = "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw";
    let zipped = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let broken = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let server = Upstream::scoring(move |asked| {
        let sends = match asked.body.as_str() {
            "upgrade" => upgrade,
            "zipped" => zipped,
            "broken" => broken,
            _ => return obey(asked),
        };
        Act::SendAndClose(sends.into())
    })
    .await;
    let replica = replica(&server).await;
    for (body, words) in [
        ("upgrade", "status 101"),
        ("zipped", "gzip, chunked"),
        ("broken", "in the middle of its answer"),
    ] {
        let relayed = replica.relay(super::request(body).into()).await;
        let error = relayed.expect_err("no head").error;
        let ScriptError::Died(why) = &error else {
            panic!("{error:?}");
        };
        assert!(why.contains(words), "{why}");
    }
    // What is refused is no death: five in a row put nobody out.
    for _ in 0..5 {
        score(&*replica, "zipped").await.unwrap_err();
    }
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
}

#[tokio::test]
async fn a_head_without_end_is_a_death() {
    died(|| Act::Endless("HTTP/1.1 200 OK\r\nx: "), "not HTTP").await;
    let many = || Act::Send(answer(200, &"x: 1\r\n".repeat(5_000), ""));
    died(many, "not HTTP").await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_no_death() {
    let server = Upstream::scoring(|asked| match asked.body.as_str() {
        "told" => Act::Endless("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"),
        "untold" => Act::Endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
        _ => obey(asked),
    })
    .await;
    let replica = replica(&server).await;
    for _ in 0..4 {
        for body in ["told", "untold"] {
            let error = score(&*replica, body).await.unwrap_err();
            let ScriptError::Raised(why) = &error else {
                panic!("{error:?}");
            };
            assert!(why.contains("larger than 1048576 bytes"), "{why}");
            // Nobody takes the rest.
            server.seen.gone.notified().await;
        }
    }
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
}

#[tokio::test]
async fn a_caller_that_goes_takes_the_request_along() {
    let server = Upstream::scoring(obey).await;
    let replica = replica(&server).await;
    for _ in 0..3 {
        let hanging = score(&*replica, "loop");
        tokio::select! {
            answer = hanging => panic!("{answer:?}"),
            () = server.seen.hanging.notified() => {}
        }
        server.seen.gone.notified().await;
        assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_nothing() {
    let server = Upstream::scoring(|asked| Act::SendAndClose(answer(200, "", &asked.body))).await;
    let replica = replica(&server).await;
    for _ in 0..50 {
        assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
        server.seen.closed.notified().await;
        // The news of it has a way to go.
        for _ in 0..10 {
            yield_now().await;
        }
    }
    assert!(server.seen.connections() >= 50);
}

#[tokio::test]
async fn a_server_that_is_gone_has_not_begun() {
    let server = Upstream::scoring(|asked| {
        Act::SendAndClose(answer(200, "connection: close\r\n", &asked.body))
    })
    .await;
    let replica = replica(&server).await;
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
    drop(server);
    let mut refusals = 0;
    // What is left of the connection on which the server was probed may go first.
    while refusals < 3 {
        match score(&*replica, "1").await.unwrap_err() {
            ScriptError::NotBegun(why) => {
                assert!(!why.contains("127.0.0.1"), "{why}");
                refusals += 1;
            }
            ScriptError::Died(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let why = replica.probe().await.unwrap_err();
    assert!(why.contains("cannot be connected to"), "{why}");
}

/// Five deaths in a row.
async fn put_out(replica: &dyn Replica) {
    for _ in 0..5 {
        let error = score(replica, "die").await.unwrap_err();
        assert!(matches!(error, ScriptError::Died(_)), "{error:?}");
    }
}

#[tokio::test]
async fn failures_in_a_row_put_a_replica_out_until_a_good_probe() {
    let server = Upstream::scoring(obey).await;
    let revision = revision(&[&server.url], 1);
    let replica = start(&RemoteHost::new(options()), &revision, 0).await;
    put_out(&*replica).await;
    let seen = server.seen.asked.lock().unwrap().len();
    for _ in 0..3 {
        let error = score(&*replica, "1").await.unwrap_err();
        assert!(matches!(error, ScriptError::NotBegun(_)), "{error:?}");
    }
    assert_eq!(server.seen.asked.lock().unwrap().len(), seen);
    replica.probe().await.unwrap();
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
    let log = revision.log.tail(10);
    assert!(log.contains("5 failures in a row"), "{log}");
    assert!(log.contains("answers again"), "{log}");
    assert!(log.contains(&server.url), "{log}");
}

#[tokio::test]
async fn a_replica_that_is_out_is_probed_until_it_answers() {
    let is_well = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_well);
    let server = Upstream::start(move |asked| match switch.load(Ordering::Relaxed) {
        true => Act::Send(answer(200, "", "well")),
        false if asked.is_probe() => Act::Send(answer(503, "", "")),
        false => Act::SendAndClose(Vec::new()),
    })
    .await;
    let host = RemoteHost::new(RemoteOptions {
        pause: Duration::from_millis(1),
        ..options()
    });
    let replica = start(&host, &revision(&[&server.url], 1), 0).await;
    is_well.store(false, Ordering::Relaxed);
    put_out(&*replica).await;
    assert!(replica.probe().await.unwrap_err().contains("503"));
    is_well.store(true, Ordering::Relaxed);
    let reply = loop {
        match score(&*replica, "1").await {
            Ok(reply) => break reply,
            Err(ScriptError::NotBegun(_)) => yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(reply.body, "well");
}

#[tokio::test]
async fn a_server_with_one_worker_is_not_dead_while_it_works() {
    let is_busy = Arc::new(AtomicBool::new(false));
    let busy = Arc::clone(&is_busy);
    let server = Upstream::start(move |asked| match busy.load(Ordering::Relaxed) {
        true => Act::Hang,
        false => obey(asked),
    })
    .await;
    let replica = replica(&server).await;
    is_busy.store(true, Ordering::Relaxed);
    let mut running = Box::pin(score(&*replica, "1"));
    tokio::select! {
        answer = &mut running => panic!("{answer:?}"),
        () = server.seen.hanging.notified() => {}
    }
    replica.probe().await.unwrap();
    drop(running);
    replica.probe().await.unwrap_err();
}
