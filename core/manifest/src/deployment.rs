//! `deploymentconfig.json`: how a service runs, or a version of an endpoint.

mod version;

use std::str::FromStr;

use lusk_domain::{
    AutoScalerChange, ComputeName, ComputeType, LivenessProbeChange, Namespace, ReplicaUrl,
    ResourceChange, Secret, SettingsChange,
};

pub use self::version::DeployedVersion;
use self::version::Purpose;
use crate::{
    Checked, ManifestError, Override, Place, Source,
    node::shortened,
    reader::{Reader, Section},
    suggest::nearest,
};

/// What a deployment config asks for, flags included.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Where the service runs; [`ComputeType::Aks`] for a version of an endpoint.
    pub compute: ComputeType,
    /// Present when a version of an endpoint is meant (`aksendpoint`).
    pub version: Option<DeployedVersion>,
    /// The cluster's name.
    pub compute_name: Option<ComputeName>,
    /// Outside replicas in place of a script.
    pub remote: Option<Vec<ReplicaUrl>>,
    /// How it runs; what is not given keeps the node's default.
    pub settings: SettingsChange,
    /// A key to use instead of a generated one.
    pub primary_key: Option<Secret>,
    /// The second key; never without the first.
    pub secondary_key: Option<Secret>,
}

/// Reads a deployment config with `overrides` laid over it. Without a file,
/// and without a flag that says otherwise, the compute type is AKS.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn deployment(
    source: Option<&Source>,
    overrides: &[Override],
) -> Result<Checked<Deployment>, ManifestError> {
    read(source, overrides, Purpose::Deploy)
}

/// Reads the same keys for a change of a running service: the compute type may
/// be left out, and nothing is filled in.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn deployment_update(
    source: Option<&Source>,
    overrides: &[Override],
) -> Result<Checked<Deployment>, ManifestError> {
    read(source, overrides, Purpose::Update)
}

/// Reads the same keys for a version of an endpoint that is there, new or changed: the
/// compute type may be left out, nothing is filled in, and what all versions have in
/// common (keys, auth, telemetry, namespace) is not read.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn deployment_of_version(
    source: Option<&Source>,
    overrides: &[Override],
) -> Result<Checked<Deployment>, ManifestError> {
    read(source, overrides, Purpose::Version)
}

fn read(
    source: Option<&Source>,
    overrides: &[Override],
    purpose: Purpose,
) -> Result<Checked<Deployment>, ManifestError> {
    let mut reader = Reader::default();
    let mut root = match source {
        Some(source) => {
            let parsed = source.parse()?;
            reader.take(parsed.problems);
            parsed.root
        }
        None => Source::absent("command line"),
    };
    for given in overrides {
        root.lay_over(given);
    }
    let deployment = match reader.as_section(&root, "") {
        Some(top) => {
            let is_required = purpose == Purpose::Deploy && source.is_some();
            let kind = kind(&mut reader, top, is_required, purpose);
            kind.map(|kind| from_root(&mut reader, top, kind, purpose))
        }
        None => None,
    };
    // The value is only looked at when nothing was wrong.
    reader.finish(deployment.unwrap_or(Deployment {
        compute: ComputeType::Aks,
        version: None,
        compute_name: None,
        remote: None,
        settings: SettingsChange::default(),
        primary_key: None,
        secondary_key: None,
    }))
}

/// The `computeType` values of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Aks,
    Endpoint,
    Aci,
    Local,
}

impl Kind {
    /// As the file spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Aks => "aks",
            Self::Endpoint => "aksendpoint",
            Self::Aci => "aci",
            Self::Local => "local",
        }
    }
}

const COMPUTE_TYPES: [&str; 4] = ["aks", "aci", "local", "aksendpoint"];

fn from_root(reader: &mut Reader, top: Section<'_>, kind: Kind, purpose: Purpose) -> Deployment {
    check_root_keys(reader, top, kind, purpose);
    let mut settings = SettingsChange::default();
    let mut compute = ComputeType::Aks;
    match kind {
        Kind::Local => {
            compute = ComputeType::Local {
                port: port(reader, top),
            };
        }
        Kind::Aks | Kind::Endpoint => {
            aks_settings(reader, top, &mut settings);
            if purpose != Purpose::Version {
                door_settings(reader, top, &mut settings);
            }
        }
        Kind::Aci => aci_settings(reader, top, &mut settings),
    }
    let (primary_key, secondary_key) = match kind {
        Kind::Aks | Kind::Endpoint | Kind::Aci if purpose != Purpose::Version => keys(reader, top),
        _ => (None, None),
    };
    let remote = match kind {
        Kind::Aks | Kind::Endpoint | Kind::Local => remote(reader, top),
        Kind::Aci => None,
    };
    report_violations(reader, top, &settings);
    Deployment {
        compute,
        version: (kind == Kind::Endpoint).then(|| version::read(reader, top)),
        compute_name: compute_name(reader, top, kind),
        remote,
        settings,
        primary_key,
        secondary_key,
    }
}

/// The cluster's name. Of an endpoint only the flag names it, as in the original.
fn compute_name(reader: &mut Reader, top: Section<'_>, kind: Kind) -> Option<ComputeName> {
    let is_flag = matches!(top.get(TARGET)?.place, Place::Flag(_));
    match kind {
        Kind::Aks => checked(reader, top, TARGET),
        Kind::Endpoint if is_flag => checked(reader, top, TARGET),
        Kind::Endpoint | Kind::Aci | Kind::Local => None,
    }
}

fn kind(
    reader: &mut Reader,
    top: Section<'_>,
    is_required: bool,
    purpose: Purpose,
) -> Option<Kind> {
    let of_version = purpose == Purpose::Version;
    let Some(node) = top.get("computeType") else {
        if is_required {
            reader.problem(
                &top.node.place,
                "`computeType` is missing",
                Some(
                    "add `\"computeType\": \"aks\"` (with keys), `\"aksendpoint\"` (with versions) \
                     or `\"local\"` (a port for debugging)"
                        .to_owned(),
                ),
            );
            return None;
        }
        return Some(if of_version {
            Kind::Endpoint
        } else {
            Kind::Aks
        });
    };
    let text = reader.text(top, "computeType")?;
    match text.to_ascii_lowercase().as_str() {
        "aks" | "aksendpoint" if of_version => Some(Kind::Endpoint),
        other @ ("aci" | "local") if of_version => {
            reader.problem(
                &node.place,
                format!("computeType `{other}`: a version of an endpoint cannot be one"),
                Some("use `\"computeType\": \"aksendpoint\"`".to_owned()),
            );
            None
        }
        "aks" => Some(Kind::Aks),
        // A service stays what it is; how it runs is all that is read.
        "aksendpoint" if purpose == Purpose::Update => Some(Kind::Aks),
        "aksendpoint" => Some(Kind::Endpoint),
        "aci" => {
            reader.notice(
                &node.place,
                "computeType `aci` is served as one replica behind the router, without keys unless `authEnabled` is true",
                None,
            );
            Some(Kind::Aci)
        }
        "local" => Some(Kind::Local),
        other => {
            let help = nearest(other, COMPUTE_TYPES).map(|near| format!("did you mean `{near}`?"));
            reader.problem(
                &node.place,
                format!(
                    "unknown compute type `{}`: expected aks, aci, aksendpoint or local",
                    shortened(&text)
                ),
                help,
            );
            None
        }
    }
}

const ROOT_OF_AKS: [&str; 17] = [
    "computeType",
    TARGET,
    "autoScaler",
    "dataCollection",
    "authEnabled",
    "tokenAuthEnabled",
    "containerResourceRequirements",
    "gpuCores",
    "appInsightsEnabled",
    "scoringTimeoutMs",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "numReplicas",
    "livenessProbeRequirements",
    "namespace",
    "keys",
    REMOTE,
];

const ROOT_OF_ACI: [&str; 5] = [
    "computeType",
    "containerResourceRequirements",
    "authEnabled",
    "appInsightsEnabled",
    "keys",
];

const ROOT_OF_LOCAL: [&str; 3] = ["computeType", "port", REMOTE];

/// The cluster.
const TARGET: &str = "computeTargetName";

/// Outside replicas: a key of ours, the original has none.
const REMOTE: &str = "remoteReplicas";

/// Keys of other compute types than AKS.
const ROOT_OF_OTHERS: [&str; 13] = [
    "port",
    "location",
    "sslEnabled",
    "sslCertificate",
    "sslKey",
    "cname",
    "dnsNameLabel",
    "vaultBaseUrl",
    "keyName",
    "keyVersion",
    "vnetName",
    "subnetName",
    "blobfuseEnabled",
];

const SCALER: [&str; 5] = [
    "autoscaleEnabled",
    "minReplicas",
    "maxReplicas",
    "refreshPeriodInSeconds",
    "targetUtilization",
];
const RESOURCES: [&str; 4] = ["cpu", "memoryInGB", "cpuLimit", "memoryInGBLimit"];
const PROBE: [&str; 5] = [
    "periodSeconds",
    "initialDelaySeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
];
const KEYS: [&str; 2] = ["primaryKey", "secondaryKey"];
const COLLECTION: [&str; 1] = ["storageEnabled"];
const COLLECTION_IDLE: [&str; 1] = ["eventHubEnabled"];

/// Sections with their keys, to find a key that stands in the wrong place.
const SECTIONS: [(&str, &[&str]); 5] = [
    ("autoScaler", &SCALER),
    ("containerResourceRequirements", &RESOURCES),
    ("livenessProbeRequirements", &PROBE),
    ("keys", &KEYS),
    ("dataCollection", &COLLECTION),
];

fn check_root_keys(reader: &mut Reader, top: Section<'_>, kind: Kind, purpose: Purpose) {
    let known = known(kind, purpose);
    for entry in top.entries() {
        let key = entry.key.as_str();
        let is_flag = matches!(entry.node.place, Place::Flag(_));
        if known.contains(&key) || (kind == Kind::Endpoint && is_flag && key == TARGET) {
            continue;
        }
        if version::is_refused(reader, entry, kind.name()) {
            continue;
        }
        if all_known().any(|other| other == key) {
            if !entry.node.is_blank() {
                reader.idle(&entry.place, key);
            }
            continue;
        }
        let near =
            misplaced(key).or_else(|| nearest(key, known.iter().copied()).map(str::to_owned));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        reader.unknown_key(entry, key, help);
    }
}

/// The keys that are read.
fn known(kind: Kind, purpose: Purpose) -> Vec<&'static str> {
    let is_common = |key: &&str| purpose == Purpose::Version && version::COMMON.contains(key);
    match kind {
        Kind::Aks => ROOT_OF_AKS.to_vec(),
        Kind::Endpoint => {
            let of_aks = ROOT_OF_AKS.into_iter().filter(|key| *key != TARGET);
            let read = of_aks.filter(|key| !is_common(key));
            read.chain(version::KEYS).collect()
        }
        Kind::Aci => ROOT_OF_ACI.to_vec(),
        Kind::Local => ROOT_OF_LOCAL.to_vec(),
    }
}

/// Every key of any compute type.
fn all_known() -> impl Iterator<Item = &'static str> {
    let of_services = ROOT_OF_AKS.into_iter().chain(ROOT_OF_OTHERS);
    of_services.chain(version::KEYS)
}

/// Where a key of a section belongs that stands at the top, or the file's name
/// for a key of the wire.
fn misplaced(key: &str) -> Option<String> {
    if key == "aadAuthEnabled" {
        return Some("tokenAuthEnabled".to_owned());
    }
    SECTIONS
        .iter()
        .find(|(_, keys)| keys.contains(&key))
        .map(|(section, _)| format!("{section}.{key}"))
}

fn aks_settings(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    settings.auto_scaler = scaler(reader, top);
    settings.num_replicas = reader.integer(top, "numReplicas", 1);
    settings.container_resource_requirements = resources(reader, top);
    settings.gpu_cores = reader.integer(top, "gpuCores", 0);
    settings.liveness_probe_requirements = probe(reader, top);
    settings.storage_enabled = collection(reader, top);
    settings.scoring_timeout_ms = reader.integer(top, "scoringTimeoutMs", 1);
    settings.max_concurrent_requests_per_container =
        reader.integer(top, "maxConcurrentRequestsPerContainer", 1);
    settings.max_queue_wait_ms = reader.integer(top, "maxQueueWaitMs", 1);
}

/// What all versions of an endpoint have in common.
fn door_settings(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    settings.auth_enabled = reader.boolean(top, "authEnabled");
    settings.token_auth_enabled = reader.boolean(top, "tokenAuthEnabled");
    settings.app_insights_enabled = reader.boolean(top, "appInsightsEnabled");
    settings.namespace = checked::<Namespace>(reader, top, "namespace");
}

/// ACI knows neither scaling nor tokens, and no key unless asked for.
fn aci_settings(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    settings.num_replicas = Some(1);
    settings.container_resource_requirements = resources(reader, top);
    settings.auth_enabled = Some(reader.boolean(top, "authEnabled").unwrap_or(false));
    settings.app_insights_enabled = reader.boolean(top, "appInsightsEnabled");
}

fn port(reader: &mut Reader, top: Section<'_>) -> Option<u16> {
    let port = reader.integer(top, "port", 1)?;
    u16::try_from(port).ok().or_else(|| {
        let node = top.get("port")?;
        reader.refuse(
            node,
            "port",
            format!("{port} is over the largest port, {}", u16::MAX),
        )
    })
}

fn remote(reader: &mut Reader, top: Section<'_>) -> Option<Vec<ReplicaUrl>> {
    top.get(REMOTE)?;
    let items = reader.items(top, REMOTE);
    let texts = reader.texts(top, REMOTE);
    // With a text missing, which was complained about, the places are not those of the rest.
    let nodes = (items.len() == texts.len()).then_some(items);
    let mut urls = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<ReplicaUrl>() {
            Ok(url) => urls.push(url),
            Err(error) => {
                let node = nodes.and_then(|nodes| nodes.get(index));
                let node = node.or_else(|| top.get(REMOTE))?;
                let path = format!("{REMOTE}[{index}]");
                reader.refuse::<()>(node, &path, error.to_string());
            }
        }
    }
    Some(urls)
}

fn scaler(reader: &mut Reader, top: Section<'_>) -> Option<AutoScalerChange> {
    let section = reader.section(top, "autoScaler", "autoScaler")?;
    reader.check_keys(section, &SCALER, &[]);
    Some(AutoScalerChange {
        autoscale_enabled: reader.boolean(section, "autoscaleEnabled"),
        min_replicas: reader.integer(section, "minReplicas", 0),
        max_replicas: reader.integer(section, "maxReplicas", 1),
        refresh_period_in_seconds: reader.integer(section, "refreshPeriodInSeconds", 1),
        target_utilization: reader.integer(section, "targetUtilization", 1),
    })
}

fn resources(reader: &mut Reader, top: Section<'_>) -> Option<ResourceChange> {
    const PATH: &str = "containerResourceRequirements";
    let section = reader.section(top, PATH, PATH)?;
    for entry in section.entries() {
        if RESOURCES.contains(&entry.key.as_str()) {
            continue;
        }
        let help = match entry.key.as_str() {
            // The wire has it here, the file at its top.
            "gpu" => Some("did you mean `gpuCores`, at the top of the file?".to_owned()),
            key => nearest(key, RESOURCES).map(|near| format!("did you mean `{near}`?")),
        };
        reader.unknown_key(entry, &section.path_of(&entry.key), help);
    }
    Some(ResourceChange {
        cpu: reader.number(section, "cpu"),
        cpu_limit: reader.number(section, "cpuLimit"),
        memory_in_gb: reader.number(section, "memoryInGB"),
        memory_in_gb_limit: reader.number(section, "memoryInGBLimit"),
        gpu: None,
    })
}

fn probe(reader: &mut Reader, top: Section<'_>) -> Option<LivenessProbeChange> {
    const PATH: &str = "livenessProbeRequirements";
    let section = reader.section(top, PATH, PATH)?;
    reader.check_keys(section, &PROBE, &[]);
    Some(LivenessProbeChange {
        period_seconds: reader.integer(section, "periodSeconds", 1),
        initial_delay_seconds: reader.integer(section, "initialDelaySeconds", 1),
        timeout_seconds: reader.integer(section, "timeoutSeconds", 1),
        success_threshold: reader.integer(section, "successThreshold", 1),
        failure_threshold: reader.integer(section, "failureThreshold", 1),
    })
}

fn collection(reader: &mut Reader, top: Section<'_>) -> Option<bool> {
    let section = reader.section(top, "dataCollection", "dataCollection")?;
    reader.check_keys(section, &COLLECTION, &COLLECTION_IDLE);
    reader.boolean(section, "storageEnabled")
}

fn keys(reader: &mut Reader, top: Section<'_>) -> (Option<Secret>, Option<Secret>) {
    let Some(section) = reader.section(top, "keys", "keys") else {
        return (None, None);
    };
    reader.check_keys(section, &KEYS, &[]);
    let mut key = |name| {
        let text: String = reader.text(section, name)?;
        (!text.is_empty()).then(|| Secret::new(text))
    };
    let (primary, secondary) = (key("primaryKey"), key("secondaryKey"));
    if primary.is_none() && secondary.is_some() {
        let place = section.node.place_of("secondaryKey");
        reader.notice(
            place,
            "`keys.secondaryKey` is ignored without `keys.primaryKey`, as Azure does",
            None,
        );
        return (None, None);
    }
    (primary, secondary)
}

/// A text that must be a name of type `T`.
fn checked<T>(reader: &mut Reader, top: Section<'_>, key: &str) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let node = top.get(key)?;
    let text = reader.text(top, key)?;
    if text.is_empty() {
        return None;
    }
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => reader.refuse(node, key, error.to_string()),
    }
}

fn report_violations(reader: &mut Reader, top: Section<'_>, settings: &SettingsChange) {
    for violation in plausible(reader, settings).violations() {
        let place = top.node.place_of(&violation.path).clone();
        reader.problem(&place, violation.to_string(), None);
    }
}

/// The settings with a harmless value for what could not be read: a mistyped
/// `numReplicas` must not also be called missing.
fn plausible(reader: &Reader, settings: &SettingsChange) -> SettingsChange {
    let mut settings = settings.clone();
    if reader.has_failed("numReplicas") {
        settings.num_replicas = settings
            .auto_scaler
            .filter(|scaler| scaler.autoscale_enabled == Some(false))
            .map(|_| 1);
    }
    if reader.has_failed("autoScaler.autoscaleEnabled")
        && let Some(scaler) = &mut settings.auto_scaler
    {
        scaler.autoscale_enabled = Some(true);
        settings.num_replicas = None;
    }
    settings
}

#[cfg(test)]
mod tests;
