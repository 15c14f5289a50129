//! One stored image: what its manifest and its description layer say.
//!
//! Nothing of it is believed before it was checked: the digests by the layout,
//! the key against the ingredients it is the hash of.

use std::{collections::BTreeMap, io::Read as _};

use jiff::Timestamp;
use lusk_contract::{ImageError, ImageRecord};
use lusk_domain::{ImageKey, RuntimeKind};

use crate::{
    builder::Variant,
    disk,
    document::{
        Annotations, CREATED, Config, Descriptor, IMAGE_KEY, MANIFEST_TYPE, Manifest, NATIVE,
        PACKAGE, PYTHON, RUNTIME, VARIANT,
    },
    layout::{Layout, MAX_DOCUMENT},
    pack::{INGREDIENTS, LOCK},
    tarball::{Budget, walk},
};

/// Most layers of an image.
const MAX_LAYERS: usize = 128;

/// Most bytes of an image's blobs, compressed.
const MAX_BYTES: u64 = 10 << 30;

/// An image by its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Points at the manifest; carries its annotations, as the index wants them.
    pub(crate) descriptor: Descriptor,
    pub(crate) manifest: Manifest,
    pub(crate) record: ImageRecord,
    pub(crate) variant: Variant,
}

/// What the description layer holds.
#[derive(Debug)]
pub(crate) struct Description {
    /// What the key is the hash of: canonical JSON.
    pub(crate) ingredients: Vec<u8>,
    /// The frozen requirements.
    pub(crate) lock: String,
}

impl Image {
    /// Takes a manifest in; it must be one of lusk's.
    pub(crate) fn of(descriptor: &Descriptor, manifest: Manifest) -> Result<Self, ImageError> {
        let digest = descriptor.digest;
        let refused = |text: String| disk::refused(&format!("manifest {digest}: {text}"));
        bounded(&manifest).map_err(refused)?;
        let said = &manifest.annotations;
        let key = text(said, IMAGE_KEY)
            .and_then(|key| key.parse::<ImageKey>())
            .map_err(refused)?;
        let built = text(said, CREATED)
            .and_then(|time| time.parse::<Timestamp>().map_err(|error| error.to_string()))
            .map_err(refused)?;
        let variant = variant(said).map_err(refused)?;
        let native = said.get(NATIVE).map_or("", String::as_str).split(',');
        let record = ImageRecord {
            key,
            variant: variant.tag.clone(),
            manifest: digest.to_string(),
            built,
            runtime: variant.runtime,
            native: native
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            bytes: descriptor.size + manifest.blobs().map(|blob| blob.size).sum::<u64>(),
        };
        Ok(Self {
            descriptor: Descriptor {
                media_type: MANIFEST_TYPE.to_owned(),
                digest,
                size: descriptor.size,
                annotations: manifest.annotations.clone(),
            },
            manifest,
            record,
            variant,
        })
    }

    /// Reads an image that the index names; its layers are not read.
    pub(crate) fn read(layout: &Layout, descriptor: &Descriptor) -> Result<Self, ImageError> {
        Self::of(descriptor, layout.document(descriptor)?)
    }

    /// The layer that tells what is in the others: the only one without a package.
    pub(crate) fn description_layer(&self) -> Result<&Descriptor, ImageError> {
        let mut layers = self.manifest.layers.iter();
        layers
            .find(|layer| !layer.annotations.contains_key(PACKAGE))
            .ok_or_else(|| self.refused("it has no layer that describes it"))
    }

    /// The layers of packages.
    pub(crate) fn package_layers(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.manifest.layers.iter();
        layers.filter(|layer| layer.annotations.contains_key(PACKAGE))
    }

    /// Checks all but the layers of packages: the configuration fits, the
    /// description is whole and is what the key says.
    pub(crate) fn check(&self, layout: &Layout) -> Result<Description, ImageError> {
        let config: Config = layout.document(&self.manifest.config)?;
        let (layers, diff_ids) = (self.manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(self.refused(&format!(
                "it has {layers} layers, its configuration {diff_ids}"
            )));
        }
        let description = self.describe(layout)?;
        let seen = ImageKey::of_ingredients(&description.ingredients);
        if seen == self.record.key {
            return Ok(description);
        }
        let key = &self.record.key;
        Err(self.refused(&format!(
            "it calls itself `{key}`, its ingredients make `{seen}`"
        )))
    }

    fn describe(&self, layout: &Layout) -> Result<Description, ImageError> {
        let layer = self.description_layer()?;
        let mut files = description_files(layout, layer)?;
        let mut file = |path: &str| {
            files
                .remove(path)
                .ok_or_else(|| self.refused(&format!("`{path}` is missing")))
        };
        Ok(Description {
            ingredients: file(INGREDIENTS)?,
            lock: String::from_utf8_lossy(&file(LOCK)?).into_owned(),
        })
    }

    fn refused(&self, text: &str) -> ImageError {
        let digest = self.descriptor.digest;
        disk::refused(&format!("manifest {digest}: {text}"))
    }
}

fn description_files(
    layout: &Layout,
    layer: &Descriptor,
) -> Result<BTreeMap<String, Vec<u8>>, ImageError> {
    let what = format!("layer {}", layer.digest);
    let mut files = BTreeMap::new();
    let mut budget = Budget {
        entries: 16,
        bytes: 4 * MAX_DOCUMENT,
    };
    let mut source = layout.read(layer)?;
    walk(
        &what,
        &layer.media_type,
        &mut source,
        &mut budget,
        |entry| {
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .map_err(|error| crate::disk::verdict(&what, &error))?;
            files.insert(path, content);
            Ok(())
        },
    )?;
    source
        .finish()
        .map_err(|error| crate::disk::verdict(&what, &error))?;
    Ok(files)
}

fn bounded(manifest: &Manifest) -> Result<(), String> {
    let version = manifest.schema_version;
    if version != 2 || manifest.media_type != MANIFEST_TYPE {
        let media_type = &manifest.media_type;
        return Err(format!(
            "schema {version} of type `{media_type:.100}`, expected schema 2 of `{MANIFEST_TYPE}`"
        ));
    }
    let layers = manifest.layers.len();
    if layers > MAX_LAYERS {
        return Err(format!("{layers} layers, at most {MAX_LAYERS} are taken"));
    }
    let config = manifest.config.size;
    if config > MAX_DOCUMENT {
        return Err(format!(
            "a configuration of {config} bytes, at most {MAX_DOCUMENT} are taken"
        ));
    }
    let mut bytes = 0_u64;
    for blob in manifest.blobs() {
        bytes = bytes.saturating_add(blob.size);
    }
    if bytes > MAX_BYTES {
        return Err(format!(
            "{bytes} bytes, at most {} GiB are taken",
            MAX_BYTES >> 30
        ));
    }
    Ok(())
}

fn variant(said: &Annotations) -> Result<Variant, String> {
    let tag = text(said, VARIANT)?;
    if !is_tag(tag) {
        return Err(format!("`{tag:.100}` is not a tag"));
    }
    let runtime = match text(said, RUNTIME)? {
        "python" => RuntimeKind::Python,
        "process" => RuntimeKind::Process,
        other => return Err(format!("runtime `{other:.100}`, known: python, process")),
    };
    let python = said.get(PYTHON).cloned();
    if let Some(version) = &python
        && (version.len() > 8 || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    {
        return Err(format!("`{version:.100}` is not a version of Python"));
    }
    Ok(Variant {
        tag: tag.to_owned(),
        runtime,
        python,
    })
}

/// A tag as the distribution specification has it.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && word(text.as_bytes()[0])
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn text<'a>(said: &'a Annotations, name: &str) -> Result<&'a str, String> {
    let text = said.get(name).map(String::as_str);
    text.ok_or_else(|| format!("it has no annotation `{name}`; it is not an image of lusk"))
}

/// Whether an index entry says to be of this key and variant.
pub(crate) fn is_called(image: &Descriptor, key: &ImageKey, variant: &str) -> bool {
    let said = |name: &str| image.annotations.get(name).map(String::as_str);
    said(IMAGE_KEY) == Some(key.as_str()) && said(VARIANT) == Some(variant)
}
