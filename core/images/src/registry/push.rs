//! Sends images: the blobs that the registry does not have, then the manifest.
//!
//! The manifest goes last, so that a push that breaks off leaves nothing that
//! anybody could pull. What was sent before stays and is not sent again.

use std::{collections::BTreeMap, io::Read as _, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lusk_contract::{ImageError, Progress, Pushed};
use lusk_domain::{Digest, ImageKey};
use reqwest::{
    Method, RequestBuilder, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE},
};

use super::{AT_ONCE, Registry, retry::Fault, tally::Tally, transport::Access, transport::refused};
use crate::{
    disk::{on_disk, verdict},
    document::{Descriptor, MANIFEST_TYPE},
    image::Image,
    layout::{BlobReader, Layout},
};

/// Bytes of one request; a blob of no more is sent in one.
const CHUNK: u64 = 4 << 20;

/// Largest chunk that a registry may ask for at the least.
const MAX_CHUNK: u64 = 32 << 20;

/// Tag of the variant that was pushed last.
const LATEST: &str = "latest";

/// Why a try of a blob came to nothing.
enum Broken {
    Fault(Fault),
    Here(ImageError),
}

impl Registry {
    /// Sends one image. The caller holds it; `shared` names images that this
    /// registry may have and that hold the same layers.
    pub(crate) async fn send(
        &self,
        layout: &Arc<Layout>,
        image: &Image,
        shared: &BTreeMap<Digest, ImageKey>,
        progress: &dyn Progress,
    ) -> Result<Pushed, ImageError> {
        let key = &image.record.key;
        let repository = self.repository(key);
        let mut blobs: Vec<_> = image.manifest.blobs().collect();
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        let what = format!("sent to the {} registry", self.role());
        let total = blobs.iter().map(|blob| blob.size).sum();
        let tally = Tally::new(progress, what, total);
        let mut sends = Vec::new();
        for blob in blobs {
            let from = shared.get(&blob.digest).map(|key| self.repository(key));
            sends.push(self.send_blob(layout, &repository, blob, from, &tally));
        }
        let mut sends = stream::iter(sends).buffer_unordered(AT_ONCE);
        let mut moved_bytes = 0;
        while let Some(bytes) = sends.try_next().await? {
            moved_bytes += bytes;
        }
        drop(sends);
        let reader = Arc::clone(layout);
        let descriptor = image.descriptor.clone();
        let manifest = on_disk(move || reader.bytes(&descriptor)).await?;
        let manifest = Bytes::from(manifest);
        let mut references = Vec::new();
        for tag in [image.record.variant.as_str(), LATEST] {
            self.send_manifest(&repository, tag, &manifest).await?;
            references.push(self.reference(key, tag));
        }
        moved_bytes += manifest.len() as u64;
        Ok(Pushed {
            references,
            moved_bytes,
        })
    }

    async fn send_manifest(
        &self,
        repository: &str,
        tag: &str,
        manifest: &Bytes,
    ) -> Result<(), ImageError> {
        let step = format!("sending the manifest as `{tag}`");
        let transport = &self.transport;
        let url = transport.url(repository, &format!("manifests/{tag}"));
        let url = url.map_err(|fault| self.failed(&step, fault))?;
        let finish = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, MANIFEST_TYPE);
            request.body(manifest.clone())
        };
        let hoped = [StatusCode::CREATED, StatusCode::OK];
        let sent = transport.request(Access::Push, repository, Method::PUT, &url, &hoped, finish);
        sent.await.map_err(|fault| self.failed(&step, fault))?;
        Ok(())
    }

    /// Sends a blob unless it is there; returns the bytes that were sent.
    async fn send_blob(
        &self,
        layout: &Arc<Layout>,
        repository: &str,
        blob: &Descriptor,
        from: Option<String>,
        tally: &Tally<'_>,
    ) -> Result<u64, ImageError> {
        let step = format!("sending blob {}", blob.digest);
        let failed = |fault| self.failed(&step, fault);
        let transport = &self.transport;
        let url = transport.url(repository, &format!("blobs/{}", blob.digest));
        let hoped = [StatusCode::OK, StatusCode::NOT_FOUND];
        let url = url.map_err(failed)?;
        let is_there = transport.request(
            Access::Push,
            repository,
            Method::HEAD,
            &url,
            &hoped,
            |request| request,
        );
        if is_there.await.map_err(failed)?.status() == StatusCode::OK {
            return Ok(0);
        }
        if let Some(from) = from
            && self.mounts(repository, blob, &from).await
        {
            return Ok(0);
        }
        let mut tries = transport.tries();
        loop {
            let fault = match self.try_blob_there(layout, repository, blob, tally).await {
                Ok(()) => return Ok(blob.size),
                Err(Broken::Here(error)) => return Err(error),
                Err(Broken::Fault(fault)) => fault,
            };
            tries.again(fault).await.map_err(failed)?;
        }
    }

    /// Whether the registry takes a blob over from another repository of its
    /// own. Whatever it answers else, the blob is sent.
    async fn mounts(&self, repository: &str, blob: &Descriptor, from: &str) -> bool {
        let transport = &self.transport;
        let Ok(mut url) = transport.url(repository, "blobs/uploads/") else {
            return false;
        };
        url.query_pairs_mut()
            .append_pair("mount", &blob.digest.to_string())
            .append_pair("from", from);
        let empty = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let answer = transport.once(Access::Push, repository, &Method::POST, &url, empty);
        let Ok(answer) = answer.await else {
            return false;
        };
        // It has begun an upload instead, which nobody will go on with.
        if answer.status() == StatusCode::ACCEPTED
            && let Ok(place) = transport.location(&answer)
        {
            self.call_off(repository, &place).await;
        }
        answer.status() == StatusCode::CREATED
    }

    async fn call_off(&self, repository: &str, place: &Url) {
        let transport = &self.transport;
        let off = transport.once(Access::Push, repository, &Method::DELETE, place, |it| it);
        if let Err(fault) = off.await {
            tracing::debug!(fault = fault.text, "upload not called off");
        }
    }

    /// One upload from its beginning. One that fails is called off, so that
    /// the registry keeps no half of it.
    async fn try_blob_there(
        &self,
        layout: &Arc<Layout>,
        repository: &str,
        blob: &Descriptor,
        tally: &Tally<'_>,
    ) -> Result<(), Broken> {
        let transport = &self.transport;
        let url = transport.url(repository, "blobs/uploads/");
        let url = url.map_err(Broken::Fault)?;
        let empty = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let begun = transport
            .once(Access::Push, repository, &Method::POST, &url, empty)
            .await
            .map_err(Broken::Fault)?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(Broken::Fault(refused(begun).await));
        }
        let least = begun.headers().get("oci-chunk-min-length");
        let least = least.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let chunk = least.unwrap_or(CHUNK).clamp(CHUNK, MAX_CHUNK);
        let mut place = transport.location(&begun).map_err(Broken::Fault)?;
        let reader = layout.read(blob).map_err(Broken::Here)?;
        let sent = self
            .send_chunks(repository, reader, blob, chunk, &mut place, tally)
            .await;
        if sent.is_err() {
            self.call_off(repository, &place).await;
        }
        sent
    }

    /// Sends a blob in chunks; the last one comes with its digest.
    async fn send_chunks(
        &self,
        repository: &str,
        mut reader: BlobReader,
        blob: &Descriptor,
        chunk: u64,
        place: &mut Url,
        tally: &Tally<'_>,
    ) -> Result<(), Broken> {
        let transport = &self.transport;
        let mut from = 0;
        loop {
            let part;
            (reader, part) = read_part(reader, chunk).await.map_err(Broken::Here)?;
            let end = from + part.len() as u64;
            let is_last = end == blob.size;
            let url = match is_last {
                true => closing(place, blob),
                false => place.clone(),
            };
            let finish = |request: RequestBuilder| {
                let request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, part.len())
                    .body(part.clone());
                match is_last && from == 0 {
                    true => request,
                    false => request.header(CONTENT_RANGE, format!("{from}-{}", end.max(1) - 1)),
                }
            };
            let (method, hoped) = match is_last {
                true => (Method::PUT, StatusCode::CREATED),
                false => (Method::PATCH, StatusCode::ACCEPTED),
            };
            let answer = transport
                .once(Access::Push, repository, &method, &url, finish)
                .await
                .map_err(Broken::Fault)?;
            if answer.status() != hoped {
                return Err(Broken::Fault(refused(answer).await));
            }
            tally.add(part.len() as u64);
            if is_last {
                return Ok(());
            }
            *place = transport.location(&answer).map_err(Broken::Fault)?;
            from = end;
        }
    }
}

fn closing(place: &Url, blob: &Descriptor) -> Url {
    let mut url = place.clone();
    url.query_pairs_mut()
        .append_pair("digest", &blob.digest.to_string());
    url
}

/// Reads the next part; with the last one all of the blob was checked.
async fn read_part(mut reader: BlobReader, most: u64) -> Result<(BlobReader, Bytes), ImageError> {
    on_disk(move || {
        let mut part = Vec::new();
        let read = (&mut reader).take(most).read_to_end(&mut part);
        read.and_then(|_| reader.check_at_end())
            .map_err(|error| verdict("blob to send", &error))?;
        Ok((reader, Bytes::from(part)))
    })
    .await
}
