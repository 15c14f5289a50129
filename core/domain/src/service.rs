//! Services: what is asked for, what is recorded, where it stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ComputeName, Environment, Failure, ImageKey, KeyPair, ModelId, ReplicaUrl, ServiceName,
    Settings, Snapshot,
};

/// Where a service runs and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ComputeType {
    /// Behind the router, with keys.
    Aks,
    /// On a port of its own on loopback, `/score`, no auth: for debugging.
    Local {
        /// The port asked for; a free one when absent.
        port: Option<u16>,
    },
}

/// How an entry script is executed; spelled as users ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// A `.py` file in the sandboxed CPython.
    Python,
    /// A `.py` file in a supervised child process with the machine's Python.
    Process,
    /// A `.js` or `.mjs` file in the sandboxed QuickJS.
    Javascript,
    /// A `.wasm` or `.wat` file.
    Wasm,
    /// No entry script: one ONNX model.
    None,
    /// Replicas that somebody else runs, reached by their URLs.
    Remote,
}

impl RuntimeKind {
    /// The word for it, as files and flags spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Process => "process",
            Self::Javascript => "javascript",
            Self::Wasm => "wasm",
            Self::None => "none",
            Self::Remote => "remote",
        }
    }
}

/// The entry script of a service and what goes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Path of the script inside the snapshot, `/` between parts.
    pub script: String,
    /// Top folder of the snapshot that the original calls
    /// `AZUREML_SOURCE_DIRECTORY`; `script` is relative to it when given.
    pub source_directory: Option<String>,
    /// The packed project folder.
    pub snapshot: Snapshot,
    /// What the script needs.
    pub environment: Environment,
    /// The runtime asked for by name; script and environment tell it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeKind>,
    /// Port on which the script waits for a debugger; local services only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_port: Option<u16>,
}

impl Entry {
    /// How the script is executed, as far as the request tells: a
    /// [`RuntimeKind::Python`] that nobody asked for by name may turn out to
    /// need [`RuntimeKind::Process`] once its packages are known.
    pub fn runtime(&self) -> RuntimeKind {
        if let Some(asked) = self.runtime {
            return asked;
        }
        match self.script.rsplit_once('.').map(|(_, extension)| extension) {
            Some("wasm" | "wat") => RuntimeKind::Wasm,
            Some("js" | "mjs") => RuntimeKind::Javascript,
            _ if self.debug_port.is_some() => RuntimeKind::Process,
            _ if self.environment.python.user_managed_dependencies => RuntimeKind::Process,
            _ => RuntimeKind::Python,
        }
    }
}

/// Everything that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// Where it runs.
    pub compute: ComputeType,
    /// The cluster's name, as given.
    pub compute_name: Option<ComputeName>,
    /// Free text.
    pub description: Option<String>,
    /// Mutable labels.
    pub tags: BTreeMap<String, String>,
    /// Labels that may only grow.
    pub properties: BTreeMap<String, String>,
    /// Models, at most [`crate::Model::MAX_PER_SERVICE`].
    pub models: Vec<ModelId>,
    /// Entry script; none means no-code.
    pub entry: Option<Entry>,
    /// Outside replicas that answer in place of a script; usually none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remote: Vec<ReplicaUrl>,
    /// How it runs.
    pub settings: Settings,
}

impl ServiceSpec {
    /// Most outside replicas of a service.
    pub const MAX_REMOTE: usize = 1_000;

    /// How requests are answered, as far as the request tells; see [`Entry::runtime`].
    pub fn runtime(&self) -> RuntimeKind {
        match &self.entry {
            Some(entry) => entry.runtime(),
            None if !self.remote.is_empty() => RuntimeKind::Remote,
            None => RuntimeKind::None,
        }
    }

    /// Key of the environment's image; none without an entry script.
    pub fn image_key(&self) -> Option<ImageKey> {
        self.entry
            .as_ref()
            .map(|entry| ImageKey::of(&entry.environment))
    }
}

/// State of a service, in the original's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// Being deployed.
    Transitioning,
    /// Usable.
    Healthy,
    /// Deployed, not reachable now.
    Unhealthy,
    /// No room now.
    Unschedulable,
    /// Deploy error or crash.
    Failed,
}

/// Replica counts of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// Wanted.
    pub desired_replicas: u32,
    /// Running the newest revision.
    pub updated_replicas: u32,
    /// Ready for requests.
    pub available_replicas: u32,
    /// Why there are fewer.
    pub error: Option<Failure>,
}

/// What the store keeps of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRecord {
    /// What runs, or will: the last specification that was accepted.
    pub spec: ServiceSpec,
    /// The last specification that became healthy; what a restart falls back to.
    pub healthy_spec: Option<ServiceSpec>,
    /// Keys, kept over updates.
    pub keys: KeyPair,
    /// State when last written.
    pub state: ServiceState,
    /// Why it is not healthy.
    pub error: Option<Failure>,
    /// When it was created.
    pub created_time: Timestamp,
    /// When it was last changed.
    pub updated_time: Timestamp,
    /// Counts up with every accepted specification, from 1.
    pub revision: u64,
    /// The operation that made this revision.
    pub operation: Uuid,
}
