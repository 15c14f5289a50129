//! Blobs in `blobs/sha256/<first two hex digits>/<64 hex digits>`.
//!
//! Content is staged in `tmp/`, synced, and renamed into place once its digest
//! is known; nobody ever sees half a blob. A blob that was just stored, or that
//! somebody was just told of, is wanted: it will be named by a record soon, so
//! it is not garbage although nobody names it yet.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use lusk_contract::{BlobError, BlobSink, Blobs, StoredBlob};
use lusk_domain::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::{
    Collected,
    files::{private_folder, sync_folder},
    space::{BLOB_RESERVE, Space, is_full},
};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// How long a blob counts as wanted, whatever the time of day is set to meanwhile.
const WANTED_FOR: Duration = Duration::from_hours(1);

/// Wanted blobs remembered before old ones are looked for and forgotten.
const MANY_WANTED: usize = 4_096;

/// The folder of blobs; every call blocks on the disk.
#[derive(Debug)]
pub(crate) struct BlobFolder {
    root: PathBuf,
    tmp: PathBuf,
    space: Space,
    /// When each blob was last stored or asked about, until a record names it.
    /// Held while a blob appears or goes, so that the two cannot cross.
    wanted: Mutex<HashMap<Digest, Instant>>,
}

impl BlobFolder {
    pub(crate) fn open(blobs: &Path, tmp: &Path) -> io::Result<Self> {
        let root = blobs.join("sha256");
        private_folder(&root)?;
        Ok(Self {
            root,
            tmp: tmp.to_owned(),
            space: Space::of(blobs),
            wanted: Mutex::default(),
        })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.root.join(&hex[..2]).join(hex)
    }

    // The map is whole between two statements; a panic elsewhere cannot tear it.
    fn wanted(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a blob that is there.
    pub(crate) fn stored_size(&self, digest: Digest) -> Option<u64> {
        let metadata = fs::symlink_metadata(self.path(digest)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Like [`Self::stored_size`] for somebody who will rely on the answer.
    fn promised_size(&self, digest: Digest) -> Option<u64> {
        let mut wanted = self.wanted();
        let size = self.stored_size(digest)?;
        want(&mut wanted, digest);
        Some(size)
    }

    /// A record names the blob now.
    pub(crate) fn delivered(&self, digest: Digest) {
        self.wanted().remove(&digest);
    }

    /// Removes a blob that no record names, unless it is wanted.
    pub(crate) fn remove_if_unwanted(&self, digest: Digest) {
        let wanted = self.wanted();
        if is_wanted(&wanted, digest) {
            return;
        }
        if let Err(error) = fs::remove_file(self.path(digest))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%digest, %error, "unnamed content not removed");
        }
    }

    /// Removes what is not in `named`, was stored before `before`, and is not
    /// wanted.
    pub(crate) fn remove_unnamed(
        &self,
        named: &HashSet<Digest>,
        before: Timestamp,
    ) -> io::Result<Collected> {
        let mut collected = Collected::default();
        for folder in fs::read_dir(&self.root)? {
            for entry in fs::read_dir(folder?.path())? {
                let entry = entry?;
                let name = entry.file_name();
                let digest = name
                    .to_str()
                    .map(|hex| Digest::from_str(&format!("sha256:{hex}")));
                let Some(Ok(digest)) = digest else { continue };
                let wanted = self.wanted();
                let metadata = entry.metadata()?;
                let stored = Timestamp::try_from(metadata.modified()?).unwrap_or(Timestamp::MAX);
                if named.contains(&digest) || stored > before || is_wanted(&wanted, digest) {
                    continue;
                }
                fs::remove_file(entry.path())?;
                collected.blobs += 1;
                collected.bytes += metadata.len();
            }
        }
        Ok(collected)
    }

    fn stage(&self) -> Result<Staged, BlobError> {
        Ok(Staged {
            file: NamedTempFile::new_in(&self.tmp).map_err(|error| failed(&error))?,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    /// Moves staged content to its place.
    fn keep(&self, staged: Staged, expected: Option<Digest>) -> Result<StoredBlob, BlobError> {
        let Staged { file, hasher, size } = staged;
        let actual = Digest::from_bytes(hasher.finalize().into());
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(BlobError::DigestMismatch { expected, actual });
        }
        self.publish(file, actual, size)
            .map_err(|error| failed(&error))?;
        Ok(StoredBlob {
            digest: actual,
            size,
        })
    }

    fn publish(&self, file: NamedTempFile, digest: Digest, size: u64) -> io::Result<()> {
        file.as_file()
            .set_permissions(Permissions::from_mode(0o444))?;
        file.as_file().sync_all()?;
        let path = self.path(digest);
        let folder = path.parent().unwrap_or(&self.root);
        private_folder(folder)?;
        sync_folder(&self.root)?;
        {
            let mut wanted = self.wanted();
            want(&mut wanted, digest);
            if self.stored_size(digest) == Some(size) {
                // Files placed before share its storage: it stays, made young.
                return File::open(&path)?.set_modified(std::time::SystemTime::now());
            }
            file.persist(&path)?;
        }
        sync_folder(folder)
    }

    fn open_blob(&self, digest: Digest) -> Result<File, BlobError> {
        File::open(self.path(digest)).map_err(|error| missing_or_failed(digest, &error))
    }

    fn place(&self, digest: Digest, path: &Path) -> Result<(), BlobError> {
        let blob = self.path(digest);
        if self.stored_size(digest).is_none() {
            return Err(BlobError::Missing(digest));
        }
        match fs::hard_link(&blob, path) {
            Ok(()) => Ok(()),
            // Another device, a file system without links, or too many links.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices
                        | io::ErrorKind::TooManyLinks
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::Unsupported
                ) =>
            {
                self.copy(digest, path)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn copy(&self, digest: Digest, path: &Path) -> Result<(), BlobError> {
        let mut blob = self.open_blob(digest)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        let mut copy = || {
            let mut file = NamedTempFile::new_in(parent)?;
            io::copy(&mut blob, &mut file)?;
            file.as_file()
                .set_permissions(Permissions::from_mode(0o444))?;
            file.persist_noclobber(path)?;
            Ok(())
        };
        copy().map_err(|error: io::Error| failed(&error))
    }
}

fn want(wanted: &mut HashMap<Digest, Instant>, digest: Digest) {
    if wanted.len() >= MANY_WANTED {
        wanted.retain(|_, since| since.elapsed() < WANTED_FOR);
    }
    wanted.insert(digest, Instant::now());
}

fn is_wanted(wanted: &HashMap<Digest, Instant>, digest: Digest) -> bool {
    wanted
        .get(&digest)
        .is_some_and(|since| since.elapsed() < WANTED_FOR)
}

fn failed(error: &io::Error) -> BlobError {
    if is_full(error) {
        BlobError::DiskFull
    } else {
        BlobError::Storage(error.to_string())
    }
}

fn missing_or_failed(digest: Digest, error: &io::Error) -> BlobError {
    if error.kind() == io::ErrorKind::NotFound {
        BlobError::Missing(digest)
    } else {
        failed(error)
    }
}

/// Content on its way in; its file goes when this is dropped.
struct Staged {
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl Staged {
    fn append(&mut self, parts: &[Bytes], space: &Space) -> Result<(), BlobError> {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if !space.has_room(bytes as u64, BLOB_RESERVE) {
            return Err(BlobError::DiskFull);
        }
        for part in parts {
            self.hasher.update(part);
            self.file.write_all(part).map_err(|error| failed(&error))?;
            self.size += part.len() as u64;
        }
        Ok(())
    }
}

/// The blobs of a data folder.
#[derive(Clone)]
pub struct LocalBlobs {
    folder: Arc<BlobFolder>,
}

impl fmt::Debug for LocalBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalBlobs")
            .field(&self.folder.root)
            .finish()
    }
}

impl LocalBlobs {
    pub(crate) fn new(folder: Arc<BlobFolder>) -> Self {
        Self { folder }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        body: impl FnOnce(&BlobFolder) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || body(&folder)).await
    }
}

async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(body)
        .await
        .map_err(|error| BlobError::Storage(format!("a call of the storage was lost: {error}")))?
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn create(&self) -> Result<Box<dyn BlobSink>, BlobError> {
        let staged = self.on_disk(BlobFolder::stage).await?;
        Ok(Box::new(LocalSink {
            folder: Arc::clone(&self.folder),
            staged: Some(staged),
            gathered: Vec::new(),
            gathered_bytes: 0,
        }))
    }

    async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        self.on_disk(move |folder| Ok(folder.promised_size(digest)))
            .await
    }

    async fn read(
        &self,
        digest: Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let file = self.on_disk(move |folder| folder.open_blob(digest)).await?;
        Ok(stream::try_unfold(file, next_part).boxed())
    }

    async fn place(&self, digest: Digest, path: &Path) -> Result<(), BlobError> {
        let path = path.to_owned();
        self.on_disk(move |folder| folder.place(digest, &path))
            .await
    }
}

async fn next_part(mut file: File) -> Result<Option<(Bytes, File)>, BlobError> {
    blocking(move || {
        let mut part = Vec::with_capacity(READ_BYTES);
        let read = io::Read::by_ref(&mut file)
            .take(READ_BYTES as u64)
            .read_to_end(&mut part);
        read.map_err(|error| failed(&error))?;
        Ok((!part.is_empty()).then(|| (Bytes::from(part), file)))
    })
    .await
}

/// A sink of [`LocalBlobs`].
struct LocalSink {
    folder: Arc<BlobFolder>,
    /// `None` after a failure: the staged file is gone by then.
    staged: Option<Staged>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
}

impl LocalSink {
    /// Writes what was gathered; a failure ends the sink.
    async fn write_gathered(&mut self) -> Result<(), BlobError> {
        let mut staged = self.take()?;
        let parts = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let folder = Arc::clone(&self.folder);
        let written = blocking(move || {
            staged.append(&parts, &folder.space)?;
            Ok(staged)
        });
        self.staged = Some(written.await?);
        Ok(())
    }

    fn take(&mut self) -> Result<Staged, BlobError> {
        let ended = || BlobError::Storage("an earlier part was not written".to_owned());
        self.staged.take().ok_or_else(ended)
    }
}

#[async_trait]
impl BlobSink for LocalSink {
    async fn write(&mut self, part: Bytes) -> Result<(), BlobError> {
        self.gathered_bytes += part.len();
        self.gathered.push(part);
        if self.gathered_bytes >= WRITE_BYTES {
            self.write_gathered().await?;
        }
        Ok(())
    }

    async fn finish(
        mut self: Box<Self>,
        expected: Option<Digest>,
    ) -> Result<StoredBlob, BlobError> {
        self.write_gathered().await?;
        let staged = self.take()?;
        let folder = Arc::clone(&self.folder);
        blocking(move || folder.keep(staged, expected)).await
    }
}

#[cfg(test)]
mod tests;
