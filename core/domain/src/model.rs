//! Registered models and the rules of changing them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BatchSettings, BatchSettingsError, Digest, ModelId, ModelName};

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Path below the model's folder, `/` between parts, never absolute, no `..`.
    /// The first part is the base name of what was registered.
    pub path: String,
    /// Digest of the content, which is the blob's name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What a model asks of a replica that serves it without code.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRequirements {
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Gigabytes of memory.
    #[serde(rename = "memoryInGB", skip_serializing_if = "Option::is_none")]
    pub memory_in_gb: Option<f64>,
    /// Whole GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u32>,
}

/// A model about to be registered; the store gives it its version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelDraft {
    /// The name; a further model of the same name gets the next version.
    pub name: ModelName,
    /// The files, already stored as blobs, in path order.
    pub files: Vec<ModelFile>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Mutable labels.
    #[serde(default, rename = "kvTags")]
    pub tags: BTreeMap<String, String>,
    /// Labels that may only grow.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// `Custom`, `TensorFlow`, `ScikitLearn`, `Onnx`, `TfKeras`, `PyTorch` or `Multi`.
    #[serde(default)]
    pub framework: Option<String>,
    /// Not without a framework.
    #[serde(default)]
    pub framework_version: Option<String>,
    /// Needs of a no-code deployment.
    #[serde(default)]
    pub resource_requirements: ModelRequirements,
    /// Sample data sets, as ids; kept, never read.
    #[serde(default)]
    pub sample_input_data: Option<String>,
    /// See `sample_input_data`.
    #[serde(default)]
    pub sample_output_data: Option<String>,
    /// Experiment the model came from; kept, never read.
    #[serde(default)]
    pub experiment_name: Option<String>,
    /// Run the model came from; kept, never read.
    #[serde(default)]
    pub run_id: Option<String>,
}

/// A registered model. Immutable but for tags, description, requirements and
/// samples; properties only grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// `name:version`.
    pub id: ModelId,
    /// When it was registered.
    pub created_time: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub draft: ModelDraft,
}

/// Why a change of a model, or a draft, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Properties are immutable.
    #[error("property `{key}` is set to `{value}` already; properties can only be added")]
    PropertyExists {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A framework that is not one of the original's.
    #[error("unknown framework `{framework}`: expected one of {}", Model::FRAMEWORKS.join(", "))]
    UnknownFramework {
        /// The word given.
        framework: String,
    },
    /// A version of nothing.
    #[error("framework version `{version}` is given without a framework")]
    VersionWithoutFramework {
        /// The version given.
        version: String,
    },
    /// A file's path leaves the model's folder.
    #[error("file path `{path}` is not a plain relative path below the model's folder")]
    BadPath {
        /// The path given.
        path: String,
    },
    /// Tags that do not say how to join calls.
    #[error(transparent)]
    Batching(#[from] BatchSettingsError),
    /// Nothing to register.
    #[error("model `{name}` holds no file")]
    Empty {
        /// The model.
        name: ModelName,
    },
}

/// A change of a model; what is `None` or empty stays. lusk's own, so a key that it
/// does not know is an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ModelChange {
    /// A new description.
    pub description: Option<String>,
    /// Tags to add or replace.
    pub add_tags: BTreeMap<String, String>,
    /// Tags to remove; one that is not there is no error.
    pub remove_tags: Vec<String>,
    /// Properties to add; one that is there is an error.
    pub add_properties: BTreeMap<String, String>,
    /// New needs; fields that are `None` stay.
    pub resource_requirements: ModelRequirements,
    /// New sample.
    pub sample_input_data: Option<String>,
    /// New sample.
    pub sample_output_data: Option<String>,
}

impl Model {
    /// Frameworks of the original, in its spelling.
    pub const FRAMEWORKS: [&'static str; 7] = [
        "Custom",
        "TensorFlow",
        "ScikitLearn",
        "Onnx",
        "TfKeras",
        "PyTorch",
        "Multi",
    ];

    /// Most models of one deployment, the original's limit.
    pub const MAX_PER_SERVICE: usize = 1_000;

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.draft.files.iter().map(|file| file.size).sum()
    }

    /// Applies `change` as a whole, or not at all.
    ///
    /// # Errors
    /// A property that is there already, or tags of batching that do not fit.
    pub fn apply(&mut self, change: ModelChange) -> Result<(), ModelError> {
        for key in change.add_properties.keys() {
            if let Some(value) = self.draft.properties.get(key) {
                return Err(ModelError::PropertyExists {
                    key: key.clone(),
                    value: value.clone(),
                });
            }
        }
        let mut tags = self.draft.tags.clone();
        tags.retain(|key, _| !change.remove_tags.contains(key));
        tags.extend(change.add_tags);
        if batching_tags(&tags) != batching_tags(&self.draft.tags) {
            BatchSettings::from_tags(&tags)?;
        }
        let draft = &mut self.draft;
        draft.properties.extend(change.add_properties);
        draft.tags = tags;
        replace(&mut draft.description, change.description);
        replace(&mut draft.sample_input_data, change.sample_input_data);
        replace(&mut draft.sample_output_data, change.sample_output_data);
        replace(
            &mut draft.resource_requirements.cpu,
            change.resource_requirements.cpu,
        );
        replace(
            &mut draft.resource_requirements.memory_in_gb,
            change.resource_requirements.memory_in_gb,
        );
        replace(
            &mut draft.resource_requirements.gpu,
            change.resource_requirements.gpu,
        );
        Ok(())
    }
}

/// The tags that [`BatchSettings`] reads. Those of older records may not fit; they
/// stand in the way of no other change.
fn batching_tags(tags: &BTreeMap<String, String>) -> [Option<&String>; 2] {
    [BatchSettings::SIZE_TAG, BatchSettings::DELAY_TAG].map(|tag| tags.get(tag))
}

fn replace<T>(slot: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *slot = new;
    }
}

impl ModelDraft {
    /// Checks what the type cannot say: framework, version, tags, file paths.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.files.is_empty() {
            return Err(ModelError::Empty {
                name: self.name.clone(),
            });
        }
        match (&self.framework, &self.framework_version) {
            (Some(framework), _) if !Model::FRAMEWORKS.contains(&framework.as_str()) => {
                Err(ModelError::UnknownFramework {
                    framework: framework.clone(),
                })
            }
            (None, Some(version)) => Err(ModelError::VersionWithoutFramework {
                version: version.clone(),
            }),
            _ => Ok(()),
        }?;
        BatchSettings::from_tags(&self.tags)?;
        match self
            .files
            .iter()
            .find(|file| !is_plain_relative(&file.path))
        {
            Some(file) => Err(ModelError::BadPath {
                path: file.path.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn is_plain_relative(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests;
