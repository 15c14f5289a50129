//! What the commands do: one file each, and what they share.

pub(crate) mod deploy;
pub(crate) mod model;
pub(crate) mod operation;
pub(crate) mod quickstart;
pub(crate) mod script;
pub(crate) mod service;
pub(crate) mod up;
pub(crate) mod upload;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{
    cli::{Cli, Command, Format, GlobalArgs},
    client::Client,
    progress::Progress,
};

/// What every command that talks to a node works with.
pub(crate) struct Session {
    /// How data is printed.
    pub(crate) format: Format,
    /// Where talk goes.
    pub(crate) progress: Progress,
    /// The folder that relative paths start from.
    pub(crate) directory: PathBuf,
    /// Whether warnings are left out.
    pub(crate) is_quiet: bool,
    client: Client,
}

impl Session {
    /// Finds the node and the folder that the flags name.
    ///
    /// # Errors
    /// No node runs there, or there is no such folder.
    pub(crate) fn new(global: &GlobalArgs) -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("finding the current folder")?;
        let directory = match &global.path {
            Some(path) => here.join(path),
            None => here,
        };
        anyhow::ensure!(
            directory.is_dir(),
            "--path {} is not a folder",
            directory.display()
        );
        Ok(Self {
            format: global.output,
            progress: Progress::new(global.only_show_errors),
            directory,
            is_quiet: global.only_show_errors,
            client: Client::find(global)?,
        })
    }

    /// The connection to the node.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// `path` from the session's folder.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// Runs a command.
///
/// # Errors
/// Whatever went wrong; [`crate::render::error`] prints it and
/// [`crate::render::exit_code`] tells the exit code.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    let global = cli.global;
    match cli.command {
        Command::Up(args) => up::run(&args, &global).await,
        Command::Quickstart(args) => quickstart::run(&args, &global).await,
        Command::Model(command) => model::run(&Session::new(&global)?, command).await,
        Command::Service(command) => service::run(&Session::new(&global)?, command).await,
        Command::CompileComponent { component, code } => {
            Ok(lusk_replica::compile_component(&component, &code)?)
        }
    }
}

#[cfg(test)]
mod tests;
