//! The models of one revision: loaded once, shared by its replicas, found by
//! path or by name.

use std::{
    collections::HashMap,
    fs,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use lusk_contract::{
    Backend, BackendError, ModelSource, MountedModel, Progress, Revision, StartError,
    StartErrorKind,
};
use lusk_domain::{BatchSettings, Digest, FailureDetail, ModelId, Step, StepOutcome};

use crate::{
    batch::{BatchBook, Batcher, Crowd, Running},
    session::TimedSession,
    wording,
};

/// Where the app root is in the guest.
pub(crate) const APP_ROOT: &str = "/var/azureml-app";

/// One file that a session can be made of.
#[derive(Debug, Clone)]
struct ModelFile {
    digest: Digest,
    label: String,
    batching: Option<Batching>,
}

/// How calls of a file are joined, and what the model is called in counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Batching {
    model: String,
    settings: BatchSettings,
}

/// What a session is found by: files of one content share it unless their calls
/// are to be joined otherwise.
type Key = (Digest, Option<Batching>);

/// What loading a file came to.
type Outcome = Result<Arc<TimedSession>, BackendError>;

/// The models of one revision.
#[derive(Debug)]
pub(crate) struct Models {
    app_root: PathBuf,
    backends: Vec<Arc<dyn Backend>>,
    /// Threads that one call may compute on.
    threads: NonZeroUsize,
    mounted: Vec<MountedModel>,
    files: HashMap<String, ModelFile>,
    loaded: Mutex<HashMap<Key, Outcome>>,
    batchers: HashMap<Batching, Arc<Batcher>>,
    /// Who could come to a batch; not counted where nothing is joined.
    crowd: Option<Arc<Crowd>>,
}

/// Why a name led to no session.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum LookupError {
    #[error(
        "`{name}` is neither a file below {APP_ROOT} nor a model of this deployment; models: {}",
        known.join(", ")
    )]
    NotFound { name: String, known: Vec<String> },
    #[error("`{name}` names several ONNX files: {}", files.join(", "))]
    Ambiguous { name: String, files: Vec<String> },
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Models {
    /// Knows the models of `revision`; loads none.
    pub(crate) fn new(
        revision: &Revision,
        backends: &[Arc<dyn Backend>],
        book: &BatchBook,
    ) -> Self {
        let files: HashMap<_, _> = revision
            .models
            .iter()
            .flat_map(|model| model.files.iter().map(move |file| (model, file)))
            .map(|(model, (path, digest))| {
                let file = ModelFile {
                    digest: *digest,
                    label: label(&model.id, path),
                    batching: batching(model, path),
                };
                (path.clone(), file)
            })
            .collect();
        let crowd = Arc::default();
        let batchers: HashMap<_, _> = files
            .values()
            .filter_map(|file| file.batching.clone())
            .map(|it| {
                let (model, settings) = (it.model.clone(), it.settings);
                let batcher = Batcher::new(revision, model, settings, Arc::clone(&crowd), book);
                (it, batcher)
            })
            .collect();
        Self {
            crowd: (!batchers.is_empty()).then_some(crowd),
            batchers,
            app_root: revision.app_root.clone(),
            backends: backends.to_vec(),
            threads: revision.threads,
            mounted: revision.models.clone(),
            files,
            loaded: Mutex::default(),
        }
    }

    /// Says that a request runs, to those who wait for others.
    pub(crate) fn running(&self) -> Option<Running> {
        self.crowd.as_ref().map(Crowd::enter)
    }

    /// Joins nothing, because of `reason`; says so for each model that asks for it.
    pub(crate) fn join_nothing(&self, reason: &str, progress: &dyn Progress) {
        for batcher in self.batchers.values() {
            batcher.set_without_effect(reason);
            if let Some(remark) = batcher.remark() {
                progress.event(Step::Model, StepOutcome::Warning, &remark);
            }
        }
    }

    /// Paths of all mounted ONNX files, in the order of the deployment.
    pub(crate) fn onnx_paths(&self) -> Vec<String> {
        self.mounted
            .iter()
            .flat_map(|model| &model.files)
            .map(|(path, _)| path.clone())
            .filter(|path| is_onnx(path))
            .collect()
    }

    fn label_of<'a>(&'a self, path: &'a str) -> &'a str {
        self.files.get(path).map_or(path, |file| &file.label)
    }

    /// Loads the file at `path` (below the app root). Blocks.
    pub(crate) fn load_path(&self, path: &str) -> Outcome {
        let file = match self.files.get(path) {
            Some(file) => file.clone(),
            None => self.snapshot_file(path)?,
        };
        let source = ModelSource {
            digest: file.digest,
            label: file.label,
            path: self.app_root.join(path),
            threads: self.threads,
        };
        self.load(source, file.batching)
    }

    /// Finds the session that `name` means, loading it if need be. Blocks.
    pub(crate) fn load_by_name(&self, name: &str) -> Result<Arc<TimedSession>, LookupError> {
        let path = self.resolve(name)?;
        Ok(self.load_path(&path)?)
    }

    /// The session that `name` means if it is loaded; never blocks.
    pub(crate) fn find_loaded(&self, name: &str) -> Option<Result<Arc<TimedSession>, LookupError>> {
        let path = self.resolve(name).ok()?;
        let file = self.files.get(&path)?;
        let key = (file.digest, file.batching.clone());
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        Some(loaded.get(&key)?.clone().map_err(LookupError::from))
    }

    /// Loads a model given as bytes. Blocks.
    pub(crate) fn load_bytes(&self, bytes: &[u8], scratch: &Path) -> Outcome {
        let failed = |error: std::io::Error| BackendError::Failed {
            model: BYTES_LABEL.to_owned(),
            reason: format!("the bytes could not be put aside: {error}"),
        };
        let mut file = tempfile::Builder::new()
            .suffix(".onnx")
            .tempfile_in(scratch)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
        let source = ModelSource {
            digest: Digest::of(bytes),
            label: BYTES_LABEL.to_owned(),
            path: file.path().to_owned(),
            threads: self.threads,
        };
        self.first_backend(&source, None)
    }

    fn load(&self, source: ModelSource, batching: Option<Batching>) -> Outcome {
        let key = (source.digest, batching);
        if let Some(known) = self.known(&key) {
            return known;
        }
        let batcher = key.1.as_ref().and_then(|it| self.batchers.get(it));
        let outcome = self.first_backend(&source, batcher);
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_insert(outcome)
            .clone()
    }

    fn known(&self, key: &Key) -> Option<Outcome> {
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// The first backend that takes the model; else what the last one said.
    fn first_backend(&self, source: &ModelSource, batcher: Option<&Arc<Batcher>>) -> Outcome {
        let mut refusal = BackendError::Failed {
            model: source.label.clone(),
            reason: "this node has no backend".to_owned(),
        };
        for backend in &self.backends {
            let loaded = catch_unwind(AssertUnwindSafe(|| backend.load(source)));
            match loaded.unwrap_or_else(|_| Err(panicked(source))) {
                Ok(session) => {
                    let batcher = batcher.cloned();
                    if let Some(batcher) = &batcher {
                        batcher.fit(session.signature());
                    }
                    let session = TimedSession::new(session, device(&**backend), backend.name());
                    return Ok(Arc::new(session.joined_by(batcher)));
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    /// An ONNX file that came with the snapshot instead of as a model.
    fn snapshot_file(&self, path: &str) -> Result<ModelFile, BackendError> {
        let content =
            fs::read(self.app_root.join(path)).map_err(|error| BackendError::Malformed {
                model: path.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(ModelFile {
            digest: Digest::of(&content),
            label: path.to_owned(),
            batching: None,
        })
    }

    /// The path below the app root that `name` means: a file, a folder with one
    /// ONNX file, or the name of a model (`digits`, `digits:3`).
    fn resolve(&self, name: &str) -> Result<String, LookupError> {
        if let Some(path) = app_path(name) {
            if self.files.contains_key(&path) || self.is_snapshot_file(&path) {
                return Ok(path);
            }
            let folder = format!("{path}/");
            let within = |file: &&String| file.starts_with(&folder);
            if self.files.keys().any(|file| within(&file)) {
                let found = self.onnx_paths();
                return only_one(name, found.into_iter().filter(|p| within(&p)).collect())
                    .ok_or_else(|| self.not_found(name))?;
            }
        }
        let model = self.model_named(name).ok_or_else(|| self.not_found(name))?;
        let files = model.files.iter().map(|(path, _)| path.clone());
        only_one(name, files.filter(|path| is_onnx(path)).collect())
            .ok_or_else(|| self.not_found(name))?
    }

    fn model_named(&self, name: &str) -> Option<&MountedModel> {
        self.mounted
            .iter()
            .find(|model| model.id.to_string() == name)
            .or_else(|| {
                self.mounted
                    .iter()
                    .filter(|model| model.id.name.as_str() == name)
                    .max_by_key(|model| model.id.version)
            })
    }

    fn is_snapshot_file(&self, path: &str) -> bool {
        is_onnx(path) && contained_file(&self.app_root, path).is_some()
    }

    fn not_found(&self, name: &str) -> LookupError {
        LookupError::NotFound {
            name: name.chars().take(200).collect(),
            known: self
                .mounted
                .iter()
                .take(20)
                .map(|model| model.id.to_string())
                .collect(),
        }
    }
}

/// What a model without a file is called.
const BYTES_LABEL: &str = "a model given as bytes";

/// A backend that panics on a model has failed on it, no more.
fn panicked(source: &ModelSource) -> BackendError {
    BackendError::Failed {
        model: source.label.clone(),
        reason: "the backend panicked while it loaded the model".to_owned(),
    }
}

fn device(backend: &dyn Backend) -> String {
    let first = backend.devices().into_iter().next();
    first.map_or_else(|| "cpu".to_owned(), |device| device.name)
}

fn label(id: &ModelId, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("{id}/{name}")
}

/// How calls of the model's file at `path` are joined. A model of several ONNX
/// files is counted by file.
fn batching(model: &MountedModel, path: &str) -> Option<Batching> {
    let settings = model.batching.filter(|_| is_onnx(path))?;
    let onnx = model.files.iter().filter(|(path, _)| is_onnx(path));
    let model = if onnx.count() == 1 {
        model.id.to_string()
    } else {
        let folder = format!("azureml-models/{}/{}/", model.id.name, model.id.version);
        format!(
            "{}/{}",
            model.id,
            path.strip_prefix(&folder).unwrap_or(path)
        )
    };
    Some(Batching { model, settings })
}

fn is_onnx(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

fn only_one(name: &str, mut files: Vec<String>) -> Option<Result<String, LookupError>> {
    match files.len() {
        0 => None,
        1 => files.pop().map(Ok),
        _ => Some(Err(LookupError::Ambiguous {
            name: name.to_owned(),
            files,
        })),
    }
}

/// The path below the app root that a guest's path means; `None` if it leads
/// out of it.
pub(crate) fn app_path(path: &str) -> Option<String> {
    let below = match path.strip_prefix(APP_ROOT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ if path.starts_with('/') => return None,
        _ => path,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in below.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The file at `path` if it is a regular file that really lies below `root`.
pub(crate) fn contained_file(root: &Path, path: &str) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let file = root.join(path).canonicalize().ok()?;
    (file.starts_with(&root) && file.is_file()).then_some(file)
}

/// Loads the file at `path` and says so.
pub(crate) async fn load_one(models: &Arc<Models>, path: &str, progress: &dyn Progress) -> Outcome {
    let started = Instant::now();
    let session = {
        let (models, path) = (Arc::clone(models), path.to_owned());
        blocking(move || models.load_path(&path)).await?
    };
    let batcher = session.batcher();
    let batches = batcher.filter(|it| it.is_active()).map(|it| {
        let settings = it.settings();
        let delay = wording::duration(settings.max_delay);
        format!(
            ", in batches of up to {} rows within {delay}",
            settings.max_rows
        )
    });
    let text = format!(
        "{} {}{}",
        models.label_of(path),
        session.told(started.elapsed()),
        batches.unwrap_or_default()
    );
    progress.event(Step::Model, StepOutcome::Done, &text);
    if let Some(remark) = batcher.and_then(Batcher::remark) {
        progress.event(Step::Model, StepOutcome::Warning, &remark);
    }
    Ok(session)
}

/// Loads every ONNX file. One that no backend takes is a warning, not an
/// error: the script may not use it.
pub(crate) async fn load_all(models: &Arc<Models>, progress: &dyn Progress) {
    for path in models.onnx_paths() {
        if let Err(error) = load_one(models, &path, progress).await {
            let text = format!("{error}; the entry script cannot use it");
            progress.event(Step::Model, StepOutcome::Warning, &text);
        }
    }
}

/// Runs `work` where it may block; its panic is passed on to the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down; nobody will hear an answer.
        Err(_) => std::future::pending().await,
    }
}

/// A model that cannot be served.
pub(crate) fn not_supported(error: &BackendError) -> StartError {
    StartError {
        kind: StartErrorKind::ModelNotSupported,
        message: error.to_string(),
        details: vec![FailureDetail {
            code: "ModelNotSupported".to_owned(),
            message: error.to_string(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_paths_stay_below_the_app_root() {
        for (path, below) in [
            ("model.onnx", Some("model.onnx")),
            ("./a//b/../m.onnx", Some("a/m.onnx")),
            ("/var/azureml-app/a/m.onnx", Some("a/m.onnx")),
            ("/var/azureml-app", Some("")),
            ("/var/azureml-application/m", None),
            ("/etc/passwd", None),
            ("../m.onnx", None),
            ("a/../../m.onnx", None),
        ] {
            assert_eq!(app_path(path).as_deref(), below, "{path}");
        }
    }

    #[test]
    fn a_link_out_of_the_folder_is_no_file_of_it() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        std::fs::write(root.path().join("file"), "x").unwrap();
        assert!(contained_file(root.path(), "file").is_some());
        assert!(contained_file(root.path(), "link").is_none());
        assert!(contained_file(root.path(), "missing").is_none());
    }
}
