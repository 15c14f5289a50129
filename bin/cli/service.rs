//! `lusk service …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lusk_domain::ReplicaUrl;

use super::{Label, ModelsArgs, ScriptArgs, SettingsArgs};

/// What can be done with services.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List services
    List(ServiceListArgs),
    /// Show a service
    #[command(
        after_help = "Examples:\n  lusk service show -n digits\n  lusk service show -n digits -o json"
    )]
    Show {
        /// The service
        #[arg(short, long)]
        name: String,
    },
    /// Change a running service without losing a request
    Update(Box<ServiceUpdateArgs>),
    /// Delete a service; its models stay
    #[command(after_help = "Example:\n  lusk service delete -n digits")]
    Delete {
        /// The service
        #[arg(short, long)]
        name: String,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// Print both keys of a service
    #[command(after_help = "Example:\n  lusk service get-keys -n digits -o json")]
    GetKeys {
        /// The service
        #[arg(short, long)]
        name: String,
    },
    /// Replace one key of a service
    RegenKey(ServiceRegenArgs),
    /// Print what the entry script wrote
    GetLogs(ServiceLogsArgs),
    /// Print what the autoscaler decided, and why
    ScalingLog(ServiceScalingArgs),
    /// Show how calls of the service's models are joined, and why batches closed
    #[command(
        after_help = "Examples:\n  lusk service batches -n digits\n  lusk service batches -n digits -o json\n\nCalls are joined for models with a `maxBatchSize`: lusk model register --max-batch-size"
    )]
    Batches {
        /// The service
        #[arg(short, long)]
        name: String,
    },
    /// Send a request to a service and print the reply
    Run(ServiceRunArgs),
    /// Give a local service its script again; environment and settings stay
    Reload(Box<ServiceReloadArgs>),
}

/// Flags of `service list`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  lusk service list
  lusk service list -c AKS --model-name digits -o json")]
pub(crate) struct ServiceListArgs {
    /// Only services of this compute type: AKS, AKSENDPOINT or LOCAL
    #[arg(short, long, value_name = "TYPE")]
    pub(crate) compute_type: Option<String>,
    /// Only services of this model, as `name:version`
    #[arg(long, value_name = "ID")]
    pub(crate) model_id: Option<String>,
    /// Only services of a model of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) model_name: Option<String>,
    /// Only services with this tag, and value if given (repeatable)
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<Label>,
    /// Only services with this property, and value if given (repeatable)
    #[arg(long = "property", value_name = "KEY[=VALUE]")]
    pub(crate) properties: Vec<Label>,
    /// Only services of the image with this digest
    #[arg(long, value_name = "DIGEST", hide_short_help = true)]
    pub(crate) image_digest: Option<String>,
}

/// Flags of `service update`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk service update -n digits -m digits:2
  lusk service update -n digits --num-replicas 3
  lusk service update -n away --remote http://10.0.0.8:5001
  lusk service update -n digits --ic inferenceconfig.json --add-tag stage=prod
  lusk service update -n digits -e sklearn      its newest version; the script stays")]
pub(crate) struct ServiceUpdateArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Models.
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Base URL of an outside replica, in place of all there are now (repeatable); for a
    /// service that was deployed with --remote
    #[arg(long = "remote", value_name = "URL")]
    pub(crate) remote: Vec<ReplicaUrl>,
    /// Deployment config: JSON or YAML; its compute type and keys are not read
    #[arg(long, visible_alias = "dc", value_name = "FILE")]
    pub(crate) deploy_config_file: Option<PathBuf>,
    /// Free text
    #[arg(short, long)]
    pub(crate) description: Option<String>,
    /// A tag; all tags there are now are replaced (repeatable)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = Label::pair, conflicts_with_all = ["add_tags", "remove_tags"])]
    pub(crate) tags: Vec<Label>,
    /// A tag to add or replace (repeatable)
    #[arg(long = "add-tag", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_tags: Vec<Label>,
    /// A tag to remove (repeatable)
    #[arg(long = "remove-tag", value_name = "KEY")]
    pub(crate) remove_tags: Vec<String>,
    /// A property to add (repeatable)
    #[arg(long = "add-property", visible_alias = "property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_properties: Vec<Label>,
    /// Accepted as in `az ml`, without effect: a node is the only compute target
    #[arg(long, hide_short_help = true)]
    pub(crate) is_migration: bool,
    /// Accepted as in `az ml`, without effect: a node is the only compute target
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) compute_target: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Script and environment.
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
    /// How it runs.
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Flags of `service regen-key`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk service regen-key -n digits -k Primary
  lusk service regen-key -n digits -k Secondary --set-key \"$KEY\"")]
pub(crate) struct ServiceRegenArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Primary or Secondary
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: String,
    /// The new key [default: a random one]
    #[arg(short, long, value_name = "VALUE")]
    pub(crate) set_key: Option<String>,
}

/// Flags of `service scaling-log`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk service scaling-log -n digits
  lusk service scaling-log -n digits --all -o json     every look: enough to replay it")]
pub(crate) struct ServiceScalingArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Looks that changed nothing too
    #[arg(long)]
    pub(crate) all: bool,
}

/// Flags of `service get-logs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  lusk service get-logs -n digits -l 100")]
pub(crate) struct ServiceLogsArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Most lines, counted from the end
    #[arg(
        short = 'l',
        long = "num_lines",
        visible_alias = "num-lines",
        value_name = "LINES",
        default_value_t = 5_000
    )]
    pub(crate) num_lines: u32,
    /// The log of the init container, which is empty here
    #[arg(short, long, hide_short_help = true)]
    pub(crate) init: bool,
}

/// Flags of `service run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk service run -n digits -d '{\"data\": [[0, 1]]}'
  lusk service run -n digits -d @request.json
  cat request.json | lusk service run -n digits")]
pub(crate) struct ServiceRunArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// The body, or `@FILE` to read it from a file [default: standard input]
    #[arg(short = 'd', long, value_name = "BODY")]
    pub(crate) input_data: Option<String>,
    /// PEM file of the authorities to trust when the node speaks TLS, in place of those
    /// that this machine trusts; example: --ca ca.pem
    #[arg(long, value_name = "FILE", env = "LUSK_CA")]
    pub(crate) ca: Option<PathBuf>,
}

/// Flags of `service reload`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk service reload -n digits --ic inferenceconfig.json
  lusk service reload -n digits --entry-script score.py")]
pub(crate) struct ServiceReloadArgs {
    /// The service
    #[arg(short, long)]
    pub(crate) name: String,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Script and environment.
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
}
