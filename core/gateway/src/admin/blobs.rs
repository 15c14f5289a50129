//! Uploads and downloads of files, streamed.

use axum::{
    Json as JsonReply,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use lusk_contract::{BlobError, StoredBlob};
use lusk_domain::Digest;
use serde::Deserialize;
use serde_json::json;

use super::{
    Admin, Shared,
    fault::Fault,
    input::{discard, parse_part},
};

/// The digest that the uploader expects.
const DIGEST: &str = "x-lusk-digest";

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
    let mut body = request.into_body();
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
    body: &mut Body,
    expected: Option<Digest>,
) -> Result<StoredBlob, Fault> {
    let mut sink = admin.options.blobs.create().await?;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Fault::bad_request(format!("the upload broke off: {error}")))?;
        // What is no data is trailers, which say nothing here.
        if let Ok(part) = frame.into_data() {
            sink.write(part).await?;
        }
    }
    Ok(sink.finish(expected).await?)
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
