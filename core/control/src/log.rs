//! A revision's own last lines, so that a failed start can show them and not
//! those of the revision that still serves.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use lusk_contract::{LogStream, ServiceLog};

/// Lines of `init()` that a failed operation carries.
const LINES: usize = 50;

/// Characters kept of one line.
const LINE_LENGTH: usize = 2_000;

/// Passes lines on to the service's log and keeps the last ones.
#[derive(Debug)]
pub(crate) struct RevisionLog {
    inner: Arc<dyn ServiceLog>,
    last: Mutex<VecDeque<String>>,
}

impl RevisionLog {
    pub(crate) fn new(inner: Arc<dyn ServiceLog>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            last: Mutex::default(),
        })
    }

    /// The last lines of this revision, oldest first, one text.
    pub(crate) fn last_lines(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Vec::from_iter(last.iter().map(String::as_str)).join("\n")
    }
}

impl ServiceLog for RevisionLog {
    fn line(&self, replica: u32, stream: LogStream, text: &str) {
        self.inner.line(replica, stream, text);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(text.chars().take(LINE_LENGTH).collect());
    }

    fn tail(&self, lines: usize) -> String {
        self.inner.tail(lines)
    }
}
