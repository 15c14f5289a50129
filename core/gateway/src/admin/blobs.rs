//! Uploads and downloads of files, streamed.

use std::{pin::pin, time::Duration};

use axum::{
    Json as JsonReply,
    body::{Body, BodyDataStream},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use lusk_contract::{BlobError, StoredBlob};
use lusk_domain::Digest;
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Shared, fault::Fault, input::parse_part};

/// The digest that the uploader expects.
const DIGEST: &str = "x-lusk-digest";

/// How long the rest of a refused upload is read and thrown away, so that the
/// uploader gets to read the refusal instead of a reset connection.
const LONGEST_DISCARD: Duration = Duration::from_secs(5);

/// The blob's digest in a path.
#[derive(Deserialize)]
pub(crate) struct Digested {
    digest: String,
}

impl Digested {
    fn digest(&self) -> Result<Digest, Fault> {
        parse_part(&self.digest)
    }
}

/// `POST /blobs`.
pub(crate) async fn upload(State(admin): Shared, request: Request) -> Result<Response, Fault> {
    let expected = expected(request.headers())?;
    let mut body = request.into_body().into_data_stream();
    match store(&admin, &mut body, expected).await {
        Ok(stored) => {
            let reply = json!({ "digest": stored.digest, "size": stored.size });
            Ok((StatusCode::CREATED, JsonReply(reply)).into_response())
        }
        Err(fault) => {
            discard(body).await;
            Err(fault)
        }
    }
}

fn expected(headers: &HeaderMap) -> Result<Option<Digest>, Fault> {
    headers
        .get(DIGEST)
        .map(|value| parse_part(&String::from_utf8_lossy(value.as_bytes())))
        .transpose()
}

async fn store(
    admin: &Admin,
    body: &mut BodyDataStream,
    expected: Option<Digest>,
) -> Result<StoredBlob, Fault> {
    let mut sink = admin.options.blobs.create().await?;
    while let Some(part) = body.next().await {
        let part =
            part.map_err(|error| Fault::bad_request(format!("the upload broke off: {error}")))?;
        sink.write(part).await?;
    }
    Ok(sink.finish(expected).await?)
}

async fn discard(mut body: BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    // Over the time the connection is cut, which is all that is left to do.
    drop(tokio::time::timeout(LONGEST_DISCARD, pin!(rest)).await);
}

/// `GET /blobs/{digest}`.
pub(crate) async fn download(
    State(admin): Shared,
    Path(digested): Path<Digested>,
) -> Result<Response, Fault> {
    let digest = digested.digest()?;
    let size = size(&admin, digest).await?;
    let content = admin.options.blobs.read(digest).await?;
    Ok((headers(size), Body::from_stream(content)).into_response())
}

/// `HEAD /blobs/{digest}`.
pub(crate) async fn look(
    State(admin): Shared,
    Path(digested): Path<Digested>,
) -> Result<Response, Fault> {
    let size = size(&admin, digested.digest()?).await?;
    Ok(headers(size).into_response())
}

async fn size(admin: &Admin, digest: Digest) -> Result<u64, Fault> {
    let size = admin.options.blobs.size(digest).await?;
    size.ok_or_else(|| BlobError::Missing(digest).into())
}

fn headers(size: u64) -> [(header::HeaderName, String); 2] {
    [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ]
}
