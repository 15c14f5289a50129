//! `lusk environment …`: the short ones; folders have their own files.

pub(crate) mod directory;
pub(crate) mod scaffold;

use std::{fs, path::Path};

use anyhow::Context as _;
use http::Method;
use lusk_domain::Environment;
use lusk_manifest::environment_directory;
use serde_json::{Value, json};

use super::{
    Session, folder_of,
    model::{labels, plain, seconds},
};
use crate::{
    cli::{
        EnvironmentCommand, EnvironmentDownloadArgs, EnvironmentListArgs, EnvironmentRegisterArgs,
        EnvironmentShowArgs, GlobalArgs, MetadataArgs,
    },
    client::part,
    render::{self, Column, Trouble},
};

/// Runs a command. Only those that need a node look for one.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn run(global: &GlobalArgs, command: EnvironmentCommand) -> anyhow::Result<()> {
    let session = || Session::new(global);
    match command {
        EnvironmentCommand::Scaffold(args) => scaffold::run(global, &args),
        EnvironmentCommand::Register(args) => register(&session()?, &args).await,
        EnvironmentCommand::List(args) => list(&session()?, &args).await,
        EnvironmentCommand::Show(args) => show(&session()?, &args).await,
        EnvironmentCommand::Download(args) => download(&session()?, &args).await,
    }
}

const LIST: [Column; 4] = [
    Column::new("Name", |environment| plain(&environment["name"])),
    Column::new("Version", |environment| plain(&environment["version"])),
    Column::new("Image", |environment| plain(&environment["imageId"])),
    Column::new("Created", |environment| {
        seconds(&environment["createdTime"])
    }),
];

const SHOW: [Column; 9] = [
    Column::new("Name", |environment| plain(&environment["name"])),
    Column::new("Version", |environment| plain(&environment["version"])),
    Column::new("Created", |environment| {
        seconds(&environment["createdTime"])
    }),
    Column::new("Image", |environment| plain(&environment["imageId"])),
    Column::new("Python", interpreter),
    Column::new("Packages", packages),
    Column::new("Base image", |environment| {
        plain(&environment["docker"]["baseImage"])
    }),
    Column::new("Dockerfile", |environment| {
        plain(&environment["docker"]["baseDockerfile"])
    }),
    Column::new("Variables", |environment| {
        labels(&environment["environmentVariables"])
    }),
];

fn interpreter(environment: &Value) -> String {
    let python = &environment["python"];
    match python["userManagedDependencies"].as_bool() {
        Some(true) => format!("{}, user-managed", plain(&python["interpreterPath"])),
        _ => String::new(),
    }
}

fn packages(environment: &Value) -> String {
    let dependencies = environment["python"]["condaDependencies"]["dependencies"].as_array();
    let mut lines = Vec::new();
    for dependency in dependencies.into_iter().flatten() {
        match dependency["pip"].as_array() {
            Some(pip) => lines.extend(pip.iter().map(|line| format!("pip: {}", plain(line)))),
            None => lines.push(plain(dependency)),
        }
    }
    lines.join("\n")
}

async fn register(session: &Session, args: &EnvironmentRegisterArgs) -> anyhow::Result<()> {
    let folder = session.at(&args.directory);
    let read = environment_directory(&folder)?;
    if !session.is_quiet {
        render::notices(&read.notices);
    }
    if read.value.name.is_none() {
        return Err(Trouble::new(format!(
            "{}: `name` is missing",
            folder.join(directory::DEFINITION).display()
        ))
        .with_help("an environment is registered under its name")
        .into());
    }
    let sent = session
        .client()
        .send(Method::POST, "/environments", Some(&json!(read.value)))
        .await?;
    finish(session, &args.metadata, &sent.body, &SHOW)
}

async fn list(session: &Session, args: &EnvironmentListArgs) -> anyhow::Result<()> {
    let path = match &args.name {
        Some(name) => format!("{}/versions", path(name, None)),
        None => "/environments".to_owned(),
    };
    let environments = session.client().list(&path).await?;
    if environments.is_empty() {
        session.progress.say("no environments");
    }
    finish(session, &args.metadata, &Value::Array(environments), &LIST)
}

async fn show(session: &Session, args: &EnvironmentShowArgs) -> anyhow::Result<()> {
    let found = get(session, &args.name, args.version.as_deref()).await?;
    finish(session, &args.metadata, &found, &SHOW)
}

async fn download(session: &Session, args: &EnvironmentDownloadArgs) -> anyhow::Result<()> {
    const COLUMNS: [Column; 1] = [Column::new("Path", |reply| plain(&reply["path"]))];
    let found = get(session, &args.name, args.version.as_deref()).await?;
    let environment: Environment =
        serde_json::from_value(found).context("reading the node's environment")?;
    let folder = session.at(&args.directory);
    let files = directory::files(&environment)?;
    directory::write(&folder, &files, Some(args.overwrite))?;
    let reply = json!({ "path": folder });
    finish(session, &args.metadata, &reply, &COLUMNS)
}

/// A registered environment; the newest version when none is given.
///
/// # Errors
/// There is none, or the node did not answer.
pub(crate) async fn get(
    session: &Session,
    name: &str,
    version: Option<&str>,
) -> anyhow::Result<Value> {
    session.client().get(&path(name, version)).await
}

fn path(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("/environments/{}/versions/{}", part(name), part(version)),
        None => format!("/environments/{}", part(name)),
    }
}

/// Prints the result, and writes it where the flags say.
fn finish(
    session: &Session,
    metadata: &MetadataArgs,
    result: &Value,
    columns: &[Column],
) -> anyhow::Result<()> {
    if let Some(file) = &metadata.file {
        write_metadata(&session.at(file), result)?;
    }
    render::data(session.format, result, columns)
}

fn write_metadata(path: &Path, result: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(result)?;
    fs::write(path, format!("{text}\n")).with_context(|| format!("writing {}", path.display()))
}

/// What commands without a node do at their end.
fn finish_alone(
    global: &GlobalArgs,
    metadata: &MetadataArgs,
    result: &Value,
    columns: &[Column],
) -> anyhow::Result<()> {
    if let Some(file) = &metadata.file {
        write_metadata(&folder_of(global)?.join(file), result)?;
    }
    render::data(global.output, result, columns)
}
