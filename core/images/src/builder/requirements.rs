//! What an environment asks for, as lines of a requirements file.
//!
//! Lines keep what they said: extras, markers, addresses. Left out is what lusk
//! carries for the runtime and what is no Python package. Nothing of the local
//! file system gets in: an image holds what everybody can have.

use std::str::FromStr as _;

use lusk_contract::ImageError;
use lusk_domain::{CondaDependency, Environment, RuntimeKind};
use pep440_rs::VersionSpecifiers;

use crate::{
    builder::conda,
    packages::{Package, Source},
    python_tools::redacted,
};

/// What an environment asks for.
#[derive(Debug, Default)]
pub(crate) struct Requirements {
    /// Each package that is named, and whether lusk carries it.
    pub(crate) packages: Vec<Package>,
    /// What is to be installed.
    pub(crate) lines: Vec<Line>,
    /// Lines that say where packages come from; can hold credentials.
    pub(crate) sources: Vec<String>,
    /// Whether versions before a release will do.
    pub(crate) prereleases: bool,
    /// Hosts that are trusted without a certificate.
    pub(crate) trusted: Vec<String>,
    /// Bounds of the Python version; none when any will do.
    pub(crate) python: Option<VersionSpecifiers>,
    /// What a person should know.
    pub(crate) remarks: Vec<String>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Of the package in normal form; none for a bare address.
    pub(crate) name: Option<String>,
    /// For the tool.
    pub(crate) text: String,
    /// As the environment has it, without credentials.
    pub(crate) origin: String,
}

/// Names that lusk stands in for in every Python runtime, with their normal
/// names (PEP 503).
const STAND_INS: [&str; 7] = [
    "azureml-contrib-services",
    "azureml-core",
    "azureml-defaults",
    "azureml-inference-server-http",
    "azureml-monitoring",
    "gunicorn",
    "inference-schema",
];

/// What the sandbox has besides; `numpy` as far as scoring scripts need it.
const IN_SANDBOX: [&str; 2] = ["numpy", "onnxruntime"];

/// Tools that only install packages; nothing is installed when a script runs.
const INSTALLERS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Whether lusk has `name` itself, so that it is not installed for `runtime`.
pub(crate) fn carried(name: &str, runtime: RuntimeKind) -> bool {
    STAND_INS.contains(&name)
        || name.starts_with("azureml-")
        || (runtime == RuntimeKind::Python
            && (IN_SANDBOX.contains(&name) || INSTALLERS.contains(&name)))
}

impl Requirements {
    /// Reads the conda definition of `environment` for `runtime`.
    pub(crate) fn of(environment: &Environment, runtime: RuntimeKind) -> Result<Self, ImageError> {
        let mut all = Self::default();
        let spec = environment.python.conda_dependencies.as_ref();
        for dependency in spec.into_iter().flat_map(|spec| &spec.dependencies) {
            match dependency {
                CondaDependency::Package(line) => all.conda_line(line, runtime)?,
                CondaDependency::Pip { pip } => {
                    for line in pip {
                        all.pip_line(line, runtime)?;
                    }
                }
            }
        }
        all.tell_carried(runtime);
        Ok(all)
    }

    fn conda_line(&mut self, line: &str, runtime: RuntimeKind) -> Result<(), ImageError> {
        let parsed = conda::parse(line).map_err(|part| {
            refused(format!(
                "conda requirement `{line}`: `{part}` is neither a version nor bounds of one; \
                 write `name`, `name=1.2`, `name==1.2.3` or `name>=1.2,<2`"
            ))
        })?;
        if parsed.loosened {
            self.remarks.push(format!(
                "conda requirement `{line}`: pip has no `|`, so any version is taken"
            ));
        }
        if parsed.name == "python" {
            return self.python(line, &parsed.rest);
        }
        let name = parsed.pypi.clone().unwrap_or(parsed.name);
        let asked = parsed.bounds;
        match parsed.pypi {
            None if name == "pip" || name == "wheel" => {}
            None => self.remarks.push(format!(
                "`{name}` is a conda package that PyPI does not have; left out"
            )),
            Some(_) => self.add(name, asked, Source::Conda, line, runtime),
        }
        Ok(())
    }

    fn python(&mut self, line: &str, bounds: &str) -> Result<(), ImageError> {
        let refuse = || {
            refused(format!(
                "conda requirement `{line}`: no version of Python; write e.g. `python=3.11`"
            ))
        };
        let bounds = conda::bounds(bounds).map_err(|_| refuse())?;
        if !bounds.is_empty() {
            self.python = Some(VersionSpecifiers::from_str(&bounds).map_err(|_| refuse())?);
        }
        Ok(())
    }

    fn pip_line(&mut self, line: &str, runtime: RuntimeKind) -> Result<(), ImageError> {
        let text = without_comment(line);
        if text.is_empty() {
            return Ok(());
        }
        if text.contains(char::is_control) {
            // What follows the end of a line would be another one.
            let shown = redacted(text);
            return Err(refused(format!(
                "pip line {shown:?}: a line end or another control character is in it; write each \
                 requirement as a line of its own"
            )));
        }
        if text.starts_with('-') {
            return self.option(text);
        }
        match name_of(text) {
            Some((name, asked)) if !is_local_address(asked) => {
                self.add(name, asked.to_owned(), Source::Pip, text, runtime);
            }
            None if is_remote(text) => self.lines.push(Line {
                name: None,
                text: text.to_owned(),
                origin: redacted(text),
            }),
            _ => return Err(local(text)),
        }
        Ok(())
    }

    /// `--index-url URL`, `--index-url=URL`, `-f URL`, …
    fn option(&mut self, text: &str) -> Result<(), ImageError> {
        let (name, value) = match text.split_once(['=', ' ']) {
            Some((name, value)) => (name, value.trim()),
            None => (text, ""),
        };
        // `-r` and its value in one word.
        if !name.starts_with("--") && ["-e", "-r", "-c"].iter().any(|it| name.starts_with(it)) {
            return Err(local(text));
        }
        match name {
            "--editable" | "--requirement" | "--constraint" => {
                return Err(local(text));
            }
            "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" => {
                if !is_remote(value) {
                    return Err(local(text));
                }
                self.sources.push(format!("{name} {value}"));
            }
            "--no-index" => self.sources.push(name.to_owned()),
            "--pre" => self.prereleases = true,
            "--trusted-host" => self.trusted.push(value.to_owned()),
            _ => self
                .remarks
                .push(format!("pip option `{name}` has no effect here")),
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: String,
        asked: String,
        source: Source,
        line: &str,
        runtime: RuntimeKind,
    ) {
        let carried = carried(&name, runtime);
        if carried && name == "inference-schema" && runtime == RuntimeKind::Process {
            self.schema_types(&asked, line);
        }
        if !carried {
            let text = match asked.starts_with('@') {
                true => format!("{name} {asked}"),
                false => format!("{name}{asked}"),
            };
            self.lines.push(Line {
                name: Some(name.clone()),
                text,
                origin: redacted(line.trim()),
            });
        }
        self.packages.push(Package {
            name,
            asked: redacted(&asked),
            source,
            carried,
            version: None,
        });
    }

    /// The extras of `inference-schema` bring the packages of its types.
    fn schema_types(&mut self, asked: &str, line: &str) {
        for package in ["numpy", "pandas"] {
            if asked.contains(&format!("{package}-support")) {
                self.lines.push(Line {
                    name: Some(package.to_owned()),
                    text: package.to_owned(),
                    origin: line.trim().to_owned(),
                });
            }
        }
    }

    fn tell_carried(&mut self, runtime: RuntimeKind) {
        let carried = self.packages.iter().filter(|package| package.carried);
        let (stand_in, unknown): (Vec<_>, Vec<_>) = carried
            .map(|package| package.name.as_str())
            .partition(|name| {
                STAND_INS.contains(name) || IN_SANDBOX.contains(name) || INSTALLERS.contains(name)
            });
        let (stand_in, unknown) = (sorted(&stand_in), sorted(&unknown));
        if !stand_in.is_empty() {
            let names = stand_in.replace("numpy", "numpy (a subset)");
            self.remarks.push(format!("carried by lusk: {names}"));
        }
        if !unknown.is_empty() {
            let carries = STAND_INS[1];
            self.remarks.push(format!(
                "{unknown} left out: of `azureml-…` lusk carries what serves a model \
                 (`{carries}` and its like), the rest is not to be imported"
            ));
        }
        if let Some(python) = &self.python
            && runtime == RuntimeKind::Python
            && !python.contains(&super::sandbox_python())
        {
            self.remarks.push(format!(
                "Python {python} is asked for; the sandbox runs Python {}",
                super::SANDBOX_PYTHON
            ));
        }
    }
}

fn sorted(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The name at the start of a line, and the rest; none for an address.
fn name_of(text: &str) -> Option<(String, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = rest.trim();
    // `git+https://…`, `wheels/x.whl`, `x-1.0-py3-none-any.whl`.
    let address = rest.starts_with(['+', ':', '/', '\\'])
        || [".whl", ".zip", ".tar.gz"]
            .iter()
            .any(|end| name.ends_with(end));
    (starts && !address).then(|| (conda::normal_name(name), rest))
}

/// `@ file:///…` and `@ ./…` after a name and its extras.
fn is_local_address(asked: &str) -> bool {
    let after_extras = asked
        .strip_prefix('[')
        .and_then(|extras| extras.split_once(']'));
    let asked = after_extras.map_or(asked, |(_, rest)| rest.trim_start());
    asked
        .strip_prefix('@')
        .is_some_and(|address| !is_remote(address.trim()))
}

fn is_remote(address: &str) -> bool {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        matches!(
            scheme.to_ascii_lowercase().as_str(),
            "http" | "https" | "git+http" | "git+https" | "git+ssh"
        )
    })
}

/// A `#` starts a remark at the start of a line or after white space.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    line.split(" #").next().unwrap_or_default().trim()
}

fn local(text: &str) -> ImageError {
    refused(format!(
        "pip line `{}`: files of a project are no part of an image, which others use too; \
         write the requirements into the environment, or give an address that starts with \
         `https://` or `git+https://`",
        redacted(text)
    ))
}

fn refused(message: String) -> ImageError {
    ImageError::Build {
        message,
        log: String::new(),
    }
}

#[cfg(test)]
mod tests;
