//! Listening: connections within bounds, and an end that loses no answer.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    books::{Books, Place, Refusal},
    caller::Caller,
    connection,
    shards::{Moved, Moves},
    tls::Tls,
};

/// Largest headers of a request, in bytes; over it the answer is 431.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most that is read of a request before its headers must be complete. Larger than
/// [`MAX_HEADER_BYTES`], so that headers somewhat over it get our own answer with a
/// message; beyond this, hyper answers 431 without one.
pub(crate) const MAX_READ_BUFFER: usize = MAX_HEADER_BYTES + 32 * 1024;

/// Rest after the system refused a connection (out of file handles, as a rule), so that
/// the loop does not spin on it.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// Most callers who wait in a listener and are let in when it closes.
const MAX_WAITING: usize = 4096;

/// Callers over the bound that are told so at a time; more are closed without a word.
const MAX_DISMISSALS: usize = 128;

/// Bounds of a door's connections.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Connections at a time, those of all doors with the same books together; more are
    /// answered 503 and closed.
    pub max_connections: usize,
    /// Time for the headers of a request to be complete, from the moment that the
    /// connection is ready for it: the bound of slow callers.
    pub header_timeout: Duration,
    /// Time that a connection may be idle between requests. Under HTTP/2, one to two of
    /// it.
    pub idle_timeout: Duration,
    /// Time after which an idle connection gives up its buffers and waits without; one
    /// to two of it, up to sixteen after many requests in a row.
    pub park_after: Duration,
    /// Time that an answer may wait for its caller to take some of it.
    pub write_timeout: Duration,
    /// Time for requests under way to end after the door was told to close.
    pub grace: Duration,
    /// Speaks TLS, and nothing else, when there.
    pub tls: Option<Tls>,
}

impl Default for ListenerOptions {
    /// 10,240 connections, 30 s for headers, 60 s idle, parked after 50 ms, 30 s for a
    /// caller who does not read, 30 s of grace, no TLS.
    fn default() -> Self {
        Self {
            max_connections: 10_240,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            park_after: Duration::from_millis(50),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            tls: None,
        }
    }
}

impl ListenerOptions {
    /// No more connections than a process with so many files can hold, a quarter of them
    /// left to everything else.
    #[must_use]
    pub fn within_files(mut self, files: usize) -> Self {
        self.max_connections = self.max_connections.min(files - files / 4).max(1);
        self
    }
}

/// Lets the process open as many files as the system allows it, for every connection is
/// one, and says how many those are.
pub fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "cannot raise the limit of open files");
            limit.current
        }
    };
    limit.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX))
}

/// Answers requests of one door.
pub(crate) trait Answer: Send + Sync + 'static {
    /// What the door's answers carry.
    type Body: Body<Data: Send, Error: Error + Send + Sync> + Send + Unpin + 'static;

    /// The answer to one request. Dropped when the caller goes away.
    fn answer(
        &self,
        request: Request<Incoming>,
        caller: &Arc<Caller>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The bytes of an answer of HTTP/1 to what never became a request, and counts it;
    /// none where the door has no words for it.
    fn refuse(&self, _: Refusal) -> Option<Bytes> {
        None
    }
}

/// Connections of a door that listens no more.
pub(crate) struct Rest {
    connections: JoinSet<()>,
    grace: Duration,
}

impl Rest {
    /// Waits until their requests have ended, as long as the grace lasts; what is left
    /// then is cut off.
    pub(crate) async fn end(mut self) {
        let all = async { while self.connections.join_next().await.is_some() {} };
        if timeout(self.grace, all).await.is_err() {
            tracing::warn!(
                connections = self.connections.len(),
                "closing connections with requests that did not end in time"
            );
        }
    }
}

/// Lets callers in, and looks after those who are.
pub(crate) struct Entrance<A> {
    door: Arc<A>,
    options: Arc<ListenerOptions>,
    books: Arc<Books>,
    shutdown: CancellationToken,
    connections: JoinSet<()>,
    /// What is left of them when the door closes is cut off.
    dismissals: JoinSet<()>,
    /// Whom callers may move to.
    moves: Option<Arc<Moves>>,
}

impl<A: Answer> Entrance<A> {
    /// An entrance that closes at `shutdown`.
    pub(crate) fn new(
        door: Arc<A>,
        options: &ListenerOptions,
        books: &Arc<Books>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            door,
            options: Arc::new(options.clone()),
            books: Arc::clone(books),
            shutdown,
            connections: JoinSet::new(),
            dismissals: JoinSet::new(),
            moves: None,
        }
    }

    /// Lets callers move to other entrances of the door.
    pub(crate) fn set_moves(&mut self, moves: Arc<Moves>) {
        self.moves = Some(moves);
    }

    /// Callers who are in.
    pub(crate) fn callers(&self) -> usize {
        self.connections.len()
    }

    /// Lets one in who comes from another entrance.
    pub(crate) fn take(&mut self, moved: Moved) {
        match TcpStream::from_std(moved.stream) {
            Ok(stream) => {
                let settings = self.settings();
                let served = serve(stream, Some(moved.ahead), settings, moved.place);
                self.connections.spawn(served);
            }
            Err(error) => tracing::warn!(%error, "a caller who moved is lost"),
        }
    }

    /// Says when it is to close.
    pub(crate) fn closes(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Lets one in, or sends it away; rests when the system let nobody come.
    pub(crate) async fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                return sleep(PAUSE_AFTER_REFUSAL).await;
            }
        };
        match self.books.enter(self.options.max_connections) {
            Some(place) => {
                let settings = self.settings();
                // Small answers must not wait for the acknowledgement of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                self.connections.spawn(serve(stream, None, settings, place));
            }
            None => self.dismiss(stream, peer),
        }
    }

    /// Lets those in who wait in a listener, and closes it: the system would reset them,
    /// with all that they have asked.
    pub(crate) async fn admit_last(&mut self, listener: TcpListener) {
        let listener = match listener.into_std() {
            Ok(listener) => listener,
            Err(error) => return tracing::debug!(%error, "who waited was not let in"),
        };
        // Asked of the system itself: the runtime may not have heard of all.
        for _ in 0..MAX_WAITING {
            let accepted = listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok((TcpStream::from_std(stream)?, peer))
            });
            match accepted {
                Ok(accepted) => self.admit(Ok(accepted)).await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    fn settings(&self) -> connection::Settings<A> {
        connection::Settings {
            door: Arc::clone(&self.door),
            options: Arc::clone(&self.options),
            books: Arc::clone(&self.books),
            shutdown: self.shutdown.child_token(),
            moves: self.moves.clone(),
        }
    }

    fn dismiss(&mut self, stream: TcpStream, peer: SocketAddr) {
        tracing::debug!(%peer, "connection refused, too many are open");
        if self.dismissals.len() >= MAX_DISMISSALS {
            return;
        }
        if let Some(words) = self.door.refuse(Refusal::ConnectionsFull) {
            let tls = self.options.tls.clone();
            self.dismissals
                .spawn(connection::turn_away(stream, tls, words));
        }
    }

    /// Forgets one who has gone; waits for one to go.
    pub(crate) async fn tidy(&mut self) {
        tokio::select! {
            biased;
            Some(_) = self.connections.join_next() => {}
            Some(_) = self.dismissals.join_next() => {}
            else => std::future::pending().await,
        }
    }

    /// What is left when nobody is let in any more.
    pub(crate) fn rest(self) -> Rest {
        Rest {
            connections: self.connections,
            grace: self.options.grace,
        }
    }
}

/// Accepts until `shutdown`, then lets in who waits and closes the listener. Idle
/// connections close, others after the request they are in.
pub(crate) async fn accept<A: Answer>(
    listener: TcpListener,
    door: Arc<A>,
    options: &ListenerOptions,
    books: &Arc<Books>,
    shutdown: CancellationToken,
) -> io::Result<Rest> {
    listener.local_addr()?;
    let mut entrance = Entrance::new(door, options, books, shutdown.clone());
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = entrance.tidy() => continue,
            accepted = listener.accept() => accepted,
        };
        entrance.admit(accepted).await;
    }
    entrance.admit_last(listener).await;
    Ok(entrance.rest())
}

async fn serve<A: Answer>(
    stream: TcpStream,
    ahead: Option<Bytes>,
    mut settings: connection::Settings<A>,
    place: Place,
) {
    let moved = connection::serve(stream, ahead, &mut settings).await;
    let (Some((stream, ahead)), Some(moves)) = (moved, settings.moves.take()) else {
        return;
    };
    // None takes it when the door closes: then it stays, and so do its requests.
    if let Some(moved) = moves.send(stream, ahead, place)
        && let Ok(stream) = TcpStream::from_std(moved.stream)
    {
        connection::serve(stream, Some(moved.ahead), &mut settings).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_everything_else() {
        let usual = ListenerOptions::default().max_connections;
        for (files, connections) in [(1024, 768), (20_000, usual), (usize::MAX, usual), (0, 1)] {
            let bounded = ListenerOptions::default().within_files(files);
            assert_eq!(bounded.max_connections, connections, "{files}");
        }
    }

    #[test]
    fn the_limit_of_files_can_be_raised_as_far_as_allowed() {
        let files = raise_file_limit();
        assert!(files > 0);
        assert_eq!(raise_file_limit(), files);
    }
}
