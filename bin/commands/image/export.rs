//! `lusk image export`: one file that carries an image, or a service with all it
//! needs, to a node without a network.
//!
//! Everything is streamed; the file gets its name when it is whole.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lusk_domain::{Digest, ModelDraft};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::archive::{self, Writer};
use crate::{
    cli::ImageExportArgs,
    client::part,
    commands::{Session, model::plain, service},
    render::{self, Column, Trouble},
};

const COLUMNS: [Column; 5] = [
    Column::new("File", |reply| plain(&reply["file"])),
    Column::new("Size", |reply| super::size(&reply["size"])),
    Column::new("Service", |reply| plain(&reply["service"])),
    Column::new("Models", |reply| super::joined(&reply["models"])),
    Column::new("Images", |reply| super::joined(&reply["images"])),
];

/// What of a service is a wish, and stands in a create request under the same key.
const WISHES: [&str; 17] = [
    "name",
    "computeType",
    "computeName",
    "description",
    "kvTags",
    "properties",
    "numReplicas",
    "autoScaler",
    "containerResourceRequirements",
    "livenessProbeRequirements",
    "authEnabled",
    "aadAuthEnabled",
    "appInsightsEnabled",
    "scoringTimeoutMs",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "namespace",
];

/// Exports what the flags name and prints what went into the file.
///
/// # Errors
/// It is not there, the node broke off, or the file cannot be written.
pub(super) async fn run(session: &Session, args: &ImageExportArgs) -> anyhow::Result<()> {
    let path = session.at(&args.file);
    if !args.overwrite && path.symlink_metadata().is_ok() {
        return Err(Trouble::new(format!("{} is there already", path.display()))
            .with_help("give --overwrite to replace it, or another --file")
            .into());
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(parent).map_err(|error| not_writable(parent, &error))?;
    let exported = match &args.image.choice.service {
        Some(name) => export_service(session, name, file.as_file_mut()).await,
        None => export_image(session, args, file.as_file_mut()).await,
    };
    let mut reply = exported
        .inspect_err(|_| session.progress.clear())
        .with_context(|| format!("exporting to {}", path.display()))?;
    make_readable(&file)?;
    file.persist(&path)
        .with_context(|| format!("writing {}", path.display()))?;
    reply["file"] = json!(path);
    render::data(session.format, &reply, &COLUMNS)
}

/// The name of the temporary file, which the error holds, says nothing.
fn not_writable(folder: &Path, error: &std::io::Error) -> Trouble {
    let what = match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no folder {}", folder.display()),
        _ => format!("{} cannot be written to", folder.display()),
    };
    let cause = std::io::Error::from(error.kind()).to_string();
    let is_told = error.kind() == std::io::ErrorKind::NotFound;
    Trouble::new(what)
        .with_causes((!is_told).then_some(cause).into_iter().collect())
        .with_help("name a file in another folder with --file")
}

/// A temporary file is private; this one is to be carried away.
fn make_readable(file: &NamedTempFile) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o644);
    Ok(file.as_file().set_permissions(permissions)?)
}

async fn export_image(
    session: &Session,
    args: &ImageExportArgs,
    file: &mut std::fs::File,
) -> anyhow::Result<Value> {
    let key = super::key(session, &args.image).await?;
    let content = session
        .client()
        .stream(&super::path(&key, "/export"))
        .await?;
    let mut content = std::pin::pin!(content);
    let mut size = 0;
    while let Some(part) = content.next().await {
        let part = part?;
        file.write_all(&part)?;
        size += part.len() as u64;
    }
    file.sync_all()?;
    Ok(json!({ "size": size, "images": [key.repository()] }))
}

async fn export_service(
    session: &Session,
    name: &str,
    file: &mut std::fs::File,
) -> anyhow::Result<Value> {
    let service = service::get(session, name).await?;
    let models = models(session, &service).await?;
    let image = match service["imageId"].as_str() {
        Some(image) => Some(super::parsed(image)?),
        None => None,
    };
    let images: Vec<_> = image.iter().map(|key| json!(key.as_str())).collect();
    let definition = json!({
        "format": 1,
        "service": wish(&service),
        "models": models.iter().map(|(id, draft)| json!({ "id": id, "draft": draft })).collect::<Vec<_>>(),
        "images": images,
    });
    let mut writer = Writer::new(file);
    writer
        .text(
            archive::DEFINITION,
            &serde_json::to_vec_pretty(&definition)?,
        )
        .await?;
    let blobs = blobs(&service, &models)?;
    let moved = session.progress.bytes("exporting", blobs.values().sum());
    for digest in blobs.keys() {
        let content = session.client().download(*digest).await?;
        let content = counted(content, &moved);
        let (seen, _) = writer.member(&blob_name(*digest), content).await?;
        anyhow::ensure!(seen == *digest, "{digest} came with digest {seen}");
    }
    if let Some(key) = &image {
        let path = super::path(key, "/export");
        let content = session.client().stream(&path).await?;
        let content = counted(content, &moved);
        writer.member(&image_name(key.as_str()), content).await?;
    }
    session.progress.clear();
    let size = writer.finish().await?;
    let ids: Vec<_> = models.iter().map(|(id, _)| id).collect();
    let images: Vec<_> = image
        .iter()
        .map(lusk_domain::ImageKey::repository)
        .collect();
    Ok(json!({ "size": size, "service": name, "models": ids, "images": images }))
}

fn counted<E>(
    content: impl Stream<Item = Result<Bytes, E>>,
    moved: &crate::progress::Moved,
) -> impl Stream<Item = Result<Bytes, E>> {
    let moved = moved.clone();
    content.inspect(move |part| moved.add(part.as_ref().map_or(0, Bytes::len)))
}

/// The member that holds a blob.
pub(super) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.to_hex())
}

/// The member that holds a key's images.
pub(super) fn image_name(key: &str) -> String {
    format!("images/{key}.tar")
}

/// The models of a service, with their files.
async fn models(session: &Session, service: &Value) -> anyhow::Result<Vec<(String, ModelDraft)>> {
    let ids = service["environmentImageRequest"]["modelIds"].as_array();
    let mut models = Vec::new();
    for id in ids.into_iter().flatten() {
        let id = plain(id);
        let model = session
            .client()
            .get(&format!("/models/{}", part(&id)))
            .await?;
        let draft = serde_json::from_value(model)
            .with_context(|| format!("reading the record of model `{id}`"))?;
        models.push((id, draft));
    }
    Ok(models)
}

/// Every blob that service and models need, with its size.
fn blobs(
    service: &Value,
    models: &[(String, ModelDraft)],
) -> anyhow::Result<BTreeMap<Digest, u64>> {
    let files = models.iter().flat_map(|(_, draft)| &draft.files);
    let mut blobs: BTreeMap<_, _> = files.map(|file| (file.digest, file.size)).collect();
    let assets = service["environmentImageRequest"]["assets"].as_array();
    for asset in assets.into_iter().flatten() {
        let url = plain(&asset["url"]);
        let digest = url.strip_prefix("lusk://blobs/").unwrap_or(&url);
        let digest = digest.parse().context("reading the snapshot's digest")?;
        blobs.insert(digest, asset["bytes"].as_u64().unwrap_or_default());
    }
    Ok(blobs)
}

/// The create request that makes this service again: without keys, and without
/// the port of a local one, which another node may not have.
fn wish(service: &Value) -> Value {
    let mut wish: Map<_, _> = WISHES
        .into_iter()
        .map(|key| (key.to_owned(), service[key].clone()))
        .filter(|(_, value)| !value.is_null())
        .collect();
    // Without autoscaling the rest of its settings must not be there.
    if service["autoScaler"]["autoscaleEnabled"] != true {
        let off = json!({ "autoscaleEnabled": false });
        wish.insert("autoScaler".to_owned(), off);
    }
    if !service["remoteReplicas"].is_null() {
        // What outside replicas use is not the node's to give.
        wish.remove("containerResourceRequirements");
        wish.insert(
            "remoteReplicas".to_owned(),
            service["remoteReplicas"].clone(),
        );
    }
    let collection = json!({ "storageEnabled": service["dataCollection"]["storageEnabled"] });
    wish.insert("dataCollection".to_owned(), collection);
    let mut image = service["environmentImageRequest"].clone();
    if let Some(image) = image.as_object_mut() {
        image.remove("models");
        image.retain(|_, value| !value.is_null());
    }
    wish.insert("environmentImageRequest".to_owned(), image);
    Value::Object(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_outside_replicas_reserves_nothing() {
        let service = json!({
            "name": "away", "numReplicas": 1, "remoteReplicas": ["http://a"],
            "containerResourceRequirements": {"cpu": 0.0, "memoryInGB": 0.0},
        });
        let wish = wish(&service);
        assert_eq!(wish["remoteReplicas"], json!(["http://a"]));
        assert_eq!(wish["containerResourceRequirements"], Value::Null);
    }

    #[test]
    fn a_wish_holds_nothing_of_this_node() {
        let service = json!({
            "name": "digits", "computeType": "LOCAL", "port": 8890, "state": "Healthy",
            "scoringUri": "http://here", "numReplicas": 2, "description": null,
            "autoScaler": {"autoscaleEnabled": false, "minReplicas": 1},
            "dataCollection": {"storageEnabled": false, "eventHubEnabled": false},
            "environmentImageRequest": {"driverProgram": "score.py", "models": [{"id": "m:1"}],
                "modelIds": ["m:1"], "runtime": null},
        });
        assert_eq!(
            wish(&service),
            json!({
                "name": "digits", "computeType": "LOCAL", "numReplicas": 2,
                "autoScaler": {"autoscaleEnabled": false},
                "dataCollection": {"storageEnabled": false},
                "environmentImageRequest": {"driverProgram": "score.py", "modelIds": ["m:1"]},
            })
        );
    }

    #[test]
    fn blobs_are_those_of_models_and_snapshot() {
        let (model, snapshot) = (Digest::of(b"model"), Digest::of(b"snapshot"));
        let draft: ModelDraft = serde_json::from_value(json!({
            "name": "m", "files": [{"path": "a", "digest": model, "size": 5},
                                   {"path": "b", "digest": model, "size": 5}]
        }))
        .unwrap();
        let url = format!("lusk://blobs/{snapshot}");
        let service = json!({"environmentImageRequest": {"assets": [{"url": url, "bytes": 8}]}});
        let blobs = blobs(&service, &[("m:1".to_owned(), draft)]).unwrap();
        assert_eq!(blobs, BTreeMap::from([(model, 5), (snapshot, 8)]));
    }
}
