//! The private folder of an instance: its `/tmp`, and a corner for the host.
//!
//! WASI has no quota, so folders are measured once a second. A script that
//! wrote more than it may is ended at its next tick, and its folder goes with
//! it; what it can write within that second is the bound that the disk has.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;

/// Most bytes that one instance may have on disk.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// Most files and folders that one instance may have on disk.
const MAX_ENTRIES: usize = 10_000;

/// Longest path below an instance's folder, in bytes. What lies deeper could
/// not be measured, nor removed: no path leads there.
const MAX_DEEP_BYTES: usize = 2_048;

/// Longest path below a folder that is removed where it is, in bytes.
const REMOVED_BYTES: usize = 512;

/// Bytes of one of the blocks that the system counts in.
const BLOCK_BYTES: u64 = 512;

/// The folder of one instance, removed on drop.
#[derive(Debug)]
pub(crate) struct InstanceFolder {
    whole: TempDir,
    over: AtomicBool,
}

impl InstanceFolder {
    /// What the guest has as `/tmp`.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.whole.path().join("tmp")
    }

    /// For the host's own files; the guest does not see it.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.whole.path().join("scratch")
    }

    /// Whether the guest wrote more than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn measure(&self, max_bytes: u64) {
        let mut room = Room {
            bytes: max_bytes,
            entries: MAX_ENTRIES,
        };
        if !room.holds(&self.tmp()) {
            self.over.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for InstanceFolder {
    fn drop(&mut self) {
        // What removes it recurses, with a descriptor for each level.
        raise(self.whole.path());
    }
}

/// Moves what lies deep below `top` up to it. What fails is left.
fn raise(top: &Path) {
    let mut count = 0_u32;
    let mut folders = vec![(top.to_owned(), 0)];
    while let Some((folder, bytes)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            // A script may have taken the rights away.
            let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
            let bytes = bytes + entry.file_name().len() + 1;
            if bytes <= REMOVED_BYTES {
                folders.push((path, bytes));
                continue;
            }
            count += 1;
            let raised = top.join(format!("deep-{count}"));
            if fs::rename(&path, &raised).is_ok() {
                folders.push((raised, 0));
            }
        }
    }
}

/// All folders of a host's instances.
#[derive(Debug)]
pub(crate) struct Folders {
    parent: PathBuf,
    made: Mutex<Vec<Weak<InstanceFolder>>>,
}

impl Folders {
    pub(crate) fn new(parent: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            parent,
            made: Mutex::default(),
        })
    }

    /// Makes a folder for one instance.
    pub(crate) fn make(&self) -> io::Result<Arc<InstanceFolder>> {
        let whole = tempfile::Builder::new()
            .prefix("instance-")
            .tempdir_in(&self.parent)?;
        let folder = Arc::new(InstanceFolder {
            whole,
            over: AtomicBool::new(false),
        });
        fs::create_dir(folder.tmp())?;
        fs::create_dir(folder.scratch())?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&folder));
        Ok(folder)
    }

    /// Marks those that hold more than `max_bytes`.
    pub(crate) fn measure(&self, max_bytes: u64) {
        let made = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.retain(|folder| folder.strong_count() > 0);
            made.clone()
        };
        for folder in made.iter().filter_map(Weak::upgrade) {
            folder.measure(max_bytes);
        }
    }
}

/// What is left while a folder is walked.
struct Room {
    bytes: u64,
    entries: usize,
}

impl Room {
    /// Whether everything below `folder` fits. What vanishes meanwhile, or
    /// cannot be read, counts nothing. Links are not followed.
    fn holds(&mut self, folder: &Path) -> bool {
        // No recursion: a script decides how deep its folders are.
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, bytes)) = folders.pop() {
            if bytes > MAX_DEEP_BYTES {
                return false;
            }
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if !self.takes(&metadata) {
                    return false;
                }
                if metadata.is_dir() {
                    folders.push((entry.path(), bytes + entry.file_name().len() + 1));
                }
            }
        }
        true
    }

    fn takes(&mut self, metadata: &fs::Metadata) -> bool {
        let bytes = metadata.blocks().saturating_mul(BLOCK_BYTES);
        let (Some(bytes), Some(entries)) =
            (self.bytes.checked_sub(bytes), self.entries.checked_sub(1))
        else {
            return false;
        };
        *self = Self { bytes, entries };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_counts_too() {
        let parent = tempfile::tempdir().unwrap();
        let folders = Folders::new(parent.path().to_owned());
        let (small, large) = (folders.make().unwrap(), folders.make().unwrap());
        fs::create_dir_all(large.tmp().join("a/b")).unwrap();
        fs::write(large.tmp().join("a/b/file"), vec![1; 300_000]).unwrap();
        fs::write(small.scratch().join("file"), vec![1; 300_000]).unwrap();
        folders.measure(1 << 20);
        assert!(!small.is_over() && !large.is_over());
        folders.measure(200_000);
        assert!(!small.is_over() && large.is_over());
    }

    #[test]
    fn a_folder_goes_with_its_instance() {
        let parent = tempfile::tempdir().unwrap();
        let folders = Folders::new(parent.path().to_owned());
        drop(folders.make().unwrap());
        folders.measure(MAX_BYTES);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(folders.made.lock().unwrap().is_empty());
    }
    #[test]
    fn folders_that_no_path_leads_to_are_too_much_and_go_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let folders = Folders::new(parent.path().to_owned());
        let folder = folders.make().unwrap();
        let (tmp, spare) = (folder.tmp(), folder.scratch());
        let branch = "branch/".repeat(100);
        // Deeper than a path can be long: a branch on a branch each time.
        for _ in 0..12 {
            fs::create_dir_all(spare.join(&branch)).unwrap();
            fs::rename(&tmp, spare.join(&branch).join("rest")).unwrap();
            fs::rename(&spare, &tmp).unwrap();
        }
        folders.measure(MAX_BYTES);
        assert!(folder.is_over());
        drop(folder);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
