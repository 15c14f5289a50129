//! Images as one file: a tar archive that holds an OCI image layout.
//!
//! Both directions stream. What comes in is hostile until proven otherwise:
//! three kinds of entries, bounded, every digest checked, and nothing is kept
//! before all of it was.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use lusk_contract::{ByteStream, ImageError, ImageSource, StoredImage};
use lusk_domain::{Digest, ImageKey};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc},
};

use crate::{
    disk::{self, failed, on_disk, verdict},
    document::{Descriptor, Index, Manifest},
    image::Image,
    layout::{Draft, Layout, MAX_DOCUMENT, StagedBlob},
    local::Inner,
    tarball::{Budget, Entry, inner_path, walk},
};

/// Most bytes of an archive.
const MAX_ARCHIVE: u64 = 40 << 30;

/// Most entries of an archive.
const MAX_ENTRIES: u64 = 10_000;

/// Bytes that are handed on at a time.
const PART: usize = 256 << 10;

/// Parts that wait for a slow reader.
const PARTS_AHEAD: usize = 4;

/// Archives that are written or read at a time. Each holds a thread, of which
/// there is a number, for as long as its other side takes.
pub(crate) const AT_ONCE: usize = 8;

/// Longest time without a part, or without room for one.
const STALL: Duration = Duration::from_mins(1);

/// What messages call it.
const ARCHIVE: &str = "archive of images";

/// What is said of a file that has nothing of an archive of images.
const NOT_OURS: &str = "not a file that `lusk image export` wrote";

/// Writes a key's images as an archive.
pub(crate) async fn export(inner: &Arc<Inner>, key: &ImageKey) -> Result<ByteStream, ImageError> {
    let turn = archive_turn(inner).await?;
    let (key, draft) = (key.clone(), inner.layout.draft());
    let (images, draft) = inner
        .blocking(move |inner| Ok((inner.held_images(&key, &draft)?, draft)))
        .await?;
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
    let layout = Arc::clone(&inner.layout);
    tokio::task::spawn_blocking(move || {
        let _held = (draft, turn);
        let parts = Parts {
            sender: sender.clone(),
            runtime: Handle::current(),
            part: Vec::new(),
        };
        if let Err(error) = write_archive(&layout, &images, parts) {
            // Nobody may be there to hear it.
            let _ = Handle::current().block_on(sender.send_timeout(Err(error), STALL));
        }
    });
    let parts = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|part| (part, receiver))
    });
    Ok(parts.boxed())
}

fn write_archive(layout: &Layout, images: &[Image], parts: Parts) -> Result<(), ImageError> {
    let mut archive = tar::Builder::new(parts);
    let index = Index {
        manifests: images
            .iter()
            .map(|image| image.descriptor.clone())
            .collect(),
        ..Index::default()
    };
    let index = serde_json::to_vec(&index)
        .map_err(|error| ImageError::Storage(format!("index not written: {error}")))?;
    let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
    append(&mut archive, "oci-layout", marker.len() as u64, &marker[..])?;
    append(&mut archive, "index.json", index.len() as u64, &index[..])?;
    let mut blobs = BTreeMap::new();
    for image in images {
        let all = image.manifest.blobs().chain([&image.descriptor]);
        blobs.extend(all.map(|blob| (blob.digest, blob)));
    }
    for blob in blobs.values() {
        let name = format!("blobs/sha256/{}", blob.digest.to_hex());
        let mut reader = layout.read(blob)?;
        append(&mut archive, &name, blob.size, &mut reader)?;
        let checked = reader.finish();
        checked.map_err(|error| verdict(&blob.digest.to_string(), &error))?;
    }
    let end = |error: io::Error| verdict(ARCHIVE, &error);
    archive.into_inner().map_err(end)?.flush().map_err(end)
}

fn append(
    archive: &mut tar::Builder<Parts>,
    name: &str,
    size: u64,
    content: impl Read,
) -> Result<(), ImageError> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive
        .append_data(&mut header, name, content)
        .map_err(|error| verdict(name, &error))
}

/// Hands what is written on in parts.
struct Parts {
    sender: mpsc::Sender<Result<Bytes, ImageError>>,
    runtime: Handle,
    part: Vec<u8>,
}

impl Write for Parts {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(content);
        if self.part.len() >= PART {
            self.flush()?;
        }
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = Bytes::from(std::mem::take(&mut self.part));
        let sent = self.sender.send_timeout(Ok(part), STALL);
        let sent = self.runtime.block_on(sent);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Takes an archive in, whole or not at all.
pub(crate) async fn import(
    inner: &Arc<Inner>,
    archive: ByteStream,
) -> Result<Vec<StoredImage>, ImageError> {
    let _turn = archive_turn(inner).await?;
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
    let mut archive = archive;
    let forward = async move {
        loop {
            let part = match tokio::time::timeout(STALL, archive.next()).await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(_) => Err(stalled()),
            };
            if sender.send(part).await.is_err() {
                break;
            }
        }
    };
    let mut reader = Arrived {
        receiver,
        part: Bytes::new(),
    };
    let inner = Arc::clone(inner);
    let read = on_disk(move || {
        let mut taken = Taken::default();
        let mut budget = Budget {
            entries: MAX_ENTRIES,
            bytes: MAX_ARCHIVE,
        };
        let read = walk(ARCHIVE, ".tar", &mut reader, &mut budget, |entry| {
            taken.add(&inner.layout, entry)
        });
        read.map_err(|error| taken.told_apart(error))?;
        // Whatever still comes is not waited for.
        drop(reader);
        inner.take_in(taken)
    });
    tokio::join!(forward, read).1
}

fn stalled() -> ImageError {
    refused(format!("nothing of it came for {} s", STALL.as_secs()))
}

/// Waits until an archive may be written or read.
async fn archive_turn(inner: &Arc<Inner>) -> Result<OwnedSemaphorePermit, ImageError> {
    let turns = Arc::clone(&inner.archives);
    let lost = |_| ImageError::Storage("no archive is taken any more".to_owned());
    turns.acquire_owned().await.map_err(lost)
}

/// Reads what arrives in parts.
struct Arrived {
    receiver: mpsc::Receiver<Result<Bytes, ImageError>>,
    part: Bytes,
}

impl Read for Arrived {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(part) => self.part = part.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.part.len());
        buffer[..count].copy_from_slice(&self.part.split_to(count));
        Ok(count)
    }
}

/// What an archive held so far.
#[derive(Default)]
struct Taken {
    /// Whether any entry came.
    is_begun: bool,
    index: Option<Index>,
    blobs: BTreeMap<Digest, StagedBlob>,
}

impl Taken {
    /// What exactly is wrong with a file that is no archive at all says nothing.
    fn told_apart(&self, error: ImageError) -> ImageError {
        let is_late = || error.to_string() == stalled().to_string();
        match error {
            ImageError::Refused(_) if !self.is_begun && !is_late() => refused(NOT_OURS.to_owned()),
            other => other,
        }
    }

    fn add(&mut self, layout: &Layout, entry: &mut Entry<'_, '_>) -> Result<(), ImageError> {
        self.is_begun = true;
        let path = entry.path().map_err(|error| verdict(ARCHIVE, &error))?;
        let path = inner_path(&path).map_err(refused)?;
        let path = path.unwrap_or_default();
        let shown = path.display().to_string();
        let kind = entry.header().entry_type();
        if kind.is_dir() && ["", "blobs", "blobs/sha256"].contains(&shown.as_str()) {
            return Ok(());
        }
        if !kind.is_file() {
            return Err(refused(format!("`{shown:.200}` is not a plain file")));
        }
        match shown.as_str() {
            "oci-layout" => document(entry, "oci-layout").map(drop),
            "index.json" => {
                let index = document(entry, "index.json")?;
                let index = serde_json::from_slice(&index)
                    .map_err(|error| refused(format!("`index.json` is not an index: {error}")))?;
                match self.index.replace(index) {
                    None => Ok(()),
                    Some(_) => Err(refused("`index.json` is in it twice".to_owned())),
                }
            }
            name => match blob_name(name) {
                Some(digest) => self.add_blob(layout, digest, entry),
                None => Err(refused(format!(
                    "`{name:.200}` has no place in an image layout; it is {NOT_OURS}"
                ))),
            },
        }
    }

    fn add_blob(
        &mut self,
        layout: &Layout,
        digest: Digest,
        entry: &mut Entry<'_, '_>,
    ) -> Result<(), ImageError> {
        let mut writer = layout.writer()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(verdict(ARCHIVE, &error)),
            };
            let written = writer.write_all(&buffer[..count]);
            written.map_err(|error| failed(writer.path(), &error))?;
        }
        let staged = writer.finish()?;
        if staged.digest != digest {
            let seen = staged.digest;
            return Err(refused(format!("blob {digest} has the digest {seen}")));
        }
        match self.blobs.insert(digest, staged) {
            None => Ok(()),
            Some(_) => Err(refused(format!("blob {digest} is in it twice"))),
        }
    }

    /// The images of the index, each with all it needs in the archive.
    fn images(&self) -> Result<Vec<Image>, ImageError> {
        let index = self.index.as_ref();
        let index = index.ok_or_else(|| {
            let what = if self.is_begun {
                "it has no `index.json`"
            } else {
                NOT_OURS
            };
            refused(what.to_owned())
        })?;
        if index.manifests.is_empty() {
            return Err(refused("its index names no image".to_owned()));
        }
        let images = index.manifests.iter().map(|named| {
            let path = self.whole(named)?;
            if named.size > MAX_DOCUMENT {
                let size = named.size;
                let text = format!("a manifest of {size} bytes, at most {MAX_DOCUMENT} are taken");
                return Err(refused(text));
            }
            let manifest = std::fs::read(path).map_err(|error| failed(path, &error))?;
            let manifest: Manifest = serde_json::from_slice(&manifest)
                .map_err(|error| refused(format!("{} is no manifest: {error}", named.digest)))?;
            let image = Image::of(named, manifest)?;
            for blob in image.manifest.blobs() {
                self.whole(blob)?;
            }
            Ok(image)
        });
        images.collect()
    }

    fn whole(&self, blob: &Descriptor) -> Result<&Path, ImageError> {
        let digest = blob.digest;
        match self.blobs.get(&digest) {
            Some(staged) if staged.size == blob.size => Ok(staged.path()),
            Some(staged) => Err(refused(format!(
                "blob {digest} has {} bytes, {} were announced",
                staged.size, blob.size
            ))),
            None => Err(refused(format!("blob {digest} is missing"))),
        }
    }
}

impl Inner {
    /// Keeps what an archive held, once all of it is known to be good.
    fn take_in(&self, mut taken: Taken) -> Result<Vec<StoredImage>, ImageError> {
        let images = taken.images()?;
        let draft: Draft = self.layout.draft();
        for image in &images {
            for blob in image.manifest.blobs().chain([&image.descriptor]) {
                if let Some(staged) = taken.blobs.remove(&blob.digest) {
                    draft.keep(&blob.media_type, staged)?;
                }
            }
        }
        for image in &images {
            image.check(&self.layout)?;
            self.unpacked.lay_out(&self.layout, image)?;
        }
        self.name_all(&images)?;
        let stored = images.iter().map(|image| {
            let record = &image.record;
            self.usage.came(record, ImageSource::Imported, false, 0);
            self.usage.of(record)
        });
        Ok(stored.collect())
    }
}

fn document(entry: &mut Entry<'_, '_>, name: &str) -> Result<Vec<u8>, ImageError> {
    let size = entry.size();
    if size > MAX_DOCUMENT {
        return Err(refused(format!(
            "`{name}` has {size} bytes, at most {MAX_DOCUMENT} are taken"
        )));
    }
    let mut content = Vec::new();
    entry
        .read_to_end(&mut content)
        .map_err(|error| verdict(ARCHIVE, &error))?;
    Ok(content)
}

fn blob_name(path: &str) -> Option<Digest> {
    let hex = path.strip_prefix("blobs/sha256/")?;
    format!("sha256:{hex}").parse().ok()
}

fn refused(text: String) -> ImageError {
    disk::refused(&format!("{ARCHIVE}: {text}"))
}

#[cfg(test)]
mod tests;
