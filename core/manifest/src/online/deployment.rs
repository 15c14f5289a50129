//! A deployment's YAML: a version of an endpoint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lusk_domain::{ServiceName, SettingsChange, VersionName};

use super::{
    asset::{ModelChoice, environment, model},
    kind, named,
    probe::{collector, liveness, readiness, requests},
    read,
    scale::{resources, scaling},
    script::script,
    which::{DEPLOYMENT, ENDPOINT, refuse_other},
};
use crate::{
    Checked, EnvironmentChoice, InferenceChange, ManifestError, Override, Source,
    reader::{Reader, Section},
};

/// A deployment as its YAML has it.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineDeployment {
    /// Its name; a flag may give it instead.
    pub name: Option<VersionName>,
    /// The endpoint; a flag may give it instead.
    pub endpoint: Option<ServiceName>,
    /// Free text.
    pub description: Option<String>,
    /// Labels, if there are any.
    pub tags: Option<BTreeMap<String, String>>,
    /// Labels that cannot change.
    pub properties: BTreeMap<String, String>,
    /// What it serves.
    pub model: Option<ModelChoice>,
    /// What answers; without one the model does by itself.
    pub script: Option<OnlineScript>,
    /// How it runs: all that the file says, and the format's defaults.
    pub settings: SettingsChange,
}

/// A deployment's entry script.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineScript {
    /// The script, absolute.
    pub script: PathBuf,
    /// Its folder, absolute; without one the script alone is deployed.
    pub folder: Option<PathBuf>,
    /// What it needs.
    pub environment: EnvironmentChoice,
    /// Set for it, over what the environment sets.
    pub variables: BTreeMap<String, String>,
}

impl OnlineScript {
    /// The same in the form that is sent, in an environment that has the variables
    /// already.
    pub fn with(&self, environment: EnvironmentChoice) -> InferenceChange {
        InferenceChange {
            script: Some(self.script.clone()),
            source_directory: self.folder.clone(),
            environment: Some(environment),
            runtime: None,
            description: None,
        }
    }
}

const KNOWN: [&str; 19] = [
    "$schema",
    "type",
    "name",
    "endpoint_name",
    "description",
    "tags",
    "properties",
    "model",
    "code_configuration",
    "environment",
    "environment_variables",
    "instance_count",
    "scale_settings",
    "resources",
    "request_settings",
    "liveness_probe",
    "readiness_probe",
    "data_collector",
    "app_insights_enabled",
];

/// What only an endpoint's file has.
const OF_ENDPOINTS: [&str; 3] = ["auth_mode", "traffic", "mirror_traffic"];

/// What a node has no use for.
const IDLE: [&str; 6] = [
    "instance_type",
    "model_mount_path",
    "egress_public_network_access",
    "private_network_connection",
    "package_model",
    "startup_probe",
];

/// Where the rules about settings say it, and where it stands in this format.
const PATHS: [(&str, &str); 9] = [
    (
        "containerResourceRequirements.cpuLimit",
        "resources.limits.cpu",
    ),
    (
        "containerResourceRequirements.cpu",
        "resources.requests.cpu",
    ),
    (
        "containerResourceRequirements.memoryInGBLimit",
        "resources.limits.memory",
    ),
    (
        "containerResourceRequirements.memoryInGB",
        "resources.requests.memory",
    ),
    ("autoScaler.minReplicas", "scale_settings.min_instances"),
    ("autoScaler.maxReplicas", "scale_settings.max_instances"),
    (
        "autoScaler.targetUtilization",
        "scale_settings.target_utilization_percentage",
    ),
    ("scoringTimeoutMs", "request_settings.request_timeout_ms"),
    ("livenessProbeRequirements", "liveness_probe"),
];

/// Reads a deployment with `overrides` laid over it. Paths in it are relative to
/// `base`, which is the folder of the file.
///
/// # Errors
/// Everything that is wrong with file and flags.
pub fn online_deployment(
    source: &Source,
    overrides: &[Override],
    base: &Path,
) -> Result<Checked<OnlineDeployment>, ManifestError> {
    read(source, overrides, |reader, top| {
        refuse_other(reader, top, &ENDPOINT, &DEPLOYMENT, &OF_ENDPOINTS)?;
        Some(from_root(reader, top, base))
    })
}

fn from_root(reader: &mut Reader, top: Section<'_>, base: &Path) -> OnlineDeployment {
    reader.check_keys(top, &KNOWN, &IDLE);
    kind(reader, top);
    let tags = reader.text_map(top, "tags");
    let model = model(reader, top, base);
    let script = whole_script(reader, top, base);
    if top.get("model").is_none() && top.get("code_configuration").is_none() {
        let help = "add `model: azureml:NAME:VERSION`, or `code_configuration` with a script";
        let message = "`model` is missing, and there is no script that could do without";
        reader.problem(&top.node.place, message, Some(help.to_owned()));
    }
    if let Some(node) = top.get("app_insights_enabled")
        && reader.boolean(top, "app_insights_enabled") == Some(true)
    {
        reader.idle(&node.place, "app_insights_enabled");
    }
    OnlineDeployment {
        name: named(reader, top, "name"),
        endpoint: named(reader, top, "endpoint_name"),
        description: reader.text(top, "description"),
        tags: top.get("tags").map(|_| tags),
        properties: reader.text_map(top, "properties"),
        model,
        script,
        settings: settings(reader, top),
    }
}

fn whole_script(reader: &mut Reader, top: Section<'_>, base: &Path) -> Option<OnlineScript> {
    let found = script(reader, top, base);
    let given = environment(reader, top, base);
    let variables = reader.text_map(top, "environment_variables");
    if top.get("code_configuration").is_none() {
        // Nothing would see them: the model answers by itself.
        for key in ["environment", "environment_variables"] {
            if let Some(node) = top.get(key) {
                reader.idle(&node.place, key);
            }
        }
    }
    let (script, folder) = found?;
    let environment = match (given, top.get("environment")) {
        (Some(environment), _) => environment,
        (None, Some(_)) => return None,
        (None, None) => EnvironmentChoice::Definition(Box::default()),
    };
    Some(OnlineScript {
        script,
        folder,
        environment,
        variables,
    })
}

fn settings(reader: &mut Reader, top: Section<'_>) -> SettingsChange {
    let mut settings = SettingsChange {
        liveness_probe_requirements: Some(liveness(reader, top)),
        storage_enabled: collector(reader, top),
        ..SettingsChange::default()
    };
    readiness(reader, top);
    requests(reader, top, &mut settings);
    scaling(reader, top, &mut settings);
    resources(reader, top, &mut settings);
    for violation in settings.violations() {
        let path = in_these_words(&violation.path);
        let message = in_these_words(&violation.to_string());
        let place = top.node.place_of(&path).clone();
        reader.problem(&place, message, None);
    }
    settings
}

fn in_these_words(text: &str) -> String {
    PATHS.iter().fold(text.to_owned(), |text, (there, here)| {
        text.replace(there, here)
    })
}
