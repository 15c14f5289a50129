//! Logs of services: `logs/<service>/log.txt`, one older file beside it. The log of
//! a version is `logs/<endpoint>/<version>/log.txt`.
//!
//! A line goes straight into the page cache under a lock of its service, which
//! takes microseconds; nothing is synced. What cannot be written is dropped and
//! counted, and the log says so with its next line.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use lusk_contract::{LogStream, MirrorLog, ServiceLog, ServiceLogs};
use lusk_domain::ServiceName;

use crate::{
    files::{private, private_folder, remove_folder},
    lines::{ends_with_line_end, last_lines},
    space::{LOG_RESERVE, Space},
};

/// Bytes of a log file at which it becomes the older one.
const FILE_BYTES: u64 = 10 << 20;

/// Bytes of one line's text.
const LINE_BYTES: usize = 16 << 10;

/// Bytes written between two looks at the free space.
const SPACE_CHECK_BYTES: u64 = 256 << 10;

/// The logs of all services of a data folder.
#[derive(Debug)]
pub struct LogFolder {
    root: PathBuf,
    space: Space,
    logs: Mutex<HashMap<ServiceName, Arc<FileLog>>>,
    mirror: Option<Arc<dyn MirrorLog>>,
}

impl LogFolder {
    /// Logs below `root`, an existing folder.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            space: Space::of(root),
            logs: Mutex::default(),
            mirror: None,
        }
    }

    /// The same, which also forgets the mirrored answers of an endpoint whose log is
    /// removed.
    #[must_use]
    pub fn beside(self, mirror: Arc<dyn MirrorLog>) -> Self {
        Self {
            mirror: Some(mirror),
            ..self
        }
    }
}

// Both locks of this file guard values that are whole between two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServiceLogs for LogFolder {
    fn open(&self, service: &ServiceName) -> Arc<dyn ServiceLog> {
        let mut logs = locked(&self.logs);
        let log = logs.entry(service.clone()).or_insert_with(|| {
            Arc::new(FileLog {
                folder: self.root.join(service.file_name()),
                of_version: service.version().is_some(),
                space: self.space.clone(),
                state: Mutex::default(),
            })
        });
        Arc::clone(log) as Arc<dyn ServiceLog>
    }

    fn remove(&self, service: &ServiceName) {
        let folder = self.root.join(service.file_name());
        let mut logs = locked(&self.logs);
        let removed = match logs.remove(service) {
            // Who still holds the old log must not bring its folder back.
            Some(log) => {
                let mut state = locked(&log.state);
                *state = State {
                    removed: true,
                    ..State::default()
                };
                remove_folder(&folder)
            }
            None => remove_folder(&folder),
        };
        if let Err(error) = removed {
            tracing::warn!(%service, %error, "log not removed");
        }
        drop(logs);
        if let Some(mirror) = &self.mirror
            && service.version().is_none()
        {
            mirror.remove(service);
        }
    }
}

#[derive(Debug)]
struct FileLog {
    folder: PathBuf,
    of_version: bool,
    space: Space,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Bytes of the file.
    size: u64,
    /// Bytes written since the free space was looked at.
    unchecked: u64,
    /// Lines that were not written, told with the next one.
    dropped: u64,
    /// The file ends in the middle of a line.
    torn: bool,
    removed: bool,
}

impl ServiceLog for FileLog {
    fn line(&self, replica: u32, stream: LogStream, text: &str) {
        let mut state = locked(&self.state);
        if state.removed {
            return;
        }
        let now = Timestamp::now();
        let mut line = String::with_capacity(text.len() + 48);
        if state.torn {
            line.push('\n');
        }
        if state.dropped > 0 {
            let told = format!("{} line(s) of this log could not be written", state.dropped);
            push_line(&mut line, now, replica, LogStream::Host, &told);
        }
        push_line(&mut line, now, replica, stream, text);
        match self.append(&mut state, line.as_bytes()) {
            Ok(()) => {
                state.dropped = 0;
                state.torn = false;
            }
            Err(_) => state.dropped += 1,
        }
    }

    fn tail(&self, lines: usize) -> String {
        if lines == 0 {
            return String::new();
        }
        // Opened together, so that a rotation cannot come between them.
        let files = {
            let _state = locked(&self.state);
            ["log.txt", "log.1.txt"].map(|name| private().read(true).open(self.folder.join(name)))
        };
        let mut texts = Vec::new();
        let mut missing = lines;
        for mut file in files.into_iter().flatten() {
            if missing > 0
                && let Ok(end) = last_lines(&mut file, missing)
            {
                missing -= end
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
                    .min(missing);
                texts.push(end);
            }
        }
        texts.reverse();
        String::from_utf8_lossy(&texts.concat()).into_owned()
    }
}

impl FileLog {
    /// The log of a version lies in the folder of its endpoint.
    fn make_folder(&self) -> io::Result<()> {
        if self.of_version
            && let Some(endpoint) = self.folder.parent()
        {
            private_folder(endpoint)?;
        }
        private_folder(&self.folder)
    }

    fn append(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        if state.unchecked >= SPACE_CHECK_BYTES || state.file.is_none() {
            if !self.space.has_room(SPACE_CHECK_BYTES, LOG_RESERVE) {
                state.unchecked = SPACE_CHECK_BYTES;
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.unchecked = 0;
        }
        if state.size >= FILE_BYTES {
            state.file = None;
            std::fs::rename(self.folder.join("log.txt"), self.folder.join("log.1.txt"))?;
            state.size = 0;
        }
        if state.file.is_none() {
            self.make_folder()?;
            let mut options = private();
            options.create(true).append(true).read(true);
            let mut file = options.open(self.folder.join("log.txt"))?;
            state.size = file.metadata()?.len();
            state.torn = !ends_with_line_end(&mut file)?;
            if state.torn {
                file.write_all(b"\n")?;
                state.torn = false;
            }
            state.file = Some(file);
        }
        let Some(file) = &mut state.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = file.write_all(line);
        if written.is_err() {
            state.torn = true;
        }
        state.size += line.len() as u64;
        state.unchecked += line.len() as u64;
        written
    }
}

fn push_line(into: &mut String, at: Timestamp, replica: u32, stream: LogStream, text: &str) {
    let stream = match stream {
        LogStream::Out => "out",
        LogStream::Err => "err",
        LogStream::Host => "host",
    };
    let text = text.trim_end_matches(['\n', '\r']);
    let end = text.floor_char_boundary(LINE_BYTES);
    let _ = write!(into, "{at:.3} {replica} {stream} ");
    for char in text[..end].chars() {
        match char {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            other => into.push(other),
        }
    }
    into.push('\n');
}

#[cfg(test)]
mod tests;
