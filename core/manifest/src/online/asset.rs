//! What a deployment names: models and environments, by reference or in the file.

use std::path::{Path, PathBuf};

use lusk_domain::{Environment, EnvironmentRef, ModelName, ModelVersion};

use super::named;
use crate::{
    EnvironmentChoice, conda, environment,
    node::{Node, Value, shortened},
    reader::{Reader, Section},
};

/// The model of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelChoice {
    /// A registered one, `azureml:name:version`; the newest without a version.
    Registered(ModelName, Option<ModelVersion>),
    /// Files that are registered first.
    New(NewModel),
}

/// A model that stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModel {
    /// Its name; without one it is called like its file.
    pub name: Option<ModelName>,
    /// The file or folder, absolute.
    pub path: PathBuf,
}

/// Begins a reference.
const PREFIX: &str = "azureml:";

/// The reference in a text: a name, and a version unless the newest is meant.
fn reference(text: &str) -> Option<(&str, Option<&str>)> {
    let rest = text.strip_prefix(PREFIX)?;
    if let Some((name, label)) = rest.split_once('@') {
        return (label == "latest").then_some((name, None));
    }
    let (name, version) = rest.rsplit_once(':')?;
    (!version.is_empty()).then_some((name, Some(version)))
}

fn no_reference(reader: &mut Reader, node: &Node, key: &str, text: &str) {
    let help = match text.starts_with("azureml://") {
        true => "register it at this node, then name it `azureml:NAME:VERSION`".to_owned(),
        false => format!("write `{PREFIX}NAME:VERSION` or `{PREFIX}NAME@latest`"),
    };
    reader.problem(
        &node.place,
        format!("`{key}`: `{}` names nothing registered", shortened(text)),
        Some(help),
    );
}

const MODEL: [&str; 2] = ["name", "path"];
const MODEL_IDLE: [&str; 8] = [
    "$schema",
    "version",
    "type",
    "description",
    "tags",
    "properties",
    "flavors",
    "stage",
];

/// The `model`; paths in it are relative to `base`.
pub(super) fn model(reader: &mut Reader, top: Section<'_>, base: &Path) -> Option<ModelChoice> {
    const KEY: &str = "model";
    let node = top.get(KEY)?;
    let Value::Map(_) = node.value else {
        let text = reader.text(top, KEY)?;
        return model_by_text(reader, node, &text, base);
    };
    let section = reader.section(top, KEY, KEY)?;
    reader.check_keys(section, &MODEL, &MODEL_IDLE);
    let name = named(reader, section, "name");
    let Some(text) = reader.text(section, "path") else {
        if !reader.has_failed("model.path") {
            let help = "add `path: ./model.onnx`, a file or folder".to_owned();
            reader.problem(&node.place, "`model.path` is missing", Some(help));
        }
        return None;
    };
    let at = section.get("path").unwrap_or(node);
    let path = existing(reader, at, "model.path", &text, base)?;
    Some(ModelChoice::New(NewModel { name, path }))
}

fn model_by_text(reader: &mut Reader, node: &Node, text: &str, base: &Path) -> Option<ModelChoice> {
    let Some((name, version)) = reference(text) else {
        let path = base.join(text);
        if !text.starts_with(PREFIX) && path.exists() {
            return Some(ModelChoice::New(NewModel { name: None, path }));
        }
        no_reference(reader, node, "model", text);
        return None;
    };
    let name = match name.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let error: lusk_domain::NameError = error;
            reader.refuse(node, "model", error.to_string())
        }
    };
    let version = match version.map(str::parse::<u32>) {
        None => None,
        Some(Ok(version)) if version > 0 => Some(ModelVersion(version)),
        Some(_) => {
            let message = format!(
                "`{}` has no version here: versions of models are whole numbers from 1 up",
                shortened(text)
            );
            return reader.refuse(node, "model", message);
        }
    };
    Some(ModelChoice::Registered(name?, version))
}

fn existing(
    reader: &mut Reader,
    node: &Node,
    key: &str,
    text: &str,
    base: &Path,
) -> Option<PathBuf> {
    let path = base.join(text);
    match path.exists() {
        true => Some(path),
        false => reader.refuse(node, key, format!("`{}` does not exist", shortened(text))),
    }
}

const ENVIRONMENT: [&str; 5] = ["name", "version", "image", "conda_file", "build"];
const ENVIRONMENT_IDLE: [&str; 8] = [
    "$schema",
    "description",
    "tags",
    "properties",
    "os_type",
    "inference_config",
    "datastore",
    "type",
];

/// The `environment`; none without the key, or when it cannot be read.
pub(super) fn environment(
    reader: &mut Reader,
    top: Section<'_>,
    base: &Path,
) -> Option<EnvironmentChoice> {
    const KEY: &str = "environment";
    let node = top.get(KEY)?;
    if let Value::Map(_) = node.value {
        let section = reader.section(top, KEY, KEY)?;
        let inline = inline(reader, section, base);
        return Some(EnvironmentChoice::Definition(Box::new(inline)));
    }
    let text = reader.text(top, KEY)?;
    let Some((name, version)) = reference(&text) else {
        no_reference(reader, node, KEY, &text);
        return None;
    };
    let given = EnvironmentRef {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    environment::reference(reader, &node.place, given)
}

fn inline(reader: &mut Reader, of: Section<'_>, base: &Path) -> Environment {
    reader.check_keys(of, &ENVIRONMENT, &ENVIRONMENT_IDLE);
    if let Some(node) = of.get("build") {
        let help = "name an `image`, or a `conda_file`".to_owned();
        let message = "`environment.build`: images are not built from Dockerfiles here";
        reader.problem(&node.place, message, Some(help));
    }
    let mut environment = Environment {
        name: reader.text(of, "name"),
        version: reader.text(of, "version"),
        ..Environment::default()
    };
    environment.docker.base_image = reader.text(of, "image").filter(|text| !text.is_empty());
    environment.python.conda_dependencies = conda_file(reader, of, base);
    environment
}

/// The file, or what would stand in it.
fn conda_file(reader: &mut Reader, of: Section<'_>, base: &Path) -> Option<lusk_domain::CondaSpec> {
    const PATH: &str = "environment.conda_file";
    let node = of.get("conda_file")?;
    if let Value::Map(_) = node.value {
        let section = reader.as_section(node, PATH)?;
        return Some(conda::spec(reader, section));
    }
    let text = reader.text(of, "conda_file")?;
    conda::file(reader, &base.join(&text), (&node.place, PATH))
}
