//! A server and what is known of it; shared by its replica, the requests that run
//! there and the task that waits for one that is out.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use lusk_contract::{LogStream, ScriptError, ScriptSchema, ServiceLog};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::{
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

/// The first look at a replica that went out comes so much sooner than the others:
/// servers that are started anew are back soon.
const FIRST_LOOKS: u32 = 16;

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

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) upstream: Upstream,
    pub(crate) place: Place,
    pub(crate) log: Arc<dyn ServiceLog>,
    pub(crate) options: RemoteOptions,
    pub(crate) health: Health,
    /// Where it is waited for; the runtime of a request may end any time.
    pub(crate) home: Handle,
}

impl Link {
    /// Asks for the server's health.
    pub(crate) async fn check(&self) -> Result<(), Unwell> {
        let limit = self.options.probe_timeout;
        let asked = self.upstream.get("/", MAX_HEALTH_BYTES);
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
        let asked = self.upstream.get("/swagger.json", MAX_DOCUMENT_BYTES);
        match timeout(self.options.probe_timeout, asked).await {
            Ok(Ok((status, document))) if status.is_success() => schema::read(&document),
            _ => schema::unknown(),
        }
    }

    /// Takes a failure into account and says what it means for its request.
    pub(crate) fn failed(self: &Arc<Self>, failed: &Failed) -> ScriptError {
        let (number, why) = (self.number, failed.reason());
        let setback = match failed {
            Failed::TooLarge(_) => {
                self.health.answered();
                self.tell(&why);
                return ScriptError::Raised(why);
            }
            Failed::NotTaken(_) | Failed::Unfit(_) => {
                // Whoever sends what it does not take, or asks for what it cannot
                // answer well, does not put it out.
                self.tell(&why);
                return ScriptError::Died(format!("outside replica {number}: {why}"));
            }
            Failed::CutShort(_) => return ScriptError::CutShort(why),
            Failed::Refused(_) => self.health.is_gone(),
            Failed::NotSent(_) | Failed::Broken(_) => self.health.failed(),
        };
        match setback {
            Setback::First => self.tell(&why),
            Setback::Another => {}
            Setback::Out => {
                let text = match failed {
                    Failed::Refused(_) => why.clone(),
                    _ => format!("{why}; that were {MOST_FAILURES} failures in a row"),
                };
                self.tell(&format!(
                    "{text}; it gets no requests until it answers a probe"
                ));
                self.home.spawn(wait_for(Arc::downgrade(self)));
            }
        }
        let why = format!("outside replica {number}: {why}");
        match failed {
            Failed::NotSent(_) | Failed::Refused(_) => ScriptError::NotBegun(why),
            _ => ScriptError::Died(why),
        }
    }

    /// Writes a remark into the service's log; the URL is in no answer to callers.
    pub(crate) fn tell(&self, text: &str) {
        let text = format!("outside replica {}: {text}", self.place.url());
        self.log.line(self.number, LogStream::Host, &text);
    }
}

/// Probes a replica that is out until it answers, or nobody holds it any more.
async fn wait_for(link: Weak<Link>) {
    let mut pause = Duration::ZERO;
    loop {
        {
            let Some(link) = link.upgrade() else { return };
            let longest = link.options.pause;
            pause = (pause * 2).clamp(longest / FIRST_LOOKS, longest);
        }
        sleep(pause).await;
        match link.upgrade() {
            Some(link) if link.check().await.is_err() => {}
            _ => return,
        }
    }
}

/// A request that runs on a server.
pub(crate) struct Work(Arc<Link>);

impl Work {
    pub(crate) fn begin(link: &Arc<Link>) -> Self {
        link.health.work();
        Self(Arc::clone(link))
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.health.rest();
    }
}
