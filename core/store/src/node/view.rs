//! A data folder seen from outside: nothing is changed, and nobody is kept out.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{DataFolderError, LOCK, lock_holder};
use crate::files::private;

/// The folder of records.
const RECORDS: &str = "meta";

/// Folders below each other that records lie in, at most.
const DEPTH: u32 = 3;

/// Who holds a data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A process, with its number if it wrote it.
    Process(Option<u32>),
}

/// What can be seen of a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderView {
    /// Without links.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Number of the user that it belongs to.
    pub owner: u32,
    /// Number of this process's user.
    pub user: u32,
    /// Who works in it.
    pub holder: Holder,
    /// When a record was written last.
    pub last_written: Option<SystemTime>,
}

impl FolderView {
    /// Looks at a folder, `None` if there is none.
    ///
    /// # Errors
    /// It cannot be looked at, or is no folder.
    pub fn look(path: &Path) -> Result<Option<Self>, DataFolderError> {
        let seen = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            seen => seen.map_err(DataFolderError::io(path, "opened"))?,
        };
        if !seen.is_dir() {
            let no_folder = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(DataFolderError::io(path, "opened")(no_folder));
        }
        let path = fs::canonicalize(path).map_err(DataFolderError::io(path, "opened"))?;
        Ok(Some(Self {
            mode: seen.mode() & 0o7777,
            owner: seen.uid(),
            user: rustix::process::geteuid().as_raw(),
            holder: holder(&path)?,
            last_written: last_written(&path.join(RECORDS), DEPTH),
            path,
        }))
    }

    /// Bytes that this user may still write to the device of `folder`.
    ///
    /// # Errors
    /// The device does not tell.
    pub fn free_bytes(folder: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A shared lock is taken for a moment: it is refused while a node runs.
fn holder(folder: &Path) -> Result<Holder, DataFolderError> {
    let path = folder.join(LOCK);
    let file = match private().read(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        file => file.map_err(DataFolderError::io(&path, "opened"))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Holder::Nobody),
        Err(fs::TryLockError::WouldBlock) => Ok(Holder::Process(lock_holder(&path))),
        Err(fs::TryLockError::Error(error)) => Err(DataFolderError::io(&path, "locked")(error)),
    }
}

/// When a file below `folder` was written last.
fn last_written(folder: &Path, depth: u32) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let times = entries.filter_map(|entry| {
        let seen = entry.metadata().ok()?;
        match (seen.is_dir(), depth) {
            (true, 0) => None,
            (true, _) => last_written(&entry.path(), depth - 1),
            (false, _) => seen.modified().ok(),
        }
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataFolder;

    #[test]
    fn nothing_is_seen_where_nothing_is() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(FolderView::look(&place.path().join("none")).unwrap(), None);
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let error = FolderView::look(&file).unwrap_err().to_string();
        assert!(error.ends_with("file` cannot be opened"), "{error}");
        assert!(FolderView::free_bytes(place.path()).unwrap() > 0);
    }

    #[test]
    fn the_holder_is_seen_and_not_disturbed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        let folder = DataFolder::lock(&path, false).unwrap();
        let view = FolderView::look(&path).unwrap().unwrap();
        assert_eq!(view.holder, Holder::Process(Some(std::process::id())));
        assert_eq!((view.mode, view.owner), (0o700, view.user));
        drop(folder);
        let view = FolderView::look(&path).unwrap().unwrap();
        assert_eq!(view.holder, Holder::Nobody);
        DataFolder::lock(&path, false).unwrap();
    }

    #[test]
    fn the_newest_record_is_found() {
        let place = tempfile::tempdir().unwrap();
        let view = || FolderView::look(place.path()).unwrap().unwrap();
        assert_eq!(view().last_written, None);
        fs::create_dir_all(place.path().join("meta/db-1")).unwrap();
        let file = fs::File::create(place.path().join("meta/db-1/db")).unwrap();
        let late = SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(2_000_000);
        file.set_modified(late).unwrap();
        fs::write(place.path().join("meta/current"), "1").unwrap();
        assert_eq!(view().last_written, Some(late));
    }
}
