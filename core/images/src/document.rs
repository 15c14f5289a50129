//! The JSON documents of the OCI image specification, as far as lusk writes
//! and needs them. Keys and media types are the specification's.

use std::collections::BTreeMap;

use lusk_domain::Digest;
use serde::{Deserialize, Serialize};

pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// `repository:tag`, by which other tools find an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// When the image was built, RFC 3339.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";
/// The 32 hex digits of the image key.
pub(crate) const IMAGE_KEY: &str = "lusk.image-key";
/// What the image is made for; its tag.
pub(crate) const VARIANT: &str = "lusk.variant";
/// What runs scripts with it.
pub(crate) const RUNTIME: &str = "lusk.runtime";
/// The Python minor version its packages are for; absent when user-managed.
pub(crate) const PYTHON: &str = "lusk.python";
/// Names of the packages with native code, separated by commas.
pub(crate) const NATIVE: &str = "lusk.native-packages";
/// Of a layer: `name version` of the package in it.
pub(crate) const PACKAGE: &str = "lusk.package";

pub(crate) type Annotations = BTreeMap<String, String>;

/// Points at content of the layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub(crate) annotations: Annotations,
}

/// `index.json`: the images of the layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default = "index_type")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

fn index_type() -> String {
    INDEX_TYPE.to_owned()
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
        }
    }
}

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) annotations: Annotations,
}

impl Manifest {
    /// All that it points at.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// What runs an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) created: String,
    /// `wasm`: the runner is a WebAssembly component; else the machine's.
    pub(crate) architecture: String,
    /// `wasip2`: the interface the runner asks for; else the machine's.
    pub(crate) os: String,
    pub(crate) config: RunConfig,
    pub(crate) rootfs: RootFs,
}

/// How an image is run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunConfig {
    pub(crate) working_dir: String,
    pub(crate) labels: Annotations,
}

/// The layers by the digests of their uncompressed content.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) diff_ids: Vec<Digest>,
}
