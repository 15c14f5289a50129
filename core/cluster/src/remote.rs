//! The host of outside replicas: it finds them ready, or waits until they are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lusk_contract::{
    Progress, Replica, ReplicaHost, ReplicaPlan, Revision, StartError, StartErrorKind,
};
use lusk_domain::{FailureDetail, Step, StepOutcome};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    health::Health,
    link::{Link, Unwell},
    replica::RemoteReplica,
    seats::{Place, Seats},
    upstream::Upstream,
};

/// Time limits and bounds of all outside replicas.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until `GET /` is answered, where nobody asks for less.
    pub probe_timeout: Duration,
    /// How long a server that never answered before may take to become ready; one
    /// that did is waited for until the caller gives up.
    pub start_patience: Duration,
    /// Between two tries of a probe that must pass.
    pub pause: Duration,
    /// Most bytes of an answer that somebody wants whole; what is passed on in parts has
    /// no bound but its time.
    pub max_reply_bytes: usize,
}

impl Default for RemoteOptions {
    /// Answers may be as large as requests, 100 MB.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            probe_timeout: Duration::from_secs(2),
            start_patience: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            max_reply_bytes: 100 * 1_000 * 1_000,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct RemoteHost {
    options: RemoteOptions,
    seats: Seats,
}

impl RemoteHost {
    /// A host with these limits.
    pub fn new(options: RemoteOptions) -> Self {
        Self {
            options,
            seats: Seats::default(),
        }
    }

    fn link(&self, revision: &Revision, number: u32, place: Place) -> Result<Link, StartError> {
        let upstream = Upstream::new(place.url(), revision.slots, self.options.connect_timeout)
            .map_err(|why| error(StartErrorKind::EnvironmentNotUsable, why))?;
        Ok(Link {
            number,
            upstream,
            place,
            log: Arc::clone(&revision.log),
            options: self.options.clone(),
            health: Health::default(),
            home: Handle::current(),
        })
    }

    /// Returns when a probe passed.
    async fn ready(&self, link: &Link) -> Result<(), StartError> {
        let begun = Instant::now();
        loop {
            let Err(unwell) = link.check().await else {
                return Ok(());
            };
            let is_over = begun.elapsed() >= self.options.start_patience;
            if is_over && !link.place.was_ready() {
                return Err(not_ready(link, &unwell));
            }
            sleep(self.options.pause.min(self.options.start_patience)).await;
        }
    }
}

#[async_trait]
impl ReplicaHost for RemoteHost {
    async fn prepare(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<(), StartError> {
        check(revision)?;
        let text = match &revision.remote[..] {
            [one] => format!("requests are passed on to {one}"),
            [first, rest @ ..] => {
                format!("requests are passed on to {first} and {} more", rest.len())
            }
            [] => String::new(),
        };
        progress.event(Step::Replicas, StepOutcome::Running, &text);
        Ok(())
    }

    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError> {
        let ReplicaPlan { revision, number } = plan;
        let place = self
            .seats
            .take(&revision)
            .ok_or_else(|| nobody(&revision))?;
        let link = self.link(&revision, number, place)?;
        self.ready(&link).await?;
        let schema = link.schema().await;
        Ok(Arc::new(RemoteReplica::new(Arc::new(link), schema)))
    }
}

fn check(revision: &Revision) -> Result<(), StartError> {
    if revision.remote.is_empty() {
        return Err(nobody(revision));
    }
    Ok(())
}

fn nobody(revision: &Revision) -> StartError {
    let service = &revision.service;
    error(
        StartErrorKind::InvalidScript,
        format!("service `{service}` names no outside replica"),
    )
}

fn not_ready(link: &Link, unwell: &Unwell) -> StartError {
    let url = link.place.url();
    match unwell {
        Unwell::Silent(why) => error(
            StartErrorKind::Unreachable,
            format!("outside replica {url} is not reachable: {why}; start it, or correct its URL"),
        ),
        Unwell::Unready(why) => error(
            StartErrorKind::UserScriptInitFailed,
            format!("outside replica {url} is not ready: {why}; its own log has the cause"),
        ),
    }
}

fn error(kind: StartErrorKind, message: String) -> StartError {
    StartError {
        details: vec![FailureDetail {
            // The kinds are spelled as the original spells its own.
            code: format!("{kind:?}"),
            message: message.clone(),
        }],
        kind,
        message,
    }
}
