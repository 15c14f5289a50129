//! Images of this node: found in the layout, built when they are not there.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use lusk_contract::{ImageError, ImageRecord, Images};
use lusk_domain::{Environment, ImageKey};

use crate::{
    document::{
        Annotations, CONFIG_TYPE, CREATED, Config, Descriptor, IMAGE_KEY, LAYER_TYPE,
        MANIFEST_TYPE, Manifest, REF_NAME, RUNNER, RootFs, RunConfig,
    },
    layout::Layout,
    packages::{self, Package},
};

/// Path of the key's ingredients in the layer.
const INGREDIENTS: &str = "lusk/environment.json";

/// Path of the package list in the layer.
const PACKAGES: &str = "lusk/packages.json";

/// The images in a data folder. Clones share one layout.
#[derive(Debug, Clone)]
pub struct LocalImages {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    /// The runner that the images count on.
    runner: String,
    /// One build at a time: it takes milliseconds, and a second one for the
    /// same key finds what the first has built.
    building: Mutex<()>,
}

impl LocalImages {
    /// Opens the layout in `folder`, or makes an empty one; `tmp` is a folder
    /// of the same file system that is emptied at start. `runner` names what
    /// this lusk runs scripts with: images made for another are built again.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn open(folder: &Path, tmp: &Path, runner: &str) -> Result<Self, ImageError> {
        Ok(Self {
            inner: Arc::new(Inner {
                layout: Layout::open(folder, tmp)?,
                runner: runner.to_owned(),
                building: Mutex::default(),
            }),
        })
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Inner) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || body(&inner))
            .await
            .map_err(|error| ImageError::Storage(format!("a call was lost: {error}")))?
    }
}

#[async_trait]
impl Images for LocalImages {
    async fn find(&self, key: &ImageKey) -> Result<Option<ImageRecord>, ImageError> {
        let key = key.clone();
        self.on_disk(move |inner| inner.find(&key)).await
    }

    async fn build(
        &self,
        environment: &Environment,
    ) -> Result<(ImageRecord, Vec<String>), ImageError> {
        let environment = environment.clone();
        self.on_disk(move |inner| inner.build(&environment)).await
    }
}

impl Inner {
    /// An image that is there, whole, and made for this runner. A damaged one
    /// counts as missing: it is built again.
    fn find(&self, key: &ImageKey) -> Result<Option<ImageRecord>, ImageError> {
        let index = self.layout.index()?;
        let is_it = |descriptor: &&Descriptor| {
            let annotation = |name| descriptor.annotations.get(name).map(String::as_str);
            annotation(IMAGE_KEY) == Some(key.as_str())
                && annotation(RUNNER) == Some(self.runner.as_str())
        };
        let Some(descriptor) = index.manifests.iter().find(is_it) else {
            return Ok(None);
        };
        match self.check(key, descriptor) {
            Ok(built) => Ok(Some(ImageRecord {
                key: key.clone(),
                manifest: descriptor.digest.to_string(),
                built,
            })),
            Err(error) => {
                tracing::warn!(image = %key.repository(), %error, "damaged image is built again");
                Ok(None)
            }
        }
    }

    /// Reads an image whole; returns when it was built.
    fn check(&self, key: &ImageKey, descriptor: &Descriptor) -> Result<Timestamp, ImageError> {
        let manifest: Manifest = self.layout.get_document(descriptor)?;
        let config: Config = self.layout.get_document(&manifest.config)?;
        for layer in &manifest.layers {
            let layer = self.layout.get(layer)?;
            let ingredients = file_of(&layer, INGREDIENTS)
                .map_err(|error| ImageError::Storage(format!("layer not readable: {error}")))?;
            if ImageKey::of_ingredients(&ingredients) != *key {
                return Err(ImageError::Storage(
                    "it describes another environment".to_owned(),
                ));
            }
        }
        config
            .created
            .parse()
            .map_err(|error| ImageError::Storage(format!("no time of building: {error}")))
    }

    fn build(&self, environment: &Environment) -> Result<(ImageRecord, Vec<String>), ImageError> {
        let platform = environment.docker.platform.as_ref();
        if let Some(platform) = platform.filter(|it| !it.os.eq_ignore_ascii_case("linux")) {
            let os = &platform.os;
            return Err(ImageError::Unsupported(format!(
                "docker.platform.os is `{os}`, images are made for Linux only"
            )));
        }
        let packages = packages::of(environment);
        let remarks = packages::remarks(environment, &packages);
        let key = ImageKey::of(environment);
        let _one = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let record = match self.find(&key)? {
            Some(record) => record,
            None => self.write(&key, environment, &packages)?,
        };
        Ok((record, remarks))
    }

    fn write(
        &self,
        key: &ImageKey,
        environment: &Environment,
        packages: &[Package],
    ) -> Result<ImageRecord, ImageError> {
        let built = Timestamp::now();
        let annotations = self.annotations(key, built);
        let layer = layer(environment, packages)
            .map_err(|error| ImageError::Storage(format!("layer not packed: {error}")))?;
        let layer = self.layout.put(LAYER_TYPE, &layer)?;
        let config = Config {
            created: built.to_string(),
            architecture: "wasm".to_owned(),
            os: "wasip2".to_owned(),
            config: RunConfig {
                working_dir: "/var/azureml-app".to_owned(),
                labels: annotations.clone(),
            },
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: vec![layer.digest],
            },
        };
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            config: self.layout.put_document(CONFIG_TYPE, &config)?,
            layers: vec![layer],
            annotations: annotations.clone(),
        };
        let mut descriptor = self.layout.put_document(MANIFEST_TYPE, &manifest)?;
        let digest = descriptor.digest;
        descriptor.annotations = annotations;

        let mut index = self.layout.index()?;
        let same = Some(key.as_str());
        index
            .manifests
            .retain(|other| other.annotations.get(IMAGE_KEY).map(String::as_str) != same);
        index.manifests.push(descriptor);
        self.layout.write_index(&index)?;
        tracing::info!(image = %key.repository(), manifest = %digest, "image built");
        Ok(ImageRecord {
            key: key.clone(),
            manifest: digest.to_string(),
            built,
        })
    }

    fn annotations(&self, key: &ImageKey, built: Timestamp) -> Annotations {
        [
            (REF_NAME, format!("{}:latest", key.repository())),
            (CREATED, built.to_string()),
            (IMAGE_KEY, key.to_string()),
            (RUNNER, self.runner.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// The layer: what the key is the hash of, and what became of each package.
/// The same environment makes the same bytes.
fn layer(environment: &Environment, packages: &[Package]) -> io::Result<Vec<u8>> {
    let packages = serde_json::to_vec_pretty(packages)?;
    let files = [
        (INGREDIENTS, ImageKey::ingredients(environment)),
        (PACKAGES, packages),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        header.set_mtime(0);
        header.set_cksum();
        archive.append_data(&mut header, path, content.as_slice())?;
    }
    archive.into_inner()
}

fn file_of(layer: &[u8], path: &str) -> io::Result<Vec<u8>> {
    for entry in tar::Archive::new(layer).entries()? {
        let mut entry = entry?;
        if entry.path_bytes().as_ref() == path.as_bytes() {
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content)?;
            return Ok(content);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests;
