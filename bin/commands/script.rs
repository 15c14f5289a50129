//! An entry script on its way to the node: config read, folder packed, archive
//! sent.

use std::path::Path;

use lusk_control::snapshot::pack;
use lusk_manifest::{
    Checked, Deployed, EnvironmentChoice, InferenceChange, InferenceConfig, InferenceRequest,
    ManifestError, Source, inference, inference_change,
};
use serde_json::{Map, Value, json};

use super::{Session, upload};
use crate::{cli::ScriptArgs, render};

/// Reads what the flags say about the entry script; none without such flags.
///
/// # Errors
/// Everything that is wrong with config, flags and the files they name.
pub(crate) fn read(
    args: &ScriptArgs,
    directory: &Path,
    service: &str,
) -> Result<Option<Checked<InferenceConfig>>, ManifestError> {
    if !args.is_given() {
        return Ok(None);
    }
    with_request(args, directory, service, |request| {
        inference(request).map(Some)
    })
}

/// Reads what the flags change in the script of `service`, which the node shows;
/// none without such flags.
///
/// # Errors
/// Everything that is wrong with config, flags and the files they name.
pub(crate) fn read_change(
    args: &ScriptArgs,
    directory: &Path,
    service: &Value,
) -> Result<Option<Checked<InferenceChange>>, ManifestError> {
    if !args.is_given() {
        return Ok(None);
    }
    let image = &service["environmentImageRequest"];
    let deployed = image["driverProgram"].as_str().map(|script| Deployed {
        script,
        source_directory: image["sourceDirectory"].as_str(),
    });
    let name = service["name"].as_str().unwrap_or_default();
    with_request(args, directory, name, |request| {
        inference_change(request, deployed).map(Some)
    })
}

fn with_request<T>(
    args: &ScriptArgs,
    directory: &Path,
    service: &str,
    read: impl FnOnce(InferenceRequest<'_>) -> Result<T, ManifestError>,
) -> Result<T, ManifestError> {
    let source = source(args.inference_config_file.as_deref(), directory)?;
    read(InferenceRequest {
        source: source.as_ref(),
        overrides: &args.overrides(),
        environment_directory: args.environment_directory.as_deref(),
        environment_reference: args.environment_reference().as_ref(),
        directory,
        service,
    })
}

/// Reads a config file, called as the user called it.
///
/// # Errors
/// It cannot be read.
pub(crate) fn source(
    path: Option<&Path>,
    directory: &Path,
) -> Result<Option<Source>, ManifestError> {
    let Some(path) = path else { return Ok(None) };
    if path.is_absolute() || std::env::current_dir().is_ok_and(|here| here == directory) {
        return Ok(Some(Source::read(path)?));
    }
    Ok(Some(Source::read(&directory.join(path))?))
}

/// Packs and sends the script's folder, if there is a new script. Gives the
/// request's `environmentImageRequest` without models: what was given, no more.
///
/// # Errors
/// The folder cannot be packed, or the node refused the archive.
pub(crate) async fn send(
    session: &Session,
    args: &ScriptArgs,
    config: &InferenceChange,
) -> anyhow::Result<Value> {
    let mut image = Map::new();
    if let Some(script) = &config.script {
        let asset = send_folder(session, config, script).await?;
        image.insert("driverProgram".to_owned(), json!(config.entry_script()));
        image.insert("sourceDirectory".to_owned(), json!(config.top_folder()));
        image.insert("assets".to_owned(), json!([asset]));
    }
    if let Some(runtime) = config.runtime {
        image.insert("runtime".to_owned(), json!(runtime));
    }
    if let Some(port) = args.debug_port {
        image.insert("debugPort".to_owned(), json!(port));
    }
    match &config.environment {
        Some(EnvironmentChoice::Definition(environment)) => {
            image.insert("environment".to_owned(), json!(environment));
        }
        Some(EnvironmentChoice::Registered(reference)) => {
            image.insert("environmentReference".to_owned(), json!(reference));
        }
        None => {}
    }
    Ok(Value::Object(image))
}

/// Gives the asset that the folder is.
async fn send_folder(
    session: &Session,
    config: &InferenceChange,
    script: &Path,
) -> anyhow::Result<Value> {
    let packed = match (&config.source_directory, script.parent()) {
        (Some(folder), _) => pack(folder, config.top_folder().as_deref(), None)?,
        (None, Some(parent)) => {
            let only = script.file_name().map(Path::new);
            pack(parent, None, only)?
        }
        (None, None) => anyhow::bail!("{} lies in no folder", script.display()),
    };
    let snapshot = &packed.snapshot;
    let archive = packed.archive.path();
    let size = packed.archive.as_file().metadata()?.len();
    let sent = upload::send(session, &[(archive, snapshot.digest, size)]).await?;
    let reused = if sent == 0 { ", unchanged" } else { "" };
    session.progress.step(
        "snapshot",
        &format!(
            "{}, {} ({} ignored){reused}",
            render::count(snapshot.files.into(), "file", "files"),
            render::size(snapshot.bytes),
            packed.ignored
        ),
    );
    Ok(json!({
        "id": "snapshot",
        "url": format!("lusk://blobs/{}", snapshot.digest),
        "mimeType": "application/x-tar",
        "unpack": true,
        "files": snapshot.files,
        "bytes": snapshot.bytes,
    }))
}
