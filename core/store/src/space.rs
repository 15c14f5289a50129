//! Free space of the data folder's device.
//!
//! sled 0.34 does not recover from a full disk by itself, and a half-written
//! log line or blob is no use to anybody. So every writer asks first and stops
//! while some space is left; who needs less to do good (a delete) may go lower.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Left over by uploads, so that records can still be written.
pub(crate) const BLOB_RESERVE: u64 = 24 << 20;
/// Left over by records that grow the store, so that deletes can be written.
pub(crate) const RECORD_RESERVE: u64 = 16 << 20;
/// Left over by the logs of services.
pub(crate) const LOG_RESERVE: u64 = 16 << 20;
/// Left over by deletes: several times what one of them makes sled write.
pub(crate) const DELETE_RESERVE: u64 = 4 << 20;

/// The device that holds a folder.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    folder: PathBuf,
}

impl Space {
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Whether `bytes` more fit and `reserve` is left over after that. A device
    /// that does not tell counts as roomy: the write itself will say.
    pub(crate) fn has_room(&self, bytes: u64, reserve: u64) -> bool {
        rustix::fs::statvfs(&self.folder).map_or(true, |stat| {
            stat.f_bavail.saturating_mul(stat.f_frsize) >= bytes.saturating_add(reserve)
        })
    }
}

/// Whether `error` says that the device or the user's share of it is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
pub(crate) use tests::SmallDisk;

#[cfg(test)]
mod tests;
