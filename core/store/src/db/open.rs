//! The folder that a table lives in, and the file `current` that names it.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use lusk_contract::RecordError;

use super::table::{Change, Table};
use crate::{
    StoreError,
    files::{private_folder, read_small, remove_folder, sync_folder, write_atomically},
};

/// Memory for pages; the records of a node are small.
const CACHE_BYTES: u64 = 8 << 20;

/// A log smaller than this is never copied to win space back.
pub(crate) const SMALL_LOG_BYTES: u64 = 32 << 20;

/// A log this many times larger than its records is copied.
const BLOAT: u64 = 8;

/// How long a table that is still held is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The file that names the table's folder.
pub(crate) const CURRENT: &str = "current";

/// An open table in its folder.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) table: Table,
    db: sled::Db,
    /// sled's log, for `fsync`.
    log: File,
    pub(crate) folder: PathBuf,
    pub(crate) number: u64,
    /// Bytes of log at which the table is copied.
    pub(crate) copy_at: u64,
}

impl Open {
    pub(crate) fn at(folder: &Path, number: u64) -> Result<Self, StoreError> {
        let io = |error| StoreError::io(folder, error);
        private_folder(folder).map_err(io)?;
        remove_unfinished_snapshots(folder).map_err(io)?;
        wait_for_lock(&folder.join("db")).map_err(io)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(None);
        // sled asserts some of its invariants while it recovers.
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| StoreError::damaged(folder, "sled gave up while reading its log"))?
            .map_err(|error| StoreError::engine(folder, error))?;
        make_private(folder).map_err(io)?;
        let log = File::open(folder.join("db")).map_err(io)?;
        let mut open = Self {
            table: Table::new((*db).clone()),
            db,
            log,
            folder: folder.to_owned(),
            number,
            copy_at: 0,
        };
        open.copy_at = SMALL_LOG_BYTES.max(BLOAT * open.live_bytes());
        Ok(open)
    }

    pub(crate) fn apply(&self, change: &Change) -> sled::Result<()> {
        let batch = change.batch(&self.table)?;
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.table.tree().apply_batch(batch)?;
            self.sync()
        }));
        applied.unwrap_or_else(|_| Err(sled::Error::ReportableBug("sled panicked".to_owned())))
    }

    pub(crate) fn sync(&self) -> sled::Result<()> {
        self.db.flush()?;
        self.log.sync_all()?;
        Ok(())
    }

    pub(crate) fn holds(&self, change: &Change) -> Result<bool, RecordError> {
        for (key, value) in change.writes() {
            if self.table.bytes(key)? != *value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        let entries = self.table.tree().iter().flatten();
        entries
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}

/// Opens the table that counts, and removes copies that do not.
pub(crate) fn open_current(meta: &Path, tmp: &Path) -> Result<Open, StoreError> {
    let io = |error| StoreError::io(meta, error);
    let number = match read_small(&meta.join(CURRENT), 64) {
        Ok(text) => Some(table_number(text.trim()).ok_or_else(|| {
            StoreError::damaged(meta, "the file `current` does not name a table")
        })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io(error)),
    };
    let tables = table_numbers(meta).map_err(io)?;
    let Some(number) = number else {
        return first_table(meta, tmp, &tables);
    };
    if !tables.contains(&number) {
        return Err(StoreError::damaged(
            meta,
            "the table that `current` names is missing",
        ));
    }
    let open = Open::at(&meta.join(format!("db-{number}")), number)?;
    for other in tables.into_iter().filter(|other| *other != number) {
        forget(&meta.join(format!("db-{other}")));
    }
    Ok(open)
}

/// Makes the first table, or goes on with one whose making was cut short. A
/// table that was written to is never removed: somebody may have lost `current`.
fn first_table(meta: &Path, tmp: &Path, tables: &[u64]) -> Result<Open, StoreError> {
    if !matches!(tables, [] | [1]) {
        return Err(StoreError::damaged(
            meta,
            "tables are there but no file `current`",
        ));
    }
    let folder = meta.join("db-1");
    // Before its log, sled writes its settings, and not in one step.
    if fs::metadata(folder.join("db")).map_or(true, |log| log.len() == 0) {
        remove_folder(&folder).map_err(|error| StoreError::io(&folder, error))?;
    }
    let open = Open::at(&folder, 1)?;
    open.sync()
        .map_err(|error| StoreError::engine(&folder, error))?;
    point_at(meta, tmp, &folder)?;
    Ok(open)
}

pub(crate) fn point_at(meta: &Path, tmp: &Path, folder: &Path) -> Result<(), StoreError> {
    let name = folder.file_name().unwrap_or_default();
    let write = || {
        sync_folder(folder)?;
        sync_folder(meta)?;
        write_atomically(tmp, &meta.join(CURRENT), name.as_encoded_bytes())
    };
    write().map_err(|error| StoreError::io(meta, error))
}

pub(crate) fn table_numbers(meta: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(meta)? {
        numbers.extend(entry?.file_name().to_str().and_then(table_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn table_number(name: &str) -> Option<u64> {
    name.strip_prefix("db-")?.parse().ok()
}

/// Waits until nobody holds the log's lock. A table that was dropped a moment
/// ago is held on to until sled's last thread has let go of it.
fn wait_for_lock(log: &Path) -> io::Result<()> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if file.try_lock().is_ok() {
        return Ok(());
    }
    let (told, locked) = mpsc::channel();
    thread::spawn(move || {
        let waited = file.lock();
        // Given up before it is told: sled takes it next.
        drop(file);
        told.send(waited)
    });
    locked
        .recv_timeout(LOCK_WAIT)
        .unwrap_or_else(|_| Err(io::ErrorKind::ResourceBusy.into()))
}

fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled makes its files readable for everybody; the keys of services are in it.
fn make_private(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() {
            0o700
        } else {
            0o600
        };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Removes a table that no longer counts; what stays is removed at next start.
pub(crate) fn forget(folder: &Path) {
    if let Err(error) = remove_folder(folder) {
        tracing::warn!(folder = %folder.display(), %error, "old table not removed");
    }
}
