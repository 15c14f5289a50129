//! `uv` or `pip`: how each is told what to install.
//!
//! Addresses of package indexes can hold credentials, so requirements reach a
//! tool in a file that only this user can read, never as arguments.
//!
//! The sandbox takes two calls. The first picks versions as for any Linux, so
//! that nobody gets an old version only because that one was pure Python; the
//! second takes exactly these for a platform that has pure-Python wheels only.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use lusk_contract::{ImageError, Progress};
use lusk_domain::{RuntimeKind, Step, StepOutcome};
use serde::Deserialize;

use crate::{
    builder::{
        SANDBOX_PYTHON,
        conda::normal_name,
        requirements::{Line, Requirements, carried},
    },
    disk::failed,
    python_tools::{Python, Said, Tool, Tools},
};

/// Platform of which `uv` resolves versions for the sandbox.
const ANY_LINUX: &str = "x86_64-unknown-linux-gnu";

/// Platform that has no wheels with native code for the sandbox's Python: its
/// wheels are made for another version.
const NO_WHEELS: &str = "wasm32-pyodide2024";

/// The same for `pip`, which needs each platform by name.
const LINUX_WHEELS: [&str; 4] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
];

/// Least time between two lines of a tool that are passed on.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A tool that installs.
#[derive(Debug)]
pub(crate) enum Installer {
    Uv(PathBuf),
    Pip(Python),
}

/// One build: what the tool works with.
pub(crate) struct Job<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) installer: &'a Installer,
    pub(crate) requirements: &'a Requirements,
    /// That runs the tool, or what a tool builds from sources.
    pub(crate) python: Option<&'a Python>,
    /// Of temporary files.
    pub(crate) folder: &'a Path,
    /// Where packages go.
    pub(crate) site: &'a Path,
    /// Whether answers of indexes that are a few minutes old will not do.
    pub(crate) refresh: bool,
    pub(crate) progress: &'a dyn Progress,
}

/// Why the sandbox cannot have the packages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// Packages that have no pure-Python wheel, when that is known to be it.
    pub(crate) native: Vec<String>,
    /// What the tool said.
    pub(crate) words: String,
    /// Its last lines.
    pub(crate) log: String,
}

impl Installer {
    /// `uv`, else the `pip` of `python`.
    pub(crate) fn find(tools: &Tools, python: Option<&Python>) -> Result<Self, ImageError> {
        if let Some(uv) = tools.uv()? {
            return Ok(Self::Uv(uv));
        }
        if let Some(python) = python.filter(|python| tools.has_pip(python)) {
            return Ok(Self::Pip(python.clone()));
        }
        let pip = match python {
            Some(python) => format!("`{}` has no `pip`", python.program.display()),
            None => "no `python3` with `pip` is there".to_owned(),
        };
        Err(ImageError::Build {
            message: format!(
                "packages are to be installed, but `uv` is not on PATH and {pip}; install `uv` \
                 (or name it in LUSK_UV) or a Python with `pip` on the machine that runs lusk"
            ),
            log: String::new(),
        })
    }

    /// The word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Uv(_) => "uv",
            Self::Pip(_) => "pip",
        }
    }
}

impl Job<'_> {
    /// Installs pure-Python wheels for the sandbox's Python.
    pub(crate) fn install_pure(&self) -> Result<Result<(), Unfit>, ImageError> {
        let wanted = self.write(
            "wanted.txt",
            self.requirements.lines.iter().map(|it| &it.text),
        )?;
        let resolved = match self.resolve_for_linux(&wanted)? {
            Ok(resolved) => resolved,
            Err(said) => return Ok(Err(unfit(&said, Vec::new()))),
        };
        let mut needed = resolved;
        needed.retain(|pin| !is_carried(pin));
        if needed.is_empty() {
            return Ok(Ok(()));
        }
        let pins = self.write("pins.txt", &needed)?;
        let mut tool = self.install();
        match self.installer {
            Installer::Uv(_) => tool.args(["--python-platform", NO_WHEELS]),
            Installer::Pip(_) => tool.args([
                "--platform",
                "any",
                "--implementation",
                "py",
                "--abi",
                "none",
            ]),
        };
        tool.args(["--python-version", SANDBOX_PYTHON, "--only-binary", ":all:"]);
        tool.args(["--no-deps", "-r"]).args([&pins]);
        let said = self.call(&tool)?;
        if said.success {
            return Ok(Ok(()));
        }
        Ok(Err(unfit(&said, self.without_pure_wheel(&pins, &needed)?)))
    }

    /// Installs for a Python of this machine, from sources where need be.
    pub(crate) fn install_for(&self, python: &Python) -> Result<(), ImageError> {
        let wanted = self.write(
            "wanted.txt",
            self.requirements.lines.iter().map(|it| &it.text),
        )?;
        let mut tool = self.install();
        tool.args(["-r"]).args([&wanted]);
        let said = self.call(&tool)?;
        if said.success {
            return Ok(());
        }
        let tool = self.installer.name();
        let (version, words) = (&python.version, words(&said));
        Err(ImageError::Build {
            message: format!(
                "{tool} cannot install for Python {version}: {words}{}",
                asked_for_by(&self.requirements.lines, &said)
            ),
            log: said.log.join("\n"),
        })
    }

    /// `uv pip install` or `pip install` into the folder of packages.
    fn install(&self) -> Tool {
        let mut tool = match self.installer {
            Installer::Uv(uv) => {
                let mut tool = self.tools.tool(uv, self.folder);
                tool.args(["pip", "install"]);
                tool
            }
            Installer::Pip(python) => {
                let mut tool = self.pip(python);
                tool.args(["--no-warn-script-location", "--no-compile"]);
                tool
            }
        };
        tool.args(["--target"]).args([self.site]);
        self.add_options(&mut tool);
        tool
    }

    fn pip(&self, python: &Python) -> Tool {
        let mut tool = self.tools.tool(&python.program, self.folder);
        tool.args(["-I", "-m", "pip", "install", "--progress-bar", "off"]);
        tool
    }

    fn add_options(&self, tool: &mut Tool) {
        let requirements = self.requirements;
        match self.installer {
            Installer::Uv(_) => {
                if let Some(python) = self.python {
                    tool.args(["--python"]).args([&python.program]);
                }
                if self.refresh {
                    tool.args(["--refresh"]);
                }
                if requirements.prereleases {
                    tool.args(["--prerelease", "allow"]);
                }
                for host in &requirements.trusted {
                    tool.args(["--allow-insecure-host", host]);
                }
            }
            Installer::Pip(_) => {
                if requirements.prereleases {
                    tool.args(["--pre"]);
                }
                for host in &requirements.trusted {
                    tool.args(["--trusted-host", host]);
                }
            }
        }
    }

    /// Exact versions, one a line, of all that is needed on a Linux.
    fn resolve_for_linux(&self, wanted: &Path) -> Result<Result<Vec<String>, Said>, ImageError> {
        let answer = self.folder.join("resolved");
        let mut tool = match self.installer {
            Installer::Uv(uv) => {
                let mut tool = self.tools.tool(uv, self.folder);
                tool.args(["pip", "compile", "--quiet", "--no-header", "--no-annotate"]);
                tool.args(["--python-platform", ANY_LINUX, "--output-file"]);
                tool.args([&answer]);
                tool
            }
            Installer::Pip(python) => {
                let mut tool = self.pip(python);
                tool.args(["--dry-run", "--ignore-installed", "--target"]);
                tool.args([self.site]).args(["--implementation", "cp"]);
                for platform in LINUX_WHEELS {
                    tool.args(["--platform", platform]);
                }
                tool.args(["--report"]).args([&answer]);
                tool
            }
        };
        tool.args(["--python-version", SANDBOX_PYTHON, "--only-binary", ":all:"]);
        self.add_options(&mut tool);
        if let Installer::Pip(_) = self.installer {
            tool.args(["-r"]);
        }
        tool.args([wanted]);
        let said = self.call(&tool)?;
        if !said.success {
            return Ok(Err(said));
        }
        let text = fs::read_to_string(&answer).map_err(|error| failed(&answer, &error))?;
        match self.installer {
            Installer::Uv(_) => Ok(Ok(pins_of_lines(&text))),
            Installer::Pip(_) => pins_of_report(&text).map(Ok).map_err(|error| {
                ImageError::Storage(format!(
                    "`{}` is no report of pip: {error}",
                    answer.display()
                ))
            }),
        }
    }

    /// Names the packages among `pins` that have no wheel of pure Python.
    fn without_pure_wheel(&self, file: &Path, pins: &[String]) -> Result<Vec<String>, ImageError> {
        let Installer::Uv(uv) = self.installer else {
            return self.refused_one_by_one(pins);
        };
        // It is named by the standard, which `uv` insists on.
        let answer = self.folder.join("pylock.toml");
        let mut tool = self.tools.tool(uv, self.folder);
        tool.args(["pip", "compile", "--quiet", "--no-header", "--no-deps"]);
        tool.args(["--format", "pylock.toml", "--python-platform", ANY_LINUX]);
        tool.args(["--python-version", SANDBOX_PYTHON, "--only-binary", ":all:"]);
        tool.args(["--output-file"]).args([&answer]);
        self.add_options(&mut tool);
        tool.args([file]);
        // Only names for a message: without them it is less good, not wrong.
        let said = self.call(&tool)?;
        let text = fs::read_to_string(&answer).unwrap_or_default();
        Ok(if said.success {
            without_pure_wheel_in(&text)
        } else {
            Vec::new()
        })
    }

    /// `pip` names one package at a time.
    fn refused_one_by_one(&self, pins: &[String]) -> Result<Vec<String>, ImageError> {
        let mut refused = Vec::new();
        let Installer::Pip(python) = self.installer else {
            return Ok(refused);
        };
        for pin in pins {
            let one = self.write("one.txt", [pin])?;
            let mut tool = self.pip(python);
            tool.args(["--dry-run", "--ignore-installed", "--no-deps", "--target"]);
            tool.args([self.site]);
            tool.args([
                "--platform",
                "any",
                "--implementation",
                "py",
                "--abi",
                "none",
            ]);
            tool.args(["--python-version", SANDBOX_PYTHON, "--only-binary", ":all:"]);
            self.add_options(&mut tool);
            tool.args(["-r"]).args([&one]);
            if !self.call(&tool)?.success {
                refused.extend(name_of_pin(pin));
            }
        }
        Ok(refused)
    }

    /// A requirements file: where packages come from, then which.
    fn write<'a>(
        &'a self,
        name: &str,
        lines: impl IntoIterator<Item = &'a String>,
    ) -> Result<PathBuf, ImageError> {
        let path = self.folder.join(name);
        let mut text = String::new();
        for line in self.requirements.sources.iter().chain(lines) {
            text.push_str(line);
            text.push('\n');
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        file.open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    fn call(&self, tool: &Tool) -> Result<Said, ImageError> {
        let name = self.installer.name();
        let told: Mutex<Option<Instant>> = Mutex::new(None);
        let said = tool.run(&|line| {
            let Ok(mut told) = told.lock() else { return };
            let now = Instant::now();
            if told.is_none_or(|last| now - last >= TELL_EVERY) {
                *told = Some(now);
                let text = format!("{name}: {}", line.trim());
                self.progress
                    .event(Step::Image, StepOutcome::Running, &text);
            }
        })?;
        match !said.success && said.log.iter().any(|line| tells_full_disk(line)) {
            true => Err(ImageError::DiskFull),
            false => Ok(said),
        }
    }
}

fn tells_full_disk(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    [
        "no space left on device",
        "os error 28)",
        "errno 28]",
        "disk quota exceeded",
    ]
    .iter()
    .any(|words| line.contains(words))
}

fn is_carried(pin: &str) -> bool {
    name_of_pin(pin).is_some_and(|name| carried(&name, RuntimeKind::Python))
}

fn name_of_pin(pin: &str) -> Option<String> {
    let end = pin.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let name = normal_name(&pin[..end.unwrap_or(pin.len())]);
    (!name.is_empty()).then_some(name)
}

fn pins_of_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '-']))
        .map(str::to_owned)
        .collect()
}

/// What is read of `pip install --report`.
#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    is_direct: bool,
    metadata: Metadata,
    download_info: Download,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Download {
    url: String,
}

fn pins_of_report(text: &str) -> Result<Vec<String>, serde_json::Error> {
    let report: Report = serde_json::from_str(text)?;
    let pin = |one: Installed| match one.is_direct {
        true => format!("{} @ {}", one.metadata.name, one.download_info.url),
        false => format!("{}=={}", one.metadata.name, one.metadata.version),
    };
    Ok(report.install.into_iter().map(pin).collect())
}

/// Reads what is needed of a `pylock.toml`: names, and the wheels of each.
fn without_pure_wheel_in(lock: &str) -> Vec<String> {
    let packages = lock.split("[[packages]]").skip(1);
    let name = |package: &str| {
        let line = package
            .lines()
            .find_map(|line| line.strip_prefix("name = "));
        line.map(|name| name.trim_matches('"').to_owned())
    };
    packages
        .filter(|package| !package.contains("-none-any.whl"))
        .filter_map(name)
        .collect()
}

fn unfit(said: &Said, native: Vec<String>) -> Unfit {
    Unfit {
        native,
        words: words(said),
        log: said.log.join("\n"),
    }
}

/// Longest part of a tool's words in a message.
const MAX_WORDS: usize = 600;

/// What a tool gives as the reason: its lines from the first error on.
fn words(said: &Said) -> String {
    let is_error = |line: &&String| {
        let line = line.trim_start().to_ascii_lowercase();
        line.starts_with("error") || line.starts_with('×')
    };
    let start = said.log.iter().position(|line| is_error(&line));
    let start = start.unwrap_or_else(|| said.log.len().saturating_sub(3));
    let clean = |line: &String| {
        let line = line.trim_matches(|c: char| c.is_whitespace() || "×╰─▶│├".contains(c));
        let line = line.strip_prefix("cause:").unwrap_or(line);
        let line = line.strip_prefix("error:").unwrap_or(line);
        line.strip_prefix("ERROR:")
            .unwrap_or(line)
            .trim()
            .to_owned()
    };
    let lines: Vec<_> = said.log[start..].iter().map(clean).collect();
    let text = lines.join("; ");
    let text = text.trim_end_matches('.').to_owned();
    match text.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "it said nothing".to_owned(),
        None => text,
    }
}

/// The lines of the environment whose packages the tool spoke of.
fn asked_for_by(lines: &[Line], said: &Said) -> String {
    let text = said.log.join("\n");
    let spoken: BTreeSet<String> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .map(normal_name)
        .collect();
    let named = |line: &&Line| match &line.name {
        Some(name) => spoken.contains(name),
        None => false,
    };
    let origins: Vec<_> = lines
        .iter()
        .filter(named)
        .map(|line| format!("`{}`", line.origin))
        .collect();
    match origins.is_empty() {
        true => String::new(),
        false => format!("; asked for by {}", origins.join(", ")),
    }
}

#[cfg(test)]
mod tests;
