//! Which packages of an environment lusk gives, and which it does not.
//!
//! A package that is not given is a remark, never an error: the script may not
//! import it, and if it does, the import itself says so.

use lusk_domain::{CondaDependency, Environment};
use serde::Serialize;

/// The Python of the sandbox, as an import sees it.
const SANDBOX_PYTHON: &str = "3.14";

/// Packages that lusk carries, and tools that only install packages or serve
/// the script, by their normal names (PEP 503).
const CARRIED: [&str; 13] = [
    "azureml-contrib-services",
    "azureml-core",
    "azureml-defaults",
    "azureml-inference-server-http",
    "azureml-monitoring",
    "gunicorn",
    "inference-schema",
    "numpy",
    "onnxruntime",
    "pip",
    "python",
    "setuptools",
    "wheel",
];

/// Carried as far as a scoring script needs it around a model.
const SUBSET: &str = "numpy";

/// Where a requirement stands in the conda definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Conda,
    Pip,
}

/// One requirement and what became of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Package {
    /// In the normal form of PEP 503.
    pub(crate) name: String,
    /// The rest of the line: extras, version bounds, markers.
    pub(crate) asked: String,
    pub(crate) source: Source,
    pub(crate) carried: bool,
}

/// The packages that `environment` asks for, in its order. Lines that are
/// options of pip name no package.
pub(crate) fn of(environment: &Environment) -> Vec<Package> {
    let python = &environment.python;
    let Some(spec) = &python.conda_dependencies else {
        return Vec::new();
    };
    if python.user_managed_dependencies {
        return Vec::new();
    }
    let lines = spec
        .dependencies
        .iter()
        .flat_map(|dependency| match dependency {
            CondaDependency::Package(line) => vec![(Source::Conda, line)],
            CondaDependency::Pip { pip } => pip.iter().map(|line| (Source::Pip, line)).collect(),
        });
    lines
        .filter_map(|(source, line)| package(source, line))
        .collect()
}

fn package(source: Source, line: &str) -> Option<Package> {
    let line = line.trim();
    // conda: `channel::name=version`.
    let line = match source {
        Source::Conda => line.rsplit_once("::").map_or(line, |(_, rest)| rest),
        Source::Pip => line,
    };
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(line.len());
    let (name, asked) = line.split_at(end);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    // `git+https://…`, `./wheels/x.whl`: an address, not a name.
    if !is_name || asked.starts_with(['+', ':', '/']) {
        return None;
    }
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    Some(Package {
        carried: CARRIED.contains(&name.as_str()),
        name,
        asked: asked.trim().to_owned(),
        source,
    })
}

/// What a person should know of `environment` and its `packages`.
pub(crate) fn remarks(environment: &Environment, packages: &[Package]) -> Vec<String> {
    let python = &environment.python;
    let mut remarks = Vec::new();
    if python.user_managed_dependencies {
        remarks.push(format!(
            "userManagedDependencies: the sandbox runs the script, not `{}` of an image; \
             {LATER}",
            python.interpreter_path
        ));
    }
    let (carried, missing): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.carried);
    if let Some(names) = names(&carried) {
        remarks.push(format!("carried by lusk: {names}"));
    }
    if let Some(names) = names(&missing) {
        let (verb, them) = if missing.len() == 1 {
            ("is", "it")
        } else {
            ("are", "them")
        };
        remarks.push(format!(
            "{names} {verb} not carried by the sandbox; importing {them} fails; {LATER}"
        ));
    }
    remarks.extend(other_python(&carried));
    if environment.docker.base_dockerfile.is_some() || environment.docker.build_context.is_some() {
        remarks.push(format!("Docker steps are not run by the sandbox; {LATER}"));
    }
    if !environment.spark.packages.is_empty() {
        remarks.push("Spark packages are not carried by the sandbox".to_owned());
    }
    remarks
}

/// The way out that comes with another runtime.
const LATER: &str = "native Python comes with runtime `process` in a later release";

fn names(packages: &[&Package]) -> Option<String> {
    let name = |package: &&Package| match package.name.as_str() {
        SUBSET => format!("{SUBSET} (a subset)"),
        name => name.to_owned(),
    };
    let mut names: Vec<String> = packages.iter().map(name).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

fn other_python(carried: &[&Package]) -> Option<String> {
    let python = carried.iter().find(|package| package.name == "python")?;
    let version = python
        .asked
        .trim_start_matches(['=', '~', '>', '<', '!', ' ']);
    let other = !version.is_empty()
        && !python.asked.starts_with(['>', '!'])
        && !version.starts_with(SANDBOX_PYTHON);
    other.then(|| {
        format!(
            "python{} is asked for; the sandbox runs Python {SANDBOX_PYTHON}",
            python.asked
        )
    })
}

#[cfg(test)]
mod tests;
