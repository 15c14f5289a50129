//! The backend: which models are loaded, each once.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use lusk_contract::{Backend, BackendError, Device, Loading, ModelSource, Session};
use lusk_domain::Digest;
use tract_onnx::Onnx;

use crate::{
    NAME,
    crew::Crews,
    file::{ModelFile, locate},
    footprint, memory, ops,
    plan::Plans,
    session::TractSession,
    shortened, without_panic,
};

/// Loads ONNX models for the CPU and shares their weights.
///
/// A model stays loaded while a session of it is held.
pub struct TractBackend {
    onnx: Onnx,
    cores: NonZeroUsize,
    loaded: Mutex<HashMap<Digest, Arc<Mutex<Vec<Loaded>>>>>,
    /// Threads of the sessions; gone when nobody holds a session.
    crews: Mutex<Weak<Crews>>,
}

/// A model that was loaded and, while somebody holds it, still is.
struct Loaded {
    plans: Weak<Plans>,
    external: External,
}

/// Files with external data and which files they were: a digest covers the
/// model's own file alone.
type External = Vec<(String, FileIdentity)>;

#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    file: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl TractBackend {
    /// A backend that has loaded nothing yet, on all cores.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism();
        Self::on_cores(cores.unwrap_or(NonZeroUsize::MIN))
    }

    /// A backend that has loaded nothing yet. Calls on several threads have
    /// together at most as many as `cores`.
    pub fn on_cores(cores: NonZeroUsize) -> Self {
        let mut onnx = tract_onnx::onnx();
        lusk_onnx_ml::register(&mut onnx.op_register);
        ops::register(&mut onnx.op_register);
        memory::guard(&mut onnx.op_register);
        Self {
            onnx,
            cores,
            loaded: Mutex::default(),
            crews: Mutex::default(),
        }
    }

    /// The models of one digest. Those that nobody holds are forgotten.
    fn slot(&self, digest: Digest) -> Arc<Mutex<Vec<Loaded>>> {
        let mut loaded = lock(&self.loaded);
        loaded.retain(|known, slot| {
            let in_use = Arc::strong_count(slot) > 1;
            let held = || {
                lock(slot)
                    .iter()
                    .any(|model| model.plans.strong_count() > 0)
            };
            *known == digest || in_use || held()
        });
        Arc::clone(loaded.entry(digest).or_default())
    }

    fn crews(&self) -> Arc<Crews> {
        let mut crews = lock(&self.crews);
        crews.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Crews::new(self.cores));
            *crews = Arc::downgrade(&new);
            new
        })
    }

    fn translate(&self, source: &ModelSource) -> Result<(Plans, External), BackendError> {
        let file = ModelFile::read(&self.onnx, source)?;
        let refused = |reason: &str| BackendError::Unsupported {
            model: source.label.clone(),
            backend: NAME,
            reason: shortened(reason),
        };
        let plans = without_panic(|| Plans::translate(&self.onnx, &file))
            .map_err(|panic| refused(&panic))?
            .map_err(|error| refused(&format!("{error:#}")))?;
        Ok((plans, identities(&file.folder, &file.external)))
    }
}

impl Default for TractBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TractBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractBackend").finish_non_exhaustive()
    }
}

impl Backend for TractBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Vec<Device> {
        let cores = self.cores;
        vec![Device {
            name: "cpu".into(),
            description: format!("{} with {cores} core(s)", std::env::consts::ARCH),
        }]
    }

    fn load(&self, source: &ModelSource) -> Result<Arc<dyn Session>, BackendError> {
        let slot = self.slot(source.digest);
        // Held while loading: who comes for the same digest waits and shares.
        let mut models = lock(&slot);
        models.retain(|model| model.plans.strong_count() > 0);
        let folder = source.path.parent().unwrap_or(Path::new(""));
        let found = models
            .iter()
            .find(|model| is_same(folder, &model.external))
            .and_then(|model| model.plans.upgrade());
        let shared = found.is_some();
        let (plans, peak_bytes) = match found {
            Some(plans) => (plans, None),
            None => {
                let (translated, peak_bytes) = footprint::watched(|| self.translate(source));
                let (plans, external) = translated?;
                let plans = Arc::new(plans);
                models.push(Loaded {
                    plans: Arc::downgrade(&plans),
                    external,
                });
                tracing::debug!(model = %source.label, digest = %source.digest, "model loaded");
                (plans, peak_bytes)
            }
        };
        let crews = self.crews();
        let loading = Loading {
            threads: source.threads.min(crews.cores()),
            shared,
            peak_bytes,
            choices: plans.choices.clone(),
        };
        let label = source.label.clone();
        Ok(Arc::new(TractSession::new(label, plans, loading, crews)))
    }
}

/// Loading never leaves half a record behind, so a poisoned lock is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_same(folder: &Path, external: &External) -> bool {
    external
        .iter()
        .all(|(location, known)| identity(folder, location).as_ref() == Some(known))
}

fn identities(folder: &Path, external: &BTreeSet<String>) -> External {
    let found = |location: &String| Some((location.clone(), identity(folder, location)?));
    external.iter().filter_map(found).collect()
}

fn identity(folder: &Path, location: &str) -> Option<FileIdentity> {
    let metadata = fs::metadata(locate(folder, location).ok()?).ok()?;
    Some(FileIdentity {
        file: {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        },
        size: metadata.len(),
        modified: metadata.modified().ok(),
    })
}

#[cfg(test)]
mod tests;
