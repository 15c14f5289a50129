//! The bytes between a caller and hyper: counted, and with the house's words in place of
//! those that hyper says by itself.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, ReuniteError},
    },
};

use crate::{
    books::Refusal,
    caller::{Caller, Voice as _},
    listener::Answer,
};

/// The stream of a caller as the system gives it, its bytes counted.
pub(crate) struct Wire {
    /// Reads through it know of a socket that it is empty when it gave less than asked,
    /// and do not ask a second time.
    read: OwnedReadHalf,
    caller: Arc<Caller>,
}

impl Wire {
    pub(crate) fn new(read: OwnedReadHalf, caller: Arc<Caller>) -> Self {
        Self { read, caller }
    }

    /// The connection as it was accepted, unless somebody else still holds the caller.
    pub(crate) fn reunite(self, caller: Arc<Caller>) -> Result<TcpStream, (Arc<Caller>, Self)> {
        let Self { read, caller: own } = self;
        drop(own);
        match Arc::try_unwrap(caller).map(Caller::into_stream) {
            Ok(write) => read
                .reunite(write)
                .map_err(|ReuniteError(read, write)| Caller::of(read, write)),
            Err(caller) => Err((Arc::clone(&caller), Self::new(read, caller))),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.read).poll_read(context, into))?;
        self.caller.has_read(into.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.caller.poll_say(context, bytes))?;
        self.caller.has_written(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.caller.stream();
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.caller.has_written(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(self.caller.stream(), Shutdown::Write) {
            // Closed by the other side already.
            Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            other => Poll::Ready(other.map_err(Into::into)),
        }
    }
}

/// The stream of a caller, as hyper gets it.
pub(crate) struct Line<A, S> {
    stream: S,
    caller: Arc<Caller>,
    door: Arc<A>,
    /// Bytes that came before hyper did.
    first: Bytes,
    /// Requests begun when everything had been written last.
    settled: u32,
    /// The house's words in place of those that hyper answers without asking.
    instead: Bytes,
    words_of_hyper_pass: bool,
}

impl<A: Answer, S: AsyncWrite + Unpin> Line<A, S> {
    /// For HTTP/1: answers that hyper gives by itself are replaced by the door's.
    pub(crate) fn new(stream: S, caller: &Arc<Caller>, door: &Arc<A>, first: Bytes) -> Self {
        Self {
            stream,
            caller: Arc::clone(caller),
            door: Arc::clone(door),
            first,
            settled: caller.calls(),
            instead: Bytes::new(),
            words_of_hyper_pass: false,
        }
    }

    /// For HTTP/2, whose words have no lines.
    pub(crate) fn framed(stream: S, caller: &Arc<Caller>, door: &Arc<A>, first: Bytes) -> Self {
        Self {
            words_of_hyper_pass: true,
            ..Self::new(stream, caller, door, first)
        }
    }

    /// The stream again; what came first has been read.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// True when these bytes are hyper's own answer to what is no request, and ours go
    /// in their place. Such an answer is short, and begins with no request before it.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        let is_own = !self.words_of_hyper_pass
            && self.caller.is_flushed()
            && self.caller.calls() == self.settled;
        if !is_own {
            return false;
        }
        let refusal = match status_of(bytes) {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Refusal::HeadersTooLarge,
            Some(StatusCode::URI_TOO_LONG) => Refusal::UriTooLong,
            Some(StatusCode::BAD_REQUEST) => Refusal::NotHttp,
            _ => return false,
        };
        let Some(words) = self.door.refuse(refusal) else {
            return false;
        };
        self.instead = words;
        true
    }

    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.instead);
            self.instead.advance(ready!(written)?);
        }
        Poll::Ready(Ok(()))
    }
}

/// The status in a line of HTTP/1.
fn status_of(bytes: &[u8]) -> Option<StatusCode> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(code).ok()
}

impl<A: Answer, S: AsyncRead + Unpin> AsyncRead for Line<A, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(into.remaining());
            into.put_slice(&self.first.split_to(count));
            if self.first.is_empty() {
                // Else it would keep the buffer that it was part of.
                self.first = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<A: Answer, S: AsyncWrite + Unpin> AsyncWrite for Line<A, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.caller.set_flushed(false);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = parts
            && self.replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        self.caller.set_flushed(false);
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.caller.set_flushed(true);
        if !self.caller.is_answering() {
            self.settled = self.caller.calls();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
