//! Lists the files of a folder within bounds. Links and special files do not count.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Most bytes that are kept of one replica's outputs, as for its `/tmp`.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// Most files and folders that are looked at in one replica's outputs.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// Time in which a file may change again without a new time of change.
const CLOCK_STEP: Duration = Duration::from_millis(50);

/// Tells whether a file is the one that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
    /// The file changed so lately that another change may look the same.
    pub(crate) fresh: bool,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let fresh = metadata.modified().is_ok_and(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .is_ok_and(|age| age < CLOCK_STEP)
        });
        Self {
            size: metadata.size(),
            inode: metadata.ino(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            fresh,
        }
    }

    /// Whether the file is as it was.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let told = |it: &Self| (it.size, it.inode, it.seconds, it.nanoseconds);
        told(self) == told(other)
    }
}

/// A file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Below the folder.
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// Bounds of one folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) entries: usize,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Sorted, so that the same files stay within the bounds.
    pub(crate) files: Vec<Found>,
    /// Whether there is more than the bounds allow.
    pub(crate) over: bool,
}

/// Lists what is below `root`. What vanishes meanwhile is left out.
pub(crate) fn list(root: &Path, bounds: Bounds) -> Listing {
    let mut listing = Listing::default();
    let mut left = bounds;
    let mut folders = VecDeque::from([PathBuf::new()]);
    while let Some(folder) = folders.pop_front() {
        let Some(names) = names(&root.join(&folder), left.entries) else {
            continue;
        };
        listing.over |= names.over;
        for name in names.sorted {
            let path = folder.join(name);
            let Ok(metadata) = fs::symlink_metadata(root.join(&path)) else {
                continue;
            };
            if left.entries == 0 {
                listing.over = true;
                return listing;
            }
            left.entries -= 1;
            if metadata.is_dir() {
                folders.push_back(path);
            } else if metadata.is_file() {
                match left.bytes.checked_sub(metadata.size()) {
                    Some(bytes) => left.bytes = bytes,
                    None => {
                        listing.over = true;
                        continue;
                    }
                }
                let stamp = Stamp::of(&metadata);
                listing.files.push(Found { path, stamp });
            }
        }
    }
    listing
}

struct Names {
    sorted: Vec<OsString>,
    over: bool,
}

/// At most `limit` names of a folder's entries.
fn names(folder: &Path, limit: usize) -> Option<Names> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let mut sorted: Vec<_> = entries
        .by_ref()
        .take(limit)
        .map(|entry| entry.file_name())
        .collect();
    sorted.sort_unstable();
    let over = entries.next().is_some();
    Some(Names { sorted, over })
}
