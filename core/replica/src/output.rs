//! Standard output and standard error of a guest become lines of the service's log.
//!
//! Nothing is kept beyond one line of [`MAX_LINE_BYTES`]: a script that prints
//! without end, or without line ends, costs no memory.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use lusk_contract::{LogStream, ServiceLog};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Longest line of a log; the rest of a longer one is dropped.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 10;

/// Most that a guest may write at once.
const PERMIT_BYTES: usize = 64 << 10;

/// Cuts a stream of bytes into lines of the log.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter {
    log: Arc<dyn ServiceLog>,
    replica: u32,
    stream: LogStream,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    pending: Vec<u8>,
    last: Vec<u8>,
}

impl LineWriter {
    pub(crate) fn new(log: Arc<dyn ServiceLog>, replica: u32, stream: LogStream) -> Self {
        Self {
            log,
            replica,
            stream,
            lines: Arc::default(),
        }
    }

    /// Writes what is there of a line that has not ended.
    pub(crate) fn flush_partial(&self) {
        let mut lines = self.lines();
        if !lines.pending.is_empty() {
            self.end_line(&mut lines);
        }
    }

    /// The last line written since [`LineWriter::forget_last_line`], unless it
    /// is blank.
    pub(crate) fn last_line(&self) -> Option<String> {
        let lines = self.lines();
        let text = String::from_utf8_lossy(&lines.last);
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    }

    pub(crate) fn forget_last_line(&self) {
        self.lines().last.clear();
    }

    /// Writes a line of lusk's own to the same log.
    pub(crate) fn log_line(&self, stream: LogStream, text: &str) {
        self.log.line(self.replica, stream, text);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut lines = self.lines();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            append_capped(&mut lines.pending, &rest[..end]);
            self.end_line(&mut lines);
            rest = &rest[end + 1..];
        }
        append_capped(&mut lines.pending, rest);
    }

    fn end_line(&self, lines: &mut Lines) {
        let line = &lines.pending;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.log
            .line(self.replica, self.stream, &String::from_utf8_lossy(line));
        let Lines { pending, last } = lines;
        std::mem::swap(pending, last);
        pending.clear();
    }
}

fn append_capped(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_LINE_BYTES.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

impl IsTerminal for LineWriter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineWriter {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryLog;

    fn writer() -> (LineWriter, Arc<MemoryLog>) {
        let log = Arc::new(MemoryLog::default());
        let writer = LineWriter::new(Arc::clone(&log) as Arc<dyn ServiceLog>, 3, LogStream::Out);
        (writer, log)
    }

    #[test]
    fn lines_are_cut_where_they_end_whatever_the_chunks() {
        let (writer, log) = writer();
        for chunk in ["one\ntw", "o\r\n", "", "three"] {
            writer.push(chunk.as_bytes());
        }
        writer.flush_partial();
        writer.flush_partial();
        assert_eq!(log.lines(), ["one", "two", "three"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_costs_no_memory() {
        let (writer, log) = writer();
        for _ in 0..1_000 {
            writer.push(&[b'x'; 4_096]);
        }
        assert_eq!(writer.lines().pending.len(), MAX_LINE_BYTES);
        writer.push(b"\nnext\n");
        assert_eq!(log.lines()[0].len(), MAX_LINE_BYTES);
        assert_eq!(log.lines()[1], "next");
    }
}
