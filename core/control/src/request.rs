//! What callers ask for.

use std::collections::BTreeMap;

use lusk_domain::{
    ComputeName, ComputeType, Entry, ModelId, ReplicaUrl, Secret, ServiceName, ServiceSpec,
    SettingsChange,
};

/// A new service, or the whole new specification of one that is there.
#[derive(Debug, Clone)]
pub struct CreateService {
    /// Its name.
    pub name: ServiceName,
    /// Where it runs.
    pub compute: ComputeType,
    /// The cluster's name; kept, without effect here.
    pub compute_name: Option<ComputeName>,
    /// Free text.
    pub description: Option<String>,
    /// Mutable labels.
    pub tags: BTreeMap<String, String>,
    /// Labels that may only grow.
    pub properties: BTreeMap<String, String>,
    /// Models, at most [`lusk_domain::Model::MAX_PER_SERVICE`].
    pub models: Vec<ModelId>,
    /// Entry script; none deploys one ONNX model without code.
    pub entry: Option<Entry>,
    /// Outside replicas in place of a script.
    pub remote: Option<Vec<ReplicaUrl>>,
    /// Wishes; the rest are defaults.
    pub settings: SettingsChange,
    /// The first key; generated when absent.
    pub primary_key: Option<Secret>,
    /// The second key; generated when absent.
    pub secondary_key: Option<Secret>,
    /// Replace the service of this name if there is one; its keys stay unless
    /// new ones are given.
    pub overwrite: bool,
}

/// A change of a service; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct UpdateService {
    /// A new description.
    pub description: Option<String>,
    /// The new tags; the old ones go.
    pub tags: Option<BTreeMap<String, String>>,
    /// Properties to add; one that is there is an error.
    pub add_properties: BTreeMap<String, String>,
    /// The new models.
    pub models: Option<Vec<ModelId>>,
    /// The new entry script.
    pub entry: Option<Entry>,
    /// The new outside replicas.
    pub remote: Option<Vec<ReplicaUrl>>,
    /// Wishes.
    pub settings: SettingsChange,
}

impl UpdateService {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.description.is_none()
            && self.tags.is_none()
            && self.add_properties.is_empty()
            && self.keeps_deployment()
    }

    /// Whether what runs can stay as it is: nothing but labels changes.
    pub(crate) fn keeps_deployment(&self) -> bool {
        self.models.is_none()
            && self.entry.is_none()
            && self.remote.is_none()
            && self.settings == SettingsChange::default()
    }
}

/// Gives `spec` the description and labels of `from`.
pub(crate) fn relabel(spec: &mut ServiceSpec, from: &ServiceSpec) {
    spec.description.clone_from(&from.description);
    spec.tags.clone_from(&from.tags);
    spec.properties.clone_from(&from.properties);
}
