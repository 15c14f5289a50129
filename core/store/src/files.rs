//! Files and folders that only their owner may read, written so that a crash
//! leaves the old or the new one, and never through a symbolic link.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
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
    while empty_once(folder, folder)? {}
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

/// Longest path below a folder that is emptied, in bytes. What scripts left may
/// lie so deep that no path leads there, and no stack is deep enough.
const DEEP_BYTES: usize = 512;

/// Empties `folder`, which is `top` or below it; what lies deep is moved up to
/// `top`. Returns whether something was.
fn empty_once(folder: &Path, top: &Path) -> io::Result<bool> {
    let mut moved = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            moved |= match remove_or_move(&entry.path(), top) {
                // Whatever became of it, another look tells.
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                other => other?,
            };
        } else {
            unless_gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(moved)
}

fn remove_or_move(folder: &Path, top: &Path) -> io::Result<bool> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    if folder.as_os_str().len() > top.as_os_str().len() + DEEP_BYTES {
        return move_up(folder, top).map(|()| true);
    }
    let moved = empty_once(folder, top)?;
    fs::remove_dir(folder)?;
    Ok(moved)
}

fn move_up(folder: &Path, top: &Path) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let target = top.join(format!(
            "deep-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        match fs::rename(folder, target) {
            Err(error) if is_taken(&error) => {}
            other => return other,
        }
    }
}

/// A name that somebody chose to be in the way.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | NotADirectory
    )
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_however_deep_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let branch = "branch/".repeat(100);
        fs::create_dir(&one).unwrap();
        // Deeper than a path can be long: a branch on a branch each time.
        for _ in 0..12 {
            fs::create_dir_all(other.join(&branch)).unwrap();
            fs::write(other.join("file"), "x").unwrap();
            fs::rename(&one, other.join(&branch).join("rest")).unwrap();
            fs::rename(&other, &one).unwrap();
        }
        remove_folder(&one).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
