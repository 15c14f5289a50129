//! Environment images: the lookup chain behind one question, and what is done
//! with images by hand.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use lusk_domain::{Digest, Environment, ImageKey, RuntimeKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Progress;

/// Where an image came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageSource {
    /// It was on this node.
    Local,
    /// The workspace's registry.
    Workspace,
    /// The global registry.
    Global,
    /// Built here.
    Built,
    /// A file.
    Imported,
}

/// An image of this node. One key can have several, one for each variant:
/// packages for the sandbox, packages for a Python of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its key.
    pub key: ImageKey,
    /// What it is made for; its tag in registries, e.g. `python3.14-wasm`.
    pub variant: String,
    /// Digest of the image's manifest, `sha256:…`.
    pub manifest: String,
    /// When it was built.
    pub built: Timestamp,
    /// What runs scripts with it: [`RuntimeKind::Python`] or [`RuntimeKind::Process`].
    pub runtime: RuntimeKind,
    /// Packages with native code, which is why the runtime is a process.
    pub native: Vec<String>,
    /// Bytes of its blobs, compressed as they are stored; shared layers count in each image.
    pub bytes: u64,
}

/// What an image gives to the replicas that run with it. As long as somebody
/// holds it, its files stay.
#[derive(Debug, PartialEq, Eq)]
pub struct ImageFiles {
    /// A read-only folder of packages, as `site-packages` is one.
    pub packages: Option<PathBuf>,
    /// The Python that runs it; none for the sandbox. A bare name is looked up on `PATH`.
    pub interpreter: Option<PathBuf>,
}

/// What is wanted of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageWish {
    /// The environment.
    pub environment: Environment,
    /// The runtime asked for by name: [`RuntimeKind::Python`] (the sandbox and
    /// nothing else) or [`RuntimeKind::Process`]; the packages tell it when absent.
    pub runtime: Option<RuntimeKind>,
    /// Build it even if it is there; what is unpinned is looked up anew.
    pub rebuild: bool,
}

/// An image ready for use.
#[derive(Debug, Clone)]
pub struct ReadyImage {
    /// What it is.
    pub record: ImageRecord,
    /// Where it was found.
    pub source: ImageSource,
    /// Bytes that were fetched for it now.
    pub moved_bytes: u64,
    /// Its files.
    pub files: Arc<ImageFiles>,
}

/// An image of this node and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The image.
    pub record: ImageRecord,
    /// How often it was asked for and was on this node.
    pub hits: u64,
    /// How often it had to be fetched or built.
    pub misses: u64,
    /// When it was asked for last.
    pub last_used: Timestamp,
    /// Where it came from when it came to this node.
    pub source: ImageSource,
    /// Bytes fetched from and sent to registries for it; what both sides had is not in it.
    pub moved_bytes: u64,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// Digest of the stored, compressed layer.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
    /// The package in it, `name version`; none for the description.
    pub package: Option<String>,
    /// How many images of this node hold it.
    pub images: usize,
}

/// All that is known of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageDetail {
    /// The image.
    pub image: StoredImage,
    /// What its key is the hash of.
    pub ingredients: Value,
    /// Its packages, frozen: the text of a requirements file.
    pub lock: String,
    /// Its layers, the lowest first.
    pub layers: Vec<ImageLayer>,
}

/// What to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneRules {
    /// Keys that stay: services use them.
    pub keep: BTreeSet<ImageKey>,
    /// Only images that nobody asked for in this time.
    pub unused_for: Duration,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The images.
    pub images: Vec<ImageRecord>,
    /// Bytes given back to the disk.
    pub bytes: u64,
}

/// What was sent to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Full names: `host/azureml/azureml_<key>:<variant>`.
    pub references: Vec<String>,
    /// Bytes that the registry did not have.
    pub moved_bytes: u64,
}

/// Why there is no image.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The environment asks for what this release cannot build.
    #[error("environment cannot be built here: {0}")]
    Unsupported(String),
    /// The packages could not be resolved or installed.
    #[error("environment cannot be built: {message}")]
    Build {
        /// What was tried, what it met, the way out.
        message: String,
        /// The last lines that the tool said.
        log: String,
    },
    /// No image of this key is here.
    #[error("no image `{0}` on this node")]
    NotFound(String),
    /// A registry gave no usable answer.
    #[error("registry `{registry}`: {message}")]
    Registry {
        /// Its address.
        registry: String,
        /// What was asked, what came, the way out.
        message: String,
    },
    /// Content is not what its digest says, or not what an image may hold.
    #[error("image refused: {0}")]
    Refused(String),
    /// The disk is full.
    #[error("no space left on the device of the data folder; nothing was kept")]
    DiskFull,
    /// Reading or writing failed.
    #[error("image storage failed: {0}")]
    Storage(String),
}

/// A stream of bytes that can break off.
pub type ByteStream = BoxStream<'static, Result<Bytes, ImageError>>;

/// Finds, builds and keeps images.
#[async_trait]
pub trait Images: Send + Sync + fmt::Debug {
    /// Looks on this node, in the workspace's registry, in the global one, and
    /// only then builds, and pushes what it built to the workspace's registry.
    /// At the same time for one key all this happens once. A registry that is
    /// down is a warning, not the end. Says what it does, packages that lusk
    /// satisfies by what it carries among it, under [`lusk_domain::Step::Image`].
    ///
    /// # Errors
    /// The environment cannot be had.
    async fn ensure(
        &self,
        wish: &ImageWish,
        progress: &dyn Progress,
    ) -> Result<ReadyImage, ImageError>;

    /// The images of this node, the one used last first.
    async fn list(&self) -> Result<Vec<StoredImage>, ImageError>;

    /// The images of one key, each variant.
    async fn show(&self, key: &ImageKey) -> Result<Vec<ImageDetail>, ImageError>;

    /// Sends a key's images to the workspace's registry.
    async fn push(&self, key: &ImageKey, progress: &dyn Progress) -> Result<Pushed, ImageError>;

    /// Fetches a key's images that this node can run from the workspace's
    /// registry, else the global one.
    async fn pull(
        &self,
        key: &ImageKey,
        progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError>;

    /// Removes images and what only they held. Never one whose files are in use.
    async fn prune(&self, rules: &PruneRules) -> Result<Pruned, ImageError>;

    /// A key's images as one tar archive that holds an OCI image layout.
    async fn export(&self, key: &ImageKey) -> Result<ByteStream, ImageError>;

    /// Takes such an archive in, whole or not at all.
    async fn import(&self, archive: ByteStream) -> Result<Vec<StoredImage>, ImageError>;

    /// A key's packages as a CycloneDX 1.5 document.
    async fn sbom(&self, key: &ImageKey) -> Result<Value, ImageError>;
}
