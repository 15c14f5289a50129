//! What makes images: the real builder, or a stand-in for it in tests.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use lusk_contract::{ImageError, ImageWish, Progress};
use lusk_domain::Environment;

use crate::builder::{self, Built, Variant};

/// Makes images; every call blocks.
pub(crate) trait Builds: fmt::Debug + Send + Sync {
    /// The variants that this node can run for a wish, the preferred first.
    fn variants(&self, wish: &ImageWish) -> Result<Vec<Variant>, ImageError>;

    /// Installs what the environment asks for, below `tmp`.
    fn build(
        &self,
        wish: &ImageWish,
        tmp: &Path,
        progress: &dyn Progress,
    ) -> Result<Built, ImageError>;

    /// The interpreter of this machine for an image.
    fn interpreter(
        &self,
        variant: &Variant,
        environment: &Environment,
    ) -> Result<Option<PathBuf>, ImageError>;
}

/// The builder that works with `uv` or `pip`.
#[derive(Debug)]
pub(crate) struct Builder;

impl Builds for Builder {
    fn variants(&self, wish: &ImageWish) -> Result<Vec<Variant>, ImageError> {
        builder::variants(wish)
    }

    fn build(
        &self,
        wish: &ImageWish,
        tmp: &Path,
        progress: &dyn Progress,
    ) -> Result<Built, ImageError> {
        builder::build(wish, tmp, progress)
    }

    fn interpreter(
        &self,
        variant: &Variant,
        environment: &Environment,
    ) -> Result<Option<PathBuf>, ImageError> {
        builder::interpreter(variant, environment)
    }
}
