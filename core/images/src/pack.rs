//! Packs what was built into layers: one for each distribution, so that
//! environments which share a package version store it once.
//!
//! Invariant: the same files make the same bytes, whenever and wherever.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use jiff::Timestamp;
use lusk_contract::ImageError;
use lusk_domain::{Digest, ImageKey, RuntimeKind};
use sha2::{Digest as _, Sha256};

use crate::{
    builder::{Built, Distribution, Variant},
    disk::failed,
    document::{
        Annotations, CONFIG_TYPE, CREATED, Config, Descriptor, IMAGE_KEY, LAYER_TYPE,
        MANIFEST_TYPE, Manifest, NATIVE, PACKAGE, PYTHON, REF_NAME, RUNTIME, RootFs, RunConfig,
        VARIANT,
    },
    layout::{BlobWriter, Draft, Layout},
};

/// Path of the key's ingredients in the description layer.
pub(crate) const INGREDIENTS: &str = "lusk/environment.json";
/// Path of the list of requirements and what became of them.
const PACKAGES: &str = "lusk/packages.json";
/// Path of the frozen requirements.
pub(crate) const LOCK: &str = "lusk/requirements.lock";
/// Folder of the packages in their layers.
pub(crate) const SITE: &str = "site-packages";

/// Most layers of packages; beyond it the smallest share one. Container
/// engines stop at 127.
const MAX_PACKAGE_LAYERS: usize = 100;

/// What the compressor is asked for; another level makes other digests.
const LEVEL: i32 = 3;

/// A layer and the digest of its uncompressed content.
struct Packed {
    layer: Descriptor,
    diff_id: Digest,
}

/// Stores an image of what was built; the descriptor is not yet in the index.
pub(crate) fn pack(
    layout: &Layout,
    draft: &Draft,
    ingredients: &[u8],
    built: &Built,
) -> Result<Descriptor, ImageError> {
    let key = ImageKey::of_ingredients(ingredients);
    let mut packed = vec![describe(layout, draft, ingredients, built)?];
    for group in grouped(built)? {
        packed.push(pack_group(layout, draft, &built.site, &group)?);
    }
    let annotations = annotations(&key, built);
    let (layers, diff_ids) = packed.into_iter().map(|it| (it.layer, it.diff_id)).unzip();
    let (os, architecture) = platform(&built.variant);
    let config = Config {
        created: annotations[CREATED].clone(),
        architecture: architecture.to_owned(),
        os: os.to_owned(),
        config: RunConfig {
            working_dir: "/var/azureml-app".to_owned(),
            labels: annotations.clone(),
        },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids,
        },
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: draft.put_document(CONFIG_TYPE, &config)?,
        layers,
        annotations: annotations.clone(),
    };
    let mut image = draft.put_document(MANIFEST_TYPE, &manifest)?;
    image.annotations = annotations;
    Ok(image)
}

fn annotations(key: &ImageKey, built: &Built) -> Annotations {
    let variant = &built.variant;
    let native = built.distributions.iter().filter(|it| it.native);
    let native: Vec<_> = native.map(|it| it.name.as_str()).collect();
    let mut annotations: Annotations = [
        (REF_NAME, format!("{}:{}", key.repository(), variant.tag)),
        (CREATED, Timestamp::now().to_string()),
        (IMAGE_KEY, key.to_string()),
        (VARIANT, variant.tag.clone()),
        (RUNTIME, variant.runtime.as_str().to_owned()),
        (NATIVE, native.join(",")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(python) = &variant.python {
        annotations.insert(PYTHON.to_owned(), python.clone());
    }
    annotations
}

fn platform(variant: &Variant) -> (&'static str, &'static str) {
    match (variant.runtime, std::env::consts::ARCH) {
        (RuntimeKind::Python, _) => ("wasip2", "wasm"),
        (_, "x86_64") => ("linux", "amd64"),
        (_, "aarch64") => ("linux", "arm64"),
        (_, other) => ("linux", other),
    }
}

/// The distributions of each layer, by name; the smallest share the last one
/// when there are too many.
fn grouped(built: &Built) -> Result<Vec<Vec<&Distribution>>, ImageError> {
    let mut sized = Vec::new();
    for distribution in &built.distributions {
        let mut bytes = 0;
        for file in &distribution.files {
            let path = built.site.join(file);
            bytes += fs::metadata(&path)
                .map_err(|error| failed(&path, &error))?
                .len();
        }
        sized.push((bytes, distribution));
    }
    sized.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.name.cmp(&second.name)));
    let by_name = |group: &mut [&Distribution]| {
        group.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    };
    let mut all: Vec<_> = sized.into_iter().map(|(_, it)| it).collect();
    let mut small = Vec::new();
    if all.len() > MAX_PACKAGE_LAYERS {
        small = all.split_off(MAX_PACKAGE_LAYERS - 1);
        by_name(&mut small);
    }
    by_name(&mut all);
    let mut groups: Vec<_> = all.into_iter().map(|it| vec![it]).collect();
    groups.extend((!small.is_empty()).then_some(small));
    Ok(groups)
}

fn describe(
    layout: &Layout,
    draft: &Draft,
    ingredients: &[u8],
    built: &Built,
) -> Result<Packed, ImageError> {
    let packages = serde_json::to_vec_pretty(&built.packages)
        .map_err(|error| ImageError::Storage(format!("package list not written: {error}")))?;
    let mut layer = LayerWriter::start(layout)?;
    layer.add(Path::new(INGREDIENTS), 0o644, ingredients)?;
    layer.add(Path::new(PACKAGES), 0o644, &packages)?;
    layer.add(Path::new(LOCK), 0o644, built.lock.as_bytes())?;
    layer.finish(draft)
}

fn pack_group(
    layout: &Layout,
    draft: &Draft,
    site: &Path,
    group: &[&Distribution],
) -> Result<Packed, ImageError> {
    let mut files: Vec<_> = group.iter().flat_map(|it| &it.files).collect();
    files.retain(|file| file.extension().is_none_or(|extension| extension != "pyc"));
    files.sort();
    files.dedup();
    let mut layer = LayerWriter::start(layout)?;
    for file in files {
        layer.add_file(site, file)?;
    }
    let mut packed = layer.finish(draft)?;
    let names = group.iter().map(|it| format!("{} {}", it.name, it.version));
    let names = names.collect::<Vec<_>>().join(", ");
    packed.layer.annotations.insert(PACKAGE.to_owned(), names);
    Ok(packed)
}

/// Writes a layer: tar, hashed, compressed, hashed, to the disk.
struct LayerWriter {
    archive: tar::Builder<Hashed<zstd::Encoder<'static, BlobWriter>>>,
}

impl LayerWriter {
    fn start(layout: &Layout) -> Result<Self, ImageError> {
        let encoder = zstd::Encoder::new(layout.writer()?, LEVEL)
            .map_err(|error| ImageError::Storage(format!("no compressor: {error}")))?;
        Ok(Self {
            archive: tar::Builder::new(Hashed {
                inner: encoder,
                hasher: Sha256::new(),
            }),
        })
    }

    /// Adds a file below `site`.
    fn add_file(&mut self, site: &Path, file: &Path) -> Result<(), ImageError> {
        let path = site.join(file);
        let meta = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
        if !meta.is_file() {
            let path = path.display();
            return Err(ImageError::Refused(format!("`{path}` is not a plain file")));
        }
        let is_program = meta.permissions().mode() & 0o111 != 0;
        let content = File::open(&path).map_err(|error| failed(&path, &error))?;
        let mode = if is_program { 0o755 } else { 0o644 };
        self.append(&Path::new(SITE).join(file), mode, meta.len(), content)
    }

    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<(), ImageError> {
        self.append(path, mode, content.len() as u64, content)
    }

    fn append(
        &mut self,
        path: &Path,
        mode: u32,
        size: u64,
        content: impl io::Read,
    ) -> Result<(), ImageError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.archive
            .append_data(&mut header, path, content.take(size))
            .map_err(|error| failed(path, &error))
    }

    fn finish(self, draft: &Draft) -> Result<Packed, ImageError> {
        let not_packed = |error: io::Error| failed(Path::new("layer"), &error);
        let hashed = self.archive.into_inner().map_err(not_packed)?;
        let diff_id = Digest::from_bytes(hashed.hasher.finalize().into());
        let writer = hashed.inner.finish().map_err(not_packed)?;
        Ok(Packed {
            layer: draft.keep(LAYER_TYPE, writer.finish()?)?,
            diff_id,
        })
    }
}

/// Hashes what goes through.
struct Hashed<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(content)?;
        self.hasher.update(&content[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
