//! The host of outside replicas against servers that behave, and servers that do not.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program of tests: nobody outside"
)]

mod bad_servers;
mod good_servers;
mod starting;
mod streams;
mod upstream;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use lusk_cluster::{RemoteHost, RemoteOptions};
use lusk_contract::{
    LogStream, Replica, ReplicaHost, ReplicaPlan, Revision, ScoreReply, ScoreRequest, ScriptError,
    ServiceLog,
    conformance::replica_host::{Actor, Stage, suite},
};
use lusk_domain::RuntimeKind;
use upstream::{Act, Asked, Upstream, answer};

/// Limits with which nothing is waited for that does not come.
fn options() -> RemoteOptions {
    RemoteOptions {
        start_patience: Duration::ZERO,
        pause: Duration::from_secs(3600),
        max_reply_bytes: 1 << 20,
        ..RemoteOptions::default()
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl ServiceLog for Log {
    fn line(&self, _replica: u32, _stream: LogStream, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn tail(&self, _lines: usize) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

fn revision(urls: &[&str], slots: usize) -> Arc<Revision> {
    Arc::new(Revision {
        service: "away".parse().unwrap(),
        number: 1,
        runtime: RuntimeKind::Remote,
        image: None,
        app_root: "/nowhere".into(),
        script: String::new(),
        remote: urls.iter().map(|url| url.parse().unwrap()).collect(),
        models: Vec::new(),
        variables: BTreeMap::new(),
        memory_limit: 0,
        slots,
        threads: NonZeroUsize::MIN,
        cpu_limit: None,
        debug_port: None,
        log: Arc::new(Log::default()),
    })
}

/// A replica of a revision.
async fn start(host: &RemoteHost, revision: &Arc<Revision>, number: u32) -> Arc<dyn Replica> {
    let revision = Arc::clone(revision);
    host.start(ReplicaPlan { revision, number }).await.unwrap()
}

/// The one replica that stands for a server.
async fn replica(server: &Upstream) -> Arc<dyn Replica> {
    start(&RemoteHost::new(options()), &revision(&[&server.url], 4), 0).await
}

fn request(body: &str) -> ScoreRequest {
    ScoreRequest {
        method: Method::POST,
        target: "/score".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

async fn score(replica: &dyn Replica, body: &str) -> Result<ScoreReply, ScriptError> {
    replica.score(request(body)).await
}

/// Does what [`Actor::Obedient`] promises.
fn obey(asked: &Asked) -> Act {
    const WELL: &str = "content-type: application/json\r\nx-ms-run-fn-exec-ms: 1.5\r\n\
                        x-ms-run-function-failed: False\r\n";
    match asked.body.as_str() {
        "raise" => Act::Send(answer(
            500,
            "x-ms-run-function-failed: True\r\n",
            "{\"message\": \"it raised\"}",
        )),
        "die" => Act::SendAndClose(Vec::new()),
        "loop" => Act::Hang,
        body => Act::Send(answer(200, WELL, body)),
    }
}

struct Outside {
    host: Arc<RemoteHost>,
    obedient: Upstream,
    ill: Upstream,
}

impl Stage for Outside {
    fn host(&self) -> Arc<dyn ReplicaHost> {
        self.host.clone()
    }

    fn revision(&self, actor: Actor, slots: usize) -> Arc<Revision> {
        match actor {
            Actor::Obedient => revision(&[&self.obedient.url], slots),
            Actor::FailsInit => revision(&[&self.ill.url], slots),
            Actor::Unreadable => revision(&[], slots),
        }
    }

    fn passes_answers_on(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn outside_replicas_keep_the_promises_of_all_hosts() {
    suite(&Outside {
        host: Arc::new(RemoteHost::new(options())),
        obedient: Upstream::scoring(obey).await,
        ill: Upstream::start(|_| Act::Send(answer(500, "", "init failed"))).await,
    })
    .await;
}
