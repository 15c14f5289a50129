//! The native runner's files, unpacked once for a host.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::TempDir;

#[cfg(feature = "python")]
use lusk_python::NATIVE_FILES;

/// A build without Python.
#[cfg(not(feature = "python"))]
const NATIVE_FILES: &[(&str, &str)] = &[];

/// Where the files are, as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Runner {
    folder: TempDir,
}

impl Runner {
    /// The file that an interpreter is to run.
    pub(super) fn main(&self) -> PathBuf {
        self.folder.path().join("main.py")
    }
}

/// Unpacks the runner when it is needed first.
#[derive(Debug)]
pub(super) struct RunnerSource {
    parent: PathBuf,
    unpacked: Mutex<Option<Arc<Runner>>>,
}

impl RunnerSource {
    pub(super) fn new(parent: &Path) -> Self {
        Self {
            parent: parent.to_owned(),
            unpacked: Mutex::default(),
        }
    }

    /// Whether anything can have been started.
    pub(super) fn is_used(&self) -> bool {
        let unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        unpacked.is_some()
    }

    /// The runner. Blocks on the disk.
    pub(super) fn get(&self) -> io::Result<Arc<Runner>> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runner) = &*unpacked {
            return Ok(Arc::clone(runner));
        }
        if NATIVE_FILES.is_empty() {
            return Err(io::Error::other(
                "this build of lusk carries no Python runner",
            ));
        }
        let folder = tempfile::Builder::new()
            .prefix("python-")
            .tempdir_in(&self.parent)?;
        for (name, text) in NATIVE_FILES {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(Arc::clone(unpacked.insert(Arc::new(Runner { folder }))))
    }
}
