//! Files and folders that only their owner may read, written so that a crash
//! leaves the old or the new one, and never through a symbolic link.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Options of a private file (0600) that is not reached through a link.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Makes `path` a folder of mode 0700 unless it is a folder already.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    if fs::symlink_metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "a file or a symbolic link stands where a folder should be",
        ))
    }
}

/// Writes `content` as the private file `path`, whole or not at all. `staging`
/// is a folder of the same file system that is emptied at start.
pub(crate) fn write_atomically(staging: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(staging)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a small file that is not a link; at most `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: u64) -> io::Result<String> {
    let file = private().read(true).open(path)?;
    let mut text = String::new();
    file.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes everything in `folder`, read-only folders included, never through a
/// link. What somebody else removes at the same time is no error.
pub(crate) fn empty_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folder(&entry.path())?;
        } else {
            unless_gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Removes a folder with everything in it; one that is not there is no error.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    let remove = || {
        if !fs::symlink_metadata(folder)?.is_dir() {
            return fs::remove_file(folder);
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        empty_folder(folder)?;
        fs::remove_dir(folder)
    };
    unless_gone(remove())
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
