//! Flags of how a service runs.

use clap::Args;
use lusk_manifest::Override;

use super::overrides::Overrides;

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
    /// The switches of how it runs.
    SwitchArgs {
        /// Scale by load
        autoscale_enabled, "as";
        /// Model data collection
        collect_model_data, "md";
    }
}

boolish! {
    /// The switches of a door.
    DoorSwitchArgs {
        /// Key auth
        auth_enabled, "ae";
        /// Telemetry
        enable_app_insights, "ai";
    }
}

/// How a service runs, and who may call it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// How it runs.
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    /// Who may call it.
    #[command(flatten)]
    pub(crate) door: DoorArgs,
}

/// Who may call a service, or all versions of an endpoint.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DoorArgs {
    /// Switches.
    #[command(flatten)]
    pub(crate) switches: DoorSwitchArgs,
    /// Token auth
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) token_auth_enabled: Option<bool>,
}

/// How a service, or a version of an endpoint, runs. Numbers are read with the config
/// file, so that all complaints come together.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct RunningArgs {
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
}

impl SettingsArgs {
    /// What the flags put in place of the deployment config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        self.put(&mut found);
        found.0
    }

    /// What these flags put in place of keys.
    pub(crate) fn put(&self, found: &mut Overrides) {
        self.running.put(found);
        self.door.put(found);
    }
}

impl DoorArgs {
    fn put(&self, found: &mut Overrides) {
        let on = &self.switches;
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
    }
}

impl RunningArgs {
    /// What these flags put in place of keys.
    pub(crate) fn put(&self, found: &mut Overrides) {
        self.put_resources(found);
        self.put_scaling(found);
        self.put_probe(found);
        let on = &self.switches;
        found.flag(
            "autoScaler.autoscaleEnabled",
            "--autoscale-enabled",
            on.autoscale_enabled,
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
