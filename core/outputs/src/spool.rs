//! The folders that replicas write to before the store has their files.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
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
    let service = service.as_str();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_millis());
    let parent = spool.join(service);
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..ATTEMPTS {
        let run = format!("{revision}-{replica}-{}", now + u128::from(attempt));
        let path = parent.join(&run);
        let made = private().recursive(true).create(&parent);
        match made.and_then(|()| private().create(&path)) {
            Ok(()) => {
                return Ok(Spooled {
                    path,
                    names: [service.to_owned(), run],
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
