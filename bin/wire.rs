//! Hands every room the real thing it calls: the one place that names all of them.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use lusk_cluster::RemoteHost;
use lusk_contract::{Backend, SystemClock};
use lusk_control::{Control, Parts};
use lusk_domain::WorkspaceName;
use lusk_gateway::{
    Doors, ListenerOptions, ScoringOptions, ShardOptions, Tls,
    admin::{AdminOptions, serve_admin},
    bind_shared, raise_file_limit, serve_scoring, serve_shards,
};
use lusk_images::{ImagesOptions, LocalImages, RegistryAddress};
use lusk_outputs::{OutputKeeper, OutputOptions, OutputStore};
use lusk_replica::{CompileIn, LocalHost, LocalHostOptions};
use lusk_router::Router;
use lusk_store::{DataFolder, LogFolder, MirrorFolder, NodeInfo, Store};
use lusk_tract::TractBackend;
use tokio::{net::TcpListener, task::JoinHandle, time::interval};
use tokio_util::sync::CancellationToken;

pub(crate) use crate::machine::capacity;
use crate::{commands::up::Shards, hosts::Hosts};

/// How often content that no record names is looked for.
const GARBAGE_PERIOD: Duration = Duration::from_hours(1);

/// How long a node that stops goes on sending outputs; the rest waits for its next start.
const LAST_OUTPUTS: Duration = Duration::from_secs(10);

/// What a node must be told.
#[derive(Debug, Clone)]
pub(crate) struct NodeOptions {
    /// Address of the scoring door.
    pub(crate) scoring: SocketAddr,
    /// Address of the admin door.
    pub(crate) admin: SocketAddr,
    /// The data folder; `~/.lusk` when absent.
    pub(crate) data: Option<PathBuf>,
    /// A temporary data folder that goes with the node.
    pub(crate) ephemeral: bool,
    /// Largest request body of the scoring door.
    pub(crate) max_body_bytes: usize,
    /// Most threads that calls of models share; none for one a core.
    pub(crate) model_threads: Option<NonZeroUsize>,
    /// Name of the one workspace.
    pub(crate) workspace: WorkspaceName,
    /// Where the workspace's images are kept and found.
    pub(crate) registry: Option<RegistryAddress>,
    /// Where images for everybody are found.
    pub(crate) global_registry: Option<RegistryAddress>,
    /// URL of the store of outputs; `outputs/` of the data folder when absent.
    pub(crate) outputs: Option<String>,
    /// Threads that serve callers; none to serve them on the node's own runtime.
    pub(crate) shards: Option<Shards>,
    /// What the scoring door speaks TLS with; none to speak in the open.
    pub(crate) tls: Option<Tls>,
}

/// A running node.
pub(crate) struct Node {
    control: Arc<Control>,
    stopping: CancellationToken,
    doors: Vec<JoinHandle<std::io::Result<()>>>,
    outputs: Arc<OutputKeeper>,
    scoring: String,
    admin: SocketAddr,
    // Last: its lock is given up when everything else has ended.
    folder: DataFolder,
}

impl Node {
    /// Opens the data folder and both doors, and starts every stored service.
    ///
    /// # Errors
    /// The folder is in use or damaged, or an address is taken.
    pub(crate) async fn start(options: NodeOptions) -> anyhow::Result<Self> {
        // One for the process, whoever speaks TLS; it is set already in a second node.
        let _ = rustls::crypto::ring::default_provider().install_default();
        hide_from_scripts();
        let mut folder = data_folder(&options)?;
        let token = folder.admin_token()?;
        let callers = Callers::listen(&options).await?;
        let admin_listener = listen(options.admin, "admin").await?;
        let scoring = callers.address()?;
        let admin = admin_listener.local_addr()?;

        let store = open_store(folder.path()).await?;
        let outputs = output_keeper(&folder, options.outputs.as_deref())?;
        let local = replica_host(&folder, outputs.clone(), options.model_threads)?;
        let mirror_log = mirror_log(&folder)?;
        let router = Arc::new(Router::new());
        let stopping = CancellationToken::new();
        let scoring_options = scoring_options(&options, mirror_log.clone());
        let control = Control::start(Parts {
            records: Arc::new(store.clone()),
            blobs: Arc::new(store.blobs()),
            images: Arc::new(open_images(&folder, &options)?),
            host: Arc::new(Hosts {
                local: local.clone(),
                remote: RemoteHost::default(),
            }),
            logs: Arc::new(LogFolder::new(&folder.logs()).beside(mirror_log.clone())),
            clock: Arc::new(SystemClock),
            router: router.clone(),
            doors: Arc::new(Doors::new(scoring_options.clone())),
            tmp: folder.tmp(),
            workspace: options.workspace.clone(),
            capacity: capacity(),
        })
        .await
        .context("starting the stored services")?;

        let scoring_url = url(scoring, options.tls.is_some());
        let admin_options = AdminOptions {
            token,
            workspace: options.workspace.clone(),
            scoring_address: scoring,
            scoring_tls: options.tls.is_some(),
            blobs: Arc::new(store.blobs()),
            books: Arc::clone(&scoring_options.books),
            batches: local.clone(),
            mirror_log,
        };
        let doors = vec![
            tokio::spawn(callers.serve(router.clone(), scoring_options, stopping.clone())),
            tokio::spawn(serve_admin(
                admin_listener,
                control.clone(),
                router,
                admin_options,
                stopping.clone(),
            )),
        ];
        tokio::spawn(collect_garbage(store, stopping.clone()));
        tokio::spawn(warm_python(local));
        folder.announce(&NodeInfo {
            scoring: scoring_url.clone(),
            admin: url(admin, false),
            data: folder.path().to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        Ok(Self {
            control,
            stopping,
            doors,
            outputs,
            scoring: scoring_url,
            admin,
            folder,
        })
    }

    /// URL of the scoring door.
    pub(crate) fn scoring_url(&self) -> String {
        self.scoring.clone()
    }

    /// URL of the admin door.
    pub(crate) fn admin_url(&self) -> String {
        url(self.admin, false)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Stops accepting, finishes what runs (at most 30 s), leaves the folder clean.
    ///
    /// # Errors
    /// A door that had failed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stopping.cancel();
        for door in self.doors {
            door.await.context("a door ended by a panic")??;
        }
        self.control.shutdown().await;
        self.outputs.shutdown(LAST_OUTPUTS).await;
        Ok(())
    }
}

/// Keeps native scripts, which run as the same user, from reading this process's
/// memory, descriptors and environment, where a registry's password may stand.
/// Root sees them all the same.
fn hide_from_scripts() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "native scripts can read this process's environment");
        }
    }
}

fn url(address: SocketAddr, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn data_folder(options: &NodeOptions) -> anyhow::Result<DataFolder> {
    if options.ephemeral {
        let folder = tempfile::Builder::new()
            .prefix("lusk-")
            .tempdir()
            .context("making a temporary data folder")?;
        // From here on the data folder's own lock and removal take over.
        return Ok(DataFolder::lock(&folder.keep(), true)?);
    }
    Ok(DataFolder::lock(&data_path(options.data.clone())?, false)?)
}

/// The data folder that was asked for, else `~/.lusk`.
///
/// # Errors
/// Neither is known.
pub(crate) fn data_path(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    asked
        .or_else(|| std::env::home_dir().map(|home| home.join(".lusk")))
        .context("no home folder is known; name a data folder with --data or LUSK_DATA")
}

/// The scoring door before it is served.
enum Callers {
    /// On the node's own runtime.
    One(TcpListener),
    /// On shards, which share the address.
    Shared(Vec<std::net::TcpListener>, ShardOptions),
}

impl Callers {
    async fn listen(options: &NodeOptions) -> anyhow::Result<Self> {
        let address = options.scoring;
        let Some(shards) = &options.shards else {
            return Ok(Self::One(listen(address, "scoring").await?));
        };
        let listeners = bind_shared(address, shards.max)
            .with_context(|| format!("opening the scoring door on {address}"))?;
        Ok(Self::Shared(listeners, shards.options))
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        match self {
            Self::One(listener) => Ok(listener.local_addr()?),
            Self::Shared(listeners, _) => {
                let first = listeners.first().context("a door has no listener")?;
                Ok(first.local_addr()?)
            }
        }
    }

    async fn serve(
        self,
        router: Arc<Router>,
        options: ScoringOptions,
        stopping: CancellationToken,
    ) -> std::io::Result<()> {
        match self {
            Self::One(listener) => serve_scoring(listener, router, options, stopping).await,
            Self::Shared(listeners, shards) => {
                serve_shards(listeners, router, options, shards, stopping).await
            }
        }
    }
}

async fn listen(address: SocketAddr, door: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("opening the {door} door on {address}"))
}

async fn open_store(data: &Path) -> anyhow::Result<Store> {
    let data = data.to_owned();
    Ok(tokio::task::spawn_blocking(move || Store::open(&data))
        .await
        .context("the store's thread was lost")??)
}

/// The engines for models, the preferred one first.
pub(crate) fn backends(model_threads: Option<NonZeroUsize>) -> Vec<Arc<dyn Backend>> {
    let tract = model_threads.map_or_else(TractBackend::new, TractBackend::on_cores);
    vec![Arc::new(tract)]
}

fn replica_host(
    folder: &DataFolder,
    outputs: Arc<OutputKeeper>,
    model_threads: Option<NonZeroUsize>,
) -> anyhow::Result<Arc<LocalHost>> {
    let binary = std::env::current_exe().context("finding this program's file")?;
    Ok(LocalHost::new(LocalHostOptions {
        aot_dir: folder.aot(),
        tmp_dir: folder.tmp(),
        backends: backends(model_threads),
        compile: CompileIn::Child(binary),
        outputs,
    })?)
}

fn output_keeper(folder: &DataFolder, url: Option<&str>) -> anyhow::Result<Arc<OutputKeeper>> {
    let store = match url {
        Some(url) => OutputStore::from_url(url).context("reading --outputs")?,
        None => OutputStore::local(&folder.outputs())?,
    };
    let spool = folder.path().join("spool");
    let options = OutputOptions::new(store, &spool, &folder.logs());
    let keeper = OutputKeeper::start(options).context("starting to keep outputs")?;
    Ok(Arc::new(keeper))
}

fn mirror_log(folder: &DataFolder) -> anyhow::Result<Arc<MirrorFolder>> {
    let log = MirrorFolder::start(&folder.mirror()).context("starting to keep mirrored answers")?;
    Ok(Arc::new(log))
}

fn open_images(folder: &DataFolder, options: &NodeOptions) -> anyhow::Result<LocalImages> {
    Ok(LocalImages::open(ImagesOptions {
        folder: folder.images(),
        tmp: folder.tmp(),
        registry: options.registry.clone(),
        global_registry: options.global_registry.clone(),
    })?)
}

fn scoring_options(options: &NodeOptions, mirror_log: Arc<MirrorFolder>) -> ScoringOptions {
    let quarter = usize::try_from(capacity().bytes / 4).unwrap_or(usize::MAX);
    ScoringOptions {
        listener: ListenerOptions {
            tls: options.tls.clone(),
            ..ListenerOptions::default().within_files(raise_file_limit())
        },
        max_body_bytes: options.max_body_bytes,
        // A body that is allowed must fit at least while it is alone.
        max_buffered_bytes: quarter.max(options.max_body_bytes),
        mirror_log: Some(mirror_log),
        ..ScoringOptions::default()
    }
}

async fn collect_garbage(store: Store, stopping: CancellationToken) {
    let mut ticks = interval(GARBAGE_PERIOD);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = store.collect_garbage().await {
            tracing::warn!(%error, "unnamed content was not removed");
        }
    }
}

/// Compiles the carried Python once, so that the first deployment does not wait for it.
async fn warm_python(host: Arc<LocalHost>) {
    let begin = || tracing::info!("compiling the Python runner, once for this version of lusk");
    match host.warm_python(begin).await {
        Ok(Some(took)) => tracing::info!(seconds = took.as_secs_f64(), "Python runner compiled"),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "the Python runner could not be compiled ahead of time");
        }
    }
}
