//! One outside replica, as the router and the caretaker see it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::TryStreamExt as _;
use lusk_contract::{
    Flow, NotRelayed, Parts, RelayReply, RelayRequest, Replica, ScoreReply, ScoreRequest,
    ScriptError, ScriptSchema, Standing,
};
use tokio::time::sleep;

use crate::{link::Link, relay, upstream::Failed};

/// How long a replica that runs requests is waited for by a probe. A server with one
/// worker cannot answer both; what it runs has a deadline of its own.
const BUSY_PATIENCE: Duration = Duration::from_millis(500);

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

    /// An answer that came in parts, up to the limit.
    async fn join(&self, mut parts: Parts) -> Result<bytes::Bytes, ScriptError> {
        let limit = self.link.options.max_reply_bytes;
        let mut joined = BytesMut::new();
        let died = |broken: lusk_contract::BrokenOff| {
            let number = self.link.number;
            ScriptError::Died(format!("outside replica {number}: {broken}"))
        };
        while let Some(part) = parts.try_next().await.map_err(died)? {
            if joined.len() + part.len() > limit {
                return Err(self.link.failed(&Failed::TooLarge(limit)));
            }
            joined.extend_from_slice(&part);
        }
        Ok(joined.freeze())
    }
}

#[async_trait]
impl Replica for RemoteReplica {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let relayed = relay::relay(&self.link, request.into()).await;
        let reply = relayed.map_err(|not_relayed| not_relayed.error)?;
        Ok(ScoreReply {
            status: reply.status,
            headers: reply.headers,
            body: match reply.body {
                Flow::Whole(body) => body,
                Flow::Parts { length, parts } => {
                    let limit = self.link.options.max_reply_bytes;
                    if length.is_some_and(|length| length > limit as u64) {
                        return Err(self.link.failed(&Failed::TooLarge(limit)));
                    }
                    self.join(parts).await?
                }
            },
            run_time: reply.run_time,
            function_failed: reply.function_failed,
        })
    }

    fn relays(&self) -> bool {
        true
    }

    async fn relay(&self, request: RelayRequest) -> Result<RelayReply, NotRelayed> {
        relay::relay(&self.link, request).await
    }

    fn cut(&self, why: &str) {
        self.link.tell(&format!("its answer was cut: {why}"));
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    fn tell(&self, standing: Arc<dyn Standing>) {
        self.link.health.tell(standing);
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
