//! A revision that serves: its route, its replicas and what they stand on.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lusk_domain::RuntimeKind;
use lusk_router::Route;
use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{LocalDoor, capacity::Reservation, scaling::Scaling};

/// How long requests that run may take to end when their route is closed.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// How long the files of a closed route are kept for requests that did not end:
/// longer than any request may take.
const LAST_REQUEST: Duration = Duration::from_secs(330);

/// See the module. Everything stops when it is dropped.
pub(crate) struct Running {
    pub(crate) revision: u64,
    pub(crate) runtime: RuntimeKind,
    /// Digest of the image's manifest.
    pub(crate) image: Option<String>,
    pub(crate) route: Arc<Route>,
    /// The port of a local service.
    pub(crate) door: Option<Arc<dyn LocalDoor>>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) scaling: Arc<Scaling>,
    /// Ends the care for its replicas.
    pub(crate) care: CancellationToken,
    pub(crate) folder: RevisionFolder,
    /// What its replicas hold of the node; given back when they are gone.
    pub(crate) reserved: Arc<Reservation>,
}

impl Running {
    /// Closes the route and waits for its requests, at most [`DRAIN_LIMIT`];
    /// says how many were left. Those go on and the folder stays until they end.
    pub(crate) async fn retire(self: Arc<Self>) -> usize {
        self.care.cancel();
        if timeout(DRAIN_LIMIT, self.route.drain()).await.is_ok() {
            self.clear().await;
            return 0;
        }
        let left = self.route.status().busy;
        tokio::spawn(async move {
            // Done or not, nobody may wait for an answer any more.
            let _ = timeout(LAST_REQUEST, self.route.drain()).await;
            self.clear().await;
        });
        left
    }

    /// Lets replicas and files go although somebody may still hold the route.
    async fn clear(&self) {
        for (number, _) in self.route.replicas() {
            self.route.remove(number);
        }
        let folder = self.folder.path().to_owned();
        if let Err(fault) = spawn_blocking(move || remove(&folder)).await {
            tracing::warn!(%fault, "cannot remove a revision's folder");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.care.cancel();
    }
}

/// Numbers of replicas: no two of a service share one, not even of two revisions.
#[derive(Debug, Default)]
pub(crate) struct Numbers(AtomicU32);

impl Numbers {
    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The folder of a revision; removed with it.
#[derive(Debug)]
pub(crate) struct RevisionFolder(PathBuf);

impl RevisionFolder {
    /// Takes care of `path`, which need not be there yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RevisionFolder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&path))),
            Err(_) => remove(&path),
        }
    }
}

/// Removes a folder that may be gone already.
fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove a revision's folder");
    }
}
