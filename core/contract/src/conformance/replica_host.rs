//! What every [`ReplicaHost`] promises.
//!
//! The suite cannot bring a script that each host runs, so the implementer
//! stages three: see [`Actor`].

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{FutureExt, future::join_all};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};
use lusk_domain::{Step, StepOutcome};

use crate::{
    Progress, Replica, ReplicaHost, ReplicaPlan, Revision, ScoreReply, ScoreRequest, ScriptError,
    StartErrorKind,
};

/// A script that the implementer stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Does what the body of a POST says: `raise` fails in the script's own
    /// way, `die` ends the guest (a trap, an exit), `loop` never ends; any
    /// other body is the reply.
    Obedient,
    /// Its `init` fails.
    FailsInit,
    /// Is no script at all.
    Unreadable,
}

/// A host and what it is to run.
pub trait Stage {
    /// The host under test.
    fn host(&self) -> Arc<dyn ReplicaHost>;

    /// A new revision that runs `actor` with this many slots.
    fn revision(&self, actor: Actor, slots: usize) -> Arc<Revision>;

    /// Whether replicas pass on what a server of their own answers, so that a
    /// script's failure is that server's answer 500.
    fn passes_answers_on(&self) -> bool {
        false
    }
}

/// Runs every check. A host may need a tokio runtime round it.
pub async fn suite(stage: &dyn Stage) {
    a_started_replica_answers(stage).await;
    prepare_tells_what_it_did(stage).await;
    a_replica_starts_without_prepare_too(stage).await;
    a_failed_init_is_an_error_with_a_detail(stage).await;
    an_unreadable_script_is_refused_by_prepare(stage).await;
    a_raised_error_costs_one_request(stage).await;
    a_death_costs_one_request(stage).await;
    a_dropped_request_costs_one_request(stage).await;
    each_slot_takes_a_request(stage).await;
    replicas_do_not_depend_on_each_other(stage).await;
}

async fn a_started_replica_answers(stage: &dyn Stage) {
    let replica = start(stage, 1).await;
    answers(&*replica).await;
    let reply = score(&*replica, "[1, 2]").await.expect("an answer");
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.headers.contains_key(CONTENT_TYPE));
    assert!(!reply.function_failed);
    assert!(reply.run_time.is_some());
    assert!(replica.schema().input.is_object());
}

async fn prepare_tells_what_it_did(stage: &dyn Stage) {
    let told = Told::default();
    stage
        .host()
        .prepare(&stage.revision(Actor::Obedient, 1), &told)
        .await
        .expect("prepared");
    assert!(!told.lines().is_empty());
}

async fn a_replica_starts_without_prepare_too(stage: &dyn Stage) {
    let revision = stage.revision(Actor::Obedient, 1);
    let plan = ReplicaPlan {
        revision,
        number: 0,
    };
    let replica = stage.host().start(plan).await.expect("started");
    answers(&*replica).await;
}

async fn a_failed_init_is_an_error_with_a_detail(stage: &dyn Stage) {
    let revision = stage.revision(Actor::FailsInit, 1);
    let host = stage.host();
    host.prepare(&revision, &Told::default())
        .await
        .expect("the script itself is in order");
    let plan = ReplicaPlan {
        revision,
        number: 0,
    };
    let error = host.start(plan).await.expect_err("init fails");
    assert_eq!(error.kind, StartErrorKind::UserScriptInitFailed);
    assert!(!error.message.is_empty());
    assert_eq!(error.details[0].code, "UserScriptInitFailed");
}

async fn an_unreadable_script_is_refused_by_prepare(stage: &dyn Stage) {
    let revision = stage.revision(Actor::Unreadable, 1);
    let error = stage
        .host()
        .prepare(&revision, &Told::default())
        .await
        .expect_err("no script");
    assert_eq!(error.kind, StartErrorKind::InvalidScript);
    assert!(error.message.contains(&revision.script), "{error}");
}

async fn a_raised_error_costs_one_request(stage: &dyn Stage) {
    let replica = start(stage, 1).await;
    match score(&*replica, "raise").await {
        Ok(reply) if stage.passes_answers_on() => {
            assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(reply.function_failed);
        }
        result => assert!(matches!(result, Err(ScriptError::Raised(_))), "{result:?}"),
    }
    answers(&*replica).await;
}

async fn a_death_costs_one_request(stage: &dyn Stage) {
    let replica = start(stage, 1).await;
    for _ in 0..3 {
        let error = score(&*replica, "die").await.expect_err("it dies");
        assert!(matches!(error, ScriptError::Died(_)), "{error:?}");
        answers(&*replica).await;
    }
}

async fn a_dropped_request_costs_one_request(stage: &dyn Stage) {
    let replica = start(stage, 1).await;
    for _ in 0..3 {
        assert!(score(&*replica, "loop").now_or_never().is_none());
        answers(&*replica).await;
    }
}

async fn each_slot_takes_a_request(stage: &dyn Stage) {
    let replica = start(stage, 3).await;
    // All but one slot are taken by requests that do not end.
    let mut endless = [(); 2].map(|()| Box::pin(score(&*replica, "loop")));
    for request in &mut endless {
        assert!(request.now_or_never().is_none());
    }
    answers(&*replica).await;
    drop(endless);
    join_all((0..3).map(|_| answers(&*replica))).await;
}

async fn replicas_do_not_depend_on_each_other(stage: &dyn Stage) {
    let host = stage.host();
    let revision = stage.revision(Actor::Obedient, 1);
    host.prepare(&revision, &Told::default())
        .await
        .expect("prepared");
    let mut replicas = Vec::new();
    for number in 0..3 {
        let revision = Arc::clone(&revision);
        let plan = ReplicaPlan { revision, number };
        replicas.push(host.start(plan).await.expect("started"));
    }
    score(&*replicas[0], "die").await.expect_err("it dies");
    drop(replicas.remove(1));
    for replica in &replicas {
        answers(&**replica).await;
    }
}

async fn start(stage: &dyn Stage, slots: usize) -> Arc<dyn Replica> {
    let host = stage.host();
    let revision = stage.revision(Actor::Obedient, slots);
    host.prepare(&revision, &Told::default())
        .await
        .expect("prepared");
    let plan = ReplicaPlan {
        revision,
        number: 0,
    };
    host.start(plan).await.expect("started")
}

async fn answers(replica: &dyn Replica) {
    replica.probe().await.expect("a probe passes");
    let reply = score(replica, "\"hello\"").await.expect("an answer");
    assert_eq!(reply.body, "\"hello\"");
}

async fn score(replica: &dyn Replica, body: &'static str) -> Result<ScoreReply, ScriptError> {
    replica
        .score(ScoreRequest {
            method: Method::POST,
            target: "/score".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        })
        .await
}

/// Keeps what it hears.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Progress for Told {
    fn event(&self, _step: Step, _outcome: StepOutcome, text: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text.to_owned());
    }
}
