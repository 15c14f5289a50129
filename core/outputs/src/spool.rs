//! The folders that replicas write to before the store has their files.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use lusk_contract::OutputFolder;
use lusk_domain::ServiceName;
use tokio::sync::Notify;

/// Attempts at a folder whose parent may be removed at the same moment.
const ATTEMPTS: u64 = 10;

/// A folder of the spool.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub(crate) path: PathBuf,
    /// Service and run: the folder's place in the store.
    pub(crate) names: [String; 2],
    closed: AtomicBool,
}

impl Spooled {
    /// Whether nobody writes to it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// A replica's hold on its folder.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) spooled: Arc<Spooled>,
    pub(crate) wake: Arc<Notify>,
}

impl OutputFolder for Held {
    fn path(&self) -> &Path {
        &self.spooled.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.spooled.closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// Makes a folder that was not there before.
pub(crate) fn make(
    spool: &Path,
    service: &ServiceName,
    revision: u64,
    replica: u32,
) -> io::Result<Spooled> {
    let service = service.file_name();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_millis());
    let parent = spool.join(&service);
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..ATTEMPTS {
        let run = format!("{revision}-{replica}-{}", now + u128::from(attempt));
        let path = parent.join(&run);
        let made = private().recursive(true).create(&parent);
        match made.and_then(|()| private().create(&path)) {
            Ok(()) => {
                return Ok(Spooled {
                    path,
                    names: [service, run],
                    closed: AtomicBool::new(false),
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What an earlier process left, oldest first by name.
pub(crate) fn leftovers(spool: &Path) -> io::Result<Vec<Spooled>> {
    private().recursive(true).create(spool)?;
    let mut found = Vec::new();
    for service in folders(spool)? {
        for run in folders(&service)? {
            let name = |path: &Path| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            };
            found.push(Spooled {
                names: [name(&service), name(&run)],
                path: run,
                closed: AtomicBool::new(true),
            });
        }
    }
    Ok(found)
}

/// Removes a folder that is done, and its parent if it was the last one there.
pub(crate) fn remove(spooled: &Spooled) -> io::Result<()> {
    raise(&spooled.path);
    match fs::remove_dir_all(&spooled.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(parent) = spooled.path.parent() {
        // Fails while other folders are there, as it should.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Longest path below a folder that is removed where it is, in bytes.
const REMOVED_BYTES: usize = 512;

/// Moves what lies deep below `top` up to it: a script decides how deep its
/// folders are, and what removes them recurses. What fails is left.
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

fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_however_deep_they_are() {
        let spool = tempfile::tempdir().unwrap();
        let made = make(spool.path(), &"deep".parse().unwrap(), 1, 0).unwrap();
        let spare = spool.path().join("spare");
        let branch = "branch/".repeat(100);
        // Deeper than a thread's stack: a branch on a branch each time.
        for _ in 0..60 {
            fs::create_dir_all(spare.join(&branch)).unwrap();
            fs::rename(&made.path, spare.join(&branch).join("rest")).unwrap();
            fs::rename(&spare, &made.path).unwrap();
        }
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let removed = small.spawn(move || remove(&made)).unwrap();
        removed.join().unwrap().unwrap();
        assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
    }
}
