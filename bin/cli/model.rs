//! `lusk model …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeployArgs, Label};

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Register a file or folder as a new version of a model
    Register(Box<ModelRegisterArgs>),
    /// List registered models
    List(ModelListArgs),
    /// Show a registered model
    Show(ModelShowArgs),
    /// Change tags, description and needs of a model, or add properties
    Update(ModelUpdateArgs),
    /// Delete a model that no service uses
    #[command(after_help = "Example:\n  lusk model delete -i digits:1")]
    Delete {
        /// The model, as `name:version`
        #[arg(short = 'i', long, value_name = "ID")]
        model_id: String,
    },
    /// Write a model's files to a folder
    Download(ModelDownloadArgs),
    /// Deploy models as a service, with an entry script or without
    Deploy(Box<DeployArgs>),
}

/// Needs of a model that is deployed without code.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RequirementArgs {
    /// Cores that a no-code deployment reserves
    #[arg(long, visible_alias = "cc", value_name = "CORES")]
    pub(crate) cpu_cores: Option<f64>,
    /// Gigabytes of memory that a no-code deployment reserves
    #[arg(long, visible_alias = "gb", value_name = "GB")]
    pub(crate) memory_gb: Option<f64>,
    /// GPUs that a no-code deployment reserves
    #[arg(long, visible_alias = "gc", value_name = "GPUS")]
    pub(crate) gpu_cores: Option<u32>,
}

/// How calls of a model that come at the same time are joined. They are kept as
/// tags, which the node checks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BatchArgs {
    /// Join calls that come at the same time, up to this many rows (2 to 1024)
    #[arg(long, value_name = "ROWS", allow_hyphen_values = true)]
    pub(crate) max_batch_size: Option<String>,
    /// Longest wait of a call for others (0 to 1000) [default: 5]
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) max_batch_delay_ms: Option<String>,
}

/// Flags of `model register`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk model register -n digits -p model.onnx --model-framework Onnx
  lusk model register -n digits -p ./model --tag stage=test --property area=vision
  lusk model register -n digits -p model.onnx --max-batch-size 32 --max-batch-delay-ms 2
  lusk model register -n digits -p model.onnx -t model.json    then: lusk model deploy -n digits -f model.json")]
pub(crate) struct ModelRegisterArgs {
    /// Name; the version counts up by itself
    #[arg(short, long)]
    pub(crate) name: String,
    /// File or folder
    #[arg(short = 'p', long, value_name = "PATH")]
    pub(crate) model_path: Option<PathBuf>,
    /// Path among the files of a run; runs come in a later release
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) asset_path: Option<String>,
    /// Free text
    #[arg(short, long)]
    pub(crate) description: Option<String>,
    /// A tag, may change later (repeatable)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) tags: Vec<Label>,
    /// A property, cannot change later (repeatable)
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) properties: Vec<Label>,
    /// Custom, TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch or Multi
    #[arg(long, value_name = "FRAMEWORK")]
    pub(crate) model_framework: Option<String>,
    /// Version of the framework
    #[arg(long, value_name = "VERSION")]
    pub(crate) model_framework_version: Option<String>,
    /// Needs.
    #[command(flatten)]
    pub(crate) requirements: RequirementArgs,
    /// Batches.
    #[command(flatten)]
    pub(crate) batching: BatchArgs,
    /// Id of a data set with sample input; kept, not read
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) sample_input_dataset_id: Option<String>,
    /// Id of a data set with sample output; kept, not read
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) sample_output_dataset_id: Option<String>,
    /// Experiment the model came from; kept, not read
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) experiment_name: Option<String>,
    /// Run the model came from; kept, not read
    #[arg(short, long, value_name = "ID", hide_short_help = true)]
    pub(crate) run_id: Option<String>,
    /// JSON file with `runId` and `experimentName`
    #[arg(short = 'f', long, value_name = "FILE", hide_short_help = true)]
    pub(crate) run_metadata_file: Option<PathBuf>,
    /// Write the model's id to a JSON file, for `model deploy -f`
    #[arg(short = 't', long, value_name = "FILE")]
    pub(crate) output_metadata_file: Option<PathBuf>,
}

/// Flags of `model list`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  lusk model list
  lusk model list -n digits --latest -o json
  lusk model list --tag stage=test --property area")]
pub(crate) struct ModelListArgs {
    /// Only models of this name
    #[arg(short = 'n', long, value_name = "NAME")]
    pub(crate) model_name: Option<String>,
    /// Only the newest version of each name
    #[arg(short, long)]
    pub(crate) latest: bool,
    /// Only models with this tag, and value if given (repeatable)
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<Label>,
    /// Only models with this property, and value if given (repeatable)
    #[arg(long = "property", value_name = "KEY[=VALUE]")]
    pub(crate) properties: Vec<Label>,
    /// Only models of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// Only models of this data set
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) dataset_id: Option<String>,
}

/// Flags of `model show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk model show -i digits:1
  lusk model show -n digits            the newest version")]
pub(crate) struct ModelShowArgs {
    /// The model, as `name:version`
    #[arg(short = 'i', long, value_name = "ID", conflicts_with_all = ["model_name", "version"], required_unless_present_any = ["model_name", "run_id"])]
    pub(crate) model_id: Option<String>,
    /// The model's name
    #[arg(short = 'n', long, value_name = "NAME")]
    pub(crate) model_name: Option<String>,
    /// The version of that name [default: the newest]
    #[arg(long, value_name = "VERSION", requires = "model_name")]
    pub(crate) version: Option<u32>,
    /// The newest model of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
}

/// Flags of `model update`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk model update -i digits:1 --add-tag stage=prod --remove-tag test
  lusk model update -i digits:1 --add-property reviewed-by=me
  lusk model update -i digits:1 --max-batch-size 32    then: lusk service update -n digits -m digits:1
  lusk model update -i digits:1 --no-batches

Running services join calls as before until their next update.")]
pub(crate) struct ModelUpdateArgs {
    /// The model, as `name:version`
    #[arg(short = 'i', long, value_name = "ID")]
    pub(crate) model_id: String,
    /// A tag to add or replace (repeatable)
    #[arg(long = "add-tag", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_tags: Vec<Label>,
    /// A tag to remove (repeatable)
    #[arg(long = "remove-tag", value_name = "KEY")]
    pub(crate) remove_tags: Vec<String>,
    /// A property to add (repeatable)
    #[arg(long = "add-property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_properties: Vec<Label>,
    /// Free text
    #[arg(short, long)]
    pub(crate) description: Option<String>,
    /// Needs.
    #[command(flatten)]
    pub(crate) requirements: RequirementArgs,
    /// Batches.
    #[command(flatten)]
    pub(crate) batching: BatchArgs,
    /// Compute each call by itself again: removes both settings of batches
    #[arg(long, conflicts_with_all = ["max_batch_size", "max_batch_delay_ms"])]
    pub(crate) no_batches: bool,
    /// Id of a data set with sample input; kept, not read
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) sample_input_dataset_id: Option<String>,
    /// Id of a data set with sample output; kept, not read
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) sample_output_dataset_id: Option<String>,
}

/// Flags of `model download`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  lusk model download -i digits:1 -t ./models")]
pub(crate) struct ModelDownloadArgs {
    /// The model, as `name:version`
    #[arg(short = 'i', long, value_name = "ID")]
    pub(crate) model_id: String,
    /// Folder to write to; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub(crate) target_dir: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    pub(crate) overwrite: bool,
}
