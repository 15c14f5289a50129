//! One outside replica, as the router and the caretaker see it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use lusk_contract::{
    LogStream, Replica, ScoreReply, ScoreRequest, ScriptError, ScriptSchema, ServiceLog,
};
use tokio::time::{sleep, timeout};

use crate::{
    answer,
    health::{Health, MOST_FAILURES, Setback},
    remote::RemoteOptions,
    schema,
    seats::Place,
    upstream::{Failed, Upstream},
};

/// Most bytes of what `GET /` answers; nobody reads them.
const MAX_HEALTH_BYTES: usize = 64 << 10;

/// Most bytes of a swagger document.
const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// How long a replica that runs requests is waited for by a probe. A server with one
/// worker cannot answer both; what it runs has a deadline of its own.
const BUSY_PATIENCE: Duration = Duration::from_millis(500);

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unwell {
    /// It gave no answer.
    Silent(String),
    /// It answered that it is not ready.
    Unready(String),
}

impl Unwell {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Silent(why) | Self::Unready(why) => why,
        }
    }
}

/// The server and what is known of it; shared with the task that waits for one
/// that is out.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) upstream: Upstream,
    pub(crate) place: Place,
    pub(crate) log: Arc<dyn ServiceLog>,
    pub(crate) options: RemoteOptions,
    pub(crate) health: Health,
}

impl Link {
    /// Asks for the server's health.
    pub(crate) async fn check(&self) -> Result<(), Unwell> {
        let limit = self.options.probe_timeout;
        let asked = self.get("/", MAX_HEALTH_BYTES);
        let unwell = match timeout(limit, asked).await {
            Ok(Ok((status, _))) if status.is_success() => {
                self.place.set_ready();
                if self.health.answered() {
                    self.tell("it answers again and gets requests");
                }
                return Ok(());
            }
            Ok(Ok((status, _))) => {
                Unwell::Unready(format!("its health (GET /) answers with status {status}"))
            }
            Ok(Err(failed)) => Unwell::Silent(failed.reason()),
            Err(_) => Unwell::Silent(format!(
                "its health (GET /) gave no answer within {} ms",
                limit.as_millis()
            )),
        };
        Err(unwell)
    }

    /// What the server says of its input and output.
    pub(crate) async fn schema(&self) -> ScriptSchema {
        let asked = self.get("/swagger.json", MAX_DOCUMENT_BYTES);
        match timeout(self.options.probe_timeout, asked).await {
            Ok(Ok((status, document))) if status.is_success() => schema::read(&document),
            _ => schema::unknown(),
        }
    }

    async fn get(&self, target: &str, limit: usize) -> Result<(http::StatusCode, Bytes), Failed> {
        let headers = HeaderMap::new();
        let sent = self
            .upstream
            .send(Method::GET, target, headers, Bytes::new(), limit);
        sent.await.map(|(parts, body)| (parts.status, body))
    }

    /// Writes a remark into the service's log; the URL is in no answer to callers.
    pub(crate) fn tell(&self, text: &str) {
        let text = format!("outside replica {}: {text}", self.place.url());
        self.log.line(self.number, LogStream::Host, &text);
    }
}

/// The replica.
#[derive(Debug)]
pub(crate) struct RemoteReplica {
    link: Arc<Link>,
    schema: ScriptSchema,
}

impl RemoteReplica {
    /// For a server that was found ready.
    pub(crate) fn new(link: Arc<Link>, schema: ScriptSchema) -> Self {
        Self { link, schema }
    }

    fn failed(&self, failed: &Failed) -> ScriptError {
        let (link, why) = (&self.link, failed.reason());
        let number = link.number;
        if let Failed::TooLarge(_) = failed {
            link.health.answered();
            link.tell(&why);
            return ScriptError::Raised(why);
        }
        match link.health.failed() {
            Setback::First => link.tell(&why),
            Setback::Another => {}
            Setback::Out => {
                link.tell(&format!(
                    "{why}; that were {MOST_FAILURES} failures in a row, it gets no requests until it answers a probe"
                ));
                wait_for(&self.link);
            }
        }
        match failed {
            Failed::NotSent(_) => ScriptError::NotBegun(format!("outside replica {number}: {why}")),
            _ => ScriptError::Died(format!("outside replica {number}: {why}")),
        }
    }
}

#[async_trait]
impl Replica for RemoteReplica {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let link = &*self.link;
        if link.health.is_out() {
            let number = link.number;
            return Err(ScriptError::NotBegun(format!(
                "outside replica {number} does not answer"
            )));
        }
        let _work = link.health.work();
        let ScoreRequest {
            method,
            target,
            headers,
            body,
        } = request;
        let limit = link.options.max_reply_bytes;
        match link
            .upstream
            .send(method, &target, headers, body, limit)
            .await
        {
            Ok((parts, body)) => {
                link.health.answered();
                Ok(answer::reply(parts, body))
            }
            Err(failed) => Err(self.failed(&failed)),
        }
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        let link = &*self.link;
        let result = tokio::select! {
            result = link.check() => result,
            () = sleep(BUSY_PATIENCE), if link.health.is_at_work() => Ok(()),
        };
        result.map_err(|unwell| {
            link.place.give_up();
            unwell.reason().to_owned()
        })
    }
}

/// Probes a replica that is out until it answers, or nobody holds it any more.
fn wait_for(link: &Arc<Link>) {
    let pause = link.options.pause;
    let link = Arc::downgrade(link);
    tokio::spawn(async move {
        loop {
            sleep(pause).await;
            match Weak::upgrade(&link) {
                Some(link) if link.check().await.is_err() => {}
                _ => return,
            }
        }
    });
}
