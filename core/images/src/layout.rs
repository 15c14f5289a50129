//! An OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.
//!
//! Blobs are written before the index names them, each by rename; a crash
//! leaves an unnamed blob at most. Digests are checked on every read. Every
//! call blocks on the disk.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use lusk_contract::ImageError;
use lusk_domain::Digest;
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

use crate::document::{Annotations, Descriptor, Index};

/// Most bytes of a document or a layer that are read into memory; what this
/// room writes is a few KiB.
const MAX_BYTES: u64 = 16 << 20;

/// The layout in a folder.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// Same file system, emptied at start.
    tmp: PathBuf,
}

impl Layout {
    pub(crate) fn open(root: &Path, tmp: &Path) -> Result<Self, ImageError> {
        let layout = Self {
            root: root.to_owned(),
            tmp: tmp.to_owned(),
        };
        let mut folder = DirBuilder::new();
        let blobs = root.join("blobs/sha256");
        folder.recursive(true).mode(0o700);
        folder
            .create(&blobs)
            .map_err(|error| failed(&blobs, &error))?;
        if !root.join("oci-layout").exists() {
            layout.write(
                &root.join("oci-layout"),
                br#"{"imageLayoutVersion":"1.0.0"}"#,
            )?;
        }
        Ok(layout)
    }

    /// The images; none before the first is written.
    pub(crate) fn index(&self) -> Result<Index, ImageError> {
        let path = self.root.join("index.json");
        match read(&path) {
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

    pub(crate) fn write_index(&self, index: &Index) -> Result<(), ImageError> {
        self.write(&self.root.join("index.json"), &json(index)?)
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
        let digest = Digest::of(content);
        self.write(&self.blob(digest), content)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: content.len() as u64,
            annotations: Annotations::new(),
        })
    }

    /// Reads what `descriptor` points at, whole and unchanged, else an error.
    pub(crate) fn get(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let path = self.blob(descriptor.digest);
        let content = read(&path).map_err(|error| failed(&path, &error))?;
        if Digest::of(&content) == descriptor.digest {
            return Ok(content);
        }
        let path = path.display();
        Err(ImageError::Storage(format!(
            "`{path}` is damaged: its digest is another"
        )))
    }

    /// Reads a document that `descriptor` points at.
    pub(crate) fn get_document<T: DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
    ) -> Result<T, ImageError> {
        serde_json::from_slice(&self.get(descriptor)?).map_err(|error| {
            let (digest, kind) = (descriptor.digest, &descriptor.media_type);
            ImageError::Storage(format!("{digest} is not a {kind}: {error}"))
        })
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.to_hex())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), ImageError> {
        let write = || {
            let mut file = NamedTempFile::new_in(&self.tmp)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(path.parent().unwrap_or(&self.root))?.sync_all()
        };
        write().map_err(|error: io::Error| failed(path, &error))
    }
}

fn json(document: &impl Serialize) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(document)
        .map_err(|error| ImageError::Storage(format!("document not serialised: {error}")))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn failed(path: &Path, error: &io::Error) -> ImageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ImageError::DiskFull,
        _ => ImageError::Storage(format!("`{}`: {error}", path.display())),
    }
}
