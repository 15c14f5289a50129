//! Flags of an endpoint's version: how it runs, and its part of the traffic.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};
use lusk_domain::ReplicaUrl;
use lusk_manifest::Override;

use super::values::NONE;
use crate::cli::{Label, ModelsArgs, RunningArgs, ScriptArgs, overrides::Overrides};

/// Which version of which endpoint.
#[derive(Debug, Clone, Args)]
pub(crate) struct VersionOf {
    /// The endpoint
    #[arg(short, long)]
    pub(crate) name: String,
    /// The version
    #[arg(long, visible_alias = "vn", value_name = "NAME")]
    pub(crate) version_name: String,
}

/// A version's part of the traffic.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Traffic")]
pub(crate) struct StakeArgs {
    /// Share of the traffic that is the version's own, 0 to 100 with two decimals; what
    /// no version claims goes to the default besides
    #[arg(
        long,
        visible_alias = "tp",
        value_name = "PERCENT",
        allow_hyphen_values = true
    )]
    pub(crate) traffic_percentile: Option<String>,
    /// Make it the default. With false nothing happens, as in `az ml`: a version stops
    /// being the default only when another one becomes it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) is_default: Option<bool>,
    /// Make it the control, which the others are compared with. With false nothing
    /// happens, as in `az ml`: another control takes its place
    #[arg(long, visible_alias = "cvt", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) is_control_version_type: Option<bool>,
    /// Roll the version back by itself when it does badly: a part of failed requests or
    /// a latency; `none` ends that; example: --abort-if "error_rate>1%", --abort-if
    /// "p99>250ms"
    #[arg(long, value_name = "RULE")]
    pub(crate) abort_if: Option<String>,
}

impl StakeArgs {
    /// Whether a rule of before, or of a file, is to go.
    pub(crate) fn ends_guard(&self) -> bool {
        self.abort_if.as_deref() == Some(NONE)
    }
}

/// What `create-version` and `update-version` have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct VersionArgs {
    /// Which version.
    #[command(flatten)]
    pub(crate) of: VersionOf,
    /// Models.
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Base URL of an outside replica: a running scoring server that answers in place of
    /// a script (repeatable)
    #[arg(long = "remote", value_name = "URL")]
    pub(crate) remote: Vec<ReplicaUrl>,
    /// Deployment config: JSON or YAML; keys, auth, telemetry and namespace in it are the
    /// endpoint's and not read
    #[arg(long, visible_alias = "dc", value_name = "FILE")]
    pub(crate) deploy_config_file: Option<PathBuf>,
    /// Free text
    #[arg(short, long)]
    pub(crate) description: Option<String>,
    /// A tag to add or replace (repeatable)
    #[arg(long = "add-tag", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_tags: Vec<Label>,
    /// A property to add, cannot change later (repeatable)
    #[arg(long = "add-property", visible_alias = "property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_properties: Vec<Label>,
    /// Do not wait until the version is healthy
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Script and environment.
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
    /// How it runs.
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    /// Who gets how much.
    #[command(flatten)]
    pub(crate) stake: StakeArgs,
}

impl VersionArgs {
    /// What the flags put in place of the deployment config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        self.running.put(&mut found);
        let name = Some(self.of.version_name.clone());
        found.text("versionName", "--version-name", &name);
        found.number(
            "trafficPercentile",
            "--traffic-percentile",
            &self.stake.traffic_percentile,
        );
        if !self.stake.ends_guard() {
            found.text("abortIf", "--abort-if", &self.stake.abort_if);
        }
        found.0
    }
}

/// Flags of `endpoint realtime create-version`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk endpoint realtime create-version -n shop --vn green -m digits:2 --tp 10
  lusk endpoint realtime create-version -n shop --vn green --ic inferenceconfig.json --dc deploymentconfig.json
  lusk endpoint realtime create-version -n shop --vn green -m digits:2 --tp 5 --abort-if \"error_rate>1%\"

The first version of an endpoint is made with `lusk model deploy --cp aksendpoint`. A version
gets its part of the traffic when it is healthy.")]
pub(crate) struct VersionCreateArgs {
    /// The version.
    #[command(flatten)]
    pub(crate) version: VersionArgs,
}

/// Flags of `endpoint realtime update-version`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk endpoint realtime update-version -n shop --vn green --tp 40 --is-default
  lusk endpoint realtime update-version -n shop --vn blue --cvt
  lusk endpoint realtime update-version -n shop --vn green --abort-if none
  lusk endpoint realtime update-version -n shop --vn green -m digits:3 --nr 2

What is not given stays. Part of the traffic and deployment change in one step, when the
version is healthy; a deployment that fails changes nothing.")]
pub(crate) struct VersionUpdateArgs {
    /// A tag to remove (repeatable)
    #[arg(long = "remove-tag", value_name = "KEY")]
    pub(crate) remove_tags: Vec<String>,
    /// The version.
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// The same as `--abort-if none`
    #[arg(long, conflicts_with = "abort_if", help_heading = "Traffic")]
    pub(crate) no_abort_if: bool,
}
