//! `lusk environment …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// Write the files of a new environment into a folder
    Scaffold(EnvironmentScaffoldArgs),
    /// Register the environment of a folder under its name
    Register(EnvironmentRegisterArgs),
    /// List registered environments, the newest version of each
    List(EnvironmentListArgs),
    /// Show a registered environment
    Show(EnvironmentShowArgs),
    /// Write a registered environment into a folder
    Download(EnvironmentDownloadArgs),
}

/// Flags of `environment scaffold`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk environment scaffold -n sklearn -d ./env
  lusk environment register -d ./env                 after its files were changed
  lusk model deploy -n digits --es score.py --ed ./env -m digits:1")]
pub(crate) struct EnvironmentScaffoldArgs {
    /// Name of the environment
    #[arg(short, long)]
    pub(crate) name: String,
    /// Folder to write to; made if it is missing, no file in it is replaced
    #[arg(short, long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Write a BaseDockerfile too
    #[arg(long)]
    pub(crate) dockerfile: bool,
    /// Where the result goes.
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Flags of `environment register`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk environment register -d ./env
  lusk environment register -d ./env -t environment.json")]
pub(crate) struct EnvironmentRegisterArgs {
    /// Folder with azureml_environment.json
    #[arg(short, long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Where the result goes.
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Flags of `environment list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk environment list
  lusk environment list -n sklearn -o json           all versions of one")]
pub(crate) struct EnvironmentListArgs {
    /// All versions of this environment
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Where the result goes.
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Flags of `environment show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk environment show -n sklearn
  lusk environment show -n sklearn -v 2 -o json")]
pub(crate) struct EnvironmentShowArgs {
    /// Name of the environment
    #[arg(short, long)]
    pub(crate) name: String,
    /// Its version [default: the newest]
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Where the result goes.
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Flags of `environment download`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk environment download -n sklearn -d ./env
  lusk environment download -n sklearn -v 2 -d ./env --overwrite")]
pub(crate) struct EnvironmentDownloadArgs {
    /// Name of the environment
    #[arg(short, long)]
    pub(crate) name: String,
    /// Its version [default: the newest]
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Folder to write to; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Where the result goes.
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Where the result goes besides stdout.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MetadataArgs {
    /// Write the result to this file too, as JSON
    #[arg(short = 't', long = "output-metadata-file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
