//! The life of one connection: which HTTP it speaks, its requests, its rests, its end.
//!
//! HTTP/2 is spoken with callers who begin with its preface (prior knowledge), HTTP/1
//! with all others, on the same port. Between requests a connection of HTTP/1 that stays
//! idle is parked: it gives up hyper's buffers, which are most of what it costs, and
//! waits for the next byte with next to nothing.
//!
//! A door that closes still serves what its callers have sent: whatever the system holds
//! for it is read, and the last answer says that the connection ends.
//!
//! Where the door speaks TLS, callers agree upon the HTTP in the handshake, and all else
//! is as in the open.

mod http2;
pub(crate) mod line;
mod sealed;
mod talk;
mod watch;

use std::{future::poll_fn, io, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::sealed::turn_away;
use self::{
    line::{Line, Wire},
    talk::answer,
    watch::{Look, Watch},
};
use crate::{
    books::{Books, Refusal},
    caller::{Caller, Voice},
    listener::{Answer, ListenerOptions, MAX_READ_BUFFER},
    shards::Moves,
    stall::StallGuard,
};

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest wait, once the door closes, for the rest of a head that was begun: a caller
/// who is alive has sent it, and who is not must not hold up the end.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// What requests come from and answers go to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// What connections of a door have in common.
pub(crate) struct Settings<A> {
    pub(crate) door: Arc<A>,
    pub(crate) options: Arc<ListenerOptions>,
    pub(crate) books: Arc<Books>,
    /// This connection's own: no lock is shared with the others.
    pub(crate) shutdown: CancellationToken,
    /// Says whether it is to be served elsewhere; none where it stays.
    pub(crate) moves: Option<Arc<Moves>>,
}

/// Serves it to its end, or until it is to be served elsewhere; then it comes back with
/// the bytes that were read ahead. So does one that came from elsewhere.
pub(crate) async fn serve<A: Answer>(
    stream: TcpStream,
    ahead: Option<Bytes>,
    settings: &mut Settings<A>,
) -> Option<(TcpStream, Bytes)> {
    let (caller, wire) = Caller::split(stream);
    if let Some(tls) = settings.options.tls.clone() {
        // What it has agreed upon with its caller cannot move.
        settings.moves = None;
        settings.sealed(&caller, wire, &tls).await;
        return None;
    }
    if let Some(ahead) = ahead {
        let is_over = ahead.is_empty() && !settings.rest(&caller).await;
        return match is_over {
            true => None,
            false => settings.open(caller, wire, ahead).await,
        };
    }
    match settings.greeting(&caller).await {
        Greeting::Nothing => {}
        Greeting::Cut => {
            settings
                .dismiss(&caller, &*caller, Refusal::HeadersSlow)
                .await
        }
        // Boxed, for a parked connection must not keep room for what it is not doing.
        Greeting::Http2 => {
            let preface = Bytes::from_static(PREFACE);
            Box::pin(settings.http2(&caller, wire, preface)).await;
        }
        Greeting::Http1(first) => return settings.open(caller, wire, first).await,
    }
    None
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
enum Stretch<S> {
    /// The connection is over.
    Over,
    /// It is over, and the caller is told why.
    Refused(Refusal),
    /// It is over, and the caller has been told why.
    Told,
    /// Nothing has happened for a while; these bytes were read ahead.
    Idle(S, Bytes),
    /// It is to be served elsewhere; these bytes were read ahead.
    Moves(S, Bytes),
    /// The door closes between two requests; these bytes were read ahead.
    Closing(S, Bytes),
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
                    // The rest of it has a last chance.
                    _ if self.shutdown.is_cancelled() => {
                        Greeting::Http1(Bytes::copy_from_slice(&first[..count]))
                    }
                    _ => Greeting::Cut,
                };
            }
            match caller.stream().try_read(&mut first[count..]) {
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

    /// Waits for bytes; false when none came in time, or none are there when the door
    /// closes.
    async fn wait(&self, caller: &Caller, limit: Duration) -> bool {
        let mut readable = pin!(timeout(limit, caller.stream().readable()));
        tokio::select! {
            biased;
            readable = &mut readable => return matches!(readable, Ok(Ok(()))),
            () = self.shutdown.cancelled() => {}
        }
        has_sent(caller) && matches!(readable.await, Ok(Ok(())))
    }

    async fn dismiss(&self, caller: &Caller, voice: &impl Voice, refusal: Refusal) {
        if let Some(words) = self.door.refuse(refusal) {
            caller.dismiss_by(voice, &words).await;
        }
    }

    /// Requests of HTTP/1 in the open.
    async fn open(
        &self,
        mut caller: Arc<Caller>,
        mut wire: Wire,
        mut first: Bytes,
    ) -> Option<(TcpStream, Bytes)> {
        loop {
            (wire, first) = self.http1(&caller, &*caller, wire, first).await?;
            (caller, wire) = match wire.reunite(caller) {
                Ok(stream) => return Some((stream, first)),
                // Somebody still looks at it.
                Err(parts) => parts,
            };
        }
    }

    /// Waits for the next request of an idle connection; false when none came in time.
    async fn rest(&self, caller: &Caller) -> bool {
        let _parked = self.books.park();
        self.wait(caller, self.options.idle_timeout).await
    }

    /// Whether it is to be served elsewhere. Who gets a yes must go.
    fn is_to_move(&self) -> bool {
        let moves = self.moves.as_ref();
        moves.is_some_and(|moves| !self.shutdown.is_cancelled() && moves.claim())
    }

    /// Requests of HTTP/1 and the rests between them, to the end, or until it is to be
    /// served elsewhere; these bytes were read ahead.
    async fn http1<S: Stream>(
        &self,
        caller: &Arc<Caller>,
        voice: &(impl Voice + Sync),
        mut stream: S,
        mut first: Bytes,
    ) -> Option<(S, Bytes)> {
        loop {
            let stretch = Box::pin(self.stretch(caller, voice, stream, first)).await;
            (stream, first) = match stretch {
                Stretch::Over => return None,
                Stretch::Refused(refusal) => {
                    self.dismiss(caller, voice, refusal).await;
                    return None;
                }
                Stretch::Told => {
                    caller.dismiss_by(voice, &[]).await;
                    return None;
                }
                Stretch::Moves(stream, ahead) => return Some((stream, ahead)),
                // No bytes may still be the end of a large buffer, and keep all of it.
                Stretch::Idle(stream, none) if none.is_empty() => (stream, Bytes::new()),
                Stretch::Idle(stream, ahead) => (stream, ahead),
                Stretch::Closing(_, none) if none.is_empty() && !has_sent(caller) => return None,
                Stretch::Closing(open, ahead) => {
                    (stream, first) = (open, ahead);
                    continue;
                }
            };
            if first.is_empty() && !self.rest(caller).await {
                return None;
            }
            if self.is_to_move() {
                return Some((stream, first));
            }
        }
    }

    /// Requests of HTTP/1, until the connection ends or is idle; a single one when the
    /// door closes.
    async fn stretch<S: Stream>(
        &self,
        caller: &Arc<Caller>,
        voice: &(impl Voice + Sync),
        stream: S,
        first: Bytes,
    ) -> Stretch<S> {
        let line = Line::new(stream, caller, &self.door, first);
        let stream = StallGuard::new(line, self.options.write_timeout);
        let talk = Arc::new((Arc::clone(&self.door), Arc::clone(caller)));
        let mut is_closing = self.shutdown.is_cancelled();
        let mut connection = http1::Builder::new()
            .keep_alive(!is_closing)
            // A timer of its own for each request would cost more than reading it; the
            // watch has one for all.
            .header_read_timeout(None)
            .max_buf_size(MAX_READ_BUFFER)
            // Where an end of the caller is told from an end of what it sends.
            .half_close(cfg!(any(target_os = "linux", target_os = "android")))
            .serve_connection(
                TokioIo::new(stream),
                service_fn(|request| answer(Arc::clone(&talk), request)),
            );
        let mut gone = pin!(caller.gone(voice));
        let header_timeout = match is_closing {
            true => self.options.header_timeout.min(LAST_HEAD),
            false => self.options.header_timeout,
        };
        let rest = self.options.park_after;
        let mut watch = Watch::new(caller, rest, header_timeout, Instant::now());
        let mut look = pin!(sleep_until(watch.first_look()));
        let begun = caller.calls();
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut connection => break ended,
                // Of no interest to a connection without a request: hyper reads, then,
                // and finds out by itself.
                () = poll_fn(|context| match caller.is_owed() {
                    true => gone.as_mut().poll(context),
                    false => Poll::Pending,
                }) => return Stretch::Over,
                // Only after an answer, as a rest; asked whenever something has happened.
                () = poll_fn(|_| match caller.calls() != begun && caller.is_quiet() && self.is_to_move() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }), if !is_closing => {
                    let parts = connection.into_parts();
                    let line = parts.io.into_inner().into_inner();
                    return Stretch::Moves(line.into_stream(), parts.read_buf);
                }
                () = self.shutdown.cancelled(), if !is_closing => {
                    // Hyper would close it at once, whatever was sent meanwhile.
                    if caller.is_quiet() {
                        let parts = connection.into_parts();
                        let line = parts.io.into_inner().into_inner();
                        return Stretch::Closing(line.into_stream(), parts.read_buf);
                    }
                    is_closing = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
                () = look.as_mut() => match watch.look(caller, Instant::now()) {
                    Look::Again(at) => look.as_mut().reset(at),
                    Look::Idle if !is_closing => {
                        let parts = connection.into_parts();
                        let line = parts.io.into_inner().into_inner();
                        return Stretch::Idle(line.into_stream(), parts.read_buf);
                    }
                    Look::Idle => look.as_mut().reset(Instant::now() + self.options.park_after),
                    Look::Late if is_closing => return Stretch::Over,
                    Look::Late => return match connection.into_parts().read_buf.is_empty() {
                        true => Stretch::Over,
                        false => Stretch::Refused(Refusal::HeadersSlow),
                    },
                }
            }
        };
        let Err(error) = ended else {
            return Stretch::Over;
        };
        tracing::debug!(%error, "connection ended early");
        match error.is_parse() {
            true => Stretch::Told,
            false => Stretch::Over,
        }
    }
}

/// Whether the system holds bytes of the caller; the runtime may not have heard of them.
fn has_sent(caller: &Caller) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    recv(caller.stream(), &mut [0; 1], flags).is_ok_and(|(_, count)| count > 0)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::{StreamBody, combinators::UnsyncBoxBody};
    use hyper::{
        Request, Response,
        body::{Frame, Incoming},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::sleep,
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
        let mut settings = Settings {
            door: Arc::new(Resting),
            options: Arc::new(ListenerOptions::default()),
            books: Arc::new(Books::default()),
            shutdown: CancellationToken::new(),
            moves: None,
        };
        let served = tokio::spawn(async move { serve(stream, None, &mut settings).await });
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("one") && answer.contains("two"), "{answer}");
        assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
        served.await.unwrap();
    }
}
