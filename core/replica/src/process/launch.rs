//! What the workers of one replica are made of, and how one is started.

use std::{
    env, io,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use lusk_contract::{LogStream, OutputFolder, Revision};
use serde::Serialize;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{UnixStream as AsyncUnixStream, unix::pipe},
    task::JoinHandle,
};

use super::{
    channel::Channel,
    environment::{self, Places},
    interpreter::Interpreter,
    life::{Blame, Life},
    limits::Limits,
    owner::Owner,
    runner::Runner,
    view,
    watch::Ward,
};
use crate::{folder::Folders, output::LineWriter};

/// Most bytes of a reply, whatever the memory limit is.
const MAX_REPLY_BYTES: u64 = 1 << 30;

/// Bytes that are read at once of what a worker prints.
const OUTPUT_BYTES: usize = 16 << 10;

/// What all replicas of a revision share.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) interpreter: Interpreter,
    pub(super) runner: Arc<Runner>,
    /// Where the code of the environment's packages is kept compiled.
    pub(super) compiled: TempDir,
}

/// What all workers of a replica share.
pub(super) struct Launch {
    pub(super) recipe: Arc<Recipe>,
    pub(super) revision: Arc<Revision>,
    pub(super) number: u32,
    pub(super) outputs: Arc<dyn OutputFolder>,
    pub(super) limits: Limits,
    pub(super) ward: Arc<Ward>,
    pub(super) owner: Arc<Owner>,
    pub(super) folders: Arc<Folders>,
}

/// A process that waits for its first frame.
pub(super) struct Started {
    pub(super) life: Arc<Life>,
    pub(super) channel: Channel,
    pub(super) printers: Vec<JoinHandle<()>>,
}

/// The first frame: after it the worker begins.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order<'a> {
    packages: Option<&'a PathBuf>,
    compiled: PathBuf,
    debug_port: Option<u16>,
    reply_limit: u64,
}

impl Launch {
    /// The first frame for a worker.
    pub(super) fn order(&self) -> Order<'_> {
        let image = self.revision.image.as_ref();
        Order {
            packages: image.and_then(|image| image.packages.as_ref()),
            compiled: self.recipe.compiled.path().to_owned(),
            debug_port: self.revision.debug_port,
            reply_limit: self.max_reply_bytes(),
        }
    }

    /// Starts a process and puts its limits on. Blocks on the disk; must be
    /// called within a runtime.
    pub(super) fn start(&self) -> io::Result<Started> {
        let folder = self.folders.make()?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mark = self.owner.mark();
        let places = |name: &str| folder.tmp().join(name);
        let (app, home, tmp) = (places("app"), places("home"), places("tmp"));
        for made in [&home, &tmp] {
            std::fs::create_dir(made)?;
        }
        view::make(&app, &self.revision.app_root, self.outputs.path())?;
        let places = Places {
            app_root: &app,
            home: &home,
            tmp: &tmp,
        };
        let mut command = self.command();
        command
            .env_clear()
            .envs(environment::of_worker(
                &self.revision,
                &places,
                &mark,
                self.limits.threads,
                env::vars_os(),
            ))
            .current_dir(&app)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let outputs = (child.stdout.take(), child.stderr.take());
        let life = Life::follow(child, mark, folder)?;
        // Whatever fails from here on must not leave the process behind.
        self.furnish(&life, outputs, ours)
            .inspect_err(|_| life.kill(Blame::Abandoned))
    }

    fn furnish(
        &self,
        life: &Arc<Life>,
        (out, err): (
            Option<std::process::ChildStdout>,
            Option<std::process::ChildStderr>,
        ),
        ours: UnixStream,
    ) -> io::Result<Started> {
        if let Some(pid) = life.pid() {
            let pid = rustix::process::Pid::from_raw(pid);
            let applied = pid.map_or(Ok(()), |pid| self.limits.apply(pid));
            // One that has ended already tells why by itself.
            if let (Err(error), false) = (applied, life.is_over()) {
                return Err(error);
            }
        }
        self.ward.add(life);
        let streams = [
            (LogStream::Out, out.map(OwnedFd::from)),
            (LogStream::Err, err.map(OwnedFd::from)),
        ];
        let mut printers = Vec::new();
        for (stream, pipe) in streams {
            let Some(pipe) = pipe else { continue };
            let pipe = pipe::Receiver::from_owned_fd(pipe)?;
            let log = Arc::clone(&self.revision.log);
            let lines = LineWriter::new(log, self.number, stream);
            printers.push(tokio::spawn(print(pipe, lines)));
        }
        let channel = Channel::new(AsyncUnixStream::from_std(ours)?, self.max_reply_bytes());
        Ok(Started {
            life: Arc::clone(life),
            channel,
            printers,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.recipe.interpreter.path);
        if !environment::is_managed_by_user(&self.revision) {
            // The environment's packages, and no others of this machine.
            command.args(["-s", "-S"]);
        }
        if self.revision.debug_port.is_some() {
            // A debugger cannot stop in modules that are frozen into the interpreter.
            command.args(["-X", "frozen_modules=off"]);
        }
        command.arg(self.recipe.runner.main());
        command
    }

    fn max_reply_bytes(&self) -> u64 {
        self.limits.memory.min(MAX_REPLY_BYTES)
    }
}

/// Writes what comes into the log, line by line, to the end.
async fn print(mut pipe: pipe::Receiver, lines: LineWriter) {
    let mut buffer = vec![0; OUTPUT_BYTES];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        lines.push(&buffer[..read]);
    }
    lines.flush_partial();
}
