//! Blobs: immutable content by digest.

use std::{fmt, path::Path};

use async_trait::async_trait;
use bytes::Bytes;
use lusk_domain::Digest;

/// Content that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Why a blob was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No such blob.
    #[error("no stored content {0}")]
    Missing(Digest),
    /// The content is not what its digest says.
    #[error("content has digest {actual}, expected {expected}")]
    DigestMismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The disk is full.
    #[error("no space left on the device of the data folder; nothing was kept")]
    DiskFull,
    /// Reading or writing failed.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// Content on its way in. Dropped without [`BlobSink::finish`], it leaves nothing.
#[async_trait]
pub trait BlobSink: Send {
    /// Takes the next part.
    async fn write(&mut self, part: Bytes) -> Result<(), BlobError>;

    /// Checks the digest if one was promised, and makes the blob visible.
    async fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<StoredBlob, BlobError>;
}

/// The store of blobs. A blob that nobody's record names may be removed once it
/// is an hour old.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Opens a sink for content of unknown digest; never holds more than a few
    /// MiB in memory.
    async fn create(&self) -> Result<Box<dyn BlobSink>, BlobError>;

    /// Bytes of a blob, `None` if it is not there.
    async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError>;

    /// Streams a blob's content in order.
    async fn read(
        &self,
        digest: Digest,
    ) -> Result<futures::stream::BoxStream<'static, Result<Bytes, BlobError>>, BlobError>;

    /// Makes the blob appear as a read-only file at `path` (hard link where the
    /// storage allows, else a copy). The parent folder exists, the file does not.
    async fn place(&self, digest: Digest, path: &Path) -> Result<(), BlobError>;
}
