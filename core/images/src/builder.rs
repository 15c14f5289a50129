//! Builds the packages of an environment with `uv` or `pip` of this machine.
//!
//! The sandbox comes first: it takes packages whose every part is a wheel of
//! pure Python. When one is not, or when it was asked for, the packages are
//! installed for a Python of this machine, and scripts run in a process.
//!
//! Invariant: what is built holds what the environment asks for and nothing of
//! the machine: no credentials, no paths, no times.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use lusk_contract::{ImageError, ImageWish, Progress};
use lusk_domain::{Environment, RuntimeKind, Step, StepOutcome};
use pep440_rs::Version;
use tempfile::TempDir;

use crate::{
    builder::{
        installer::{Installer, Job, Unfit},
        requirements::Requirements,
    },
    disk::failed,
    packages::Package,
    python_tools::{Python, Tools},
};

pub(crate) mod conda;
mod installer;
mod requirements;
mod site;

/// The Python of the sandbox, as an import sees it.
pub(crate) const SANDBOX_PYTHON: &str = "3.14";

/// The sandbox's variant. Wheels of pure Python are the same on every machine.
const SANDBOX_TAG: &str = "python3.14-wasm";

/// The variant of an environment that brings its own Python.
const USER_MANAGED: &str = "user-managed";

/// What an image can be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Its tag in registries.
    pub(crate) tag: String,
    /// What runs scripts with it.
    pub(crate) runtime: RuntimeKind,
    /// The Python minor version, e.g. `3.11`; none when user-managed.
    pub(crate) python: Option<String>,
}

impl Variant {
    fn sandbox() -> Self {
        Self {
            tag: SANDBOX_TAG.to_owned(),
            runtime: RuntimeKind::Python,
            python: Some(SANDBOX_PYTHON.to_owned()),
        }
    }

    fn user_managed() -> Self {
        Self {
            tag: USER_MANAGED.to_owned(),
            runtime: RuntimeKind::Process,
            python: None,
        }
    }

    fn process(python: &Python) -> Self {
        use std::env::consts::{ARCH, OS};
        let minor = python.minor();
        Self {
            tag: format!("python{minor}-{OS}-{ARCH}"),
            runtime: RuntimeKind::Process,
            python: Some(minor),
        }
    }
}

/// A distribution that was installed: one becomes one layer, so that
/// environments share layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// In the normal form of PEP 503.
    pub(crate) name: String,
    /// As it calls itself.
    pub(crate) version: String,
    /// Whether it holds native code.
    pub(crate) native: bool,
    /// Relative to [`Built::site`], sorted.
    pub(crate) files: Vec<PathBuf>,
}

/// The packages of an environment, installed.
#[derive(Debug)]
pub(crate) struct Built {
    /// What they are made for.
    pub(crate) variant: Variant,
    /// What was asked for and what became of it.
    pub(crate) packages: Vec<Package>,
    /// What was installed, sorted by name.
    pub(crate) distributions: Vec<Distribution>,
    /// The text of a requirements file that pins all of them.
    pub(crate) lock: String,
    /// The folder they are in, below `folder`.
    pub(crate) site: PathBuf,
    /// Goes with this value.
    pub(crate) folder: TempDir,
    /// What a person should know.
    pub(crate) remarks: Vec<String>,
}

/// The variants that this node can run for a wish, the preferred first.
///
/// # Errors
/// A process is asked for by name and this machine has no Python.
pub(crate) fn variants(wish: &ImageWish) -> Result<Vec<Variant>, ImageError> {
    variants_with(&Tools::of_machine(), wish)
}

fn variants_with(tools: &Tools, wish: &ImageWish) -> Result<Vec<Variant>, ImageError> {
    if wish.runtime == Some(RuntimeKind::Python) {
        return Ok(vec![Variant::sandbox()]);
    }
    if wish.environment.python.user_managed_dependencies {
        return Ok(vec![Variant::user_managed()]);
    }
    let wanted = Requirements::of(&wish.environment, RuntimeKind::Process)?;
    let process = choose_python(tools, &wanted).map(|(python, _)| Variant::process(&python));
    match (wish.runtime, process) {
        (Some(RuntimeKind::Process), Some(process)) => Ok(vec![process]),
        (Some(RuntimeKind::Process), None) => Err(no_python(None)),
        (_, process) => Ok([Variant::sandbox()].into_iter().chain(process).collect()),
    }
}

/// The interpreter of this machine for an image; none for the sandbox.
///
/// # Errors
/// This machine has no Python of the image's version.
pub(crate) fn interpreter(
    variant: &Variant,
    environment: &Environment,
) -> Result<Option<PathBuf>, ImageError> {
    interpreter_with(&Tools::of_machine(), variant, environment)
}

fn interpreter_with(
    tools: &Tools,
    variant: &Variant,
    environment: &Environment,
) -> Result<Option<PathBuf>, ImageError> {
    if variant.runtime != RuntimeKind::Process {
        return Ok(None);
    }
    let Some(minor) = &variant.python else {
        return Ok(Some(PathBuf::from(&environment.python.interpreter_path)));
    };
    let python = tools.python(minor).ok_or_else(|| {
        ImageError::Unsupported(format!(
            "its image is made for Python {minor}, which this machine does not have; install it \
             so that `python{minor}` is on PATH, or ask for another `python=` and build again"
        ))
    })?;
    Ok(Some(python.program))
}

/// Installs what an environment asks for into a new folder below `tmp`. Blocks
/// as long as the tool takes; says its lines under [`Step::Image`].
///
/// # Errors
/// What was asked for cannot be had, no tool is there, the disk is full.
pub(crate) fn build(
    wish: &ImageWish,
    tmp: &Path,
    progress: &dyn Progress,
) -> Result<Built, ImageError> {
    let builder = Builder {
        tools: Tools::of_machine(),
        wish,
        tmp,
        progress,
    };
    builder.build()
}

struct Builder<'a> {
    tools: Tools,
    wish: &'a ImageWish,
    tmp: &'a Path,
    progress: &'a dyn Progress,
}

impl Builder<'_> {
    fn build(&self) -> Result<Built, ImageError> {
        check_platform(&self.wish.environment)?;
        let mut built = self.install()?;
        built.remarks.extend(without_effect(self.wish));
        Ok(built)
    }

    fn install(&self) -> Result<Built, ImageError> {
        let asked = self.wish.runtime;
        if self.wish.environment.python.user_managed_dependencies {
            let variant = match asked {
                Some(RuntimeKind::Python) => Variant::sandbox(),
                _ => Variant::user_managed(),
            };
            return self.empty(variant);
        }
        if asked == Some(RuntimeKind::Process) {
            return self.for_process(None);
        }
        match self.for_sandbox()? {
            Ok(built) => Ok(built),
            Err(unfit) if asked == Some(RuntimeKind::Python) => Err(refused_by_name(unfit)),
            Err(unfit) => self.for_process(Some(unfit)),
        }
    }

    fn for_sandbox(&self) -> Result<Result<Built, Unfit>, ImageError> {
        let wanted = Requirements::of(&self.wish.environment, RuntimeKind::Python)?;
        let mut built = self.empty(Variant::sandbox())?;
        if !wanted.lines.is_empty() {
            let python = self.tools.default_python();
            let installer = Installer::find(&self.tools, python.as_ref())?;
            self.tell(&format!(
                "{} looks for pure-Python wheels of {} for the sandbox",
                installer.name(),
                count(wanted.lines.len(), "requirement")
            ));
            if let Err(unfit) = self
                .job(&installer, &wanted, python.as_ref(), &built)
                .install_pure()?
            {
                return Ok(Err(unfit));
            }
        }
        built.take(wanted)?;
        let native: Vec<_> = built.native().map(str::to_owned).collect();
        if native.is_empty() {
            return Ok(Ok(built));
        }
        // A wheel that calls itself pure and is not.
        Ok(Err(Unfit {
            native,
            words: "wheels hold native code".to_owned(),
            log: String::new(),
        }))
    }

    fn for_process(&self, unfit: Option<Unfit>) -> Result<Built, ImageError> {
        let wanted = Requirements::of(&self.wish.environment, RuntimeKind::Process)?;
        let Some((python, remark)) = choose_python(&self.tools, &wanted) else {
            return Err(no_python(unfit));
        };
        let mut built = self.empty(Variant::process(&python))?;
        if !wanted.lines.is_empty() {
            let installer = Installer::find(&self.tools, Some(&python))?;
            self.tell(&format!(
                "{} installs {} for Python {} of this machine",
                installer.name(),
                count(wanted.lines.len(), "requirement"),
                python.version
            ));
            self.job(&installer, &wanted, Some(&python), &built)
                .install_for(&python)?;
        }
        built.take(wanted)?;
        built.remarks.extend(remark);
        // Packages with native code are named by who keeps the image.
        if let Some(unfit) = unfit
            && built.native().next().is_none()
        {
            built.remarks.push(format!(
                "the sandbox cannot have these packages ({}); a Python process runs the script",
                unfit.reason()
            ));
        }
        Ok(built)
    }

    fn job<'a>(
        &'a self,
        installer: &'a Installer,
        requirements: &'a Requirements,
        python: Option<&'a Python>,
        built: &'a Built,
    ) -> Job<'a> {
        Job {
            tools: &self.tools,
            installer,
            requirements,
            python,
            folder: built.folder.path(),
            site: &built.site,
            refresh: self.wish.rebuild,
            progress: self.progress,
        }
    }

    fn empty(&self, variant: Variant) -> Result<Built, ImageError> {
        let at = |error: std::io::Error| failed(self.tmp, &error);
        let folder = TempDir::with_prefix_in("build-", self.tmp).map_err(at)?;
        let site = folder.path().join("site");
        fs::create_dir(&site).map_err(at)?;
        Ok(Built {
            variant,
            packages: Vec::new(),
            distributions: Vec::new(),
            lock: String::new(),
            site,
            folder,
            remarks: Vec::new(),
        })
    }

    fn tell(&self, text: &str) {
        self.progress.event(Step::Image, StepOutcome::Running, text);
    }
}

impl Built {
    /// Takes over what was asked for, and finds what was installed.
    fn take(&mut self, wanted: Requirements) -> Result<(), ImageError> {
        self.distributions = site::distributions(&self.site)?;
        self.packages = wanted.packages;
        self.remarks.extend(wanted.remarks);
        for package in self.packages.iter_mut().filter(|package| !package.carried) {
            let found = self.distributions.iter().find(|it| it.name == package.name);
            package.version = found.map(|it| it.version.clone());
        }
        self.lock = lock(&self.distributions);
        Ok(())
    }

    fn native(&self) -> impl Iterator<Item = &str> {
        let native = self.distributions.iter().filter(|it| it.native);
        native.map(|it| it.name.as_str())
    }
}

impl Unfit {
    fn reason(&self) -> String {
        match self.native.as_slice() {
            [] => self.words.clone(),
            names => format!("no pure-Python wheel: {}", names.join(", ")),
        }
    }
}

fn lock(distributions: &[Distribution]) -> String {
    let pin = |it: &Distribution| format!("{}=={}\n", it.name, it.version);
    let named = distributions.iter().filter(|it| it.name != site::REST);
    named.map(pin).collect()
}

/// The Python for a process, and what is to be said of it.
fn choose_python(tools: &Tools, wanted: &Requirements) -> Option<(Python, Option<String>)> {
    let Some(bounds) = &wanted.python else {
        return Some((tools.default_python()?, None));
    };
    if let Some(python) = tools.python_within(bounds) {
        return Some((python, None));
    }
    let python = tools.default_python()?;
    let remark = format!(
        "Python {bounds} is asked for and not on this machine; Python {} is taken",
        python.version
    );
    Some((python, Some(remark)))
}

fn no_python(unfit: Option<Unfit>) -> ImageError {
    let (why, log) = match unfit {
        Some(unfit) => (
            format!("the sandbox cannot have it ({})", unfit.reason()),
            unfit.log,
        ),
        None => ("runtime `process` is asked for".to_owned(), String::new()),
    };
    ImageError::Build {
        message: format!(
            "{why} and a process needs a Python, of which none is on PATH; install `python3` \
             on the machine that runs lusk"
        ),
        log,
    }
}

fn refused_by_name(unfit: Unfit) -> ImageError {
    ImageError::Build {
        message: format!(
            "runtime `python` is asked for, and the sandbox cannot have the packages: {}; \
             runtime `process`, or no runtime at all, runs them with a Python of this machine",
            unfit.reason()
        ),
        log: unfit.log,
    }
}

fn check_platform(environment: &Environment) -> Result<(), ImageError> {
    let platform = environment.docker.platform.as_ref();
    match platform.filter(|it| !it.os.eq_ignore_ascii_case("linux")) {
        None => Ok(()),
        Some(platform) => Err(ImageError::Unsupported(format!(
            "docker.platform.os is `{}`, images are made for Linux only",
            platform.os
        ))),
    }
}

/// Parts of an environment that are kept and do nothing here.
fn without_effect(wish: &ImageWish) -> Vec<String> {
    let environment = &wish.environment;
    let mut remarks = Vec::new();
    let python = &environment.python;
    if python.user_managed_dependencies && wish.runtime == Some(RuntimeKind::Python) {
        remarks.push(format!(
            "userManagedDependencies: runtime `python` is asked for, so the sandbox runs the \
             script, not `{}`",
            python.interpreter_path
        ));
    }
    if environment.docker.base_dockerfile.is_some() || environment.docker.build_context.is_some() {
        remarks.push(
            "Docker steps are not run: an image holds Python packages, the machine the rest"
                .to_owned(),
        );
    }
    if !environment.spark.packages.is_empty() {
        remarks.push("Spark packages are not installed".to_owned());
    }
    remarks
}

fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

fn sandbox_python() -> Version {
    Version::from_str(SANDBOX_PYTHON).unwrap_or_else(|_| Version::new([3, 14]))
}

#[cfg(test)]
mod tests;
