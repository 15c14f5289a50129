//! The JSON documents of the OCI image specification, as far as they are
//! written here. Keys and media types are the specification's.

use std::collections::BTreeMap;

use lusk_domain::Digest;
use serde::{Deserialize, Serialize};

pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// `repository:tag`, by which other tools find an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// When the image was built, RFC 3339.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";
/// The 32 hex digits of the image key.
pub(crate) const IMAGE_KEY: &str = "lusk.image-key";
/// The runner, with its carried packages, that the image counts on.
pub(crate) const RUNNER: &str = "lusk.runner";

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
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: INDEX_TYPE.to_owned(),
            manifests: Vec::new(),
        }
    }
}

/// One image.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) annotations: Annotations,
}

/// What runs an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) created: String,
    /// `wasm`: the runner is a WebAssembly component.
    pub(crate) architecture: String,
    /// `wasip2`: the interface it asks for.
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
