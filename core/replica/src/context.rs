//! What a guest's host functions work on: WASI, memory account, models.

use std::{path::PathBuf, sync::Arc};

use lusk_contract::{LogStream, OutputFolder, Revision};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiCtxView, WasiView, p1::WasiP1Ctx};

use crate::{
    budget::{Budget, Limiter},
    folder::{self, Folders, InstanceFolder},
    models::{APP_ROOT, Models},
    output::LineWriter,
    wording,
};

/// The environment's packages, as the guest sees them.
const PACKAGES: &str = "/packages";

/// What the guest writes to be kept, as the original's scripts know it.
const OUTPUTS: &str = "/var/azureml-app/outputs";

/// Most handles (tensors, files, errors, …) that a guest may hold at a time.
const MAX_RESOURCES: usize = 10_000;

/// Most bytes that a guest may hand over in one call to the host, whatever
/// the replica's memory limit is.
const MAX_HOSTCALL_BYTES: u64 = 1 << 30;

/// What all instances of one replica share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) revision: Arc<Revision>,
    pub(crate) number: u32,
    pub(crate) models: Arc<Models>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) folders: Arc<Folders>,
    pub(crate) outputs: Arc<dyn OutputFolder>,
}

/// The state of one instance's store.
pub(crate) struct Context {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) limiter: Limiter,
    pub(crate) models: Arc<Models>,
    pub(crate) app_root: PathBuf,
    pub(crate) folder: Arc<InstanceFolder>,
    pub(crate) out: LineWriter,
    pub(crate) err: LineWriter,
}

impl Context {
    fn new(surroundings: &Surroundings) -> wasmtime::Result<Self> {
        let revision = &surroundings.revision;
        let line_writer =
            |stream| LineWriter::new(Arc::clone(&revision.log), surroundings.number, stream);
        let (out, err) = (line_writer(LogStream::Out), line_writer(LogStream::Err));
        let folder = surroundings.folders.make()?;
        let outputs = surroundings.outputs.path();
        let mut builder = WasiCtxBuilder::new();
        builder
            .stdout(out.clone())
            .stderr(err.clone())
            .initial_cwd(APP_ROOT)
            .allow_tcp(false)
            .allow_udp(false)
            .preopened_dir(&revision.app_root, APP_ROOT, FsPerms::ReadOnly)?
            // Relative paths, `AZUREML_MODEL_DIR` among them, start at the app
            // root also in guests whose libc knows no working directory.
            .preopened_dir(&revision.app_root, ".", FsPerms::ReadOnly)?
            // The longest name that fits wins, so this shadows the app root's.
            .preopened_dir(outputs, OUTPUTS, FsPerms::ReadWrite)?
            .preopened_dir(outputs, "outputs", FsPerms::ReadWrite)?
            .preopened_dir(folder.tmp(), "/tmp", FsPerms::ReadWrite)?;
        for (name, value) in &revision.variables {
            builder.env(name, value);
        }
        let packages = revision.image.as_ref().and_then(|it| it.packages.as_ref());
        if let Some(packages) = packages {
            builder.preopened_dir(packages, PACKAGES, FsPerms::ReadOnly)?;
            let given = revision.variables.get("PYTHONPATH");
            let path = given.map_or_else(
                || PACKAGES.to_owned(),
                |given| format!("{given}:{PACKAGES}"),
            );
            builder.env("PYTHONPATH", path);
        }
        let mut wasi = builder.build_p1();
        wasi.ctx().table.set_max_capacity(MAX_RESOURCES);
        Ok(Self {
            wasi,
            limiter: Limiter::new(Arc::clone(&surroundings.budget)),
            models: Arc::clone(&surroundings.models),
            app_root: revision.app_root.clone(),
            folder,
            out,
            err,
        })
    }

    /// Ends the guest if it wrote more than it may.
    pub(crate) fn check_folder(&self) -> wasmtime::Result<()> {
        if self.folder.is_over() {
            return Err(wasmtime::Error::msg(format!(
                "it has more than {} in /tmp, or too many files there",
                wording::bytes(folder::MAX_BYTES)
            )));
        }
        Ok(())
    }

    /// Writes partial lines to the log.
    pub(crate) fn flush_output(&self) {
        self.out.flush_partial();
        self.err.flush_partial();
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

/// A store that is limited, interruptible and gives its thread back each tick.
pub(crate) fn new_store(
    engine: &Engine,
    surroundings: &Surroundings,
) -> wasmtime::Result<Store<Context>> {
    let mut store = Store::try_new(engine, Context::new(surroundings)?)?;
    store.limiter(|context| &mut context.limiter);
    let limit = surroundings.budget.limit().min(MAX_HOSTCALL_BYTES);
    store.set_hostcall_fuel(usize::try_from(limit).unwrap_or(usize::MAX));
    // tokio's own yield lets the runtime look at timers and sockets first, so
    // that a busy guest cannot hold up its own deadline.
    store.epoch_deadline_callback(|store| {
        store.data().check_folder()?;
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    });
    Ok(store)
}
