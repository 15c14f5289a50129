//! What the commands do: one file each, and what they share.

pub(crate) mod capacity;
pub(crate) mod change;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod endpoint;
pub(crate) mod environment;
pub(crate) mod image;
pub(crate) mod model;
pub(crate) mod online;
pub(crate) mod operation;
pub(crate) mod quickstart;
pub(crate) mod script;
pub(crate) mod service;
pub(crate) mod subject;
pub(crate) mod up;
pub(crate) mod upload;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    cli::{Cli, Command, Format, GlobalArgs},
    client::{Client, Refusal},
    progress::Progress,
    render::Trouble,
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
        let directory = folder_of(global)?;
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

    /// Has the node do something that takes long, shows how it goes, and gives
    /// the result.
    ///
    /// # Errors
    /// The node refused, the work failed, or the connection broke off.
    pub(crate) async fn work(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut end = None;
        let seen = |mut line: Value| match line["event"].take() {
            Value::Null => end = Some(line),
            event => self.show(&event),
        };
        let ended = self.client.lines(path, body, seen).await;
        self.progress.clear();
        ended?;
        match end {
            Some(mut line) if line["error"].is_null() => Ok(line["result"].take()),
            Some(line) => Err(Refusal::of(&line["error"]).into()),
            None => Err(Trouble::new("the node broke off in the middle of its work")
                .with_help("its log may say why")
                .into()),
        }
    }

    fn show(&self, event: &Value) {
        let step = serde_json::from_value(event["step"].clone());
        let outcome = serde_json::from_value(event["outcome"].clone());
        if let (Ok(step), Ok(outcome)) = (step, outcome) {
            let text = event["text"].as_str().unwrap_or_default();
            self.progress.event(step, outcome, text);
        }
    }

    /// `path` from the session's folder.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// The folder that relative paths start from.
///
/// # Errors
/// There is no such folder.
pub(crate) fn folder_of(global: &GlobalArgs) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("finding the current folder")?;
    let folder = match &global.path {
        Some(path) => here.join(path),
        None => here,
    };
    anyhow::ensure!(
        folder.is_dir(),
        "--path {} is not a folder",
        folder.display()
    );
    Ok(folder)
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
        Command::Environment(command) => environment::run(&global, command).await,
        Command::Image(command) => image::run(&Session::new(&global)?, command).await,
        Command::Service(command) => service::run(&Session::new(&global)?, command).await,
        Command::OnlineEndpoint(command) => {
            online::endpoint(&Session::new(&global)?, command).await
        }
        Command::OnlineDeployment(command) => {
            online::deployment(&Session::new(&global)?, command).await
        }
        Command::Endpoint(command) => endpoint::run(&Session::new(&global)?, command).await,
        Command::Capacity(args) => capacity::run(&args, &global).await,
        Command::Doctor(args) => doctor::run(&args, &global).await,
        Command::CompileComponent { component, code } => {
            Ok(lusk_replica::compile_for_parent(&component, &code)?)
        }
    }
}

#[cfg(test)]
mod tests;
