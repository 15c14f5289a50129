//! Bodies that create an endpoint or a version of one.
//!
//! The body of a version is that of a service, with its part of the traffic. What is
//! common to all versions (auth, keys, namespace, telemetry) is the endpoint's; a body
//! that repeats it, as the original's SDK sends it, is taken, one that contradicts it
//! is refused.

use std::collections::BTreeMap;

use lusk_control::{CreateEndpoint, CreateService, CreateVersion};
use lusk_domain::{
    AuthMode, ComputeName, ComputeType, EndpointRecord, EnvironmentRef, Guard, Namespace,
    ReplicaUrl, Secret, ServiceName, Settings, SettingsChange, Share, Stake, VersionName,
};
use serde::Deserialize;
use serde_json::Value;

use super::{CollectionBody, ImageRequest, KeysBody, Wished, check_keys, free_name, given_name};
use crate::admin::{
    fault::Fault,
    input::{Json, part},
};

/// The compute type of endpoints, as answers spell it.
pub(crate) const AKS_ENDPOINT: &str = "AKSENDPOINT";

/// The body of `POST …/services` for an endpoint.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointBody {
    #[serde(deserialize_with = "given_name")]
    name: ServiceName,
    #[serde(default)]
    compute_name: Option<ComputeName>,
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    kv_tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    properties: Option<BTreeMap<String, String>>,
    #[serde(default)]
    keys: Option<KeysBody>,
    #[serde(default)]
    auth_enabled: Option<bool>,
    #[serde(default)]
    aad_auth_enabled: Option<bool>,
    #[serde(default)]
    app_insights_enabled: Option<bool>,
    #[serde(default)]
    versions: Option<BTreeMap<VersionName, Value>>,
    #[serde(default)]
    overwrite: Option<bool>,
}

/// Keys that an endpoint's body cannot have, and why.
const MISPLACED: [(&str, &str); 19] = [
    ("environmentImageRequest", ONE_VERSIONS),
    ("remoteReplicas", ONE_VERSIONS),
    ("trafficPercentile", ONE_VERSIONS),
    ("isDefault", ONE_VERSIONS),
    ("type", ONE_VERSIONS),
    ("versionType", ONE_VERSIONS),
    ("abortIf", ONE_VERSIONS),
    ("numReplicas", ONE_VERSIONS),
    ("autoScaler", ONE_VERSIONS),
    ("containerResourceRequirements", ONE_VERSIONS),
    ("livenessProbeRequirements", ONE_VERSIONS),
    ("dataCollection", ONE_VERSIONS),
    ("maxConcurrentRequestsPerContainer", ONE_VERSIONS),
    ("maxQueueWaitMs", ONE_VERSIONS),
    ("scoringTimeoutMs", ONE_VERSIONS),
    ("traffic", ONLY_BY_PATCH),
    ("sticky", ONLY_BY_PATCH),
    ("mirrorTraffic", ONLY_BY_PATCH),
    ("mirrorKeepsAnswers", ONLY_BY_PATCH),
];

const ONE_VERSIONS: &str =
    "it is a version's, put it into `versions.<name>`, the body of the version";

const ONLY_BY_PATCH: &str = "create the endpoint without it, then patch it";

/// The body of a version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VersionBody {
    name: Option<String>,
    compute_type: Option<String>,
    description: Option<String>,
    kv_tags: Option<BTreeMap<String, String>>,
    properties: Option<BTreeMap<String, String>>,
    keys: Option<KeysBody>,
    environment_image_request: Option<ImageRequest>,
    remote_replicas: Option<Vec<ReplicaUrl>>,
    traffic_percentile: Option<Share>,
    is_default: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<VersionType>,
    version_type: Option<VersionType>,
    abort_if: Option<Guard>,
}

/// What a version is for those who compare it with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum VersionType {
    /// Others are compared with it.
    #[serde(alias = "control", alias = "CONTROL")]
    Control,
    /// It is compared with the control.
    #[serde(alias = "treatment", alias = "TREATMENT")]
    Treatment,
}

/// A version that is to be made.
#[derive(Debug)]
pub(crate) struct NewVersion {
    /// What it is.
    pub(crate) service: Wished<CreateService>,
    /// Its part of the traffic.
    pub(crate) stake: Stake,
    /// What rolls it back.
    pub(crate) guard: Option<Guard>,
}

/// What versions have from their endpoint.
struct Common<'a> {
    name: &'a ServiceName,
    compute_name: Option<&'a ComputeName>,
    namespace: Option<&'a Namespace>,
    auth: AuthMode,
    app_insights: bool,
    primary_key: Option<&'a Secret>,
    secondary_key: Option<&'a Secret>,
}

/// Whether a create request is one of an endpoint.
pub(crate) fn is_endpoint(body: &Json) -> Result<bool, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        #[serde(default)]
        compute_type: Option<Value>,
    }
    let kind = body.parse::<Kind>()?.compute_type;
    let word = kind.as_ref().and_then(Value::as_str);
    Ok(word.is_some_and(|word| word.eq_ignore_ascii_case(AKS_ENDPOINT)))
}

/// Reads the body of a create request for an endpoint.
pub(crate) fn create_endpoint(body: &Json) -> Result<Wished<CreateEndpoint>, Fault> {
    check_places(body)?;
    let wish: EndpointBody = body.parse()?;
    free_name(&wish.name)?;
    let auth = wish.auth()?;
    let keys = wish.keys.unwrap_or_default();
    check_keys(&keys)?;
    let common = Common {
        name: &wish.name,
        compute_name: wish.compute_name.as_ref(),
        namespace: wish.namespace.as_ref(),
        auth,
        app_insights: wish.app_insights_enabled.unwrap_or(false),
        primary_key: keys.primary_key.as_ref(),
        secondary_key: keys.secondary_key.as_ref(),
    };
    let (version, reference) = first_version(wish.versions.unwrap_or_default(), &common)?;
    let wish = CreateEndpoint {
        app_insights: common.app_insights,
        name: wish.name,
        compute_name: wish.compute_name,
        namespace: wish.namespace,
        description: wish.description,
        tags: wish.kv_tags.unwrap_or_default(),
        properties: wish.properties.unwrap_or_default(),
        auth,
        primary_key: keys.primary_key,
        secondary_key: keys.secondary_key,
        version,
        overwrite: wish.overwrite.unwrap_or(false),
    };
    Ok(Wished { wish, reference })
}

/// Reads the body of a new version of an endpoint that is there; `at` is its place in
/// what was sent.
pub(crate) fn new_version(
    at: &str,
    body: &Value,
    name: &VersionName,
    of: &EndpointRecord,
) -> Result<NewVersion, Fault> {
    let common = Common {
        name: &of.name,
        compute_name: of.compute_name.as_ref(),
        namespace: of.namespace.as_ref(),
        auth: of.auth,
        app_insights: of.app_insights,
        primary_key: Some(&of.keys.primary_key),
        secondary_key: Some(&of.keys.secondary_key),
    };
    version(at, body, name, &common)
}

/// The settings of all versions in an endpoint's body, with their places.
pub(crate) fn version_settings(body: &Json) -> Result<Vec<SettingsChange>, Fault> {
    #[derive(Deserialize)]
    struct Versions {
        #[serde(default)]
        versions: Option<BTreeMap<VersionName, Value>>,
    }
    let versions = body.parse::<Versions>()?.versions.unwrap_or_default();
    versions
        .iter()
        .map(|(name, body)| settings(&format!("versions/{name}"), body))
        .collect()
}

/// Nobody issues tokens here: an endpoint that takes nothing else locks everybody out.
pub(crate) fn refuse_tokens(at: &str, wish: Option<bool>) -> Result<(), Fault> {
    match wish {
        Some(true) => Err(Fault::bad_request(format!(
            "`{at:.200}` is true, but no endpoint takes tokens here: leave it out, or set \
             `authEnabled` to true, which asks callers for a key"
        ))),
        _ => Ok(()),
    }
}

fn check_places(body: &Json) -> Result<(), Fault> {
    let all: BTreeMap<String, Value> = body.parse()?;
    for (key, way_out) in MISPLACED {
        if all.get(key).is_some_and(says_something) {
            return Err(Fault::bad_request(format!(
                "`{key}` is not a key of an endpoint's create request: {way_out}"
            )));
        }
    }
    Ok(())
}

/// Absent numbers are sent as null, those of a group one by one.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(group) => group.is_empty() || group.values().any(says_something),
        _ => true,
    }
}

fn first_version(
    mut versions: BTreeMap<VersionName, Value>,
    common: &Common,
) -> Result<(Option<CreateVersion>, Option<EnvironmentRef>), Fault> {
    if versions.len() > 1 {
        let names: Vec<_> = versions.keys().map(|name| format!("`{name}`")).collect();
        return Err(Fault::bad_request(format!(
            "`versions` holds {}: an endpoint is created with one version at most; create it with \
             the first, then add each further one with a patch `add /versions/<name>` \
             (`create-version`)",
            names.join(", ")
        )));
    }
    let Some((name, body)) = versions.pop_first() else {
        return Ok((None, None));
    };
    let new = version(&format!("versions/{name}"), &body, &name, common)?;
    let version = CreateVersion {
        name,
        service: new.service.wish,
        stake: new.stake,
        guard: new.guard,
    };
    Ok((Some(version), new.service.reference))
}

fn version(
    at: &str,
    body: &Value,
    name: &VersionName,
    common: &Common,
) -> Result<NewVersion, Fault> {
    if !body.is_object() {
        return Err(Fault::bad_request(format!(
            "`{at}` is not an object: expected the body of a version"
        )));
    }
    let wish: VersionBody = part(at, body)?;
    let mut settings = settings(at, body)?;
    wish.check(at, name)?;
    common.check(at, &mut settings, wish.keys.as_ref())?;
    let image = wish.environment_image_request.unwrap_or_default().wish()?;
    let service = CreateService {
        name: ServiceName::of_version(common.name, name),
        compute: ComputeType::Aks,
        compute_name: common.compute_name.cloned(),
        description: wish.description,
        tags: wish.kv_tags.unwrap_or_default(),
        properties: wish.properties.unwrap_or_default(),
        models: image.models.unwrap_or_default(),
        entry: image.entry,
        remote: wish.remote_replicas,
        settings,
        primary_key: None,
        secondary_key: None,
        overwrite: false,
    };
    let kind = wish.kind.or(wish.version_type);
    Ok(NewVersion {
        service: Wished {
            wish: service,
            reference: image.reference,
        },
        stake: Stake {
            share: wish.traffic_percentile,
            is_default: wish.is_default.filter(|is_default| *is_default),
            is_control: kind
                .map(|kind| kind == VersionType::Control)
                .filter(|it| *it),
        },
        guard: wish.abort_if,
    })
}

fn settings(at: &str, body: &Value) -> Result<SettingsChange, Fault> {
    let mut change: SettingsChange = part(at, body)?;
    let collection: CollectionBody = part(at, body)?;
    change.storage_enabled = collection.storage_enabled();
    Ok(change)
}

impl EndpointBody {
    fn auth(&self) -> Result<AuthMode, Fault> {
        refuse_tokens("aadAuthEnabled", self.aad_auth_enabled)?;
        let change = SettingsChange {
            auth_enabled: self.auth_enabled,
            token_auth_enabled: self.aad_auth_enabled,
            ..SettingsChange::default()
        };
        let settings = Settings::default().changed(&change);
        settings
            .map(|settings| settings.auth)
            .map_err(|broken| Fault::violations("the endpoint's auth breaks rules", &broken))
    }
}

impl VersionBody {
    fn check(&self, at: &str, name: &VersionName) -> Result<(), Fault> {
        if let Some(other) = self.name.as_ref().filter(|other| *other != name.as_str()) {
            return Err(Fault::bad_request(format!(
                "`{at}/name` is `{other:.80}`, but the version's name is `{name}`: leave it out"
            )));
        }
        let word = self.compute_type.as_deref().unwrap_or(AKS_ENDPOINT);
        if !["aks", AKS_ENDPOINT]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
        {
            return Err(Fault::bad_request(format!(
                "`{at}/computeType` is `{word:.40}`: a version of an endpoint is AKS, leave it out"
            )));
        }
        Ok(())
    }
}

impl Common<'_> {
    /// Takes what is the endpoint's out of a version's settings, where it does not
    /// contradict.
    fn check(
        &self,
        at: &str,
        settings: &mut SettingsChange,
        keys: Option<&KeysBody>,
    ) -> Result<(), Fault> {
        refuse_tokens(&format!("{at}/aadAuthEnabled"), settings.token_auth_enabled)?;
        let refuse = |key: &str, seen: &str| {
            Err(Fault::bad_request(format!(
                "`{at}/{key}` is {seen}, which is not what endpoint `{}` has: versions have no \
                 `{key}` of their own, leave it out or change the endpoint",
                self.name
            )))
        };
        let switches = [
            (
                "authEnabled",
                settings.auth_enabled.take(),
                self.auth == AuthMode::Key,
            ),
            (
                "aadAuthEnabled",
                settings.token_auth_enabled.take(),
                self.auth == AuthMode::Token,
            ),
            (
                "appInsightsEnabled",
                settings.app_insights_enabled.take(),
                self.app_insights,
            ),
        ];
        for (key, given, own) in switches {
            if let Some(given) = given.filter(|given| *given != own) {
                return refuse(key, &given.to_string());
            }
        }
        if let Some(given) = settings.namespace.take()
            && Some(&given) != self.namespace
        {
            return refuse("namespace", &format!("`{given}`"));
        }
        let Some(keys) = keys else {
            return Ok(());
        };
        for (given, own) in [
            (keys.primary_key.as_ref(), self.primary_key),
            (keys.secondary_key.as_ref(), self.secondary_key),
        ] {
            if given.is_some() && given != own {
                return refuse("keys", "another pair");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
