//! The table of records on sled: keys to JSON, one writer.
//!
//! sled 0.34 has edges that this file keeps the rest of the room away from:
//! - A value over 128 KiB goes to a side file that sled never syncs. So values
//!   are cut into parts that keep every page far below that ([`table::PART_BYTES`]).
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

mod open;
mod table;

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use lusk_contract::RecordError;

pub(crate) use self::table::{Change, Table};
use self::{
    open::{Open, forget, open_current, point_at},
    table::engine,
};
use crate::{
    StoreError,
    space::{DELETE_RESERVE, RECORD_RESERVE, Space},
};

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
        if change.is_empty() {
            return Ok(value);
        }
        let reserve = match purpose {
            Purpose::Grow => RECORD_RESERVE,
            Purpose::Shrink => DELETE_RESERVE,
        };
        if !self.space.has_room(4 * change.size(), reserve) {
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
            for entry in open.table.tree().iter() {
                let (key, value) = entry.map_err(|error| StoreError::engine(&folder, error))?;
                let kept = fresh.table.tree().insert(key, value);
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

#[cfg(test)]
mod tests;
