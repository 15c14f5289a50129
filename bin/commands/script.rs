//! An entry script on its way to the node: config read, folder packed, archive
//! sent.

use std::path::Path;

use lusk_control::snapshot::pack;
use lusk_manifest::{
    Checked, EnvironmentChoice, InferenceConfig, InferenceRequest, ManifestError, Source, inference,
};
use serde_json::{Value, json};

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
    let source = source(args.inference_config_file.as_deref(), directory)?;
    inference(InferenceRequest {
        source: source.as_ref(),
        overrides: &args.overrides(),
        environment_directory: args.environment_directory.as_deref(),
        environment_reference: args.environment_reference().as_ref(),
        directory,
        service,
    })
    .map(Some)
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

/// Packs and sends the script's folder. Gives the request's
/// `environmentImageRequest`, without models.
///
/// # Errors
/// The folder cannot be packed, or the node refused the archive.
pub(crate) async fn send(
    session: &Session,
    args: &ScriptArgs,
    config: &InferenceConfig,
) -> anyhow::Result<Value> {
    let top = config.top_folder();
    let packed = match (&config.source_directory, config.script.parent()) {
        (Some(folder), _) => pack(folder, top.as_deref(), None)?,
        (None, Some(parent)) => {
            let only = config.script.file_name().map(Path::new);
            pack(parent, None, only)?
        }
        (None, None) => anyhow::bail!("{} lies in no folder", config.script.display()),
    };
    let snapshot = &packed.snapshot;
    let archive = packed.archive.path();
    let size = packed.archive.as_file().metadata()?.len();
    let sent = upload::send(session, &[(archive, snapshot.digest, size)]).await?;
    let reused = if sent == 0 { ", unchanged" } else { "" };
    let files = if snapshot.files == 1 { "file" } else { "files" };
    session.progress.step(
        "snapshot",
        &format!(
            "{} {files}, {} ({} ignored){reused}",
            snapshot.files,
            render::size(snapshot.bytes),
            packed.ignored
        ),
    );
    let mut image = json!({
        "driverProgram": config.entry_script(),
        "sourceDirectory": top,
        "assets": [{
            "id": "snapshot",
            "url": format!("lusk://blobs/{}", snapshot.digest),
            "mimeType": "application/x-tar",
            "unpack": true,
            "files": snapshot.files,
            "bytes": snapshot.bytes,
        }],
        "runtime": config.runtime,
        "debugPort": args.debug_port,
    });
    match &config.environment {
        EnvironmentChoice::Definition(environment) => image["environment"] = json!(environment),
        EnvironmentChoice::Registered(reference) => {
            image["environmentReference"] = json!(reference);
        }
    }
    Ok(image)
}
