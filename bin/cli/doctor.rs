//! `lusk doctor`.

use std::net::SocketAddr;

use clap::Args;

/// Flags of `doctor`: those of `up` that it looks at.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit code 0 when nothing failed, 1 otherwise.

Examples:
  lusk doctor
  lusk doctor --data /var/lib/lusk --listen 0.0.0.0:80 --registry registry.example.com/team
  lusk doctor -o json")]
pub(crate) struct DoctorArgs {
    /// Address that the scoring door would have; a running node knows its own
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LUSK_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,
    /// Address that the admin door would have; a running node knows its own
    #[arg(
        long,
        visible_alias = "admin-listen",
        value_name = "ADDRESS",
        env = "LUSK_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    pub(crate) admin: SocketAddr,
    /// The admin door may be on an address that is not loopback
    #[arg(long)]
    pub(crate) insecure_admin: bool,
    /// Registry of the workspace
    #[arg(
        long,
        value_name = "[URL/]HOST[/PREFIX]",
        env = "LUSK_REGISTRY",
        hide_env_values = true
    )]
    pub(crate) registry: Option<String>,
    /// Registry of images for everybody
    #[arg(
        long,
        value_name = "[URL/]HOST[/PREFIX]",
        env = "LUSK_GLOBAL_REGISTRY",
        hide_env_values = true
    )]
    pub(crate) global_registry: Option<String>,
    /// Where outputs are kept: az://, s3://, gs:// or file://
    #[arg(long, value_name = "URL", env = "LUSK_OUTPUTS", hide_env_values = true)]
    pub(crate) outputs: Option<String>,
}
