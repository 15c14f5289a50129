//! Requests of HTTP/2: many at a time on one connection.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep};

use super::{Settings, Stream, line::Line, talk::answer};
use crate::{
    caller::{Caller, Progress},
    listener::{Answer, MAX_READ_BUFFER},
    stall::StallGuard,
};

/// Requests at a time on one connection of HTTP/2.
const MAX_STREAMS: u32 = 128;

/// Streams that a caller may reset before they were looked at; one more, and the
/// connection ends. Hyper's own default, as is the next.
const MAX_PENDING_RESETS: usize = 20;

/// Streams that we had to reset for a caller's faults before the connection ends.
const MAX_FAULTS: usize = 1024;

/// Bytes of bodies that a caller may send ahead of the door on one stream, and on all of
/// a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of answers that wait for their caller, on each stream.
const MAX_SEND_BUFFER: usize = 128 * 1024;

/// Less than this, written between two looks at a connection of HTTP/2, is no sign of
/// life: pings are answered with a few bytes each.
const MIN_PROGRESS: u64 = 4096;

impl<A: Answer> Settings<A> {
    /// A connection of HTTP/2, of which these bytes have been read.
    pub(super) async fn http2<S: Stream>(&self, caller: &Arc<Caller>, stream: S, first: Bytes) {
        let line = Line::framed(stream, caller, &self.door, first);
        let stream = StallGuard::new(line, self.options.write_timeout);
        let talk = Arc::new((Arc::clone(&self.door), Arc::clone(caller)));
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_READ_BUFFER as u32)
                .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
                .max_local_error_reset_streams(MAX_FAULTS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(MAX_SEND_BUFFER)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(|request| answer(Arc::clone(&talk), request)),
                )
        );
        let mut look = pin!(sleep(self.options.idle_timeout));
        let mut seen = caller.progress();
        let mut is_closing = false;
        let mut was_told = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = look.as_mut() => {
                    let now = caller.progress();
                    if is_idle(seen, now) && !caller.is_answering() && !caller.is_sent_to() {
                        if was_told {
                            return;
                        }
                        was_told = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    seen = now;
                    look.as_mut().reset(Instant::now() + self.options.idle_timeout);
                }
            }
        }
    }
}

fn is_idle(seen: Progress, now: Progress) -> bool {
    seen.calls == now.calls && now.written - seen.written < MIN_PROGRESS
}
