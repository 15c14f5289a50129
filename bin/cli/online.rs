//! `lusk online-endpoint …` and `lusk online-deployment …`: the words of v2 for
//! endpoints and their versions.

mod deployment;

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use lusk_manifest::{Override, Scalar};

pub(crate) use self::deployment::{OnlineDeploymentArgs, OnlineDeploymentCommand};
use super::endpoint::Parts;

/// What can be done with online endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineEndpointCommand {
    /// Create an endpoint, from YAML or with defaults; deployments come after it
    #[command(
        after_help = "Examples:\n  lusk online-endpoint create -n shop\n  lusk online-endpoint create -f endpoint.yml\n  lusk online-endpoint create -f endpoint.yml -n shop --set tags.team=red"
    )]
    Create(OnlineEndpointArgs),
    /// Change labels and traffic of an endpoint, in one step
    #[command(
        after_help = "Examples:\n  lusk online-endpoint update -n shop --traffic \"blue=90 green=10\"\n  lusk online-endpoint update -n shop --mirror-traffic \"green=10\"\n  lusk online-endpoint update -f endpoint.yml\n\nA map of traffic adds up to 100 or 0. With 0 the default deployment, which is the first one,\nstill gets everything; a deployment that is given 100 becomes the default."
    )]
    Update(OnlineEndpointUpdateArgs),
    /// Show an endpoint
    #[command(after_help = "Example:\n  lusk online-endpoint show -n shop -o json")]
    Show {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
    /// List endpoints
    #[command(after_help = "Example:\n  lusk online-endpoint list -o json")]
    List,
    /// Delete an endpoint with all its deployments; models stay
    #[command(after_help = "Example:\n  lusk online-endpoint delete -n shop -y")]
    Delete {
        /// The endpoint
        #[arg(short, long)]
        name: String,
        /// Accepted as in `az ml`: nothing is asked
        #[arg(short, long)]
        yes: bool,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// Send a request to an endpoint and print the reply
    #[command(
        after_help = "Examples:\n  lusk online-endpoint invoke -n shop --request-file request.json\n  lusk online-endpoint invoke -n shop -r request.json -d green     whatever its traffic is"
    )]
    Invoke(OnlineInvokeArgs),
    /// Print both keys
    #[command(after_help = "Example:\n  lusk online-endpoint get-credentials -n shop -o json")]
    GetCredentials {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
}

/// Flags of `online-endpoint create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineEndpointArgs {
    /// The endpoint's YAML [default: an endpoint that asks for a key]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The endpoint, in place of the file's `name`
    #[arg(short, long, required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// A key of the file, with this value (repeatable); example: --set tags.team=red
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Flags of `online-endpoint update`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineEndpointUpdateArgs {
    /// The endpoint, in place of the file's `name`
    #[arg(short, long, required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// The endpoint's YAML
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["traffic", "mirror_traffic", "set"])]
    pub(crate) file: Option<PathBuf>,
    /// Percent of the requests by deployment, 100 or 0 together; who is not named gets
    /// none
    #[arg(short = 'r', long, value_name = "NAME=PERCENT ...", num_args = 1..)]
    pub(crate) traffic: Vec<Parts>,
    /// Percent of the requests of which a deployment without traffic gets copies, at
    /// most 50; 0 ends that
    #[arg(short, long, value_name = "NAME=PERCENT")]
    pub(crate) mirror_traffic: Option<Parts>,
    /// A key of the file, with this value (repeatable); traffic is always given whole;
    /// example: --set traffic.blue=30 --set traffic.green=70
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Flags of `online-endpoint invoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnlineInvokeArgs {
    /// The endpoint
    #[arg(short, long)]
    pub(crate) name: String,
    /// File with the body [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) request_file: Option<String>,
    /// The deployment that is to answer [default: as the traffic is split]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) deployment_name: Option<String>,
    /// PEM file of the authorities to trust when the node speaks TLS, in place of those
    /// that this machine trusts; example: --ca ca.pem
    #[arg(long, value_name = "FILE", env = "LUSK_CA")]
    pub(crate) ca: Option<PathBuf>,
}

/// `KEY=VALUE` of `--set`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment(pub(crate) Override);

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("`{text}` sets nothing: expected `KEY=VALUE`"))?;
        let is_number = value.parse::<f64>().is_ok_and(f64::is_finite)
            && !value.starts_with(|c: char| c.is_alphabetic());
        let scalar = match value {
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            number if is_number => Scalar::Number(number.to_owned()),
            text => Scalar::Text(text.to_owned()),
        };
        Ok(Self(Override::new(key, format!("--set {key}"), scalar)))
    }
}

/// What flags put into the place of the file's keys.
pub(crate) fn overrides(set: &[Assignment], names: &[(&str, &str, Option<&str>)]) -> Vec<Override> {
    let set = set.iter().map(|assignment| assignment.0.clone());
    let names = names.iter().filter_map(|(key, flag, name)| {
        let text = Scalar::Text((*name)?.to_owned());
        Some(Override::new(*key, *flag, text))
    });
    set.chain(names).collect()
}

#[cfg(test)]
mod tests;
