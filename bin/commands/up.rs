//! `lusk up`: a node in the foreground until it is told to stop.

mod registry;
mod router;
mod tls;

use std::{net::SocketAddr, num::NonZeroUsize};

use anyhow::Context as _;
use clap::{Args, builder::RangedU64ValueParser};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use router::RouterArgs;
pub(crate) use router::Shards;
use tls::TlsArgs;

use crate::{
    cli::{Format, GlobalArgs},
    wire::{Node, NodeOptions},
};

/// Flags of `lusk up`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk up
  lusk up --listen 0.0.0.0:8080 --data /var/lib/lusk
  lusk up --listen 0.0.0.0:8443 --tls-certificate server.pem --tls-key server.key
  lusk up --registry registry.example.com/team --outputs az://results/lusk
  lusk up --cluster-purpose FastProd --max-shards 4
  lusk up --ephemeral --listen 127.0.0.1:0 --admin 127.0.0.1:0 -o json")]
pub(crate) struct UpArgs {
    /// Address of the scoring door; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LUSK_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,
    /// Address of the admin door; port 0 takes a free one
    #[arg(
        long,
        visible_alias = "admin-listen",
        value_name = "ADDRESS",
        env = "LUSK_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    pub(crate) admin: SocketAddr,
    /// Keep everything in a temporary folder that goes with the node
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Allow the admin door on an address that is not loopback, without TLS
    #[arg(long)]
    pub(crate) insecure_admin: bool,
    /// Registry of the workspace: images are looked up there and pushed there
    ///
    /// Plain HTTP only on loopback. User and password come from
    /// LUSK_REGISTRY_USERNAME and LUSK_REGISTRY_PASSWORD, else from the Docker
    /// config file.
    #[arg(
        long,
        value_name = "[URL/]HOST[/PREFIX]",
        env = "LUSK_REGISTRY",
        hide_env_values = true
    )]
    pub(crate) registry: Option<String>,
    /// Registry of images for everybody: looked up after the workspace's
    #[arg(
        long,
        value_name = "[URL/]HOST[/PREFIX]",
        env = "LUSK_GLOBAL_REGISTRY",
        hide_env_values = true
    )]
    pub(crate) global_registry: Option<String>,
    /// Where `./outputs` and logs of replicas are kept: az://, s3://, gs:// or
    /// file:// [default: outputs/ in the data folder]
    #[arg(long, value_name = "URL", env = "LUSK_OUTPUTS", hide_env_values = true)]
    pub(crate) outputs: Option<String>,
    /// Largest request body of the scoring door, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "LUSK_MAX_BODY_BYTES",
        default_value_t = 100_000_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) max_body_bytes: usize,
    /// Most threads that calls of models share where `cpu` gives a call more than
    /// one; 1 leaves each call on one thread [default: one for each core]
    #[arg(long, value_name = "N", env = "LUSK_MODEL_THREADS")]
    pub(crate) model_threads: Option<NonZeroUsize>,
    /// The router's own size.
    #[command(flatten)]
    pub(crate) router: RouterArgs,
    /// TLS on the scoring door.
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

impl UpArgs {
    /// The options of the node that these flags ask for.
    ///
    /// # Errors
    /// A workspace name or an admin address that is refused.
    pub(crate) fn node_options(&self, global: &GlobalArgs) -> anyhow::Result<NodeOptions> {
        if !self.admin.ip().is_loopback() && !self.insecure_admin {
            anyhow::bail!(
                "the admin door on {} would be open to the network without TLS; \
                 use a loopback address, or --insecure-admin if something else protects it",
                self.admin
            );
        }
        Ok(NodeOptions {
            scoring: self.listen,
            admin: self.admin,
            data: global.data.clone(),
            ephemeral: self.ephemeral,
            max_body_bytes: self.max_body_bytes,
            model_threads: self.model_threads,
            workspace: global
                .workspace_name
                .parse()
                .context("reading --workspace-name")?,
            registry: registry::address(self.registry.as_deref(), "--registry", "LUSK_REGISTRY")?,
            global_registry: registry::address(
                self.global_registry.as_deref(),
                "--global-registry",
                "LUSK_GLOBAL_REGISTRY",
            )?,
            outputs: self.outputs.clone(),
            shards: self.router.shards()?,
            tls: self
                .tls
                .tls()
                .context("reading --tls-certificate and --tls-key")?,
        })
    }
}

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// The node did not start.
pub(crate) async fn run(args: &UpArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let node = Node::start(args.node_options(global)?).await?;
    // Before anybody is told that the node is there and may tell it to stop.
    let stop = StopSignals::listen()?;
    announce(&node, global.output);
    stop.told().await;
    node.stop().await
}

/// Prints the one line that says where the doors are.
#[allow(
    clippy::print_stdout,
    reason = "the ready line is the command's output"
)]
fn announce(node: &Node, format: Format) {
    let (scoring, admin) = (node.scoring_url(), node.admin_url());
    if matches!(format, Format::Json | Format::Jsonc) {
        let line = json!({
            "event": "ready",
            "scoring": scoring,
            "admin": admin,
            "data": node.data(),
            "pid": std::process::id(),
        });
        println!("{line}");
    } else {
        println!(
            "ready: scoring {scoring}, admin {admin}, data {}",
            node.data().display()
        );
    }
}

/// SIGTERM and SIGINT, heard from the moment that this is made.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The handlers could not be installed.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    /// Returns at the first of them; a second one ends the process at once.
    pub(crate) async fn told(mut self) {
        self.next().await;
        tracing::info!("stopping: finishing what runs, at most 30 s");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(1);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
