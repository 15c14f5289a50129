//! `lusk model deploy`, and the groups of flags that it shares with
//! `service update`. Every flag that has a key in a config file takes its place.

use std::path::PathBuf;

use clap::Args;
use lusk_domain::EnvironmentRef;
use lusk_manifest::{Override, Scalar};

use super::Label;

/// Flags of `model deploy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk model deploy -n digits -m digits:1 --ic inferenceconfig.json --dc deploymentconfig.json
  lusk model deploy -n digits -m ./model.onnx --es score.py --nr 2 --overwrite
  lusk model deploy -n plain -m digits:1            one ONNX model, no code
  lusk model deploy -n debug -m digits:1 --ic inferenceconfig.json --cp local --port 8890")]
pub(crate) struct DeployArgs {
    /// Name of the service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Models.
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Deployment config: JSON or YAML
    #[arg(long, visible_alias = "dc", value_name = "FILE")]
    pub(crate) deploy_config_file: Option<PathBuf>,
    /// Name of the compute target
    #[arg(long, visible_alias = "ct", value_name = "NAME")]
    pub(crate) compute_target: Option<String>,
    /// Compute type: aks, aci or local
    #[arg(long, visible_alias = "cp", value_name = "TYPE")]
    pub(crate) compute_type: Option<String>,
    /// Replace a service of this name
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Do not wait until the service is healthy
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Free text
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// A tag (repeatable)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) tags: Vec<Label>,
    /// A property, cannot change later (repeatable)
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) properties: Vec<Label>,
    /// Script and environment.
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
    /// How it runs.
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Keys and place.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

impl DeployArgs {
    /// What the flags put in place of the deployment config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        found.text(
            "computeTargetName",
            "--compute-target",
            &self.compute_target,
        );
        found.text("computeType", "--compute-type", &self.compute_type);
        self.settings.put(&mut found);
        self.place.put(&mut found);
        found.0
    }
}

/// Which models.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ModelsArgs {
    /// A model as `name:version`, or a file or folder to register first (repeatable)
    #[arg(short = 'm', long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// A file that `model register -t` wrote (repeatable)
    #[arg(short = 'f', long = "model-metadata-file", value_name = "FILE")]
    pub(crate) metadata_files: Vec<PathBuf>,
}

/// Which script, in which environment.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Script and environment")]
pub(crate) struct ScriptArgs {
    /// Inference config: JSON or YAML
    #[arg(long, visible_alias = "ic", value_name = "FILE")]
    pub(crate) inference_config_file: Option<PathBuf>,
    /// Entry script: .py, .js, .mjs, .wasm or .wat
    #[arg(long, visible_alias = "es", value_name = "PATH")]
    pub(crate) entry_script: Option<String>,
    /// Folder that is deployed whole; the script's path starts there
    #[arg(long, visible_alias = "sd", value_name = "DIR")]
    pub(crate) source_directory: Option<String>,
    /// Folder with azureml_environment.json
    #[arg(long, visible_alias = "ed", value_name = "DIR")]
    pub(crate) environment_directory: Option<PathBuf>,
    /// A registered environment, in place of the config's
    #[arg(
        short,
        long,
        value_name = "NAME",
        conflicts_with = "environment_directory"
    )]
    pub(crate) environment_name: Option<String>,
    /// Version of the registered environment [default: the newest]
    #[arg(
        long,
        visible_alias = "ev",
        value_name = "VERSION",
        requires = "environment_name"
    )]
    pub(crate) environment_version: Option<String>,
    /// What runs the script: python (the sandbox), process, javascript or wasm
    /// [default: script and environment tell it]
    #[arg(long, visible_alias = "rt", value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// Port on which the script of a local service waits for a debugger
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) debug_port: Option<u16>,
    /// Deprecated: conda definition
    #[arg(
        long,
        visible_alias = "cf",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) conda_file: Option<String>,
    /// Deprecated: file with Dockerfile lines
    #[arg(
        long,
        visible_alias = "ds",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) extra_docker_file_steps: Option<String>,
    /// Deprecated: base image
    #[arg(
        long,
        visible_alias = "bi",
        value_name = "IMAGE",
        hide_short_help = true
    )]
    pub(crate) base_image: Option<String>,
    /// Deprecated: registry of the base image
    #[arg(
        long,
        visible_alias = "ir",
        value_name = "HOST",
        hide_short_help = true
    )]
    pub(crate) base_image_registry: Option<String>,
    /// Deprecated: base image with GPU support
    #[arg(long, visible_alias = "eg", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), hide_short_help = true)]
    pub(crate) enable_gpu: Option<bool>,
    /// Deprecated: CUDA version
    #[arg(
        long,
        visible_alias = "cv",
        value_name = "VERSION",
        hide_short_help = true
    )]
    pub(crate) cuda_version: Option<String>,
    /// Accepted as in `az ml`, without effect
    #[arg(
        long,
        visible_alias = "pi",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) profile_input: Option<String>,
}

impl ScriptArgs {
    /// The registered environment that the flags name.
    pub(crate) fn environment_reference(&self) -> Option<EnvironmentRef> {
        Some(EnvironmentRef {
            name: self.environment_name.clone()?,
            version: self.environment_version.clone(),
        })
    }

    /// Whether anything asks for an entry script.
    pub(crate) fn is_given(&self) -> bool {
        self.inference_config_file.is_some()
            || self.environment_directory.is_some()
            || self.environment_name.is_some()
            || self.debug_port.is_some()
            || !self.overrides().is_empty()
    }

    /// What the flags put in place of the inference config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        found.text("entryScript", "--entry-script", &self.entry_script);
        found.text(
            "sourceDirectory",
            "--source-directory",
            &self.source_directory,
        );
        found.text("condaFile", "--conda-file", &self.conda_file);
        found.text("runtime", "--runtime", &self.runtime);
        found.text(
            "extraDockerfileSteps",
            "--extra-docker-file-steps",
            &self.extra_docker_file_steps,
        );
        found.text("baseImage", "--base-image", &self.base_image);
        found.text(
            "baseImageRegistry",
            "--base-image-registry",
            &self.base_image_registry,
        );
        found.flag("enableGpu", "--enable-gpu", self.enable_gpu);
        found.text("cudaVersion", "--cuda-version", &self.cuda_version);
        found.0
    }
}

macro_rules! boolish {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident, $alias:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Args)]
        pub(crate) struct $name {
            $(
                $(#[$doc])*
                #[arg(long, visible_alias = $alias, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
                pub $field: Option<bool>,
            )*
        }
    };
}

boolish! {
    /// The switches of a service.
    SwitchArgs {
        /// Scale by load
        autoscale_enabled, "as";
        /// Key auth
        auth_enabled, "ae";
        /// Telemetry
        enable_app_insights, "ai";
        /// Model data collection
        collect_model_data, "md";
    }
}

/// How a service runs. Numbers are read with the config file, so that all
/// complaints come together.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Cores reserved for a replica
    #[arg(
        long,
        visible_alias = "cc",
        value_name = "CORES",
        allow_hyphen_values = true
    )]
    pub(crate) cpu_cores: Option<String>,
    /// Most cores of a replica
    #[arg(
        long,
        visible_alias = "ccl",
        value_name = "CORES",
        allow_hyphen_values = true
    )]
    pub(crate) cpu_cores_limit: Option<String>,
    /// Gigabytes of memory reserved for a replica
    #[arg(
        long,
        visible_alias = "gb",
        value_name = "GB",
        allow_hyphen_values = true
    )]
    pub(crate) memory_gb: Option<String>,
    /// Most gigabytes of memory of a replica
    #[arg(
        long,
        visible_alias = "gbl",
        value_name = "GB",
        allow_hyphen_values = true
    )]
    pub(crate) memory_gb_limit: Option<String>,
    /// GPUs of a replica
    #[arg(
        long,
        visible_alias = "gc",
        value_name = "GPUS",
        allow_hyphen_values = true
    )]
    pub(crate) gpu_cores: Option<String>,
    /// Fixed number of replicas
    #[arg(
        long,
        visible_alias = "nr",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) num_replicas: Option<String>,
    /// Fewest replicas
    #[arg(
        long,
        visible_alias = "mi",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) autoscale_min_replicas: Option<String>,
    /// Most replicas
    #[arg(
        long,
        visible_alias = "ma",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) autoscale_max_replicas: Option<String>,
    /// Seconds between scaling decisions
    #[arg(
        long,
        visible_alias = "ar",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    pub(crate) autoscale_refresh_seconds: Option<String>,
    /// Percent of slots that should be busy
    #[arg(
        long,
        visible_alias = "at",
        value_name = "PERCENT",
        allow_hyphen_values = true
    )]
    pub(crate) autoscale_target_utilization: Option<String>,
    /// Requests that a replica runs at a time
    #[arg(
        long,
        visible_alias = "rm",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) replica_max_concurrent_requests: Option<String>,
    /// Milliseconds that a request may wait for a replica
    #[arg(
        long,
        visible_alias = "mr",
        value_name = "MS",
        allow_hyphen_values = true
    )]
    pub(crate) max_request_wait_time: Option<String>,
    /// Milliseconds that a request may take
    #[arg(
        long,
        visible_alias = "tm",
        value_name = "MS",
        allow_hyphen_values = true
    )]
    pub(crate) scoring_timeout_ms: Option<String>,
    /// Seconds between liveness probes
    #[arg(
        long,
        visible_alias = "ps",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    pub(crate) period_seconds: Option<String>,
    /// Seconds before the first failed probe counts
    #[arg(
        long,
        visible_alias = "id",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    pub(crate) initial_delay_seconds: Option<String>,
    /// Seconds until a probe counts as failed
    #[arg(
        long,
        visible_alias = "ts",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    pub(crate) timeout_seconds: Option<String>,
    /// Successful probes that make a replica healthy
    #[arg(
        long,
        visible_alias = "st",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) success_threshold: Option<String>,
    /// Failed probes that make a replica dead
    #[arg(
        long,
        visible_alias = "ft",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) failure_threshold: Option<String>,
    /// Switches.
    #[command(flatten)]
    pub(crate) switches: SwitchArgs,
    /// Token auth
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) token_auth_enabled: Option<bool>,
}

impl SettingsArgs {
    /// What the flags put in place of the deployment config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        self.put(&mut found);
        found.0
    }

    fn put(&self, found: &mut Overrides) {
        self.put_resources(found);
        self.put_scaling(found);
        self.put_probe(found);
        let on = &self.switches;
        found.flag(
            "autoScaler.autoscaleEnabled",
            "--autoscale-enabled",
            on.autoscale_enabled,
        );
        found.flag("authEnabled", "--auth-enabled", on.auth_enabled);
        found.flag(
            "tokenAuthEnabled",
            "--token-auth-enabled",
            self.token_auth_enabled,
        );
        found.flag(
            "appInsightsEnabled",
            "--enable-app-insights",
            on.enable_app_insights,
        );
        found.flag(
            "dataCollection.storageEnabled",
            "--collect-model-data",
            on.collect_model_data,
        );
    }

    fn put_resources(&self, found: &mut Overrides) {
        let mut resource = |key: &str, flag, value| {
            found.number(&format!("containerResourceRequirements.{key}"), flag, value);
        };
        resource("cpu", "--cpu-cores", &self.cpu_cores);
        resource("cpuLimit", "--cpu-cores-limit", &self.cpu_cores_limit);
        resource("memoryInGB", "--memory-gb", &self.memory_gb);
        resource(
            "memoryInGBLimit",
            "--memory-gb-limit",
            &self.memory_gb_limit,
        );
        found.number("gpuCores", "--gpu-cores", &self.gpu_cores);
    }

    fn put_scaling(&self, found: &mut Overrides) {
        let mut scaler = |key: &str, flag, value| {
            found.number(&format!("autoScaler.{key}"), flag, value);
        };
        scaler(
            "minReplicas",
            "--autoscale-min-replicas",
            &self.autoscale_min_replicas,
        );
        scaler(
            "maxReplicas",
            "--autoscale-max-replicas",
            &self.autoscale_max_replicas,
        );
        scaler(
            "refreshPeriodInSeconds",
            "--autoscale-refresh-seconds",
            &self.autoscale_refresh_seconds,
        );
        scaler(
            "targetUtilization",
            "--autoscale-target-utilization",
            &self.autoscale_target_utilization,
        );
        found.number("numReplicas", "--num-replicas", &self.num_replicas);
        found.number(
            "maxConcurrentRequestsPerContainer",
            "--replica-max-concurrent-requests",
            &self.replica_max_concurrent_requests,
        );
        found.number(
            "maxQueueWaitMs",
            "--max-request-wait-time",
            &self.max_request_wait_time,
        );
        found.number(
            "scoringTimeoutMs",
            "--scoring-timeout-ms",
            &self.scoring_timeout_ms,
        );
    }

    fn put_probe(&self, found: &mut Overrides) {
        let mut probe = |key: &str, flag, value| {
            found.number(&format!("livenessProbeRequirements.{key}"), flag, value);
        };
        probe("periodSeconds", "--period-seconds", &self.period_seconds);
        probe(
            "initialDelaySeconds",
            "--initial-delay-seconds",
            &self.initial_delay_seconds,
        );
        probe("timeoutSeconds", "--timeout-seconds", &self.timeout_seconds);
        probe(
            "successThreshold",
            "--success-threshold",
            &self.success_threshold,
        );
        probe(
            "failureThreshold",
            "--failure-threshold",
            &self.failure_threshold,
        );
    }
}

/// Keys, and flags of single compute types.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Keys and place")]
pub(crate) struct PlaceArgs {
    /// The first key [default: a random one]
    #[arg(long, visible_alias = "kp", value_name = "KEY")]
    pub(crate) primary_key: Option<String>,
    /// The second key [default: a random one]
    #[arg(long, visible_alias = "ks", value_name = "KEY")]
    pub(crate) secondary_key: Option<String>,
    /// Namespace on a cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Port of a local service [default: a free one]
    #[arg(
        long,
        visible_alias = "po",
        value_name = "PORT",
        allow_hyphen_values = true
    )]
    pub(crate) port: Option<String>,
    /// Name of an endpoint's version; endpoints come in a later release
    #[arg(
        long,
        visible_alias = "vn",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) version_name: Option<String>,
    /// Share of an endpoint's version; endpoints come in a later release
    #[arg(
        long,
        visible_alias = "tp",
        value_name = "PERCENT",
        hide_short_help = true
    )]
    pub(crate) traffic_percentile: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "lo",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) location: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "dn",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) dns_name_label: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, visible_alias = "se", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), hide_short_help = true)]
    pub(crate) ssl_enabled: Option<bool>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sp",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) ssl_cert_pem_file: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sk",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) ssl_key_pem_file: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sc",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) ssl_cname: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) vnet_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) subnet_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "URL", hide_short_help = true)]
    pub(crate) vault_base_url: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) key_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub(crate) key_version: Option<String>,
}

impl PlaceArgs {
    fn put(&self, found: &mut Overrides) {
        found.text("keys.primaryKey", "--primary-key", &self.primary_key);
        found.text("keys.secondaryKey", "--secondary-key", &self.secondary_key);
        found.text("namespace", "--namespace", &self.namespace);
        found.number("port", "--port", &self.port);
        found.text("versionName", "--version-name", &self.version_name);
        found.number(
            "trafficPercentile",
            "--traffic-percentile",
            &self.traffic_percentile,
        );
        found.text("location", "--location", &self.location);
        found.text("dnsNameLabel", "--dns-name-label", &self.dns_name_label);
        found.flag("sslEnabled", "--ssl-enabled", self.ssl_enabled);
        found.text(
            "sslCertificate",
            "--ssl-cert-pem-file",
            &self.ssl_cert_pem_file,
        );
        found.text("sslKey", "--ssl-key-pem-file", &self.ssl_key_pem_file);
        found.text("cname", "--ssl-cname", &self.ssl_cname);
        found.text("vnetName", "--vnet-name", &self.vnet_name);
        found.text("subnetName", "--subnet-name", &self.subnet_name);
        found.text("vaultBaseUrl", "--vault-base-url", &self.vault_base_url);
        found.text("keyName", "--key-name", &self.key_name);
        found.text("keyVersion", "--key-version", &self.key_version);
    }
}

#[derive(Default)]
struct Overrides(Vec<Override>);

impl Overrides {
    fn text(&mut self, key: &str, flag: &str, value: &Option<String>) {
        if let Some(text) = value {
            self.0
                .push(Override::new(key, flag, Scalar::Text(text.clone())));
        }
    }

    /// What is no number stays a text, and is complained about as one.
    fn number(&mut self, key: &str, flag: &str, value: &Option<String>) {
        if let Some(text) = value {
            let scalar = match text.parse::<f64>() {
                Ok(_) => Scalar::Number(text.clone()),
                Err(_) => Scalar::Text(text.clone()),
            };
            self.0.push(Override::new(key, flag, scalar));
        }
    }

    fn flag(&mut self, key: &str, flag: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.push(Override::new(key, flag, Scalar::Bool(value)));
        }
    }
}
