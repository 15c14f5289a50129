//! A connection's bytes. A write that breaks does not end the reads.
//!
//! A server may answer before it took all of a request, e.g. that it is too large, and
//! close. What is still written then breaks, while the answer waits to be read.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// See the module. After a write that broke the others wait, until the reads have come
/// to their end, which a broken connection always does.
pub(crate) struct Socket<S = MaybeHttpsStream<TokioIo<TcpStream>>> {
    stream: S,
    is_deaf: bool,
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S) -> Self {
        let is_deaf = false;
        Self { stream, is_deaf }
    }

    /// Whether the other end took not all that was written.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    fn judge<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if is_broken(error.kind()) => {
                self.is_deaf = true;
                Poll::Pending
            }
            other => other,
        }
    }
}

fn is_broken(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

impl<S: Read + Unpin> Read for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: Write + Unpin> Write for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
