//! The keys of inference configs from before 2020, and the environment that
//! the original makes of them.

use std::path::Path;

use lusk_domain::Environment;

use crate::{
    conda,
    environment::credentials,
    node::{Node, shortened},
    reader::{Reader, Section},
    runtime::{self, Runtime},
    suggest::nearest,
};

/// Each key with where its meaning went.
pub(crate) const KEYS: [(&str, &str); 8] = [
    ("runtime", "leave it out: Python is the default"),
    ("condaFile", "use `environment.python.condaDependencies`"),
    (
        "extraDockerfileSteps",
        "use `environment.docker.baseDockerfile`",
    ),
    (
        "extraDockerFileSteps",
        "use `environment.docker.baseDockerfile`",
    ),
    ("enableGpu", "use `gpuCores` of the deployment config"),
    ("baseImage", "use `environment.docker.baseImage`"),
    (
        "baseImageRegistry",
        "use `environment.docker.baseImageRegistry`",
    ),
    ("cudaVersion", "use `environment.docker.baseImage`"),
];

const CUDA_VERSIONS: [&str; 3] = ["9.0", "9.1", "10.0"];

/// The original's base image for services without a GPU.
const BASE_IMAGE: &str = "azureml/openmpi4.1.0-ubuntu22.04";

/// The original's base image for services with a GPU.
const GPU_BASE_IMAGE: &str = "azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04";

/// One deprecation warning for each legacy key that says something.
pub(crate) fn warn(reader: &mut Reader, top: Section<'_>, runtime: Runtime) {
    let keys = KEYS
        .into_iter()
        .filter(|(key, _)| *key != "runtime" || runtime == Runtime::Legacy);
    for (key, instead) in keys {
        if let Some(node) = given(top, key) {
            reader.notice(
                &node.place,
                format!("`{key}` is deprecated"),
                Some(instead.to_owned()),
            );
        }
    }
}

/// Legacy keys beside `environment` are an error, as in the original.
pub(crate) fn refuse_beside_environment(reader: &mut Reader, top: Section<'_>) {
    // The registry alone contradicts nothing.
    let beside: Vec<_> = KEYS
        .iter()
        .filter(|(key, _)| *key != "baseImageRegistry" && given(top, key).is_some())
        .filter(|(key, _)| *key != "runtime" || runtime::is_legacy_word(top))
        .map(|(key, _)| format!("`{key}`"))
        .collect();
    if let (Some(node), false) = (top.get("environment"), beside.is_empty()) {
        reader.problem(
            &node.place,
            format!(
                "`environment` cannot be given together with {}",
                beside.join(", ")
            ),
            Some("move their meaning into `environment` and remove them".to_owned()),
        );
    }
}

pub(crate) fn given<'a>(top: Section<'a>, key: &str) -> Option<&'a Node> {
    top.get(key).filter(|node| !node.is_blank())
}

/// Whether legacy keys describe an environment; `runtime` alone does not.
pub(crate) fn describes(top: Section<'_>) -> bool {
    let mut keys = KEYS.iter().filter(|(key, _)| *key != "runtime");
    keys.any(|(key, _)| given(top, key).is_some())
}

/// The environment named `<service>-env` that the legacy keys describe.
pub(crate) fn environment(
    reader: &mut Reader,
    top: Section<'_>,
    base: &Path,
    service: &str,
) -> Environment {
    let mut environment = Environment {
        name: Some(format!("{service}-env")),
        ..Environment::default()
    };
    one_of(reader, top, "cudaVersion", &CUDA_VERSIONS);
    if let Some(spec) = conda_file(reader, top, base) {
        if let Some(node) = top.get("condaFile") {
            conda::check_defaults(reader, &spec, &node.place);
        }
        environment.python.conda_dependencies = Some(spec);
    }
    let docker = &mut environment.docker;
    docker.base_image_registry = credentials(reader, top, "baseImageRegistry", "baseImageRegistry");
    let has_gpu = reader.boolean(top, "enableGpu").unwrap_or(false);
    if let Some(image) = reader
        .text(top, "baseImage")
        .filter(|text| !text.is_empty())
    {
        docker.base_image = Some(image);
        // The original sets it for a custom image that comes this way.
        environment.inferencing_stack_version = Some("latest".to_owned());
    } else if has_gpu {
        docker.base_image = Some(GPU_BASE_IMAGE.to_owned());
    }
    if let Some(steps) = docker_steps(reader, top, base) {
        let from = docker.base_image.take();
        let from = from.as_deref().unwrap_or(BASE_IMAGE);
        docker.base_dockerfile = Some(format!("FROM {from}\n{steps}"));
    }
    environment
}

/// A text that must be one of `allowed`, case aside.
pub(crate) fn one_of(
    reader: &mut Reader,
    top: Section<'_>,
    key: &str,
    allowed: &[&'static str],
) -> Option<&'static str> {
    let node = given(top, key)?;
    let text = reader.text(top, key)?;
    let found = allowed
        .iter()
        .find(|value| value.eq_ignore_ascii_case(&text));
    if found.is_none() {
        let help = nearest(&text, allowed.iter().copied());
        reader.problem(
            &node.place,
            format!(
                "`{key}`: unknown value `{}`, expected one of {}",
                shortened(&text),
                allowed.join(", ")
            ),
            help.map(|near| format!("did you mean `{near}`?")),
        );
    }
    found.copied()
}

fn conda_file(
    reader: &mut Reader,
    top: Section<'_>,
    base: &Path,
) -> Option<lusk_domain::CondaSpec> {
    let node = given(top, "condaFile")?;
    let name = reader.text(top, "condaFile")?;
    conda::file(reader, &base.join(name), (&node.place, "condaFile"))
}

/// The docs spell the key in two ways.
fn docker_steps(reader: &mut Reader, top: Section<'_>, base: &Path) -> Option<String> {
    let key = ["extraDockerfileSteps", "extraDockerFileSteps"]
        .into_iter()
        .find(|key| given(top, key).is_some())?;
    let node = given(top, key)?;
    let name = reader.text(top, key)?;
    match conda::read_text(&base.join(name)) {
        Ok(text) => Some(text),
        Err(problem) => {
            reader.problem(&node.place, format!("`{key}`: {problem}"), None);
            None
        }
    }
}
