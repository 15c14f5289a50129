//! What callers ask for.

use std::collections::BTreeMap;

use lusk_domain::{
    AuthMode, ComputeName, ComputeType, Entry, Guard, Mirror, ModelId, Namespace, ReplicaUrl,
    Secret, ServiceName, ServiceSpec, SettingsChange, Share, Stake, Sticky, VersionName,
};

/// A new service, or the whole new specification of one that is there.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, Default, PartialEq)]
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

/// A new endpoint, usually with its first version.
#[derive(Debug, Clone)]
pub struct CreateEndpoint {
    /// Its name; it shares its names with services.
    pub name: ServiceName,
    /// The cluster's name; kept, without effect here.
    pub compute_name: Option<ComputeName>,
    /// Kept, without effect here.
    pub namespace: Option<Namespace>,
    /// Free text.
    pub description: Option<String>,
    /// Mutable labels.
    pub tags: BTreeMap<String, String>,
    /// Labels that may only grow.
    pub properties: BTreeMap<String, String>,
    /// How callers of all versions prove who they are.
    pub auth: AuthMode,
    /// Whether telemetry is wanted.
    pub app_insights: bool,
    /// The first key; generated when absent.
    pub primary_key: Option<Secret>,
    /// The second key; generated when absent.
    pub secondary_key: Option<Secret>,
    /// The first version; none makes an endpoint that waits for one.
    pub version: Option<CreateVersion>,
    /// Deploy the version to the endpoint of this name if there is one, in place of its
    /// version of that name if it has one. Given labels change with it; other versions
    /// stay, and so do keys and auth, which may be given only as they are.
    pub overwrite: bool,
}

/// A new version of an endpoint.
#[derive(Debug, Clone)]
pub struct CreateVersion {
    /// Its name.
    pub name: VersionName,
    /// What it is. Name, compute, keys and `overwrite` in it mean nothing: they are the
    /// endpoint's.
    pub service: CreateService,
    /// Its part of the traffic, which it has from when it is healthy. The first version
    /// of an endpoint is the default whatever is said here.
    pub stake: Stake,
    /// Rolls it back when it does badly.
    pub guard: Option<Guard>,
}

/// A change of an endpoint; what is absent stays. All of it happens in one step: with
/// `version`, when that version is healthy; else at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangeEndpoint {
    /// A new description.
    pub description: Option<String>,
    /// The new tags; the old ones go.
    pub tags: Option<BTreeMap<String, String>>,
    /// Properties to add; one that is there is an error.
    pub add_properties: BTreeMap<String, String>,
    /// Key auth on or off.
    pub auth_enabled: Option<bool>,
    /// Token auth on or off.
    pub token_auth_enabled: Option<bool>,
    /// Whether telemetry is wanted.
    pub app_insights: Option<bool>,
    /// What keeps callers at one version; `Some(None)` ends that.
    pub sticky: Option<Option<Sticky>>,
    /// Who gets copies; `Some(None)` ends that.
    pub mirror: Option<Option<Mirror>>,
    /// All shares; versions that are not named get none.
    pub shares: Option<BTreeMap<VersionName, Share>>,
    /// Parts of versions that are there, or of the one that `version` makes.
    pub stakes: BTreeMap<VersionName, Stake>,
    /// Guards of versions; `None` takes one away.
    pub guards: BTreeMap<VersionName, Option<Guard>>,
    /// A version that is made or changed.
    pub version: Option<(VersionName, ChangeVersion)>,
}

/// What happens to a version besides its part of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeVersion {
    /// It is made; refused where it is there already.
    Create(Box<CreateService>),
    /// It is changed.
    Update(Box<UpdateService>),
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
