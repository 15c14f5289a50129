//! The life of one connection: which HTTP it speaks, its requests, its rests, its end.
//!
//! HTTP/2 is spoken with callers who begin with its preface (prior knowledge), HTTP/1
//! with all others, on the same port. Between requests a connection of HTTP/1 that stays
//! idle is parked: it gives up hyper's buffers, which are most of what it costs, and
//! waits for the next byte with next to nothing.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    books::{Books, Refusal},
    caller::{Caller, Line, Progress, Under},
    listener::{Answer, ListenerOptions, MAX_READ_BUFFER},
    stall::StallGuard,
};

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

/// What connections of a door have in common.
pub(crate) struct Settings<A> {
    pub(crate) door: Arc<A>,
    pub(crate) options: Arc<ListenerOptions>,
    pub(crate) books: Arc<Books>,
    /// This connection's own: no lock is shared with the others.
    pub(crate) shutdown: CancellationToken,
}

/// Serves it to its end.
pub(crate) async fn serve<A: Answer>(stream: TcpStream, settings: Settings<A>) {
    let caller = Arc::new(Caller::new(stream));
    match settings.greeting(&caller).await {
        Greeting::Nothing => {}
        Greeting::Cut => settings.dismiss(&caller, Refusal::HeadersSlow).await,
        // Boxed, for a parked connection must not keep room for what it is not doing.
        Greeting::Http2 => Box::pin(settings.http2(&caller)).await,
        Greeting::Http1(first) => settings.http1(&caller, first).await,
    }
}

/// How a connection begins.
enum Greeting {
    /// It ends.
    Nothing,
    /// It stops in the middle.
    Cut,
    Http2,
    /// With these bytes.
    Http1(Bytes),
}

/// How a stretch of requests ended.
enum Stretch {
    /// The connection is over.
    Over,
    /// It is over, and the caller is told why.
    Refused(Refusal),
    /// It is over, and the caller has been told why.
    Told,
    /// Nothing has happened for a while; these bytes were read ahead.
    Idle(Bytes),
}

impl<A: Answer> Settings<A> {
    async fn greeting(&self, caller: &Caller) -> Greeting {
        let mut first = [0; PREFACE.len()];
        let mut count = 0;
        let deadline = Instant::now() + self.options.header_timeout;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            if !self.wait(caller, wait).await {
                return match count {
                    0 => Greeting::Nothing,
                    _ => Greeting::Cut,
                };
            }
            match caller.try_read(&mut first[count..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(0) | Err(_) => return Greeting::Nothing,
                Ok(more) => count += more,
            }
            if first[..count] != PREFACE[..count] {
                return Greeting::Http1(Bytes::copy_from_slice(&first[..count]));
            }
            if count == PREFACE.len() {
                return Greeting::Http2;
            }
        }
    }

    /// Waits for bytes; false when none came in time, or the door closes.
    async fn wait(&self, caller: &Caller, limit: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => false,
            readable = timeout(limit, caller.readable()) => matches!(readable, Ok(Ok(()))),
        }
    }

    async fn dismiss(&self, caller: &Caller, refusal: Refusal) {
        if let Some(words) = self.door.refuse(refusal) {
            caller.dismiss(&words).await;
        }
    }

    async fn http1(&self, caller: &Arc<Caller>, mut first: Bytes) {
        loop {
            match Box::pin(self.stretch(caller, first)).await {
                Stretch::Over => return,
                Stretch::Refused(refusal) => return self.dismiss(caller, refusal).await,
                Stretch::Told => return caller.dismiss(&[]).await,
                Stretch::Idle(ahead) => first = ahead,
            }
            if first.is_empty() {
                let _parked = self.books.park();
                if !self.wait(caller, self.options.idle_timeout).await {
                    return;
                }
            }
        }
    }

    /// Requests of HTTP/1, until the connection ends or is idle.
    async fn stretch(&self, caller: &Arc<Caller>, first: Bytes) -> Stretch {
        let line = Line::new(caller, &self.door, first);
        let stream = StallGuard::new(line, self.options.write_timeout);
        let talk = Arc::new((Arc::clone(&self.door), Arc::clone(caller)));
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(MAX_READ_BUFFER)
            // Where an end of the caller is told from an end of what it sends.
            .half_close(cfg!(any(target_os = "linux", target_os = "android")))
            .serve_connection(
                TokioIo::new(stream),
                service_fn(|request| answer(Arc::clone(&talk), request)),
            );
        let mut gone = pin!(caller.gone());
        let mut look = pin!(sleep(self.options.park_after));
        let begun = caller.progress();
        let mut seen = begun;
        let mut is_closing = false;
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut connection => break ended,
                () = gone.as_mut() => return Stretch::Over,
                () = self.shutdown.cancelled(), if !is_closing => {
                    is_closing = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
                () = look.as_mut() => {
                    let now = caller.progress();
                    // Only after an answer: the time for headers begins anew with a
                    // stretch, and must not do so for one who sends them slowly.
                    let is_done = now == seen && now.calls != begun.calls;
                    if is_done && caller.is_quiet() && !is_closing {
                        return Stretch::Idle(connection.into_parts().read_buf);
                    }
                    seen = now;
                    look.as_mut().reset(Instant::now() + self.options.park_after);
                }
            }
        };
        let Err(error) = ended else {
            return Stretch::Over;
        };
        tracing::debug!(%error, "connection ended early");
        if error.is_parse() {
            return Stretch::Told;
        }
        let is_cut = error.is_timeout() && !connection.into_parts().read_buf.is_empty();
        match is_cut {
            true => Stretch::Refused(Refusal::HeadersSlow),
            false => Stretch::Over,
        }
    }

    /// A connection of HTTP/2, whose preface has been read.
    async fn http2(&self, caller: &Arc<Caller>) {
        let line = Line::framed(caller, &self.door, Bytes::from_static(PREFACE));
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

/// What one connection's requests need: one count for both, which no other connection
/// touches.
type Talk<A> = (Arc<A>, Arc<Caller>);

fn answer<A: Answer>(
    talk: Arc<Talk<A>>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<hyper::Response<Sent<A>>, Infallible>> {
    let under = talk.1.begin(request.version());
    async move {
        let answer = talk.0.answer(request, &talk.1).await;
        drop(under);
        Ok(answer.map(|body| Sent {
            body,
            talk,
            resting: None,
        }))
    }
}

/// A body that says, while its next part is not there, that the connection is not idle,
/// however long that takes. While the part is there and its caller does not take it, the
/// connection is.
struct Sent<A: Answer> {
    body: A::Body,
    talk: Arc<Talk<A>>,
    resting: Option<Under>,
}

impl<A: Answer> Body for Sent<A> {
    type Data = <A::Body as Body>::Data;
    type Error = <A::Body as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled.is_pending() {
            false => self.resting = None,
            true if self.resting.is_none() => self.resting = Some(self.talk.1.sending()),
            true => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::{StreamBody, combinators::UnsyncBoxBody};
    use hyper::Response;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers with two words and a long rest between them.
    struct Resting;

    impl Answer for Resting {
        type Body = UnsyncBoxBody<Bytes, io::Error>;

        async fn answer(&self, _: Request<Incoming>, _: &Arc<Caller>) -> Response<Self::Body> {
            let words = stream::iter(["one", "two"]).then(|word| async move {
                if word == "two" {
                    sleep(Duration::from_mins(10)).await;
                }
                Ok(Frame::data(Bytes::from_static(word.as_bytes())))
            });
            Response::new(UnsyncBoxBody::new(StreamBody::new(words)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_rests_is_delivered_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let served = tokio::spawn(serve(
            stream,
            Settings {
                door: Arc::new(Resting),
                options: Arc::new(ListenerOptions::default()),
                books: Arc::new(Books::default()),
                shutdown: CancellationToken::new(),
            },
        ));
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("one") && answer.contains("two"), "{answer}");
        assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
        served.await.unwrap();
    }
}
