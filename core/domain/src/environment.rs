//! Environments: the description of what an entry script needs, in the shape
//! of `azureml_environment.json`.
//!
//! Unknown keys are not an error here: the original ignores them; the manifest
//! room warns about them before this type is built.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EnvironmentName, ImageKey, Secret};

/// An environment by reference: `{name, version}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRef {
    /// A registered environment's name.
    pub name: String,
    /// Its version; the latest when absent.
    pub version: Option<String>,
}

/// An environment that was registered: immutable under its name and version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredEnvironment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its version: the given one, else counted up from 1.
    pub version: String,
    /// When it was registered.
    pub created_time: Timestamp,
    /// What it is; carries the name and version too.
    pub environment: Environment,
}

impl RegisteredEnvironment {
    /// Longest version, in bytes.
    pub const MAX_VERSION: usize = 64;

    /// The key of its image.
    pub fn image_key(&self) -> ImageKey {
        ImageKey::of(&self.environment)
    }
}

/// A whole environment definition. Field meanings: the original's
/// `Environment` class; defaults: the original's scaffold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// Must not start with `Microsoft` or `AzureML`, which are reserved.
    pub name: Option<String>,
    /// Given on registration when absent.
    pub version: Option<String>,
    /// Filled by a server.
    pub asset_id: Option<String>,
    /// Set for the entry script.
    pub environment_variables: BTreeMap<String, String>,
    /// `latest` or nothing.
    pub inferencing_stack_version: Option<String>,
    /// Python and its packages.
    pub python: PythonSection,
    /// Base image and build steps.
    pub docker: Docker,
    /// Spark packages; they count into the image key.
    pub spark: SparkSection,
    /// Kept as given, without effect here.
    pub databricks: Option<Value>,
    /// Kept as given, without effect here.
    pub r: Option<Value>,
}

/// The `python` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PythonSection {
    /// The image holds Python and packages already.
    pub user_managed_dependencies: bool,
    /// Used when user-managed.
    pub interpreter_path: String,
    /// Conda definition: `{name, channels, dependencies}`.
    pub conda_dependencies: Option<CondaSpec>,
    /// Deprecated path form.
    pub conda_dependencies_file: Option<String>,
    /// Incremental on an environment of the image.
    pub base_conda_environment: Option<String>,
}

impl Default for PythonSection {
    fn default() -> Self {
        Self {
            user_managed_dependencies: false,
            interpreter_path: "python".to_owned(),
            conda_dependencies: None,
            conda_dependencies_file: None,
            base_conda_environment: None,
        }
    }
}

/// A conda environment file as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CondaSpec {
    /// The conda environment's name; no part of the image key.
    pub name: Option<String>,
    /// Channels, order matters.
    pub channels: Vec<String>,
    /// Packages, order does not matter.
    pub dependencies: Vec<CondaDependency>,
}

/// A conda package or the block of pip packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CondaDependency {
    /// E.g. `python=3.10`.
    Package(String),
    /// `{"pip": ["azureml-defaults", …]}`.
    Pip {
        /// Requirement lines.
        pip: Vec<String>,
    },
}

/// The `docker` section.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Docker {
    /// Deprecated, no effect on serving.
    pub enabled: bool,
    /// Exactly one of image, Dockerfile and build context.
    pub base_image: Option<String>,
    /// Dockerfile **text**.
    pub base_dockerfile: Option<String>,
    /// A git or storage location.
    pub build_context: Option<Value>,
    /// Credentials for the base image.
    pub base_image_registry: Option<RegistryCredentials>,
    /// Operating system and architecture.
    pub platform: Option<DockerPlatform>,
    /// Deprecated.
    pub shared_volumes: Option<bool>,
    /// Deprecated.
    pub shm_size: Option<String>,
    /// Deprecated.
    pub arguments: Vec<String>,
}

/// Where and as whom to pull a base image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryCredentials {
    /// Host of the registry.
    pub address: Option<String>,
    /// User.
    pub username: Option<String>,
    /// Password; never printed.
    pub password: Option<Secret>,
}

/// The `docker.platform` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerPlatform {
    /// `Linux`.
    pub os: String,
    /// `amd64` and relatives.
    pub architecture: String,
}

/// The `spark` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SparkSection {
    /// Maven repositories.
    pub repositories: Vec<String>,
    /// Packages.
    pub packages: Vec<SparkPackage>,
    /// Download ahead of time.
    pub precache_packages: Option<bool>,
}

/// A Maven package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SparkPackage {
    /// Group id.
    pub group: String,
    /// Artifact id.
    pub artifact: String,
    /// Version.
    pub version: String,
}
