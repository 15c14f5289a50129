//! Images of this node: look, build, send, fetch, remove, carry by file.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json as JsonReply,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header;
use http_body_util::BodyExt as _;
use lusk_contract::{ByteStream, ImageError, ImageWish, Images, PruneRules, StoredImage};
use lusk_domain::{Digest, Environment, EnvironmentRef, ImageKey, RuntimeKind};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Admin, Shared,
    envelope::RequestId,
    environments,
    fault::Fault,
    image_json,
    input::{Json, discard, parse_part},
    stream as lines,
};

/// Parts of an uploaded archive that wait to be written.
const WAITING_PARTS: usize = 8;

/// The image's key in a path: 32 hex digits, or the repository they end.
#[derive(Deserialize)]
pub(crate) struct Keyed {
    key: String,
}

impl Keyed {
    fn key(&self) -> Result<ImageKey, Fault> {
        let key = self.key.strip_prefix("azureml/").unwrap_or(&self.key);
        parse_part(key.strip_prefix("azureml_").unwrap_or(key))
    }
}

/// The body of `POST /images`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct BuildBody {
    environment: Option<Environment>,
    environment_reference: Option<EnvironmentRef>,
    runtime: Option<RuntimeKind>,
    rebuild: Option<bool>,
}

/// The body of `POST /images/prune`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct PruneBody {
    unused_for_seconds: Option<u64>,
}

fn images(admin: &Admin) -> Arc<dyn Images> {
    Arc::clone(admin.control.images())
}

/// `GET /images`: the one used last first.
pub(crate) async fn list(State(admin): Shared) -> Result<JsonReply<Value>, Fault> {
    let images = images(&admin);
    let all = images.list().await?;
    let shared = shared_bytes(images.as_ref(), &all).await?;
    let value: Vec<_> = all.iter().map(image_json::stored).collect();
    Ok(JsonReply(json!({
        "value": value,
        "summary": image_json::summary(&all, shared),
    })))
}

/// Bytes that layers in more than one image save.
async fn shared_bytes(images: &dyn Images, all: &[StoredImage]) -> Result<u64, Fault> {
    let keys: std::collections::BTreeSet<_> = all.iter().map(|image| &image.record.key).collect();
    let mut layers: BTreeMap<Digest, (u64, u64)> = BTreeMap::new();
    for key in keys {
        let details = match images.show(key).await {
            // Removed between the two looks.
            Err(ImageError::NotFound(_)) => continue,
            details => details?,
        };
        for layer in details.iter().flat_map(|detail| &detail.layers) {
            layers.entry(layer.digest).or_insert((layer.bytes, 0)).1 += 1;
        }
    }
    let saved = |(bytes, holders): &(u64, u64)| bytes * holders.saturating_sub(1);
    Ok(layers.values().map(saved).sum())
}

/// `GET /images/{key}`.
pub(crate) async fn show(
    State(admin): Shared,
    Path(keyed): Path<Keyed>,
) -> Result<JsonReply<Value>, Fault> {
    let key = keyed.key()?;
    let details = images(&admin).show(&key).await?;
    Ok(JsonReply(image_json::details(&key, &details)))
}

/// `POST /images`: finds or builds the image of an environment.
pub(crate) async fn build(
    State(admin): Shared,
    Extension(id): Extension<RequestId>,
    body: Json,
) -> Result<Response, Fault> {
    let wish = wish(&admin, body.parse()?).await?;
    let images = images(&admin);
    Ok(lines::answer(id, &admin.stopping, |lines| async move {
        let ready = images.ensure(&wish, lines.as_ref()).await?;
        Ok(image_json::ready(&ready))
    }))
}

async fn wish(admin: &Admin, body: BuildBody) -> Result<ImageWish, Fault> {
    let environment = match (body.environment, &body.environment_reference) {
        (Some(environment), None) => environment,
        (None, Some(reference)) => environments::resolve(admin, reference).await?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(Fault::bad_request(
                "expected one of `environment` and `environmentReference`",
            ));
        }
    };
    match body.runtime {
        None | Some(RuntimeKind::Python | RuntimeKind::Process) => {}
        Some(other) => {
            return Err(Fault::bad_request(format!(
                "`runtime`: `{}` needs no image; expected python or process",
                other.as_str()
            )));
        }
    }
    Ok(ImageWish {
        environment,
        runtime: body.runtime,
        rebuild: body.rebuild.unwrap_or(false),
    })
}

/// `POST /images/{key}/push`.
pub(crate) async fn push(
    State(admin): Shared,
    Extension(id): Extension<RequestId>,
    Path(keyed): Path<Keyed>,
) -> Result<Response, Fault> {
    let key = keyed.key()?;
    let images = images(&admin);
    // A refusal that needs no work has a status of its own.
    images.show(&key).await?;
    Ok(lines::answer(id, &admin.stopping, |lines| async move {
        let pushed = images.push(&key, lines.as_ref()).await?;
        Ok(image_json::pushed(&pushed))
    }))
}

/// `POST /images/{key}/pull`.
pub(crate) async fn pull(
    State(admin): Shared,
    Extension(id): Extension<RequestId>,
    Path(keyed): Path<Keyed>,
) -> Result<Response, Fault> {
    let key = keyed.key()?;
    let images = images(&admin);
    Ok(lines::answer(id, &admin.stopping, |lines| async move {
        let pulled = images.pull(&key, lines.as_ref()).await?;
        Ok(pulled.iter().map(image_json::stored).collect())
    }))
}

/// `POST /images/prune`: removes what no service uses.
pub(crate) async fn prune(State(admin): Shared, body: Json) -> Result<JsonReply<Value>, Fault> {
    let body: PruneBody = body.parse()?;
    let rules = PruneRules {
        keep: admin.control.image_keys().await?,
        unused_for: Duration::from_secs(body.unused_for_seconds.unwrap_or(0)),
    };
    let pruned = images(&admin).prune(&rules).await?;
    Ok(JsonReply(image_json::pruned(&pruned)))
}

/// `GET /images/{key}/export`: a tar archive that holds an OCI image layout.
pub(crate) async fn export(
    State(admin): Shared,
    Path(keyed): Path<Keyed>,
) -> Result<Response, Fault> {
    let archive = images(&admin).export(&keyed.key()?).await?;
    let headers = [(header::CONTENT_TYPE, "application/x-tar")];
    Ok((headers, Body::from_stream(archive)).into_response())
}

/// `GET /images/{key}/sbom`.
pub(crate) async fn sbom(
    State(admin): Shared,
    Path(keyed): Path<Keyed>,
) -> Result<Response, Fault> {
    let document = images(&admin).sbom(&keyed.key()?).await?;
    let headers = [(header::CONTENT_TYPE, "application/vnd.cyclonedx+json")];
    Ok((headers, document.to_string()).into_response())
}

/// `POST /images/import` with such an archive.
pub(crate) async fn import(
    State(admin): Shared,
    request: Request,
) -> Result<JsonReply<Value>, Fault> {
    let (archive, reading) = relayed(request.into_body());
    let imported = images(&admin).import(archive).await;
    if imported.is_err() {
        // The caller gets to read the refusal instead of a broken connection.
        let _ = reading.await;
    }
    let imported: Vec<_> = imported?.iter().map(image_json::stored).collect();
    Ok(JsonReply(json!({ "value": imported })))
}

/// A body as a stream that can be let go of half way: what reads it goes on,
/// for a while, and throws the rest away.
fn relayed(mut body: Body) -> (ByteStream, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, ImageError>>(WAITING_PARTS);
    let reading = tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let part = match frame.map(http_body::Frame::into_data) {
                Ok(Ok(part)) => Ok(part),
                // Trailers.
                Ok(Err(_)) => continue,
                Err(error) => Err(ImageError::Refused(format!(
                    "the upload broke off: {error}"
                ))),
            };
            let is_broken = part.is_err();
            if sender.send(part).await.is_err() {
                return discard(body).await;
            }
            if is_broken {
                return;
            }
        }
    });
    let parts = stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    (parts.boxed(), reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_come_as_its_repository() {
        let hex = "0123456789abcdef0123456789abcdef";
        for key in [
            hex.to_owned(),
            format!("azureml_{hex}"),
            format!("azureml/azureml_{hex}"),
        ] {
            assert_eq!(Keyed { key }.key().unwrap().as_str(), hex);
        }
        let wrong = Keyed {
            key: "azureml_1".to_owned(),
        };
        assert_eq!(wrong.key().unwrap_err().status, 400);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_breaks_the_archive_off() {
        let parts = stream::iter([Ok(Bytes::from("a")), Err(std::io::Error::other("gone"))]);
        let (archive, reading) = relayed(Body::from_stream(parts));
        let seen: Vec<_> = archive.collect().await;
        reading.await.unwrap();
        assert_eq!(seen[0].as_ref().unwrap(), "a");
        let error = seen[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "image refused: the upload broke off: gone");
        assert_eq!(seen.len(), 2);
    }
}
