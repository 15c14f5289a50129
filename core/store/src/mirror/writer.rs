//! The thread that owns the files.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use lusk_contract::MirroredPair;
use lusk_domain::ServiceName;
use serde_json::Value;

use super::{Counts, Task, bytes_of, line::line};
use crate::{
    files::{private, private_folder, remove_folder},
    lines::{ends_with_line_end, last_lines},
    space::{LOG_RESERVE, Space},
};

/// Bytes of a file and of the older one beside it together.
const ENDPOINT_BYTES: u64 = 64 << 20;

/// Bytes written between two looks at the free space.
const SPACE_CHECK_BYTES: u64 = 1 << 20;

/// Files that are open at a time.
const OPEN_FILES: usize = 32;

/// Bytes of lines that one answer of a tail holds, the newest.
const TAIL_BYTES: usize = 16 << 20;

/// Time between two warnings.
const WARNING_PERIOD: Duration = Duration::from_mins(1);

/// Longest that an answer to a request from before a removal is under way.
const LATE: SignedDuration = SignedDuration::from_mins(30);

const NEW: &str = "pairs.jsonl";
const OLD: &str = "pairs.1.jsonl";

pub(super) struct Writer {
    root: PathBuf,
    space: Space,
    counts: Arc<Counts>,
    files: HashMap<ServiceName, OpenFile>,
    /// Since when an endpoint is gone, for pairs that come late.
    removed: HashMap<ServiceName, Timestamp>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    size: u64,
    /// Bytes written since the free space was looked at.
    unchecked: u64,
}

impl Writer {
    pub(super) fn new(root: &Path, space: Space, counts: Arc<Counts>) -> Self {
        Self {
            root: root.to_owned(),
            space,
            counts,
            files: HashMap::new(),
            removed: HashMap::new(),
            warned: None,
        }
    }

    pub(super) fn work(&mut self, task: Task) {
        match task {
            Task::Keep(pair) => {
                self.keep(&pair);
                self.counts.give_back(bytes_of(&pair));
            }
            Task::Tail(endpoint, pairs, answer) => {
                // Who asked may have gone.
                drop(answer.send(self.tail(&endpoint, pairs)));
            }
            Task::Remove(endpoint, at) => self.remove(endpoint, at),
        }
    }

    fn keep(&mut self, pair: &MirroredPair) {
        let endpoint = &pair.endpoint;
        if self
            .removed
            .get(endpoint)
            .is_some_and(|gone| pair.at <= *gone)
        {
            return;
        }
        if let Err(error) = self.append(endpoint, &line(pair)) {
            // The file may end in the middle of a line; opening it again mends that.
            self.files.remove(endpoint);
            self.counts.drop_one(endpoint);
            if self.warned.is_none_or(|at| at.elapsed() > WARNING_PERIOD) {
                self.warned = Some(Instant::now());
                tracing::warn!(%endpoint, %error, "mirrored answers cannot be kept, they are dropped");
            }
        }
    }

    fn append(&mut self, endpoint: &ServiceName, line: &[u8]) -> io::Result<()> {
        let folder = self.root.join(endpoint.as_str());
        if !self.files.contains_key(endpoint) {
            if self.files.len() >= OPEN_FILES {
                self.files.clear();
            }
            private_folder(&self.root)?;
            private_folder(&folder)?;
            self.files
                .insert(endpoint.clone(), OpenFile::open(&folder)?);
        }
        let Some(open) = self.files.get_mut(endpoint) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if open.unchecked >= SPACE_CHECK_BYTES {
            if !self.space.has_room(SPACE_CHECK_BYTES, LOG_RESERVE) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            open.unchecked = 0;
        }
        if open.size > 0 && open.size + line.len() as u64 > ENDPOINT_BYTES / 2 {
            std::fs::rename(folder.join(NEW), folder.join(OLD))?;
            *open = OpenFile::open(&folder)?;
        }
        open.write(line)
    }

    fn tail(&self, endpoint: &ServiceName, pairs: usize) -> io::Result<Vec<Value>> {
        let folder = self.root.join(endpoint.as_str());
        let mut newest_first = Vec::new();
        let mut bytes = 0;
        for name in [NEW, OLD] {
            if newest_first.len() >= pairs {
                break;
            }
            let mut file = match private().read(true).open(folder.join(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let text = last_lines(&mut file, pairs - newest_first.len())?;
            for line in text
                .rsplit(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                bytes += line.len();
                if bytes > TAIL_BYTES && !newest_first.is_empty() {
                    break;
                }
                // What a crash left of a line is no pair.
                newest_first.extend(serde_json::from_slice::<Value>(line).ok());
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    fn remove(&mut self, endpoint: ServiceName, at: Timestamp) {
        self.files.remove(&endpoint);
        self.counts.dropped().remove(&endpoint);
        if let Err(error) = remove_folder(&self.root.join(endpoint.as_str())) {
            tracing::warn!(%endpoint, %error, "mirrored answers not removed");
        }
        self.removed
            .retain(|_, gone| at.duration_since(*gone) < LATE);
        self.removed.insert(endpoint, at);
    }
}

impl OpenFile {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut options = private();
        options.create(true).append(true).read(true);
        let mut file = options.open(folder.join(NEW))?;
        if !ends_with_line_end(&mut file)? {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            size: file.metadata()?.len(),
            file,
            // The space is looked at before the first line.
            unchecked: SPACE_CHECK_BYTES,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        self.unchecked += line.len() as u64;
        Ok(())
    }
}
