//! The table of records on sled: keys to JSON, one writer.
//!
//! sled 0.34 has edges that this file keeps the rest of the room away from:
//! - A value over 128 KiB goes to a side file that sled never syncs. So values
//!   are cut into parts that keep every page far below that ([`PART_BYTES`]).
//! - A kill while sled writes its snapshot file leaves a `snap.*.generating`
//!   that it later takes for the newest snapshot and calls the store corrupt.
//!   Such a file is unfinished by its name; it is removed before sled looks.
//! - `flush` starts write-back of ranges but is no `fsync`; we add that.
//! - Its background thread rewrites pages when it likes and dies for good on a
//!   full disk. It is off: all writing happens in [`Db::write`], which asks for
//!   room first, and space is won back by copying the table into a fresh folder.
//! - After a failed write every later call fails. The table is opened again.
//!
//! A table lives in `db-<n>`; the file `current` names the one that counts.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use lusk_contract::RecordError;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    StoreError,
    files::{private_folder, read_small, remove_folder, sync_folder, write_atomically},
    space::{DELETE_RESERVE, RECORD_RESERVE, Space, is_full},
};

/// Bytes of a value in one sled entry. A sled leaf holds up to about 30 entries
/// before it splits, and a page over 128 KiB would leave the log.
const PART_BYTES: usize = 3 << 10;

/// Memory for pages; the records of a node are small.
const CACHE_BYTES: u64 = 8 << 20;

/// A log smaller than this is never copied to win space back.
const SMALL_LOG_BYTES: u64 = 32 << 20;

/// A log this many times larger than its records is copied.
const BLOAT: u64 = 8;

/// The file that names the table's folder.
const CURRENT: &str = "current";

/// The table, behind one lock: many readers or one writer.
#[derive(Debug)]
pub(crate) struct Db {
    /// `meta/` of the data folder.
    meta: PathBuf,
    /// `tmp/` of the data folder.
    tmp: PathBuf,
    space: Space,
    /// `None` after a failure that reopening did not mend yet.
    open: RwLock<Option<Open>>,
}

/// What a write is for; a full disk stops growth earlier than removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Grow,
    Shrink,
}

impl Db {
    /// Opens the table in `meta`, or makes an empty one.
    pub(crate) fn open(meta: &Path, tmp: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            meta: meta.to_owned(),
            tmp: tmp.to_owned(),
            space: Space::of(meta),
            open: RwLock::new(Some(open_current(meta, tmp)?)),
        })
    }

    /// Reads; sees only what is on the disk.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&Table) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        {
            let open = self.shared();
            if let Some(open) = open.as_ref() {
                return body(&open.table);
            }
        }
        let mut open = self.exclusive();
        body(&self.reopened(&mut open)?.table)
    }

    /// Lets `body` decide with nobody else writing, then writes what it put
    /// into the change, all or nothing, and returns once that is on the disk.
    pub(crate) fn write<T>(
        &self,
        purpose: Purpose,
        body: impl FnOnce(&Table, &mut Change) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let mut guard = self.exclusive();
        let open = self.reopened(&mut guard)?;
        let mut change = Change::default();
        let value = body(&open.table, &mut change)?;
        if change.writes.is_empty() {
            return Ok(value);
        }
        let reserve = match purpose {
            Purpose::Grow => RECORD_RESERVE,
            Purpose::Shrink => DELETE_RESERVE,
        };
        if !self.space.has_room(4 * change.bytes(), reserve) {
            return Err(RecordError::DiskFull);
        }
        if let Err(error) = open.apply(&change) {
            self.settle(&mut guard, &change, error)?;
        }
        self.win_back_space(&mut guard);
        Ok(value)
    }

    /// Nobody writes while `body` runs.
    pub(crate) fn hold<T>(
        &self,
        body: impl FnOnce(&Table) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let mut guard = self.exclusive();
        body(&self.reopened(&mut guard)?.table)
    }

    // A panic while the lock is held cannot leave a half-made change in memory:
    // the table's state is on the disk. So a poisoned lock is as good as any.
    fn shared(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn reopened<'a>(&self, slot: &'a mut Option<Open>) -> Result<&'a Open, RecordError> {
        if slot.is_none() {
            if !self.space.has_room(0, DELETE_RESERVE) {
                return Err(RecordError::DiskFull);
            }
            let open = open_current(&self.meta, &self.tmp).map_err(|error| match error {
                StoreError::DiskFull => RecordError::DiskFull,
                other => RecordError::Engine(other.to_string()),
            })?;
            tracing::warn!(folder = %open.folder.display(), "store opened again after a failure");
            *slot = Some(open);
        }
        slot.as_ref()
            .ok_or_else(|| RecordError::Engine("the store is closed".to_owned()))
    }

    /// After a failed write: opens the table again and looks which of the two
    /// states the disk has. A change that got through whole is no failure.
    fn settle(
        &self,
        slot: &mut Option<Open>,
        change: &Change,
        error: sled::Error,
    ) -> Result<(), RecordError> {
        tracing::error!(%error, "store failed to write; opening it again");
        *slot = None;
        match self.reopened(slot) {
            Ok(open) if open.holds(change)? => Ok(()),
            _ => Err(engine(error)),
        }
    }

    /// Copies the table into a fresh folder when its log has grown far beyond
    /// its records. A failure costs nothing: the old table goes on.
    fn win_back_space(&self, slot: &mut Option<Open>) {
        let Some(open) = slot.as_ref() else { return };
        if open.log_bytes() < open.copy_at {
            return;
        }
        match self.copied(open) {
            Ok(fresh) => {
                let old = slot.replace(fresh).map(|old| old.folder.clone());
                if let Some(old) = old {
                    forget(&old);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "store could not be compacted; it goes on as it is");
                if let Some(open) = slot.as_mut() {
                    open.copy_at = open.copy_at.saturating_mul(2);
                }
            }
        }
    }

    fn copied(&self, open: &Open) -> Result<Open, StoreError> {
        if !self.space.has_room(2 * open.live_bytes(), RECORD_RESERVE) {
            return Err(StoreError::DiskFull);
        }
        let folder = self.meta.join(format!("db-{}", open.number + 1));
        let copy = || {
            let fresh = Open::at(&folder, open.number + 1)?;
            for entry in open.table.tree.iter() {
                let (key, value) = entry.map_err(|error| StoreError::engine(&folder, error))?;
                let kept = fresh.table.tree.insert(key, value);
                kept.map_err(|error| StoreError::engine(&folder, error))?;
            }
            let synced = fresh.sync();
            synced.map_err(|error| StoreError::engine(&folder, error))?;
            point_at(&self.meta, &self.tmp, &folder)?;
            Ok(fresh)
        };
        copy().inspect_err(|_| forget(&folder))
    }
}

/// Removes a table that no longer counts; what stays is removed at next start.
fn forget(folder: &Path) {
    if let Err(error) = remove_folder(folder) {
        tracing::warn!(folder = %folder.display(), %error, "old table not removed");
    }
}

/// An open table in its folder.
#[derive(Debug)]
struct Open {
    table: Table,
    db: sled::Db,
    /// sled's log, for `fsync`.
    log: File,
    folder: PathBuf,
    number: u64,
    /// Bytes of log at which the table is copied.
    copy_at: u64,
}

impl Open {
    fn at(folder: &Path, number: u64) -> Result<Self, StoreError> {
        let io = |error| StoreError::io(folder, error);
        private_folder(folder).map_err(io)?;
        remove_unfinished_snapshots(folder).map_err(io)?;
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
            table: Table {
                tree: (*db).clone(),
            },
            db,
            log,
            folder: folder.to_owned(),
            number,
            copy_at: 0,
        };
        open.copy_at = SMALL_LOG_BYTES.max(BLOAT * open.live_bytes());
        Ok(open)
    }

    fn apply(&self, change: &Change) -> sled::Result<()> {
        let batch = change.batch(&self.table)?;
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.table.tree.apply_batch(batch)?;
            self.sync()
        }));
        applied.unwrap_or_else(|_| Err(sled::Error::ReportableBug("sled panicked".to_owned())))
    }

    fn sync(&self) -> sled::Result<()> {
        self.db.flush()?;
        self.log.sync_all()?;
        Ok(())
    }

    fn holds(&self, change: &Change) -> Result<bool, RecordError> {
        for (key, value) in &change.writes {
            if self.table.bytes(key)? != *value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn log_bytes(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    fn live_bytes(&self) -> u64 {
        let entries = self.table.tree.iter().flatten();
        entries
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}

/// Reads records. A record is a run of entries: its key and a part number.
#[derive(Debug)]
pub(crate) struct Table {
    tree: sled::Tree,
}

impl Table {
    /// One record.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, RecordError> {
        self.bytes(key)?
            .map(|bytes| parsed(key, &bytes))
            .transpose()
    }

    /// Whether a record is there.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, RecordError> {
        let first = self.tree.contains_key(part_key(key, 0));
        first.map_err(engine)
    }

    /// The records whose keys begin with `prefix`, in key order.
    pub(crate) fn list<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, RecordError> {
        let mut records = Vec::new();
        self.each(prefix, |key, bytes| {
            records.push(parsed(key, bytes)?);
            Ok(())
        })?;
        Ok(records)
    }

    /// The keys that begin with `prefix`, in order.
    pub(crate) fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, RecordError> {
        let mut keys = Vec::new();
        for key in self.tree.scan_prefix(prefix).keys() {
            let key = key.map_err(engine)?;
            if let Some((record, 0)) = split_part(&key) {
                keys.push(record.to_vec());
            }
        }
        Ok(keys)
    }

    /// Calls `visit` with each record whose key begins with `prefix`.
    pub(crate) fn each(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let mut current: Option<(Vec<u8>, Vec<u8>)> = None;
        for entry in self.tree.scan_prefix(prefix) {
            let (key, part) = entry.map_err(engine)?;
            match (split_part(&key), &mut current) {
                (Some((_, 1..)), Some((_, bytes))) => bytes.extend_from_slice(&part),
                (Some((record, 0)), _) => {
                    let next = (record.to_vec(), part.to_vec());
                    if let Some((record, bytes)) = current.replace(next) {
                        visit(&record, &bytes)?;
                    }
                }
                _ => return Err(RecordError::Engine(format!("stray entry {key:?}"))),
            }
        }
        current.map_or(Ok(()), |(record, bytes)| visit(&record, &bytes))
    }

    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        let mut found = None;
        for part in 0..=u32::MAX {
            match self.tree.get(part_key(key, part)).map_err(engine)? {
                Some(bytes) => found.get_or_insert_with(Vec::new).extend_from_slice(&bytes),
                None => break,
            }
        }
        Ok(found)
    }
}

/// Records to write and to remove, as one step.
#[derive(Debug, Default)]
pub(crate) struct Change {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Change {
    /// Writes a record.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: &impl Serialize) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| RecordError::Engine(format!("record not serialised: {error}")))?;
        self.writes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    fn bytes(&self) -> u64 {
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        self.writes.iter().map(size).sum::<usize>() as u64
    }

    fn batch(&self, table: &Table) -> sled::Result<sled::Batch> {
        let mut batch = sled::Batch::default();
        for (key, value) in &self.writes {
            let mut parts = 0;
            for part in value.iter().flat_map(|bytes| bytes.chunks(PART_BYTES)) {
                batch.insert(part_key(key, parts), part);
                parts += 1;
            }
            // What was longer before must not grow a tail.
            while table.tree.contains_key(part_key(key, parts))? {
                batch.remove(part_key(key, parts));
                parts += 1;
            }
        }
        Ok(batch)
    }
}

fn part_key(key: &[u8], part: u32) -> Vec<u8> {
    [key, &part.to_be_bytes()].concat()
}

fn split_part(key: &[u8]) -> Option<(&[u8], u32)> {
    let (record, part) = key.split_last_chunk::<4>()?;
    Some((record, u32::from_be_bytes(*part)))
}

fn parsed<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let key = String::from_utf8_lossy(key);
        RecordError::Engine(format!("record {key:?} is not readable: {error}"))
    })
}

fn engine(error: sled::Error) -> RecordError {
    match error {
        sled::Error::Io(error) if is_full(&error) => RecordError::DiskFull,
        other => RecordError::Engine(other.to_string()),
    }
}

/// Opens the table that counts, and removes copies that do not.
fn open_current(meta: &Path, tmp: &Path) -> Result<Open, StoreError> {
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

fn point_at(meta: &Path, tmp: &Path, folder: &Path) -> Result<(), StoreError> {
    let name = folder.file_name().unwrap_or_default();
    let write = || {
        sync_folder(folder)?;
        sync_folder(meta)?;
        write_atomically(tmp, &meta.join(CURRENT), name.as_encoded_bytes())
    };
    write().map_err(|error| StoreError::io(meta, error))
}

fn table_numbers(meta: &Path) -> io::Result<Vec<u64>> {
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

#[cfg(test)]
pub(crate) mod tests;
