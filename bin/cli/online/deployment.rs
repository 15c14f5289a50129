//! `lusk online-deployment …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Assignment;

/// What can be done with online deployments.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineDeploymentCommand {
    /// Deploy to an endpoint from YAML
    #[command(
        after_help = "Examples:\n  lusk online-deployment create -f blue.yml --all-traffic\n  lusk online-deployment create -f green.yml -e shop --set instance_count=2\n\nPaths in the file start at the file's folder. The first deployment of an endpoint is its\ndefault: it gets what nobody else was given, also without --all-traffic."
    )]
    Create(OnlineDeploymentArgs),
    /// Change a deployment without losing a request; what the file leaves out has its default
    #[command(after_help = "Example:\n  lusk online-deployment update -f blue.yml")]
    Update(OnlineDeploymentArgs),
    /// Show a deployment
    #[command(after_help = "Example:\n  lusk online-deployment show -e shop -n blue -o json")]
    Show(OnlineDeploymentOf),
    /// List the deployments of an endpoint
    #[command(after_help = "Example:\n  lusk online-deployment list -e shop")]
    List {
        /// The endpoint
        #[arg(short, long, visible_alias = "endpoint", value_name = "NAME")]
        endpoint_name: String,
    },
    /// Delete a deployment; the last one takes its endpoint with it
    #[command(after_help = "Example:\n  lusk online-deployment delete -e shop -n blue -y")]
    Delete {
        /// Which deployment.
        #[command(flatten)]
        of: OnlineDeploymentOf,
        /// Accepted as in `az ml`: nothing is asked
        #[arg(short, long)]
        yes: bool,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// Print what the scoring script wrote
    #[command(after_help = "Example:\n  lusk online-deployment get-logs -e shop -n blue -l 100")]
    GetLogs(OnlineDeploymentLogsArgs),
}

/// Which deployment.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineDeploymentOf {
    /// The endpoint
    #[arg(short, long, visible_alias = "endpoint", value_name = "NAME")]
    pub(crate) endpoint_name: String,
    /// The deployment
    #[arg(short, long)]
    pub(crate) name: String,
}

/// Flags of `online-deployment create` and `update`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineDeploymentArgs {
    /// The deployment's YAML
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The deployment, in place of the file's `name`
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// The endpoint, in place of the file's `endpoint_name`
    #[arg(short, long, visible_alias = "endpoint", value_name = "NAME")]
    pub(crate) endpoint_name: Option<String>,
    /// Give it all of the endpoint's traffic once it is healthy, and make it the default
    #[arg(long)]
    pub(crate) all_traffic: bool,
    /// A key of the file with another value (repeatable); example: --set instance_count=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Flags of `online-deployment get-logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineDeploymentLogsArgs {
    /// Which deployment.
    #[command(flatten)]
    pub(crate) of: OnlineDeploymentOf,
    /// Most lines, counted from the end
    #[arg(short, long, value_name = "LINES", default_value_t = 5_000)]
    pub(crate) lines: u32,
}
