//! Environment images: the lookup chain behind one question.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use lusk_domain::{Environment, ImageKey};

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its key.
    pub key: ImageKey,
    /// Digest of the image's manifest, `sha256:…`.
    pub manifest: String,
    /// When it was built.
    pub built: Timestamp,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The environment asks for what this release cannot build.
    #[error("environment cannot be built here: {0}")]
    Unsupported(String),
    /// The disk is full.
    #[error("no space left on the device of the data folder; nothing was kept")]
    DiskFull,
    /// Reading or writing failed.
    #[error("image storage failed: {0}")]
    Storage(String),
}

/// Finds and builds images.
#[async_trait]
pub trait Images: Send + Sync + fmt::Debug {
    /// Looks through the caches, nearest first.
    async fn find(&self, key: &ImageKey) -> Result<Option<ImageRecord>, ImageError>;

    /// Builds the environment's image and keeps it. At the same time for one
    /// key it builds once. Returns remarks worth showing, e.g. packages that
    /// lusk satisfies by what it carries.
    async fn build(
        &self,
        environment: &Environment,
    ) -> Result<(ImageRecord, Vec<String>), ImageError>;
}
