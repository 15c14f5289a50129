//! Where things lie below the app root and what the script is told about it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lusk_contract::MountedModel;
use lusk_domain::{BatchSettings, ComputeType, Entry, Model, ServiceSpec, WorkspaceName};

/// The app root as the script sees it, as in the original.
const APP_ROOT: &str = "/var/azureml-app";

/// Folder of the models below the app root, as in the original.
const MODELS: &str = "azureml-models";

/// The entry script below the app root.
pub(crate) fn script(entry: &Entry) -> String {
    match &entry.source_directory {
        Some(folder) => format!("{folder}/{}", entry.script),
        None => entry.script.clone(),
    }
}

/// A model as replicas see it: `azureml-models/<name>/<version>/<file>`.
pub(crate) fn mounted(model: &Model) -> MountedModel {
    let folder = model_folder(model);
    let files = model.draft.files.iter();
    MountedModel {
        id: model.id.clone(),
        files: files
            .map(|file| (format!("{folder}/{}", file.path), file.digest))
            .collect(),
        // Registering refuses what cannot be read; a record of before is as if without.
        batching: BatchSettings::from_tags(&model.draft.tags).unwrap_or_default(),
    }
}

fn model_folder(model: &Model) -> String {
    format!("{MODELS}/{}/{}", model.id.name, model.id.version)
}

/// `AZUREML_MODEL_DIR`: of one model its own folder, else the folder of all.
fn model_dir(models: &[Model]) -> String {
    match models {
        [] => format!("{MODELS}/"),
        [one] => model_folder(one),
        _ => MODELS.to_owned(),
    }
}

/// Environment variables of the script. What says where things lie is ours;
/// names and titles are the user's if given.
pub(crate) fn variables(
    spec: &ServiceSpec,
    models: &[Model],
    workspace: &WorkspaceName,
) -> BTreeMap<String, String> {
    let prefix = match spec.compute {
        ComputeType::Aks => match spec.name.version() {
            Some(version) => format!(
                "/api/v1/endpoint/{}/version/{version}",
                spec.name.endpoint()
            ),
            None => format!("/api/v1/service/{}", spec.name),
        },
        ComputeType::Local { .. } => String::new(),
    };
    let mut variables = BTreeMap::from([
        ("SERVICE_NAME".to_owned(), spec.name.to_string()),
        ("SERVICE_VERSION".to_owned(), "1.0".to_owned()),
        ("SERVICE_PATH_PREFIX".to_owned(), prefix),
        ("WORKSPACE_NAME".to_owned(), workspace.to_string()),
    ]);
    if let Some(entry) = &spec.entry {
        variables.extend(entry.environment.environment_variables.clone());
        variables.insert("AZUREML_ENTRY_SCRIPT".to_owned(), script(entry));
        if let Some(folder) = &entry.source_directory {
            variables.insert("AZUREML_SOURCE_DIRECTORY".to_owned(), folder.clone());
        }
    }
    variables.insert("AML_APP_ROOT".to_owned(), APP_ROOT.to_owned());
    variables.insert("AZUREML_MODEL_DIR".to_owned(), model_dir(models));
    variables
}

/// The user's own swagger documents by version: in the app root, else in the
/// source directory.
pub(crate) fn swagger_files(app_root: &Path, entry: Option<&Entry>) -> BTreeMap<String, PathBuf> {
    const NAMES: [(&str, &str); 4] = [
        ("2", "swagger.json"),
        ("2", "swagger2.json"),
        ("3", "swagger3.json"),
        ("3.1", "swagger3.1.json"),
    ];
    let source = entry.and_then(|entry| entry.source_directory.as_deref());
    let folders = [
        Some(app_root.to_owned()),
        source.map(|name| app_root.join(name)),
    ];
    let mut found = BTreeMap::new();
    for folder in folders.into_iter().flatten() {
        for (version, name) in NAMES {
            let file = folder.join(name);
            if file.is_file() {
                found.entry(version.to_owned()).or_insert(file);
            }
        }
    }
    found
}
