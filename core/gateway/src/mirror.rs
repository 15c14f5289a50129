//! Copies of requests for the version that an endpoint mirrors them to.
//!
//! A copy runs in a task of its own, on the node's runtime and never on a shard's
//! thread: the caller neither waits for it nor hears of it. Copies that wait or run are
//! bounded in number and in bytes; what is over is dropped and counted.

mod live;
pub(crate) mod metrics;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::HeaderValue;
use jiff::Timestamp;
use lusk_contract::{Flow, MirrorLog, MirroredAnswer, MirroredPair, ScoreRequest};
use lusk_domain::{ServiceName, VersionName};
use lusk_router::{Route, Versions};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::live::Live;
use crate::{
    books::{Books, CopyOutcome, CopyPlace},
    headers, shards,
};

/// Bytes of an answer that comes in parts which are remembered for the log; the rest is
/// read and forgotten.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// Sends copies, and knows those that are under way.
#[derive(Debug)]
pub(crate) struct Mirrors {
    books: Arc<Books>,
    log: Option<Arc<dyn MirrorLog>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mirrors {
    /// Counts in `books`; pairs of answers go to `log`.
    pub(crate) fn new(books: &Arc<Books>, log: Option<Arc<dyn MirrorLog>>) -> Self {
        Self {
            books: Arc::clone(books),
            log,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Sends a copy of a request that `live` is about to run, if it is this request's
    /// turn. What comes back wants to hear the live answer.
    pub(crate) fn copy(
        &self,
        versions: &Versions,
        live: &Arc<Route>,
        request: &ScoreRequest,
        id: &HeaderValue,
    ) -> Option<Live> {
        let (mirror, route) = versions.pick_mirror()?;
        if Arc::ptr_eq(route, live) {
            return None;
        }
        let endpoint = versions.endpoint().name();
        let Some(place) = self.books.enter_copy(endpoint, request.body.len()) else {
            self.books.count_copy(endpoint, CopyOutcome::Dropped);
            return None;
        };
        let log = self.log.as_ref().filter(|_| mirror.keeps_answers);
        let (told, live) = log.and_then(|_| Live::begin(live)).unzip();
        let pairing = log.zip(told).map(|(log, told)| Pairing {
            log: Arc::clone(log),
            at: Timestamp::now(),
            endpoint: endpoint.clone(),
            request: String::from_utf8_lossy(id.as_bytes()).into_owned(),
            live: told,
            version: mirror.version.clone(),
        });
        let mut request = request.clone();
        headers::add_mirrored(&mut request.headers);
        let copy = Copy {
            place,
            route: Arc::clone(route),
            request,
            pairing,
        };
        let stop = self.stop.clone();
        let run = async move {
            stop.run_until_cancelled(copy.run()).await;
        };
        self.tasks.spawn_on(run, &shards::runtime());
        live
    }

    /// Counts a request whose turn it is and whose body is not here to be copied.
    pub(crate) fn pass_by(&self, versions: &Versions, live: &Arc<Route>) {
        if let Some((_, route)) = versions.pick_mirror()
            && !Arc::ptr_eq(route, live)
        {
            let endpoint = versions.endpoint().name();
            self.books.count_copy(endpoint, CopyOutcome::Dropped);
        }
    }

    /// Gives up the copies that are under way; returns when the last one is gone.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One copy. Dropped before its answer, it counts as failed.
struct Copy {
    place: CopyPlace,
    route: Arc<Route>,
    request: ScoreRequest,
    pairing: Option<Pairing>,
}

impl Copy {
    async fn run(self) {
        let Self {
            mut place,
            route,
            request,
            pairing,
        } = self;
        let answer = ask(&route, request, pairing.is_some()).await;
        if answer.result.is_ok() {
            place.outcome = CopyOutcome::Sent;
        }
        // Until the live answer is there this one takes memory, and so its place.
        if let Some(pairing) = pairing {
            pairing.keep(answer).await;
        }
        drop(place);
    }
}

/// What a version made of a request: status and body, or why there are none.
struct Answered {
    result: Result<(u16, Bytes), String>,
    took: Duration,
}

impl Answered {
    fn by(self, version: VersionName) -> MirroredAnswer {
        let (status, body, error) = match self.result {
            Ok((status, body)) => (Some(status), body, None),
            Err(error) => (None, Bytes::new(), Some(error)),
        };
        MirroredAnswer {
            version,
            status,
            error,
            took: self.took,
            body,
        }
    }
}

/// Where an answer goes together with the live one.
struct Pairing {
    log: Arc<dyn MirrorLog>,
    at: Timestamp,
    endpoint: ServiceName,
    request: String,
    live: oneshot::Receiver<MirroredAnswer>,
    version: VersionName,
}

impl Pairing {
    async fn keep(self, copy: Answered) {
        // A caller who went away leaves nothing to compare with.
        let Ok(live) = self.live.await else { return };
        self.log.keep(MirroredPair {
            at: self.at,
            endpoint: self.endpoint,
            request: self.request,
            live,
            copy: copy.by(self.version),
        });
    }
}

/// Waits for a slot and for the whole answer. The time is that of the slot, as it is for
/// live answers.
async fn ask(route: &Arc<Route>, request: ScoreRequest, keeps: bool) -> Answered {
    let mut begun = Instant::now();
    let answer = async {
        let turn = route
            .turn_for_copy()
            .await
            .map_err(|error| error.to_string())?;
        begun = Instant::now();
        let relayed = turn.relay(request.into()).await;
        let reply = relayed.map_err(|error| error.to_string())?.reply;
        let body = whole(reply.body, keeps).await?;
        Ok((live::status(reply.status), body))
    };
    let result = answer.await;
    let took = begun.elapsed();
    Answered { result, took }
}

/// Reads a body to its end, so that its slot is free and its request counted.
async fn whole(body: Flow, keeps: bool) -> Result<Bytes, String> {
    let mut parts = match body {
        Flow::Whole(bytes) => return Ok(bytes),
        Flow::Parts { parts, .. } => parts,
    };
    let mut kept = Kept::default();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|broken| broken.to_string())?;
        if keeps {
            kept.push(&part);
        }
    }
    Ok(kept.into_bytes())
}

/// The beginning of a body, at most [`MAX_KEPT_BYTES`].
#[derive(Default)]
struct Kept(BytesMut);

impl Kept {
    fn push(&mut self, part: &[u8]) {
        let room = MAX_KEPT_BYTES - self.0.len();
        self.0.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn into_bytes(self) -> Bytes {
        self.0.freeze()
    }
}
