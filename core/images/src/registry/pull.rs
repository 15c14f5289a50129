//! Fetches images: first what describes one, then what is not here yet.
//!
//! Blobs are streamed to the disk and held to the digest and the size that the
//! manifest pins. One that breaks off goes on where it stopped.

use std::{io::Write as _, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use lusk_contract::{ImageError, Progress};
use lusk_domain::{Digest, ImageKey};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_RANGE, HeaderMap, RANGE},
};
use serde::Deserialize;

use super::{
    AT_ONCE, Registry,
    retry::Fault,
    tally::Tally,
    transport::{Access, refused},
};
use crate::{
    disk::{self, failed, on_disk},
    document::{Descriptor, MANIFEST_TYPE},
    image::{Image, is_tag},
    layout::{BlobWriter, Draft, Layout, StagedBlob},
};

/// Bytes that are gathered before they are written.
const BATCH: usize = 1 << 20;

/// Most tags of an image that are looked at.
const MAX_TAGS: usize = 100;

/// An image that was fetched: all of it is in the layout, held by the draft.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) image: Image,
    /// Bytes that came over the network.
    pub(crate) moved_bytes: u64,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// Why a try of a blob came to nothing.
enum Broken {
    /// The registry or the network.
    Fault(Fault),
    /// This machine.
    Here(ImageError),
}

impl Registry {
    /// The tags of an image; none if the registry does not know it.
    pub(crate) async fn tags(&self, key: &ImageKey) -> Result<Vec<String>, ImageError> {
        let repository = self.repository(key);
        let list = self
            .transport
            .content(&repository, "tags/list", "application/json")
            .await
            .map_err(|fault| self.failed("listing the tags", fault))?;
        let Some((_, list)) = list else {
            return Ok(Vec::new());
        };
        let list: Tags = serde_json::from_slice(&list).map_err(|error| {
            let fault = Fault::lie(format!("the list is not readable: {error}"));
            self.failed("listing the tags", fault)
        })?;
        let tags = list.tags.unwrap_or_default().into_iter();
        Ok(tags.filter(|tag| is_tag(tag)).take(MAX_TAGS).collect())
    }

    /// Fetches one variant; none if the registry does not know it. It is not
    /// yet in the index.
    pub(crate) async fn fetch(
        &self,
        layout: &Arc<Layout>,
        draft: &Arc<Draft>,
        key: &ImageKey,
        tag: &str,
        progress: &dyn Progress,
    ) -> Result<Option<Fetched>, ImageError> {
        let Some(manifest) = self.manifest(key, tag).await? else {
            return Ok(None);
        };
        let held = Arc::clone(draft);
        let image = on_disk(move || {
            let parsed = serde_json::from_slice(&manifest)
                .map_err(|error| disk::refused(&format!("manifest not readable: {error}")))?;
            Image::of(&held.put(MANIFEST_TYPE, &manifest)?, parsed)
        })
        .await?;
        self.is_it(&image, key, tag)?;
        let what = format!("fetched from the {} registry", self.role());
        let missing = |blob: &&Descriptor| !draft.has(blob);
        let to_come = image.manifest.blobs().filter(missing);
        let total = to_come.map(|blob| blob.size).sum();
        let tally = Tally::new(progress, what, total);

        // What describes it comes first: a wrong image ends here.
        let mut first = vec![&image.manifest.config, image.description_layer()?];
        self.fetch_blobs(layout, draft, key, &mut first, &tally)
            .await?;
        let checked = (Arc::clone(layout), image.clone());
        on_disk(move || checked.1.check(&checked.0)).await?;
        let mut rest: Vec<_> = image.package_layers().collect();
        self.fetch_blobs(layout, draft, key, &mut rest, &tally)
            .await?;
        let moved_bytes = tally.moved() + image.descriptor.size;
        Ok(Some(Fetched { image, moved_bytes }))
    }

    async fn manifest(&self, key: &ImageKey, tag: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let step = format!("fetching the manifest of `{tag}`");
        let rest = format!("manifests/{tag}");
        let content = self
            .transport
            .content(&self.repository(key), &rest, MANIFEST_TYPE)
            .await
            .map_err(|fault| self.failed(&step, fault))?;
        let Some((headers, manifest)) = content else {
            return Ok(None);
        };
        let seen = Digest::of(&manifest);
        let said = headers.get("docker-content-digest");
        match said.and_then(|said| said.to_str().ok()) {
            Some(said) if said.starts_with("sha256:") && said != seen.to_string() => {
                let fault = Fault::lie(format!("it calls it `{said:.80}`, its digest is {seen}"));
                Err(self.failed(&step, fault))
            }
            _ => Ok(Some(manifest.to_vec())),
        }
    }

    fn is_it(&self, image: &Image, key: &ImageKey, tag: &str) -> Result<(), ImageError> {
        let record = &image.record;
        let is_latest = tag == "latest";
        if record.key == *key && (is_latest || record.variant == tag) {
            return Ok(());
        }
        let (seen, variant) = (&record.key, &record.variant);
        let fault = Fault::lie(format!(
            "it gives image `{seen}` for `{variant}` when asked for `{key}` for `{tag}`"
        ));
        Err(self.failed("reading the manifest", fault))
    }

    async fn fetch_blobs(
        &self,
        layout: &Arc<Layout>,
        draft: &Arc<Draft>,
        key: &ImageKey,
        blobs: &mut Vec<&Descriptor>,
        tally: &Tally<'_>,
    ) -> Result<(), ImageError> {
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        let repository = self.repository(key);
        let mut fetches = Vec::new();
        for blob in blobs {
            if !draft.has(blob) {
                fetches.push(self.fetch_blob(layout, draft, &repository, blob, tally));
            }
        }
        let mut fetches = stream::iter(fetches).buffer_unordered(AT_ONCE);
        while fetches.try_next().await?.is_some() {}
        Ok(())
    }

    async fn fetch_blob(
        &self,
        layout: &Arc<Layout>,
        draft: &Arc<Draft>,
        repository: &str,
        blob: &Descriptor,
        tally: &Tally<'_>,
    ) -> Result<(), ImageError> {
        let step = format!("fetching blob {}", blob.digest);
        let url = self
            .transport
            .url(repository, &format!("blobs/{}", blob.digest));
        let url = url.map_err(|fault| self.failed(&step, fault))?;
        let mut writer = Some(layout.writer()?);
        let mut tries = self.transport.tries();
        loop {
            let tried = self.try_blob(repository, &url, blob, &mut writer, tally);
            let fault = match tried.await {
                Ok(()) => break,
                Err(Broken::Here(error)) => return Err(error),
                Err(Broken::Fault(fault)) => fault,
            };
            let waited = tries.again(fault).await;
            waited.map_err(|fault| self.failed(&step, fault))?;
        }
        let staged = finish(writer).await?;
        if (staged.digest, staged.size) != (blob.digest, blob.size) {
            let fault = Fault::lie(format!("it gives other content: {}", staged.digest));
            return Err(self.failed(&step, fault));
        }
        let (draft, media_type) = (Arc::clone(draft), blob.media_type.clone());
        on_disk(move || draft.keep(&media_type, staged)).await?;
        Ok(())
    }

    /// One request for what is missing of a blob.
    async fn try_blob(
        &self,
        repository: &str,
        url: &Url,
        blob: &Descriptor,
        writer: &mut Option<BlobWriter>,
        tally: &Tally<'_>,
    ) -> Result<(), Broken> {
        let from = writer.as_ref().map_or(0, BlobWriter::size);
        if from == blob.size && from > 0 {
            return Ok(());
        }
        let finish = |request: RequestBuilder| match from {
            0 => request,
            from => request.header(RANGE, format!("bytes={from}-")),
        };
        let transport = &self.transport;
        let answer = transport.once(Access::Pull, repository, &Method::GET, url, finish);
        let answer = answer.await.map_err(Broken::Fault)?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(answer.headers(), from) => {}
            // It knows no ranges, or has lost the place: all of it again.
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
                if from > 0 =>
            {
                restart(writer).await?;
                if answer.status() != StatusCode::OK {
                    let fault = Fault::passing("it does not go on where the blob broke off");
                    return Err(Broken::Fault(fault));
                }
            }
            StatusCode::OK => {}
            _ => return Err(Broken::Fault(refused(answer).await)),
        }
        receive(answer, blob, writer, tally).await
    }
}

/// Writes what comes, never more than the blob has.
async fn receive(
    mut answer: Response,
    blob: &Descriptor,
    writer: &mut Option<BlobWriter>,
    tally: &Tally<'_>,
) -> Result<(), Broken> {
    let mut size = writer.as_ref().map_or(0, BlobWriter::size);
    let mut batch = Vec::new();
    loop {
        let part = answer.chunk().await;
        let ended = !matches!(part, Ok(Some(_)));
        if let Ok(Some(part)) = &part {
            size += part.len() as u64;
            if size > blob.size {
                let most = blob.size;
                let fault = Fault::lie(format!("it sends more than the {most} bytes it has"));
                return Err(Broken::Fault(fault));
            }
            tally.add(part.len() as u64);
            batch.extend_from_slice(part);
        }
        // What came before a break is kept: the next try goes on from there.
        if batch.len() >= BATCH || ended && !batch.is_empty() {
            write(writer, std::mem::take(&mut batch)).await?;
        }
        match part {
            Ok(Some(_)) => {}
            Ok(None) if size == blob.size => return Ok(()),
            Ok(None) => {
                let all = blob.size;
                let fault = Fault::passing(format!("it ended after {size} of {all} bytes"));
                return Err(Broken::Fault(fault));
            }
            Err(error) => return Err(Broken::Fault(Fault::of(&error))),
        }
    }
}

/// `bytes 100-199/200`
fn starts_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    start.is_some_and(|(start, _)| start.parse() == Ok(from))
}

fn lost() -> ImageError {
    ImageError::Storage("a blob under way was lost".to_owned())
}

async fn write(writer: &mut Option<BlobWriter>, batch: Vec<u8>) -> Result<(), Broken> {
    let mut own = writer.take().ok_or_else(|| Broken::Here(lost()))?;
    let written = on_disk(move || {
        own.write_all(&batch)
            .map_err(|error| failed(own.path(), &error))?;
        Ok(own)
    });
    *writer = Some(written.await.map_err(Broken::Here)?);
    Ok(())
}

async fn restart(writer: &mut Option<BlobWriter>) -> Result<(), Broken> {
    let mut own = writer.take().ok_or_else(|| Broken::Here(lost()))?;
    let emptied = on_disk(move || own.restart().map(|()| own));
    *writer = Some(emptied.await.map_err(Broken::Here)?);
    Ok(())
}

async fn finish(writer: Option<BlobWriter>) -> Result<StagedBlob, ImageError> {
    let writer = writer.ok_or_else(lost)?;
    on_disk(move || writer.finish()).await
}
