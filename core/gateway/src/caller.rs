//! One caller's connection: what its driver, its stream and its answers know of it.
//!
//! Invariant: nothing but hyper writes to the stream while an answer is on its way.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::{StatusCode, Version};
use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{books::Refusal, listener::Answer};

/// Longest wait for a caller to take a refusal and stop sending.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes of such a caller that are thrown away.
const MAX_LINGER_BYTES: usize = 512 * 1024;

/// See the module. Shared by one task and, at times, its requests' tasks.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: TcpStream,
    /// Requests that were begun.
    calls: AtomicU32,
    /// Those that have no answer yet.
    answering: AtomicU32,
    /// Answers whose next part is not there yet; a streamed one may rest for long.
    sending: AtomicU32,
    /// The latest one may be answered with `100 Continue` at any time.
    takes_continue: AtomicBool,
    /// Bodies that are still being thrown away.
    unread: AtomicU32,
    /// Nothing waits to be written.
    is_flushed: AtomicBool,
    written: AtomicU64,
    read: AtomicU64,
}

impl Caller {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            calls: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            takes_continue: AtomicBool::new(false),
            unread: AtomicU32::new(0),
            is_flushed: AtomicBool::new(true),
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// Counts a request as under way.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Under {
        self.calls.fetch_add(1, Relaxed);
        self.takes_continue
            .store(version == Version::HTTP_11, Relaxed);
        Under::new(self, |caller| &caller.answering)
    }

    /// Counts an answer as resting.
    pub(crate) fn sending(self: &Arc<Self>) -> Under {
        Under::new(self, |caller| &caller.sending)
    }

    /// Counts a body as being thrown away.
    pub(crate) fn discarding(self: &Arc<Self>) -> Under {
        Under::new(self, |caller| &caller.unread)
    }

    /// What it has done so far, to be compared later.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            calls: self.calls.load(Relaxed),
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
        }
    }

    /// Whether a request has no answer yet.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed) > 0
    }

    /// Whether more of an answer is to come.
    pub(crate) fn is_sent_to(&self) -> bool {
        self.sending.load(Relaxed) > 0
    }

    /// Whether nothing is under way in either direction, as far as this side knows.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.is_answering()
            && !self.is_sent_to()
            && self.unread.load(Relaxed) == 0
            && self.is_flushed.load(Relaxed)
    }

    /// Waits for the next byte, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Reads what is there, without waiting.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(into)
    }

    /// Ends when the caller went away while it was owed an answer. Must be polled with
    /// the connection, by the same task.
    ///
    /// A caller who only shut down its sending side looks the same as one who is gone,
    /// until something is sent: the system of one who is gone refuses it. So once, while
    /// the script runs, the caller is told to go on, which HTTP/1.1 has it overlook.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) async fn gone(&self) {
        use tokio::io::Interest;

        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        // Of all interests, this one is told of the end without being told of bytes.
        let closed = self.stream.ready(Interest::PRIORITY | Interest::ERROR);
        if !closed.await.is_ok_and(|ready| !ready.is_error()) {
            return;
        }
        let may_ask = || self.is_answering() && self.is_flushed.load(Relaxed);
        std::future::poll_fn(|_| match may_ask() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        if !self.takes_continue.load(Relaxed) {
            return;
        }
        match self.stream.try_write(CONTINUE) {
            Ok(all) if all == CONTINUE.len() => {}
            // Bytes of an answer before wait to be taken: they ask as well as ours.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
        // No matter which: the caller is not there.
        let _ = self.stream.ready(Interest::ERROR).await;
    }

    /// Elsewhere hyper takes the end of what a caller sends for the end of the caller.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) async fn gone(&self) {
        std::future::pending().await
    }

    /// Says a last word, and waits a moment for the caller to take it: a connection that
    /// is closed with unread bytes takes the word along.
    pub(crate) async fn dismiss(&self, word: &[u8]) {
        let _ = timeout(LINGER, async {
            // What has never been waited for is not known to be ready.
            self.stream.writable().await?;
            if !word.is_empty() && self.stream.try_write(word)? < word.len() {
                return Ok(());
            }
            shutdown(&self.stream, Shutdown::Write)?;
            self.read_out().await
        })
        .await;
    }

    async fn read_out(&self) -> io::Result<()> {
        let mut left = MAX_LINGER_BYTES;
        // Not part of every connection's future, which would be kept as long as that.
        let mut bytes = vec![0; 4096];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => match left.checked_sub(count) {
                    Some(rest) => left = rest,
                    None => return Ok(()),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// See [`Caller::progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Requests begun.
    pub(crate) calls: u32,
    /// Bytes that came.
    pub(crate) read: u64,
    /// Bytes that went.
    pub(crate) written: u64,
}

/// Something under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Under {
    caller: Arc<Caller>,
    count: fn(&Caller) -> &AtomicU32,
}

impl Under {
    fn new(caller: &Arc<Caller>, count: fn(&Caller) -> &AtomicU32) -> Self {
        count(caller).fetch_add(1, Relaxed);
        let caller = Arc::clone(caller);
        Self { caller, count }
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        (self.count)(&self.caller).fetch_sub(1, Relaxed);
    }
}

/// The stream of a caller, as hyper gets it.
pub(crate) struct Line<A> {
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

impl<A: Answer> Line<A> {
    /// For HTTP/1: answers that hyper gives by itself are replaced by the door's.
    pub(crate) fn new(caller: &Arc<Caller>, door: &Arc<A>, first: Bytes) -> Self {
        Self {
            caller: Arc::clone(caller),
            door: Arc::clone(door),
            first,
            settled: caller.calls.load(Relaxed),
            instead: Bytes::new(),
            words_of_hyper_pass: false,
        }
    }

    /// For HTTP/2, whose words have no lines.
    pub(crate) fn framed(caller: &Arc<Caller>, door: &Arc<A>, first: Bytes) -> Self {
        Self {
            words_of_hyper_pass: true,
            ..Self::new(caller, door, first)
        }
    }

    /// True when these bytes are hyper's own answer to what is no request, and ours go
    /// in their place. Such an answer is short, and begins with no request before it.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        let is_own = !self.words_of_hyper_pass
            && self.caller.calls.load(Relaxed) == self.settled
            && self.caller.is_flushed.load(Relaxed);
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
            ready!(self.caller.stream.poll_write_ready(context))?;
            match self.caller.stream.try_write(&self.instead) {
                Ok(count) => self.instead.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_try(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.caller.is_flushed.store(false, Relaxed);
        loop {
            ready!(self.caller.stream.poll_write_ready(context))?;
            match write(&self.caller.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.caller.written.fetch_add(count as u64, Relaxed);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The status in a line of HTTP/1.
fn status_of(bytes: &[u8]) -> Option<StatusCode> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(code).ok()
}

impl<A: Answer> AsyncRead for Line<A> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(into.remaining());
            into.put_slice(&self.first.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let caller = &self.caller;
        loop {
            ready!(caller.stream.poll_read_ready(context))?;
            match caller.stream.try_read_buf(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    caller.read.fetch_add(count as u64, Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<A: Answer> AsyncWrite for Line<A> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_try(context, |stream| stream.try_write(bytes))
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
        self.poll_try(context, |stream| stream.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        self.caller.is_flushed.store(true, Relaxed);
        if !self.caller.is_answering() {
            self.settled = self.caller.calls.load(Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        match shutdown(&self.caller.stream, Shutdown::Write) {
            // Closed by the other side already.
            Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            other => Poll::Ready(other.map_err(Into::into)),
        }
    }
}
