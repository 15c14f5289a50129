//! The keeper: hands out folders, and runs the thread that empties them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use lusk_contract::{OutputFolder, Outputs};
use lusk_domain::ServiceName;
use object_store::path::Path as StorePath;
use tokio::{
    runtime,
    sync::{Notify, watch},
    time,
};

use crate::{
    scan::{Bounds, MAX_BYTES, MAX_ENTRIES},
    sender::Sender,
    spool::{self, Held, Spooled},
    status::OutputStatus,
    store::OutputStore,
};

/// When the keeper works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one look at the folders to the next.
    pub period: Duration,
    /// After the first failure; doubled with each further one.
    pub first_pause: Duration,
    /// Longest pause between two attempts.
    pub longest_pause: Duration,
}

impl Default for Pace {
    /// The original's 10 s; after failures from 1 s to 5 minutes.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(5),
        }
    }
}

/// What a keeper is made of.
#[derive(Debug)]
pub struct OutputOptions {
    /// Where outputs go.
    pub store: OutputStore,
    /// Folder for what the store does not have yet; made if it is not there.
    /// It must outlive the process, and lie on the data folder's disk.
    pub spool: PathBuf,
    /// Folder of the services' logs, which are copied too unless the store is
    /// the node's own folder.
    pub logs: PathBuf,
    /// When to work.
    pub pace: Pace,
}

impl OutputOptions {
    /// With the usual pace.
    pub fn new(store: OutputStore, spool: &Path, logs: &Path) -> Self {
        Self {
            store,
            spool: spool.to_owned(),
            logs: logs.to_owned(),
            pace: Pace::default(),
        }
    }
}

/// What the keeper and its thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: OutputStore,
    pub(crate) logs: Option<PathBuf>,
    pub(crate) bounds: Bounds,
    /// Oldest first.
    folders: Mutex<Vec<Arc<Spooled>>>,
    status: Mutex<OutputStatus>,
}

// Both locks guard values that are whole between two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn folders(&self) -> Vec<Arc<Spooled>> {
        locked(&self.folders).clone()
    }

    pub(crate) fn forget(&self, folder: &Arc<Spooled>) {
        locked(&self.folders).retain(|known| !Arc::ptr_eq(known, folder));
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut OutputStatus)) {
        change(&mut locked(&self.status));
    }

    /// Path in the store. What stores advise against is percent-encoded.
    pub(crate) fn target(&self, names: impl Iterator<Item = String>) -> StorePath {
        let awkward = |char: char| "\\{^}%`]\">[~<#|*?".contains(char) || char.is_control();
        names.fold(self.store.prefix.clone(), |path, name| {
            if !name.contains(awkward)
                && let Ok(whole) = StorePath::parse(format!("{path}/{name}").trim_matches('/'))
            {
                return whole;
            }
            path.join(name)
        })
    }
}

/// When the thread shall end, and how long its last attempt may take.
type Stop = watch::Sender<Option<Duration>>;

/// Keeps outputs in a store.
#[derive(Debug)]
pub struct OutputKeeper {
    shared: Arc<Shared>,
    spool: PathBuf,
    wake: Arc<Notify>,
    stop: Stop,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl OutputKeeper {
    /// Starts to keep outputs, beginning with what an earlier process left.
    ///
    /// # Errors
    /// The spool cannot be read or made, or there is no thread to be had.
    pub fn start(options: OutputOptions) -> io::Result<Self> {
        let bounds = Bounds {
            bytes: MAX_BYTES,
            entries: MAX_ENTRIES,
        };
        Self::start_within(options, bounds)
    }

    pub(crate) fn start_within(options: OutputOptions, bounds: Bounds) -> io::Result<Self> {
        let leftovers = spool::leftovers(&options.spool)?;
        if !leftovers.is_empty() {
            let folders = leftovers.len();
            tracing::info!(folders, store = %options.store, "sending outputs of an earlier run");
        }
        let shared = Arc::new(Shared {
            logs: (!options.store.is_default).then_some(options.logs),
            store: options.store,
            bounds,
            folders: Mutex::new(leftovers.into_iter().map(Arc::new).collect()),
            status: Mutex::default(),
        });
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(None);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = Work {
            sender: Sender::new(Arc::clone(&shared)),
            pace: options.pace,
            wake: Arc::clone(&wake),
            stopped,
        };
        let thread = std::thread::Builder::new()
            .name("lusk-outputs".to_owned())
            .spawn(move || {
                runtime.block_on(work.run());
                // A request that hangs must not hold up the end of the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            shared,
            spool: options.spool,
            wake,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// A glance at the work.
    pub fn status(&self) -> OutputStatus {
        locked(&self.shared.status).clone()
    }

    /// Makes a last attempt within `limit` and ends the work. What is left is
    /// sent at the next start.
    pub async fn shutdown(&self, limit: Duration) {
        self.stop.send_replace(Some(limit));
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread {
            // Its end is all that is waited for; a panic was told already.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for OutputKeeper {
    fn drop(&mut self) {
        self.stop.send_replace(Some(Duration::ZERO));
        if let Some(thread) = locked(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Outputs for OutputKeeper {
    fn open(
        &self,
        service: &ServiceName,
        revision: u64,
        replica: u32,
    ) -> io::Result<Arc<dyn OutputFolder>> {
        let spooled = Arc::new(spool::make(&self.spool, service, revision, replica)?);
        locked(&self.shared.folders).push(Arc::clone(&spooled));
        Ok(Arc::new(Held {
            spooled,
            wake: Arc::clone(&self.wake),
        }))
    }
}

/// What the thread does.
struct Work {
    sender: Sender,
    pace: Pace,
    wake: Arc<Notify>,
    stopped: watch::Receiver<Option<Duration>>,
}

impl Work {
    async fn run(mut self) {
        let mut pause = self.pace.first_pause;
        let limit = loop {
            let done = tokio::select! {
                biased;
                limit = wanted(&mut self.stopped) => break limit,
                done = self.sender.pass() => done,
            };
            let wait = if done { self.pace.period } else { pause };
            pause = if done {
                self.pace.first_pause
            } else {
                (pause * 2).min(self.pace.longest_pause)
            };
            tokio::select! {
                limit = wanted(&mut self.stopped) => break limit,
                // While the store is away, a replica's end changes nothing.
                () = self.wake.notified(), if done => {}
                () = time::sleep(wait) => {}
            }
        };
        if !limit.is_zero() {
            let _ = time::timeout(limit, self.sender.last_pass()).await;
        }
    }
}

/// Waits for the end.
async fn wanted(stopped: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match stopped.wait_for(Option::is_some).await {
        Ok(limit) => limit.unwrap_or_default(),
        Err(_) => Duration::ZERO,
    }
}
