//! Listening: connections within bounds, and an end that loses no answer.

use std::{convert::Infallible, error::Error, io, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::stall::StallGuard;

/// Largest headers of a request, in bytes; over it the answer is 431.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most that is read of a request before its headers must be complete. Larger than
/// [`MAX_HEADER_BYTES`], so that headers somewhat over it get our own answer with a
/// message; beyond this, hyper answers 431 without one.
const MAX_READ_BUFFER: usize = MAX_HEADER_BYTES + 32 * 1024;

/// Rest after the system refused a connection (out of file handles, as a rule), so that
/// the loop does not spin on it.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// Bounds of a door's connections.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Connections at a time; more are closed at once.
    pub max_connections: usize,
    /// Time for the headers of a request to be complete, from the moment that the
    /// connection is ready for it: the bound of slow callers and of idle connections.
    pub header_timeout: Duration,
    /// Time that an answer may wait for its caller to take some of it.
    pub write_timeout: Duration,
    /// Time for requests under way to end after the door was told to close.
    pub grace: Duration,
}

impl Default for ListenerOptions {
    /// 10,240 connections, 30 s for headers, 30 s for a caller who does not read, 30 s
    /// of grace.
    fn default() -> Self {
        Self {
            max_connections: 10_240,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
        }
    }
}

/// Answers requests of one door.
pub(crate) trait Answer: Send + Sync + 'static {
    /// What the door's answers carry.
    type Body: Body<Data: Send, Error: Error + Send + Sync> + Send + 'static;

    /// The answer to one request. Dropped when the caller goes away.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
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

/// Accepts until `shutdown`, then closes the listener. Idle connections close, others
/// after the request they are in.
pub(crate) async fn accept<A: Answer>(
    listener: TcpListener,
    door: Arc<A>,
    options: &ListenerOptions,
    shutdown: CancellationToken,
) -> io::Result<Rest> {
    listener.local_addr()?;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if connections.len() >= options.max_connections => {
                drop(stream);
                tracing::debug!(%peer, "connection refused, too many are open");
            }
            Ok((stream, _)) => {
                let (door, options) = (Arc::clone(&door), options.clone());
                connections.spawn(serve(stream, door, options, shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }
    Ok(Rest {
        connections,
        grace: options.grace,
    })
}

async fn serve<A: Answer>(
    stream: TcpStream,
    door: Arc<A>,
    options: ListenerOptions,
    shutdown: CancellationToken,
) {
    // Small answers must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = StallGuard::new(stream, options.write_timeout);
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(MAX_READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
