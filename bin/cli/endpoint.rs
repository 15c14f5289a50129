//! `lusk endpoint realtime …`.

mod mirror_log;
mod values;
mod version;

use clap::{Args, Subcommand, builder::BoolishValueParser};
use lusk_domain::Sticky;

pub(crate) use self::{
    mirror_log::MirrorLogArgs,
    values::{OrNone, Part, Parts},
    version::{VersionArgs, VersionCreateArgs, VersionOf, VersionUpdateArgs},
};
use super::{
    Label, ServiceListArgs, ServiceLogsArgs, ServiceRegenArgs, ServiceRunArgs, settings::DoorArgs,
};

/// Kinds of endpoints; there is one.
#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Endpoints that answer at once: versions behind one URL, each with its part of the traffic
    #[command(subcommand)]
    Realtime(RealtimeCommand),
}

/// What can be done with endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum RealtimeCommand {
    /// Add a version to an endpoint
    CreateVersion(Box<VersionCreateArgs>),
    /// Change a version, or its part of the traffic, without losing a request
    UpdateVersion(Box<VersionUpdateArgs>),
    /// Delete a version; its share goes to the default
    DeleteVersion(VersionDeleteArgs),
    /// Change what all versions have in common: keys, traffic, copies, labels
    Update(Box<EndpointUpdateArgs>),
    /// Delete an endpoint with all its versions; models stay
    #[command(after_help = "Example:\n  lusk endpoint realtime delete -n shop")]
    Delete {
        /// The endpoint
        #[arg(short, long)]
        name: String,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// List endpoints
    #[command(
        mut_arg("compute_type", |arg| arg
            .default_value("AKSENDPOINT")
            .help("Only those of this compute type: AKSENDPOINT, AKS or LOCAL")),
        after_help = "Examples:\n  lusk endpoint realtime list\n  lusk endpoint realtime list --tag team=red -o json"
    )]
    List(ServiceListArgs),
    /// Show an endpoint and who gets how much of its traffic
    #[command(
        after_help = "Examples:\n  lusk endpoint realtime show -n shop\n  lusk endpoint realtime show -n shop -o json"
    )]
    Show {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
    /// Print both keys, which are those of all versions
    #[command(after_help = "Example:\n  lusk endpoint realtime get-keys -n shop -o json")]
    GetKeys {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
    /// Replace one key
    #[command(
        mut_arg("name", endpoint_name),
        after_help = "Examples:\n  lusk endpoint realtime regen-key -n shop -k Primary\n  lusk endpoint realtime regen-key -n shop -k Secondary --set-key \"$KEY\""
    )]
    RegenKey(ServiceRegenArgs),
    /// Print a token, of an endpoint that takes tokens
    #[command(after_help = "Example:\n  lusk endpoint realtime get-access-token -n shop -o json")]
    GetAccessToken {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
    /// Print what the entry scripts wrote
    #[command(
        mut_arg("name", endpoint_name),
        after_help = "Examples:\n  lusk endpoint realtime get-logs -n shop -l 100\n  lusk endpoint realtime get-logs -n shop --vn green"
    )]
    GetLogs(EndpointLogsArgs),
    /// Send a request to an endpoint and print the reply
    #[command(
        mut_arg("name", endpoint_name),
        after_help = "Examples:\n  lusk endpoint realtime run -n shop -d '{\"data\": [[0, 1]]}'\n  lusk endpoint realtime run -n shop --vn green -d @request.json     whatever its share is"
    )]
    Run(EndpointRunArgs),
    /// Compare versions: errors and latency, with what is sure of the differences
    #[command(
        after_help = "Examples:\n  lusk endpoint realtime compare -n shop\n  lusk endpoint realtime compare -n shop -o json     with all intervals\n\nThe comparison starts anew when shares, default or control change, or a version gets a new\nrevision. Differences are those from the baseline, which is the control, or the default\nwhile there is none, with 95 % confidence. They need 30 requests of each of the two (p90: 36,\np95: 72, p99: 368); with fewer nothing is said."
    )]
    Compare {
        /// The endpoint
        #[arg(short, long)]
        name: String,
    },
    /// Print answers to copies beside the live ones
    MirrorLog(MirrorLogArgs),
    /// Make a version the default and the control, with the traffic of the default
    #[command(
        after_help = "Example:\n  lusk endpoint realtime promote -n shop --vn green\n\nIt happens in one step. What other versions were assigned stays theirs."
    )]
    Promote(VersionOf),
    /// Take all traffic from a version, or from all but the control
    #[command(
        after_help = "Examples:\n  lusk endpoint realtime rollback -n shop --vn green\n  lusk endpoint realtime rollback -n shop       everything goes to the control\n\nIt happens in one step; the versions stay and can be looked at. The control's own share\nstays as it is: `update --traffic` changes all shares."
    )]
    Rollback {
        /// The endpoint
        #[arg(short, long)]
        name: String,
        /// The version [default: all but the control]
        #[arg(long, visible_alias = "vn", value_name = "NAME")]
        version_name: Option<String>,
    },
}

fn endpoint_name(arg: clap::Arg) -> clap::Arg {
    arg.help("The endpoint")
}

/// Flags of `endpoint realtime delete-version`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  lusk endpoint realtime delete-version -n shop --vn blue

The default cannot go while others stay: make another one the default first, with
`update-version --is-default` or `promote`. The last version takes its endpoint with it.")]
pub(crate) struct VersionDeleteArgs {
    /// Which version.
    #[command(flatten)]
    pub(crate) of: VersionOf,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Flags of `endpoint realtime update`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk endpoint realtime update -n shop --traffic \"blue=90 green=10\"
  lusk endpoint realtime update -n shop --sticky header:x-user
  lusk endpoint realtime update -n shop --mirror green=25 --mirror-keep-answers
  lusk endpoint realtime update -n shop --mirror none
  lusk endpoint realtime update -n shop --ae false --add-tag stage=prod")]
pub(crate) struct EndpointUpdateArgs {
    /// The endpoint
    #[arg(short, long)]
    pub(crate) name: String,
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
    /// A property to add, cannot change later (repeatable)
    #[arg(long = "add-property", visible_alias = "property", value_name = "KEY=VALUE", value_parser = Label::pair)]
    pub(crate) add_properties: Vec<Label>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Who may call it.
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Shares of all versions in one step: those not named get none of their own; example:
    /// --traffic "blue=90 green=10"
    #[arg(long, value_name = "VERSION=PERCENT", num_args = 1.., help_heading = "Traffic")]
    pub(crate) traffic: Vec<Parts>,
    /// What keeps a caller at one version: header:NAME, cookie:NAME or key; `none` splits
    /// request by request. An endpoint has two keys: with `key` all callers with one of
    /// them get the same version
    #[arg(long, value_name = "WHAT", help_heading = "Traffic")]
    pub(crate) sticky: Option<OrNone<Sticky>>,
    /// A version that gets copies of so many percent of the requests, at most 50, whose
    /// answers nobody waits for; `none` ends that. A body that is too large to be
    /// collected is passed on as it comes and not copied; example: --mirror green=25
    #[arg(long, value_name = "VERSION=PERCENT", help_heading = "Traffic")]
    pub(crate) mirror: Option<OrNone<Part>>,
    /// Keep the answers to copies beside the live ones, for `mirror-log`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Traffic")]
    pub(crate) mirror_keep_answers: Option<bool>,
}

/// Flags of `endpoint realtime get-logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EndpointLogsArgs {
    /// As of a service.
    #[command(flatten)]
    pub(crate) logs: ServiceLogsArgs,
    /// Only of this version [default: the default one]
    #[arg(long, visible_alias = "vn", value_name = "NAME")]
    pub(crate) version_name: Option<String>,
}

/// Flags of `endpoint realtime run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EndpointRunArgs {
    /// As of a service.
    #[command(flatten)]
    pub(crate) run: ServiceRunArgs,
    /// The version that is to answer [default: as the traffic is split]
    #[arg(long, visible_alias = "vn", value_name = "NAME")]
    pub(crate) version_name: Option<String>,
}
