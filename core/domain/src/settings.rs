//! What a service may use and how it behaves: scaling, resources, time limits,
//! auth, probe. One type of wishes ([`SettingsChange`]) is read from files,
//! flags and requests; one of facts ([`Settings`]) comes out.
//!
//! Rules between fields are those of the original SDK, checked all at once.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{Namespace, Violation};

/// Autoscaling of a service's replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoScaler {
    /// Off means `num_replicas` is fixed.
    pub autoscale_enabled: bool,
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// Seconds between decisions.
    pub refresh_period_in_seconds: u32,
    /// Percent of slots that should be busy.
    pub target_utilization: u32,
}

impl Default for AutoScaler {
    /// The original's server-side defaults.
    fn default() -> Self {
        Self {
            autoscale_enabled: true,
            min_replicas: 1,
            max_replicas: 10,
            refresh_period_in_seconds: 1,
            target_utilization: 70,
        }
    }
}

/// What one replica may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores reserved.
    pub cpu: f64,
    /// Most cores, none = no bound.
    pub cpu_limit: Option<f64>,
    /// Gigabytes (10^9 bytes) of memory reserved.
    #[serde(rename = "memoryInGB")]
    pub memory_in_gb: f64,
    /// Most gigabytes, none = the reservation is the bound.
    #[serde(rename = "memoryInGBLimit")]
    pub memory_in_gb_limit: Option<f64>,
    /// Whole GPUs.
    pub gpu: u32,
}

impl Default for Resources {
    /// The original's server-side defaults.
    fn default() -> Self {
        Self {
            cpu: 0.1,
            cpu_limit: None,
            memory_in_gb: 0.5,
            memory_in_gb_limit: None,
            gpu: 0,
        }
    }
}

impl Resources {
    /// Bytes that one replica may allocate: the limit, else the reservation.
    pub fn memory_limit_bytes(&self) -> u64 {
        (self.memory_in_gb_limit.unwrap_or(self.memory_in_gb) * 1e9) as u64
    }

    /// Threads that one call of a model may compute on: the whole cores reserved,
    /// at least 1. A part of a core gives none: two threads on one core and a
    /// half wait for each other more than they gain.
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.cpu as usize).unwrap_or(NonZeroUsize::MIN)
    }
}

/// The probe that tells a dead replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LivenessProbe {
    /// Seconds between probes.
    pub period_seconds: u32,
    /// Seconds before the first failure counts.
    pub initial_delay_seconds: u32,
    /// Seconds until a probe counts as failed.
    pub timeout_seconds: u32,
    /// Successes in a row that make a replica healthy.
    pub success_threshold: u32,
    /// Failures in a row that make it dead.
    pub failure_threshold: u32,
}

impl Default for LivenessProbe {
    /// The original's documented defaults.
    fn default() -> Self {
        Self {
            period_seconds: 10,
            initial_delay_seconds: 310,
            timeout_seconds: 2,
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anybody may call.
    None,
    /// One of two static keys.
    Key,
    /// A token that expires.
    Token,
}

/// How a service runs. Every value is within its range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Scaling.
    pub auto_scaler: AutoScaler,
    /// Fixed replicas; only with autoscaling off.
    pub num_replicas: Option<u32>,
    /// Per replica.
    pub resources: Resources,
    /// Probe.
    pub liveness: LivenessProbe,
    /// Auth.
    pub auth: AuthMode,
    /// Telemetry wish; kept.
    pub app_insights_enabled: bool,
    /// Model data collection wish; kept.
    pub storage_enabled: bool,
    /// Milliseconds one request may take, queue included; 1..=300,000.
    pub scoring_timeout_ms: u32,
    /// Requests that one replica runs at a time.
    pub max_concurrent_requests_per_container: u32,
    /// Milliseconds a request may wait for a free slot.
    pub max_queue_wait_ms: u32,
    /// Kubernetes namespace.
    pub namespace: Option<Namespace>,
}

impl Default for Settings {
    /// The original's server-side defaults.
    fn default() -> Self {
        Self {
            auto_scaler: AutoScaler::default(),
            num_replicas: None,
            resources: Resources::default(),
            liveness: LivenessProbe::default(),
            auth: AuthMode::Key,
            app_insights_enabled: false,
            storage_enabled: false,
            scoring_timeout_ms: 60_000,
            max_concurrent_requests_per_container: 1,
            max_queue_wait_ms: 500,
            namespace: None,
        }
    }
}

impl Settings {
    /// Longest scoring time; the original's service refuses more.
    pub const MAX_SCORING_TIMEOUT_MS: u32 = 300_000;

    /// Replicas to start with, at least one: the fixed number, else the autoscaler's
    /// minimum.
    pub fn initial_replicas(&self) -> u32 {
        let given = self.num_replicas.unwrap_or(self.auto_scaler.min_replicas);
        given.max(1)
    }

    /// The settings that `change` makes of these.
    ///
    /// # Errors
    /// Every broken rule, those between old and new values included.
    pub fn changed(&self, change: &SettingsChange) -> Result<Self, Vec<Violation>> {
        let mut violations = change.violations();
        let next = self.merged(change);
        // A pair that the change gives whole was compared by the change itself.
        for late in next.pair_violations() {
            if violations.iter().all(|early| early.path != late.path) {
                violations.push(late);
            }
        }
        if violations.is_empty() {
            Ok(next)
        } else {
            Err(violations)
        }
    }

    fn merged(&self, change: &SettingsChange) -> Self {
        let mut next = self.clone();
        next.merge_scaling(change);
        next.merge_auth(change);
        let from = change.container_resource_requirements.unwrap_or_default();
        let resources = &mut next.resources;
        set(&mut resources.cpu, from.cpu);
        resources.cpu_limit = from.cpu_limit.or(resources.cpu_limit);
        set(&mut resources.memory_in_gb, from.memory_in_gb);
        resources.memory_in_gb_limit = from.memory_in_gb_limit.or(resources.memory_in_gb_limit);
        set(&mut resources.gpu, change.gpu_cores.or(from.gpu));
        let from = change.liveness_probe_requirements.unwrap_or_default();
        let probe = &mut next.liveness;
        set(&mut probe.period_seconds, from.period_seconds);
        set(&mut probe.initial_delay_seconds, from.initial_delay_seconds);
        set(&mut probe.timeout_seconds, from.timeout_seconds);
        set(&mut probe.success_threshold, from.success_threshold);
        set(&mut probe.failure_threshold, from.failure_threshold);
        set(&mut next.app_insights_enabled, change.app_insights_enabled);
        set(&mut next.storage_enabled, change.storage_enabled);
        set(&mut next.scoring_timeout_ms, change.scoring_timeout_ms);
        set(
            &mut next.max_concurrent_requests_per_container,
            change.max_concurrent_requests_per_container,
        );
        set(&mut next.max_queue_wait_ms, change.max_queue_wait_ms);
        next.namespace = change.namespace.clone().or(next.namespace);
        next
    }

    fn merge_scaling(&mut self, change: &SettingsChange) {
        let from = change.auto_scaler.unwrap_or_default();
        let to = &mut self.auto_scaler;
        set(&mut to.min_replicas, from.min_replicas);
        set(&mut to.max_replicas, from.max_replicas);
        set(
            &mut to.refresh_period_in_seconds,
            from.refresh_period_in_seconds,
        );
        set(&mut to.target_utilization, from.target_utilization);
        if let Some(replicas) = change.num_replicas {
            self.num_replicas = Some(replicas);
            to.autoscale_enabled = false;
        }
        if from.autoscale_enabled == Some(true) {
            to.autoscale_enabled = true;
            self.num_replicas = None;
        }
    }

    fn merge_auth(&mut self, change: &SettingsChange) {
        self.auth = match (change.auth_enabled, change.token_auth_enabled, self.auth) {
            (_, Some(true), _) => AuthMode::Token,
            (Some(true), _, _) => AuthMode::Key,
            (Some(false), _, AuthMode::Key) => AuthMode::None,
            (_, Some(false), AuthMode::Token) => AuthMode::None,
            (_, _, before) => before,
        };
    }

    fn pair_violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let scaler = &self.auto_scaler;
        if scaler.autoscale_enabled && scaler.min_replicas > scaler.max_replicas {
            found.push(min_over_max(scaler.min_replicas, scaler.max_replicas));
        }
        let resources = &self.resources;
        limit_below(
            &mut found,
            "cpuLimit",
            "cpu",
            Some(resources.cpu),
            resources.cpu_limit,
        );
        limit_below(
            &mut found,
            "memoryInGBLimit",
            "memoryInGB",
            Some(resources.memory_in_gb),
            resources.memory_in_gb_limit,
        );
        found
    }
}

fn set<T>(slot: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *slot = new;
    }
}

/// Wishes about autoscaling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoScalerChange {
    /// See [`AutoScaler`].
    pub autoscale_enabled: Option<bool>,
    /// See [`AutoScaler`].
    pub min_replicas: Option<u32>,
    /// See [`AutoScaler`].
    pub max_replicas: Option<u32>,
    /// See [`AutoScaler`].
    pub refresh_period_in_seconds: Option<u32>,
    /// See [`AutoScaler`].
    pub target_utilization: Option<u32>,
}

/// Wishes about resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceChange {
    /// See [`Resources`].
    pub cpu: Option<f64>,
    /// See [`Resources`].
    pub cpu_limit: Option<f64>,
    /// See [`Resources`].
    #[serde(rename = "memoryInGB")]
    pub memory_in_gb: Option<f64>,
    /// See [`Resources`].
    #[serde(rename = "memoryInGBLimit")]
    pub memory_in_gb_limit: Option<f64>,
    /// See [`Resources`].
    pub gpu: Option<u32>,
}

/// Wishes about the liveness probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LivenessProbeChange {
    /// See [`LivenessProbe`].
    pub period_seconds: Option<u32>,
    /// See [`LivenessProbe`].
    pub initial_delay_seconds: Option<u32>,
    /// See [`LivenessProbe`].
    pub timeout_seconds: Option<u32>,
    /// See [`LivenessProbe`].
    pub success_threshold: Option<u32>,
    /// See [`LivenessProbe`].
    pub failure_threshold: Option<u32>,
}

/// Wishes about settings; what is `None` keeps its value or default. Shaped
/// like the body of a create request; `deploymentconfig.json` spells two
/// fields differently, which aliases accept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SettingsChange {
    /// Scaling.
    pub auto_scaler: Option<AutoScalerChange>,
    /// Fixed replicas.
    pub num_replicas: Option<u32>,
    /// Per replica.
    pub container_resource_requirements: Option<ResourceChange>,
    /// The file's place for `containerResourceRequirements.gpu`.
    pub gpu_cores: Option<u32>,
    /// Probe.
    pub liveness_probe_requirements: Option<LivenessProbeChange>,
    /// Key auth.
    pub auth_enabled: Option<bool>,
    /// Token auth; the wire says `aadAuthEnabled`, the file `tokenAuthEnabled`.
    #[serde(rename = "aadAuthEnabled", alias = "tokenAuthEnabled")]
    pub token_auth_enabled: Option<bool>,
    /// Telemetry.
    pub app_insights_enabled: Option<bool>,
    /// The wire's `dataCollection.storageEnabled`; flattened by who reads it.
    pub storage_enabled: Option<bool>,
    /// Milliseconds.
    pub scoring_timeout_ms: Option<u32>,
    /// Slots per replica.
    pub max_concurrent_requests_per_container: Option<u32>,
    /// Milliseconds.
    pub max_queue_wait_ms: Option<u32>,
    /// Kubernetes namespace.
    pub namespace: Option<Namespace>,
}

impl SettingsChange {
    /// Every rule that these wishes break by themselves.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        self.scaling_violations(&mut found);
        self.resource_violations(&mut found);
        self.probe_violations(&mut found);
        if self.auth_enabled == Some(true) && self.token_auth_enabled == Some(true) {
            found.push(Violation::new(
                "tokenAuthEnabled",
                "key and token auth cannot both be on; leave out one of `authEnabled` and `tokenAuthEnabled`",
            ));
        }
        positive(
            &mut found,
            "maxConcurrentRequestsPerContainer",
            self.max_concurrent_requests_per_container,
        );
        positive(&mut found, "maxQueueWaitMs", self.max_queue_wait_ms);
        positive(&mut found, "scoringTimeoutMs", self.scoring_timeout_ms);
        if let Some(given) = self
            .scoring_timeout_ms
            .filter(|ms| *ms > Settings::MAX_SCORING_TIMEOUT_MS)
        {
            found.push(Violation::new(
                "scoringTimeoutMs",
                format!(
                    "{given} ms is over the limit of {} ms",
                    Settings::MAX_SCORING_TIMEOUT_MS
                ),
            ));
        }
        found
    }

    fn scaling_violations(&self, found: &mut Vec<Violation>) {
        positive(found, "numReplicas", self.num_replicas);
        let scaler = self.auto_scaler.unwrap_or_default();
        match (scaler.autoscale_enabled, self.num_replicas) {
            (Some(true), Some(replicas)) => found.push(Violation::new(
                "numReplicas",
                format!("{replicas} fixed replicas are given although autoscaling is on; leave out one of the two"),
            )),
            (Some(false), None) => found.push(Violation::new(
                "autoScaler.autoscaleEnabled",
                "autoscaling is off, so `numReplicas` must be given",
            )),
            _ => {}
        }
        let fields = [
            ("autoScaler.minReplicas", scaler.min_replicas),
            ("autoScaler.maxReplicas", scaler.max_replicas),
            (
                "autoScaler.refreshPeriodInSeconds",
                scaler.refresh_period_in_seconds,
            ),
            ("autoScaler.targetUtilization", scaler.target_utilization),
        ];
        for (path, value) in fields {
            // No replica at all lets a service sleep, which the original cannot.
            if path != "autoScaler.minReplicas" {
                positive(found, path, value);
            }
            if value.is_some() && scaler.autoscale_enabled != Some(true) {
                found.push(Violation::new(
                    path,
                    "given without enabling autoscaling; add `\"autoscaleEnabled\": true`",
                ));
            }
        }
        if let Some(given) = scaler.target_utilization.filter(|percent| *percent > 100) {
            found.push(Violation::new(
                "autoScaler.targetUtilization",
                format!("{given} % is over the limit of 100 %"),
            ));
        }
        if let (Some(min), Some(max)) = (scaler.min_replicas, scaler.max_replicas)
            && min > max
        {
            found.push(min_over_max(min, max));
        }
    }

    fn resource_violations(&self, found: &mut Vec<Violation>) {
        let wish = self.container_resource_requirements.unwrap_or_default();
        let fields = [
            ("cpu", wish.cpu),
            ("cpuLimit", wish.cpu_limit),
            ("memoryInGB", wish.memory_in_gb),
            ("memoryInGBLimit", wish.memory_in_gb_limit),
        ];
        for (name, value) in fields {
            if let Some(value) = value.filter(|v| !v.is_finite() || *v <= 0.0) {
                found.push(Violation::new(
                    format!("containerResourceRequirements.{name}"),
                    format!("{value} is not a number over 0"),
                ));
            }
        }
        limit_below(found, "cpuLimit", "cpu", wish.cpu, wish.cpu_limit);
        limit_below(
            found,
            "memoryInGBLimit",
            "memoryInGB",
            wish.memory_in_gb,
            wish.memory_in_gb_limit,
        );
    }

    fn probe_violations(&self, found: &mut Vec<Violation>) {
        let probe = self.liveness_probe_requirements.unwrap_or_default();
        let fields = [
            ("periodSeconds", probe.period_seconds),
            ("initialDelaySeconds", probe.initial_delay_seconds),
            ("timeoutSeconds", probe.timeout_seconds),
            ("successThreshold", probe.success_threshold),
            ("failureThreshold", probe.failure_threshold),
        ];
        for (name, value) in fields {
            positive(found, &format!("livenessProbeRequirements.{name}"), value);
        }
    }
}

fn positive(found: &mut Vec<Violation>, path: &str, value: Option<u32>) {
    if value == Some(0) {
        found.push(Violation::new(path, "0 is below the smallest value, 1"));
    }
}

fn min_over_max(min: u32, max: u32) -> Violation {
    Violation::new(
        "autoScaler.minReplicas",
        format!("{min} is over `autoScaler.maxReplicas`, which is {max}"),
    )
}

fn limit_below(
    found: &mut Vec<Violation>,
    limit_name: &str,
    request_name: &str,
    request: Option<f64>,
    limit: Option<f64>,
) {
    if let (Some(request), Some(limit)) = (request, limit)
        && limit < request
    {
        found.push(Violation::new(
            format!("containerResourceRequirements.{limit_name}"),
            format!("{limit} is below `{request_name}`, which is {request}"),
        ));
    }
}

#[cfg(test)]
mod tests;
