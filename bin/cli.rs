//! The command line: what can be asked for, in the words of `az ml`.
//!
//! Only names, help and shapes are here; what a command does is in
//! [`crate::commands`]. Long flags of two or three letters (`--ic`, `--nr`) are
//! the original's short forms.

mod capacity;
mod deploy;
mod doctor;
mod endpoint;
mod environment;
mod image;
mod labels;
mod model;
mod online;
mod overrides;
mod place;
mod script;
mod service;
mod settings;
mod variables;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use capacity::CapacityArgs;
pub(crate) use deploy::{DeployArgs, ModelsArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use endpoint::{
    EndpointCommand, EndpointUpdateArgs, MirrorLogArgs, OrNone, Part, Parts, RealtimeCommand,
    VersionArgs, VersionCreateArgs, VersionDeleteArgs, VersionOf, VersionUpdateArgs,
};
pub(crate) use environment::{
    EnvironmentCommand, EnvironmentDownloadArgs, EnvironmentListArgs, EnvironmentRegisterArgs,
    EnvironmentScaffoldArgs, EnvironmentShowArgs, MetadataArgs,
};
pub(crate) use image::{
    ImageArgs, ImageBuildArgs, ImageCommand, ImageExportArgs, ImageImportArgs, ImagePruneArgs,
    ImageScanArgs,
};
pub(crate) use labels::Label;
pub(crate) use model::{
    BatchArgs, ModelCommand, ModelDownloadArgs, ModelListArgs, ModelRegisterArgs, ModelShowArgs,
    ModelUpdateArgs, RequirementArgs,
};
pub(crate) use online::{
    OnlineDeploymentArgs, OnlineDeploymentCommand, OnlineEndpointArgs, OnlineEndpointCommand,
    OnlineEndpointUpdateArgs, overrides as online_overrides,
};
pub(crate) use script::ScriptArgs;
pub(crate) use service::{
    ServiceCommand, ServiceListArgs, ServiceLogsArgs, ServiceRegenArgs, ServiceReloadArgs,
    ServiceRunArgs, ServiceScalingArgs, ServiceUpdateArgs,
};
pub(crate) use settings::{RunningArgs, SettingsArgs};
pub(crate) use variables::parse;

use crate::commands::{quickstart::QuickstartArgs, up::UpArgs};

/// Deploys machine-learning models as authenticated, scaled web services.
#[derive(Debug, Parser)]
#[command(
    name = "lusk",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start a node with `lusk up`, then:
  lusk model register -n digits -p model.onnx
  lusk model deploy -n digits -m digits:1 --ic inferenceconfig.json --dc deploymentconfig.json
  lusk service run -n digits -d '{\"data\": [[0, 1]]}'"
)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// How to print data
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", env = "LUSK_OUTPUT", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Data folder of the node [default: ~/.lusk]
    #[arg(long, global = true, value_name = "DIR", env = "LUSK_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Admin URL of a node that is not found by its data folder
    #[arg(long, global = true, value_name = "URL", env = "LUSK_ADMIN_URL")]
    pub(crate) admin_url: Option<String>,
    /// Token for the admin URL; read from the data folder when not given
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "LUSK_ADMIN_TOKEN",
        hide_env_values = true
    )]
    pub(crate) admin_token: Option<String>,
    /// Workspace of the node
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        env = "LUSK_WORKSPACE",
        default_value = "local"
    )]
    pub(crate) workspace_name: String,
    /// Accepted as in `az ml`; a node has one resource group
    #[arg(
        short = 'g',
        long,
        global = true,
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) resource_group: Option<String>,
    /// Accepted as in `az ml`; a node has one subscription
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub(crate) subscription_id: Option<String>,
    /// Folder that relative paths start from [default: the current one]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(crate) path: Option<PathBuf>,
    /// Say more on stderr
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
    /// Say everything on stderr
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) debug: bool,
    /// Say nothing on stderr but errors
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) only_show_errors: bool,
}

impl GlobalArgs {
    /// The log filter that the flags ask for.
    pub(crate) fn log_filter(&self) -> &'static str {
        match (self.only_show_errors, self.debug, self.verbose) {
            (true, ..) => "error",
            (_, true, _) => "debug",
            (_, _, true) => "info",
            _ => "warn",
        }
    }
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people
    Table,
    /// JSON
    Json,
    /// JSON, as `json`; the original colours it
    Jsonc,
    /// Columns parted by tabs, no header
    Tsv,
    /// YAML
    Yaml,
    /// YAML, as `yaml`; the original colours it
    Yamlc,
    /// Nothing
    None,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node in the foreground
    Up(UpArgs),
    /// Start a node, deploy an example and score it
    Quickstart(QuickstartArgs),
    /// Register, look at and deploy models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at, change and call services
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Several versions of a service behind one URL, with shares of its traffic
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// Endpoints in the words and the YAML of `az ml` v2
    #[command(subcommand)]
    OnlineEndpoint(OnlineEndpointCommand),
    /// Deployments of online endpoints: their versions, in the words and the YAML of `az ml` v2
    #[command(subcommand)]
    OnlineDeployment(OnlineDeploymentCommand),
    /// Register and look at environments: what entry scripts need
    #[command(subcommand)]
    Environment(EnvironmentCommand),
    /// Look at images, build, push, pull, carry and scan them
    #[command(subcommand)]
    Image(ImageCommand),
    /// Tell how many replicas a rate of requests needs
    Capacity(CapacityArgs),
    /// Look for what is wrong with this machine, its data folder and what a node talks to
    Doctor(DoctorArgs),
    /// Compile a component to machine code; a node calls it as a child process
    #[command(hide = true)]
    CompileComponent {
        /// The component
        component: PathBuf,
        /// Where the machine code goes
        code: PathBuf,
    },
}

#[cfg(test)]
mod tests;
