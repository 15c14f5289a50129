//! The listener of the admin door.

use std::{io, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use lusk_control::Control;
use lusk_router::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Admin, AdminOptions, app};

/// How long a connection may take for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests may go on after the end of the door was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after the system refused to accept a connection, because it
/// is out of file handles for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Most bytes of a request's line and headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Serves the admin door until `shutdown`, then lets requests end.
///
/// # Errors
/// The listener is not one that can be used.
pub async fn serve_admin(
    listener: TcpListener,
    control: Arc<Control>,
    router: Arc<Router>,
    options: AdminOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.local_addr()?;
    let admin = Arc::new(Admin {
        control,
        router,
        options,
        stopping: shutdown.clone(),
    });
    let service = TowerToHyperService::new(app(admin));
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and complete: waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(MAX_HEADER_BYTES)
                    .serve_connection(TokioIo::new(stream), service.clone());
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "admin connection ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin door could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("admin requests were cut off at the end of the drain time");
    }
    Ok(())
}
