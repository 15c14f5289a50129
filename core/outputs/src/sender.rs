//! Copies what changed to the store, one file after the other.
//!
//! A pass looks at all folders, oldest first. After a few failures in a row it
//! ends, for the store is likely away; the next one begins with the files that
//! failed least often, so that one that can never be sent holds up no other.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::path::Path as StorePath;

use crate::{
    beneath,
    keeper::Shared,
    logs,
    scan::{self, Found, Stamp},
    spool::{self, Spooled},
    status::safe_text,
    upload::{self, UploadError},
};

/// Failures in a row after which a pass ends.
const FAILURES_TO_STOP: u32 = 3;

/// Passes from one look at the logs to the next: they change all the time.
const LOG_PASSES: u32 = 6;

/// What is known of a folder's files.
#[derive(Debug, Default)]
struct Ledger {
    sent: HashMap<PathBuf, Stamp>,
    failed: HashMap<PathBuf, u32>,
    /// Whether it was said that there is too much.
    warned: bool,
}

/// Files of one folder that the store does not have.
#[derive(Debug)]
struct Batch {
    root: PathBuf,
    files: Vec<(Found, StorePath)>,
    /// None: the logs.
    folder: Option<Arc<Spooled>>,
    closed: bool,
}

/// The thread's own state.
#[derive(Debug)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
    ledgers: HashMap<PathBuf, Ledger>,
    passes: u32,
    /// Whether the last attempt failed, so that only changes are logged.
    failing: bool,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ledgers: HashMap::new(),
            passes: 0,
            failing: false,
        }
    }

    /// Sends what changed; whether all of it was taken.
    pub(crate) async fn pass(&mut self) -> bool {
        let with_logs = self.passes.is_multiple_of(LOG_PASSES);
        self.passes = self.passes.wrapping_add(1);
        self.send(with_logs).await
    }

    /// As [`Sender::pass`], the logs included.
    pub(crate) async fn last_pass(&mut self) -> bool {
        self.send(true).await
    }

    async fn send(&mut self, with_logs: bool) -> bool {
        let batches = self.batches(with_logs);
        let mut pending: u64 = batches.iter().map(|batch| batch.files.len() as u64).sum();
        self.shared.note(|status| status.pending_files = pending);
        let (mut all, mut in_a_row) = (true, 0);
        for batch in &batches {
            let mut whole = true;
            for (found, to) in &batch.files {
                if in_a_row >= FAILURES_TO_STOP {
                    return false;
                }
                if self.send_file(batch, found, to).await {
                    in_a_row = 0;
                    pending -= 1;
                    self.shared.note(|status| status.pending_files = pending);
                } else {
                    (all, whole) = (false, false);
                    in_a_row += 1;
                }
            }
            if let Some(folder) = &batch.folder
                && whole
                && batch.closed
            {
                self.finish(folder);
            }
        }
        if all {
            self.recovered();
        }
        all
    }

    fn batches(&mut self, with_logs: bool) -> Vec<Batch> {
        let mut batches: Vec<_> = self
            .shared
            .folders()
            .into_iter()
            .map(|folder| self.folder_batch(folder))
            .collect();
        if let Some(root) = self.shared.logs.clone()
            && with_logs
        {
            batches.push(self.log_batch(root));
        }
        batches
    }

    fn folder_batch(&mut self, folder: Arc<Spooled>) -> Batch {
        // Asked first: what is listed after it was closed is all there is.
        let closed = folder.is_closed();
        let root = folder.path.clone();
        let listing = scan::list(&root, self.shared.bounds);
        let ledger = self.ledgers.entry(root.clone()).or_default();
        if listing.over && !ledger.warned {
            ledger.warned = true;
            tracing::warn!(
                folder = %root.display(),
                max_bytes = self.shared.bounds.bytes,
                max_entries = self.shared.bounds.entries,
                "a replica wrote more outputs than are kept; the rest stays behind",
            );
        }
        let [service, run] = &folder.names;
        let target = |found: Found| {
            let names = [service.as_str(), run.as_str()].map(str::to_owned);
            let below = found
                .path
                .iter()
                .map(|name| name.to_string_lossy().into_owned());
            let to = self.shared.target(names.into_iter().chain(below));
            (found, to)
        };
        let files = listing.files.into_iter().map(target).collect();
        Batch {
            files: ledger.changed(files),
            root,
            folder: Some(folder),
            closed,
        }
    }

    fn log_batch(&mut self, root: PathBuf) -> Batch {
        let stamped = |(path, names): (PathBuf, [String; 3])| {
            let metadata = std::fs::symlink_metadata(root.join(&path)).ok()?;
            let stamp = Stamp::of(&metadata);
            let to = self.shared.target(names.into_iter());
            Some((Found { path, stamp }, to))
        };
        let files = logs::list(&root).into_iter().filter_map(stamped).collect();
        let ledger = self.ledgers.entry(root.clone()).or_default();
        Batch {
            files: ledger.changed(files),
            root,
            folder: None,
            closed: false,
        }
    }

    /// Whether nothing of the file is left to be sent.
    async fn send_file(&mut self, batch: &Batch, found: &Found, to: &StorePath) -> bool {
        let sent = self.read_and_send(&batch.root, found, to).await;
        let ledger = self.ledgers.entry(batch.root.clone()).or_default();
        let size = match sent {
            Ok(size) => size,
            // Gone, swapped for a link, or not readable: the script's own doing.
            Err(UploadError::Read(error)) => {
                tracing::debug!(file = %found.path.display(), %error, "output not readable");
                return true;
            }
            Err(UploadError::Store(error)) => {
                *ledger.failed.entry(found.path.clone()).or_default() += 1;
                self.failed(to, &safe_text(&error));
                return false;
            }
        };
        if batch.closed || !found.stamp.fresh {
            ledger.sent.insert(found.path.clone(), found.stamp);
        }
        ledger.failed.remove(&found.path);
        self.shared.note(|status| {
            status.sent_files += 1;
            status.sent_bytes += size;
        });
        true
    }

    async fn read_and_send(
        &self,
        root: &Path,
        found: &Found,
        to: &StorePath,
    ) -> Result<u64, UploadError> {
        let file = beneath::open(root, &found.path)?;
        upload::send(&*self.shared.store.store, to, file, found.stamp.size).await
    }

    fn finish(&mut self, folder: &Arc<Spooled>) {
        match spool::remove(folder) {
            Ok(()) => {
                self.ledgers.remove(&folder.path);
                self.shared.forget(folder);
            }
            Err(error) => {
                tracing::warn!(folder = %folder.path.display(), %error, "spool folder not removed");
            }
        }
    }

    fn failed(&mut self, to: &StorePath, text: &str) {
        if !self.failing {
            self.failing = true;
            let store = &self.shared.store;
            tracing::warn!(%store, file = %to, error = text, "output not sent, will be tried again");
        }
        self.shared.note(|status| {
            status.failures += 1;
            status.last_error = Some(format!("`{to}`: {text}"));
        });
    }

    fn recovered(&mut self) {
        if self.failing {
            self.failing = false;
            tracing::info!(store = %self.shared.store, "outputs are being sent again");
        }
        self.shared.note(|status| status.last_error = None);
    }
}

impl Ledger {
    /// Those that were not sent as they are, the least troublesome first.
    fn changed(&mut self, mut files: Vec<(Found, StorePath)>) -> Vec<(Found, StorePath)> {
        let there: HashMap<_, _> = files
            .iter()
            .map(|(found, _)| (found.path.as_path(), found.stamp))
            .collect();
        self.sent
            .retain(|path, _| there.contains_key(path.as_path()));
        self.failed
            .retain(|path, _| there.contains_key(path.as_path()));
        files.retain(|(found, _)| {
            let sent = self.sent.get(&found.path);
            !sent.is_some_and(|sent| sent.is_same(&found.stamp))
        });
        files.sort_by_key(|(found, _)| self.failed.get(&found.path).copied().unwrap_or(0));
        files
    }
}
