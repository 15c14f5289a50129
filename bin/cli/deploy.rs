//! `lusk model deploy`. Every flag that has a key in a config file takes its place.

use std::path::PathBuf;

use clap::Args;
use lusk_domain::ReplicaUrl;
use lusk_manifest::Override;

use super::{
    Label, overrides::Overrides, place::PlaceArgs, script::ScriptArgs, settings::SettingsArgs,
};

/// Flags of `model deploy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk model deploy -n digits -m digits:1 --ic inferenceconfig.json --dc deploymentconfig.json
  lusk model deploy -n digits -m ./model.onnx --es score.py --nr 2 --overwrite
  lusk model deploy -n plain -m digits:1            one ONNX model, no code
  lusk model deploy -n away --remote http://10.0.0.7:5001  a server that runs elsewhere
  lusk model deploy -n shop -m digits:1 --cp aksendpoint --vn blue  an endpoint's first version
  lusk model deploy -n debug -m digits:1 --ic inferenceconfig.json --cp local --port 8890")]
pub(crate) struct DeployArgs {
    /// Name of the service, or of the endpoint
    #[arg(short, long)]
    pub(crate) name: String,
    /// Models.
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Base URL of an outside replica: a running scoring server that answers in place of
    /// a script (repeatable)
    #[arg(long = "remote", value_name = "URL")]
    pub(crate) remote: Vec<ReplicaUrl>,
    /// Deployment config: JSON or YAML
    #[arg(long, visible_alias = "dc", value_name = "FILE")]
    pub(crate) deploy_config_file: Option<PathBuf>,
    /// Name of the compute target
    #[arg(long, visible_alias = "ct", value_name = "NAME")]
    pub(crate) compute_target: Option<String>,
    /// Compute type: aks, aksendpoint, aci or local
    #[arg(long, visible_alias = "cp", value_name = "TYPE")]
    pub(crate) compute_type: Option<String>,
    /// Replace a service of this name, or a version of the endpoint
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

impl ModelsArgs {
    /// Whether no model is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.models.is_empty() && self.metadata_files.is_empty()
    }
}
