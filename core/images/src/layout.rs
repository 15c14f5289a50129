//! An OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.
//!
//! Blobs are written before the index names them, each by rename; a crash
//! leaves an unnamed blob at most, which [`Layout::sweep`] removes. Layers are
//! streamed, never held in memory. Digests are checked on every read. Every
//! call blocks on the disk.
//!
//! Invariant: what `index.json` names, and what a [`Draft`] holds, stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lusk_contract::ImageError;
use lusk_domain::Digest;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};

use crate::{
    disk::{Refusal, failed, make_folder, refused, verdict},
    document::{Annotations, Descriptor, Index, Manifest},
};

/// Most bytes of a document: it is read into memory.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// The layout in a folder.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// Same file system, emptied at start.
    tmp: PathBuf,
    /// What drafts hold, and how many of them; who has the lock may change the
    /// index and remove blobs.
    held: Mutex<BTreeMap<Digest, usize>>,
}

impl Layout {
    pub(crate) fn open(root: &Path, tmp: &Path) -> Result<Self, ImageError> {
        let layout = Self {
            root: root.to_owned(),
            tmp: tmp.to_owned(),
            held: Mutex::default(),
        };
        make_folder(&root.join("blobs/sha256"))?;
        make_folder(tmp)?;
        if !root.join("oci-layout").exists() {
            let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
            layout.write(&root.join("oci-layout"), marker)?;
        }
        Ok(layout)
    }

    /// Folder for what is under way, on the same file system.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// The images; none before the first is written.
    pub(crate) fn index(&self) -> Result<Index, ImageError> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                ImageError::Storage(format!(
                    "`{}` is not an image index ({error}); images are built again when it is gone",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Changes the index; one at a time.
    pub(crate) fn change_index(&self, change: impl FnOnce(&mut Index)) -> Result<(), ImageError> {
        let _one = self.lock();
        let mut index = self.index()?;
        change(&mut index);
        self.write_index(&index)
    }

    /// Begins to add content, or to use it.
    pub(crate) fn draft(self: &Arc<Self>) -> Draft {
        Draft {
            layout: Arc::clone(self),
            held: Mutex::default(),
            added: Mutex::default(),
        }
    }

    /// Whether a blob is there in its full length.
    pub(crate) fn has(&self, blob: &Descriptor) -> bool {
        fs::metadata(self.blob(blob.digest)).is_ok_and(|file| file.len() == blob.size)
    }

    /// Opens a blob for reading.
    pub(crate) fn read(&self, blob: &Descriptor) -> Result<BlobReader, ImageError> {
        let path = self.blob(blob.digest);
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                ImageError::Refused(format!("blob {} is missing", blob.digest))
            }
            _ => failed(&path, &error),
        })?;
        Ok(BlobReader {
            file,
            digest: blob.digest,
            left: blob.size,
            hasher: Sha256::new(),
            good: None,
        })
    }

    /// Reads a document as it is stored.
    pub(crate) fn bytes(&self, blob: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let digest = blob.digest;
        if blob.size > MAX_DOCUMENT {
            let size = blob.size;
            return Err(ImageError::Refused(format!(
                "{digest} claims to be a document of {size} bytes; at most {MAX_DOCUMENT} are read"
            )));
        }
        let mut content = Vec::new();
        self.read(blob)?
            .read_to_end(&mut content)
            .map_err(|error| verdict(&digest.to_string(), &error))?;
        Ok(content)
    }

    /// Reads a document.
    pub(crate) fn document<T: DeserializeOwned>(&self, blob: &Descriptor) -> Result<T, ImageError> {
        serde_json::from_slice(&self.bytes(blob)?).map_err(|error| {
            let (digest, kind) = (blob.digest, &blob.media_type);
            refused(&format!("{digest} is not a {kind}: {error}"))
        })
    }

    /// Starts to write a blob.
    pub(crate) fn writer(&self) -> Result<BlobWriter, ImageError> {
        let file = NamedTempFile::new_in(&self.tmp).map_err(|error| failed(&self.tmp, &error))?;
        Ok(BlobWriter {
            file,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    /// Forgets images and removes what only they named. `dropped` is asked for
    /// each image that no draft holds; `besides` is told what stays, before a
    /// draft can hold more.
    pub(crate) fn sweep<T>(
        &self,
        mut dropped: impl FnMut(&Descriptor) -> bool,
        besides: impl FnOnce(&BTreeSet<Digest>) -> Result<T, ImageError>,
    ) -> Result<(u64, T), ImageError> {
        let held = self.lock();
        let mut live: BTreeSet<Digest> = held.keys().copied().collect();
        let mut index = self.index()?;
        let before = index.manifests.len();
        index.manifests.retain(|image| {
            let is_held = held.contains_key(&image.digest);
            (is_held || !dropped(image)) && self.keeps_alive(image, &mut live)
        });
        if index.manifests.len() != before {
            self.write_index(&index)?;
        }
        Ok((self.remove_all_but(&live)?, besides(&live)?))
    }

    /// Adds what an image holds to `live`; false when its manifest is damaged.
    fn keeps_alive(&self, image: &Descriptor, live: &mut BTreeSet<Digest>) -> bool {
        match self.document::<Manifest>(image) {
            Ok(manifest) => {
                live.insert(image.digest);
                live.extend(manifest.blobs().map(|blob| blob.digest));
                true
            }
            Err(error) => {
                tracing::warn!(manifest = %image.digest, %error, "damaged image is forgotten");
                false
            }
        }
    }

    /// Removes a blob that was found damaged, so that it is fetched again.
    pub(crate) fn discard(&self, digest: Digest) {
        let _one = self.lock();
        let path = self.blob(digest);
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "damaged blob not removed");
        }
    }

    fn remove_all_but(&self, live: &BTreeSet<Digest>) -> Result<u64, ImageError> {
        let folder = self.root.join("blobs/sha256");
        let mut bytes = 0;
        let entries = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&folder, &error))?;
            let name = entry.file_name();
            let digest = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>();
            if digest.is_ok_and(|digest| live.contains(&digest)) {
                continue;
            }
            let path = entry.path();
            bytes += entry.metadata().map_or(0, |file| file.len());
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
        Ok(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.to_hex())
    }

    fn write_index(&self, index: &Index) -> Result<(), ImageError> {
        self.write(&self.root.join("index.json"), &json(index)?)
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), ImageError> {
        let mut writer = self.writer()?;
        writer
            .write_all(content)
            .map_err(|error| failed(path, &error))?;
        self.put_in_place(writer.finish()?, path)
    }

    fn put_in_place(&self, staged: StagedBlob, path: &Path) -> Result<(), ImageError> {
        let folder = path.parent().unwrap_or(&self.root);
        staged
            .path
            .persist(path)
            .map_err(|error| failed(path, &error.error))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(folder, &error))
    }
}

/// Content that is being added or used: it stays until the draft is dropped,
/// whether the index names it or not. What the draft has added and no image
/// was made of goes with it.
#[derive(Debug)]
pub(crate) struct Draft {
    layout: Arc<Layout>,
    held: Mutex<Vec<Digest>>,
    added: Mutex<Vec<Digest>>,
}

/// An image that a draft holds.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) descriptor: Descriptor,
    /// An error when it is damaged.
    pub(crate) manifest: Result<Manifest, ImageError>,
}

impl Draft {
    /// Holds a blob that may be there.
    pub(crate) fn hold(&self, digest: Digest) {
        self.hold_locked(&mut self.layout.lock(), digest);
    }

    /// Whether a blob is there; if so it stays.
    pub(crate) fn has(&self, blob: &Descriptor) -> bool {
        self.hold(blob.digest);
        self.layout.has(blob)
    }

    /// Picks an image of the index and holds all of it.
    pub(crate) fn pick(
        &self,
        is_it: impl Fn(&Descriptor) -> bool,
    ) -> Result<Option<Picked>, ImageError> {
        let mut held = self.layout.lock();
        let index = self.layout.index()?;
        let Some(descriptor) = index.manifests.into_iter().find(is_it) else {
            return Ok(None);
        };
        self.hold_locked(&mut held, descriptor.digest);
        let manifest = self.layout.document::<Manifest>(&descriptor);
        if let Ok(manifest) = &manifest {
            for blob in manifest.blobs() {
                self.hold_locked(&mut held, blob.digest);
            }
        }
        Ok(Some(Picked {
            descriptor,
            manifest,
        }))
    }

    /// Stores a document; returns what points at it.
    pub(crate) fn put_document(
        &self,
        media_type: &str,
        document: &impl Serialize,
    ) -> Result<Descriptor, ImageError> {
        self.put(media_type, &json(document)?)
    }

    /// Stores content; returns what points at it.
    pub(crate) fn put(&self, media_type: &str, content: &[u8]) -> Result<Descriptor, ImageError> {
        let mut writer = self.layout.writer()?;
        writer
            .write_all(content)
            .map_err(|error| failed(self.layout.tmp(), &error))?;
        self.keep(media_type, writer.finish()?)
    }

    /// Stores what was written; returns what points at it.
    pub(crate) fn keep(
        &self,
        media_type: &str,
        staged: StagedBlob,
    ) -> Result<Descriptor, ImageError> {
        let (digest, size) = (staged.digest, staged.size);
        self.hold(digest);
        let path = self.layout.blob(digest);
        if !path.exists() {
            own(&self.added).push(digest);
        }
        self.layout.put_in_place(staged, &path)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: Annotations::new(),
        })
    }

    fn hold_locked(&self, all: &mut BTreeMap<Digest, usize>, digest: Digest) {
        *all.entry(digest).or_default() += 1;
        own(&self.held).push(digest);
    }

    /// Removes what was added for nothing.
    fn undo(&self, others: &BTreeMap<Digest, usize>) -> Result<(), ImageError> {
        let added = std::mem::take(&mut *own(&self.added));
        if added.is_empty() {
            return Ok(());
        }
        let mut live = BTreeSet::new();
        for image in &self.layout.index()?.manifests {
            self.layout.keeps_alive(image, &mut live);
        }
        for digest in added {
            if !live.contains(&digest) && !others.contains_key(&digest) {
                let path = self.layout.blob(digest);
                fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let mut all = self.layout.lock();
        for digest in std::mem::take(&mut *own(&self.held)) {
            if let Some(count) = all.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    all.remove(&digest);
                }
            }
        }
        if let Err(error) = self.undo(&all) {
            tracing::debug!(%error, "blobs without an image stay until the next prune");
        }
    }
}

fn own(digests: &Mutex<Vec<Digest>>) -> MutexGuard<'_, Vec<Digest>> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a blob to a temporary file; its digest is known at the end.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Bytes written so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Forgets what was written.
    pub(crate) fn restart(&mut self) -> Result<(), ImageError> {
        let file = self.file.as_file_mut();
        file.set_len(0)
            .and_then(|()| io::Seek::rewind(file))
            .map_err(|error| failed(self.file.path(), &error))?;
        self.hasher = Sha256::new();
        self.size = 0;
        Ok(())
    }

    /// Flushes to the disk.
    pub(crate) fn finish(self) -> Result<StagedBlob, ImageError> {
        self.file
            .as_file()
            .sync_all()
            .map_err(|error| failed(self.file.path(), &error))?;
        Ok(StagedBlob {
            path: self.file.into_temp_path(),
            digest: Digest::from_bytes(self.hasher.finalize().into()),
            size: self.size,
        })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let count = self.file.write(content)?;
        self.hasher.update(&content[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A blob that is on the disk, not yet in its place; gone when dropped.
#[derive(Debug)]
pub(crate) struct StagedBlob {
    path: TempPath,
    /// Digest of what was written.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) size: u64,
}

impl StagedBlob {
    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a blob; its end is an error when the content is not what its digest says.
#[derive(Debug)]
pub(crate) struct BlobReader {
    file: File,
    digest: Digest,
    left: u64,
    hasher: Sha256,
    /// Known at the end.
    good: Option<bool>,
}

impl BlobReader {
    /// Reads what is left, so that all was checked.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    /// Checks the content if all of it was read.
    pub(crate) fn check_at_end(&mut self) -> io::Result<()> {
        match self.left {
            0 => self.check(),
            _ => Ok(()),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        if self.good.is_none() {
            let more = self.file.read(&mut [0])? > 0;
            let seen = Digest::from_bytes(self.hasher.finalize_reset().into());
            self.good = Some(self.left == 0 && !more && seen == self.digest);
        }
        match self.good {
            Some(true) => Ok(()),
            _ => Err(Refusal::into_io(
                "it is damaged: its digest or size is another".to_owned(),
            )),
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 {
            self.check()?;
            return Ok(0);
        }
        self.left -= count as u64;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn json(document: &impl Serialize) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(document)
        .map_err(|error| ImageError::Storage(format!("document not serialised: {error}")))
}

#[cfg(test)]
mod tests;
