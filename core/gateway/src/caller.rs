//! One caller's connection: what its driver, its stream and its answers know of it.
//!
//! Invariant: nothing but hyper writes to the stream while an answer is on its way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Version;
use rustix::net::{Shutdown, shutdown};
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::connection::line::Wire;

/// Longest wait for a caller to take a refusal and stop sending.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// Most bytes of such a caller that are thrown away.
const MAX_LINGER_BYTES: usize = 512 * 1024;

/// See the module. Shared by one task and, at times, its requests' tasks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its other half is in the [`Wire`].
    stream: OwnedWriteHalf,
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
    /// Of a connection that was just accepted, and its stream.
    pub(crate) fn split(stream: TcpStream) -> (Arc<Self>, Wire) {
        let (read, write) = stream.into_split();
        Self::of(read, write)
    }

    /// Of the halves of a connection.
    pub(crate) fn of(read: OwnedReadHalf, write: OwnedWriteHalf) -> (Arc<Self>, Wire) {
        let caller = Arc::new(Self {
            stream: write,
            calls: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            takes_continue: AtomicBool::new(false),
            unread: AtomicU32::new(0),
            is_flushed: AtomicBool::new(true),
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
        });
        (Arc::clone(&caller), Wire::new(read, caller))
    }

    /// The writing half again.
    pub(crate) fn into_stream(self) -> OwnedWriteHalf {
        self.stream
    }

    /// The connection itself, to be waited for.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream.as_ref()
    }

    /// Counts what came.
    pub(crate) fn has_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts what went.
    pub(crate) fn has_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    /// Requests begun so far.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.is_flushed.load(Relaxed)
    }

    /// Says whether something waits to be written.
    pub(crate) fn set_flushed(&self, is_flushed: bool) {
        self.is_flushed.store(is_flushed, Relaxed);
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

    /// Whether the caller waits for an answer, or for more of one.
    pub(crate) fn is_owed(&self) -> bool {
        self.is_answering() || self.is_sent_to()
    }

    /// Ends when the caller went away while it was owed an answer. Must be polled with
    /// the connection, by the same task.
    ///
    /// A caller who only shut down its sending side looks the same as one who is gone,
    /// until something is sent: the system of one who is gone refuses it. So once, while
    /// the script runs, the caller is told to go on, which HTTP/1.1 has it overlook.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) async fn gone(&self, voice: &impl Voice) {
        use tokio::io::Interest;

        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        // Of all interests, this one is told of the end without being told of bytes.
        let closed = self.stream().ready(Interest::PRIORITY | Interest::ERROR);
        if !closed.await.is_ok_and(|ready| !ready.is_error()) {
            return;
        }
        let may_ask = || self.is_answering() && self.is_flushed();
        std::future::poll_fn(|_| match may_ask() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        if !self.takes_continue.load(Relaxed) {
            return;
        }
        // Where there is no room, bytes of an answer before wait to be taken: they ask
        // as well as ours.
        let said = std::future::poll_fn(|context| match voice.poll_say(context, CONTINUE) {
            Poll::Pending => Poll::Ready(true),
            Poll::Ready(said) => Poll::Ready(said.is_ok_and(|count| count == CONTINUE.len())),
        });
        if !said.await {
            return;
        }
        // No matter which: the caller is not there.
        let _ = self.stream().ready(Interest::ERROR).await;
    }

    /// Elsewhere hyper takes the end of what a caller sends for the end of the caller.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) async fn gone(&self, _: &impl Voice) {
        std::future::pending().await
    }

    /// Says a last word in the open; see [`Caller::dismiss_by`].
    pub(crate) async fn dismiss(&self, word: &[u8]) {
        self.dismiss_by(self, word).await;
    }

    /// Says a last word, and waits a moment for the caller to take it: a connection that
    /// is closed with unread bytes takes the word along.
    pub(crate) async fn dismiss_by(&self, voice: &impl Voice, word: &[u8]) {
        let _ = timeout(LINGER, async {
            let mut left = word;
            while !left.is_empty() {
                let said = std::future::poll_fn(|context| voice.poll_say(context, left));
                left = &left[said.await?..];
            }
            shutdown(self.stream(), Shutdown::Write)?;
            self.read_out().await
        })
        .await;
    }

    async fn read_out(&self) -> io::Result<()> {
        let mut left = MAX_LINGER_BYTES;
        // Not part of every connection's future, which would be kept as long as that.
        let mut bytes = vec![0; 4096];
        loop {
            self.stream().readable().await?;
            match self.stream().try_read(&mut bytes) {
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

/// The way to say something to a caller beside hyper.
pub(crate) trait Voice {
    /// Says some of it; pending when there is no room for any.
    fn poll_say(&self, context: &mut Context<'_>, word: &[u8]) -> Poll<io::Result<usize>>;
}

/// In the open.
impl Voice for Caller {
    fn poll_say(&self, context: &mut Context<'_>, word: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.stream();
        loop {
            std::task::ready!(stream.poll_write_ready(context))?;
            match stream.try_write(word) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                said => return Poll::Ready(said),
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
