//! Stand-ins for the tests of this room.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use lusk_contract::{ImageError, ImageWish, Images as _, Progress, ReadyImage};
use lusk_domain::{CondaDependency, CondaSpec, Environment, RuntimeKind, Step, StepOutcome};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::{
    builder::{Built, Distribution, Variant},
    builds::Builds,
    document::Index,
    local::{ImagesOptions, LocalImages},
    registry::{Patience, RegistryAddress},
};

/// Bytes of each made-up package, so that layers have some length.
pub(crate) const PACKAGE_BYTES: usize = 200_000;

/// Makes packages up: `name=version` becomes a folder with one module and much
/// noise. A name that begins with `native` has native code.
#[derive(Debug, Default)]
pub(crate) struct FakeBuilds {
    pub(crate) builds: AtomicUsize,
    /// Held by builds until a permit is added, when set.
    pub(crate) gate: Option<Arc<Semaphore>>,
    pub(crate) fails: AtomicBool,
    /// The machine lost its Python, and builds fail for want of a tool.
    pub(crate) pythonless: AtomicBool,
    /// Bytes of one more file in the first package.
    pub(crate) large: AtomicUsize,
}

impl Builds for FakeBuilds {
    fn variants(&self, wish: &ImageWish) -> Result<Vec<Variant>, ImageError> {
        let wanted = |it: &Variant| wish.runtime.is_none_or(|runtime| runtime == it.runtime);
        let has_python = !self.pythonless.load(Ordering::SeqCst);
        let there = [sandbox(), process()].into_iter();
        let there = there.filter(|it| has_python || it.runtime == RuntimeKind::Python);
        Ok(there.filter(wanted).collect())
    }

    fn build(
        &self,
        wish: &ImageWish,
        tmp: &Path,
        progress: &dyn Progress,
    ) -> Result<Built, ImageError> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        progress.event(Step::Image, StepOutcome::Running, "building");
        if let Some(gate) = &self.gate {
            let pass = tokio::runtime::Handle::current().block_on(gate.acquire());
            pass.unwrap().forget();
        }
        if self.pythonless.load(Ordering::SeqCst) {
            return Err(ImageError::Build {
                message: "install uv".to_owned(),
                log: String::new(),
            });
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(ImageError::Unsupported("as the test wants".to_owned()));
        }
        let folder = tempfile::tempdir_in(tmp).unwrap();
        let site = folder.path().join("site");
        fs::create_dir(&site).unwrap();
        let python = wish.environment.python.conda_dependencies.clone();
        let lines = python.unwrap_or_default().dependencies;
        let mut distributions: Vec<_> =
            lines.iter().map(|line| distribution(line, &site)).collect();
        let large = self.large.load(Ordering::SeqCst);
        if let Some(first) = distributions.first_mut().filter(|_| large > 0) {
            let file = Path::new(&first.name).join("large.bin");
            fs::write(site.join(&file), noise("large", large)).unwrap();
            first.files.push(file);
        }
        let is_native = distributions.iter().any(|it| it.native);
        let lock = distributions
            .iter()
            .map(|it| format!("{}=={}\n", it.name, it.version));
        Ok(Built {
            variant: if is_native { process() } else { sandbox() },
            packages: Vec::new(),
            lock: lock.collect(),
            distributions,
            site,
            folder,
            remarks: vec!["a remark".to_owned()],
        })
    }

    fn interpreter(
        &self,
        variant: &Variant,
        _: &Environment,
    ) -> Result<Option<PathBuf>, ImageError> {
        let is_process = variant.runtime == RuntimeKind::Process;
        if is_process && self.pythonless.load(Ordering::SeqCst) {
            return Err(ImageError::Unsupported("no Python 3.11 here".to_owned()));
        }
        Ok(is_process.then(|| PathBuf::from("python3.11")))
    }
}

fn distribution(line: &CondaDependency, site: &Path) -> Distribution {
    let CondaDependency::Package(line) = line else {
        panic!("made-up packages come from conda");
    };
    let (name, version) = line.split_once('=').unwrap_or((line, "1"));
    let home = site.join(name);
    fs::create_dir(&home).unwrap();
    fs::write(home.join("__init__.py"), format!("version = '{version}'\n")).unwrap();
    fs::write(home.join("noise.bin"), noise(line, PACKAGE_BYTES)).unwrap();
    fs::write(home.join("__init__.pyc"), std::process::id().to_string()).unwrap();
    let file = |file: &str| Path::new(name).join(file);
    Distribution {
        name: name.to_owned(),
        version: version.to_owned(),
        native: name.starts_with("native"),
        files: vec![file("__init__.py"), file("__init__.pyc"), file("noise.bin")],
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: &str, count: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9e37_79b9_u64, |state, byte| {
        state.wrapping_mul(31).wrapping_add(u64::from(byte)) | 1
    });
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn sandbox() -> Variant {
    Variant {
        tag: "python3.14-wasm".to_owned(),
        runtime: RuntimeKind::Python,
        python: Some("3.14".to_owned()),
    }
}

pub(crate) fn process() -> Variant {
    Variant {
        tag: format!("python3.11-linux-{}", std::env::consts::ARCH),
        runtime: RuntimeKind::Process,
        python: Some("3.11".to_owned()),
    }
}

pub(crate) fn environment(packages: &[&str]) -> Environment {
    let package = |line: &&str| CondaDependency::Package((*line).to_owned());
    let mut environment = Environment::default();
    environment.python.conda_dependencies = Some(CondaSpec {
        name: None,
        channels: Vec::new(),
        dependencies: packages.iter().map(package).collect(),
    });
    environment
}

pub(crate) fn wish(packages: &[&str]) -> ImageWish {
    ImageWish {
        environment: environment(packages),
        runtime: None,
        rebuild: false,
    }
}

/// Keeps what it hears.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<(StepOutcome, String)>>);

impl Heard {
    /// Everything that was said, a line each.
    pub(crate) fn text(&self) -> String {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = heard.iter().map(|(_, text)| text.as_str()).collect();
        lines.join("\n")
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let warnings = heard.iter().filter(|(it, _)| *it == StepOutcome::Warning);
        warnings.map(|(_, text)| text.clone()).collect()
    }
}

impl Progress for Heard {
    fn event(&self, _: Step, outcome: StepOutcome, text: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((outcome, text.to_owned()));
    }
}

/// Tries at once, and never takes a busy machine for a stalled registry.
pub(crate) fn patience() -> Patience {
    Patience {
        tries: 3,
        first_wait: Duration::from_millis(1),
        most_wait: Duration::from_secs(5),
        connect: Duration::from_secs(20),
        stall: Duration::from_secs(20),
    }
}

/// A data folder and what is looked for where.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) builds: Arc<FakeBuilds>,
    pub(crate) registry: Option<RegistryAddress>,
    pub(crate) global: Option<RegistryAddress>,
    pub(crate) patience: Patience,
    pub(crate) variables: Vec<(String, String)>,
}

impl Node {
    pub(crate) fn new() -> Self {
        // A second one is refused: another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            folder: tempfile::tempdir().unwrap(),
            builds: Arc::default(),
            registry: None,
            global: None,
            patience: patience(),
            variables: Vec::new(),
        }
    }

    pub(crate) fn with(address: &str) -> Self {
        Self {
            registry: Some(address.parse().unwrap()),
            ..Self::new()
        }
    }

    pub(crate) fn with_global(address: &str) -> Self {
        Self {
            global: Some(address.parse().unwrap()),
            ..Self::new()
        }
    }

    pub(crate) fn images(&self) -> LocalImages {
        let options = ImagesOptions {
            folder: self.layout(),
            tmp: self.tmp(),
            registry: self.registry.clone(),
            global_registry: self.global.clone(),
        };
        let variables = |name: &str| {
            let found = self.variables.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.clone())
        };
        let builds = Arc::clone(&self.builds);
        LocalImages::open_with(options, builds, self.patience, &variables).unwrap()
    }

    pub(crate) async fn ensure(&self, packages: &[&str]) -> ReadyImage {
        let images = self.images();
        let ready = images.ensure(&wish(packages), &Heard::default()).await;
        ready.unwrap()
    }

    pub(crate) fn layout(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub(crate) fn index(&self) -> Index {
        let text = fs::read(self.layout().join("index.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Names of the stored blobs.
    pub(crate) fn blobs(&self) -> Vec<String> {
        names(&self.layout().join("blobs/sha256"))
    }

    pub(crate) fn built(&self) -> usize {
        self.builds.builds.load(Ordering::SeqCst)
    }

    /// Nothing is under way and nothing was left.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(names(&self.tmp()), Vec::<String>::new());
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
