//! Which servers become replicas.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use lusk_cluster::{RemoteHost, RemoteOptions};
use lusk_contract::{ReplicaHost, ReplicaPlan, StartError, StartErrorKind};
use tokio::net::TcpListener;

use super::{obey, options, revision, score, start};
use crate::upstream::{Act, Upstream, answer};

async fn refused(options: RemoteOptions, url: &str) -> StartError {
    let plan = ReplicaPlan {
        revision: revision(&[url], 1),
        number: 0,
    };
    RemoteHost::new(options).start(plan).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = refused(options(), &url).await;
    assert_eq!(error.kind, StartErrorKind::Unreachable);
    assert_eq!(error.details[0].code, "Unreachable");
    assert!(error.message.contains(&url), "{error}");
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Upstream::start(|_| Act::Hang).await;
    let options = RemoteOptions {
        probe_timeout: Duration::from_millis(20),
        ..options()
    };
    let error = refused(options, &server.url).await;
    assert_eq!(error.kind, StartErrorKind::Unreachable);
    assert!(error.message.contains("within 20 ms"), "{error}");
}

#[tokio::test]
async fn tls_is_not_spoken_with_a_server_that_has_none() {
    let server = Upstream::scoring(obey).await;
    let url = server.url.replace("http:", "https:");
    let error = refused(options(), &url).await;
    assert_eq!(error.kind, StartErrorKind::Unreachable);
    assert!(error.message.contains("cannot be connected to"), "{error}");
}

#[tokio::test]
async fn a_server_that_starts_late_is_waited_for() {
    let probes = AtomicUsize::new(0);
    let server = Upstream::start(move |asked| {
        let early = asked.is_probe() && probes.fetch_add(1, Ordering::Relaxed) < 3;
        match early {
            true => Act::Send(answer(503, "", "loading")),
            false => obey(asked),
        }
    })
    .await;
    let host = RemoteHost::new(RemoteOptions {
        start_patience: Duration::from_secs(60),
        pause: Duration::from_millis(1),
        ..options()
    });
    let replica = start(&host, &revision(&[&server.url], 1), 0).await;
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands_is_not_there() {
    // The machine takes the connection, nobody speaks on it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let options = RemoteOptions {
        connect_timeout: Duration::from_millis(20),
        ..options()
    };
    let error = refused(options, &url).await;
    assert_eq!(error.kind, StartErrorKind::Unreachable);
    assert!(error.message.contains("after 20 ms"), "{error}");
}
