//! The scoring door of all services: its bounds, and serving it.

use std::{io, sync::Arc, time::Duration};

use lusk_contract::MirrorLog;
use lusk_router::{Lead, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    body::BodyLimits,
    books::Books,
    listener::{self, ListenerOptions},
    mirror::Mirrors,
    paths::{self, Target},
    score::Door,
};

/// Bounds of a scoring door.
#[derive(Debug, Clone)]
pub struct ScoringOptions {
    /// Connections.
    pub listener: ListenerOptions,
    /// Bytes of one request's body; over it the answer is 413.
    pub max_body_bytes: usize,
    /// Bytes of all bodies that are being read or scored; over it the answer is 503.
    pub max_buffered_bytes: usize,
    /// Silence in the middle of a body after which the answer is 408.
    pub body_timeout: Duration,
    /// Bytes that must come in a second, on average, once `body_timeout` has passed;
    /// with less the answer is 408.
    pub min_body_rate: u32,
    /// Where connections, bytes and refusals are counted. Doors whose options are clones
    /// of one another share them, and so the bounds on connections and bytes.
    pub books: Arc<Books>,
    /// Where answers of mirrored versions are kept beside the live ones, for endpoints
    /// that want it; nowhere without one.
    pub mirror_log: Option<Arc<dyn MirrorLog>>,
}

impl Default for ScoringOptions {
    /// Bodies of 100 MB (10^6 bytes each, as all sizes of the original's service are
    /// counted here), 512 MiB of them at a time, 30 s of silence, 1 KiB a second.
    fn default() -> Self {
        Self {
            listener: ListenerOptions::default(),
            max_body_bytes: 100 * 1_000 * 1_000,
            max_buffered_bytes: 512 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            min_body_rate: 1024,
            books: Arc::default(),
            mirror_log: None,
        }
    }
}

impl ScoringOptions {
    pub(crate) fn body_limits(&self) -> BodyLimits {
        BodyLimits {
            max_bytes: self.max_body_bytes,
            silence: self.body_timeout,
            min_rate: self.min_body_rate,
            max_buffered: self.max_buffered_bytes,
            books: Arc::clone(&self.books),
        }
    }
}

/// Serves all services of a router until `shutdown`, then lets requests under way end.
///
/// # Errors
/// The listener is of no use.
pub async fn serve_scoring(
    listener: TcpListener,
    router: Arc<Router>,
    options: ScoringOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let door = Arc::new(ScoringDoor::new(router, &options));
    let opened = Arc::clone(&door);
    let rest = listener::accept(
        listener,
        opened,
        &options.listener,
        &options.books,
        shutdown,
    );
    let rest = rest.await?;
    rest.end().await;
    door.end().await;
    Ok(())
}

/// The door of all services.
pub(crate) struct ScoringDoor {
    router: Arc<Router>,
    limits: BodyLimits,
    listener: ListenerOptions,
    mirrors: Mirrors,
}

impl ScoringDoor {
    pub(crate) fn new(router: Arc<Router>, options: &ScoringOptions) -> Self {
        Self {
            router,
            limits: options.body_limits(),
            listener: options.listener.clone(),
            mirrors: Mirrors::new(&options.books, options.mirror_log.clone()),
        }
    }

    /// Gives up what no caller waits for, when all callers have their answers.
    pub(crate) async fn end(&self) {
        self.mirrors.end().await;
    }
}

impl Door for ScoringDoor {
    const NEEDS_KEY: bool = true;

    fn listener(&self) -> &ListenerOptions {
        &self.listener
    }

    fn limits(&self) -> &BodyLimits {
        &self.limits
    }

    fn target<'a>(&self, path: &'a str) -> Option<Target<'a>> {
        paths::scoring(path)
    }

    fn lead(&self, name: &str) -> Option<Lead> {
        self.router.lead(name)
    }

    fn mirrors(&self) -> Option<&Mirrors> {
        Some(&self.mirrors)
    }
}
