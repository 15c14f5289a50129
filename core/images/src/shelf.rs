//! What is here: lists, details, the removal of what nobody needs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lusk_contract::{ImageDetail, ImageError, ImageLayer, PruneRules, Pruned, StoredImage};
use lusk_domain::{Digest, ImageKey};
use serde_json::Value;

use crate::{
    document::{Descriptor, IMAGE_KEY, Index, PACKAGE},
    image::Image,
    layout::{Draft, Layout},
    local::Inner,
    sbom::sbom,
};

impl Inner {
    /// The images, the one used last first.
    pub(crate) fn list(&self) -> Result<Vec<StoredImage>, ImageError> {
        let images = images(&self.layout, &self.layout.index()?);
        let mut images: Vec<_> = images
            .iter()
            .map(|image| self.usage.of(&image.record))
            .collect();
        images.sort_by(|a, b| {
            let by_name =
                || (&a.record.key, &a.record.variant).cmp(&(&b.record.key, &b.record.variant));
            b.last_used.cmp(&a.last_used).then_with(by_name)
        });
        Ok(images)
    }

    /// The images of one key.
    pub(crate) fn show(&self, key: &ImageKey) -> Result<Vec<ImageDetail>, ImageError> {
        let draft = self.layout.draft();
        let wanted = self.held_images(key, &draft)?;
        let mut holders: BTreeMap<Digest, usize> = BTreeMap::new();
        for image in images(&self.layout, &self.layout.index()?) {
            for layer in &image.manifest.layers {
                *holders.entry(layer.digest).or_default() += 1;
            }
        }
        wanted
            .iter()
            .map(|image| self.detail(image, &holders))
            .collect()
    }

    fn detail(
        &self,
        image: &Image,
        holders: &BTreeMap<Digest, usize>,
    ) -> Result<ImageDetail, ImageError> {
        let description = image.check(&self.layout)?;
        let layers = image.manifest.layers.iter().map(|layer| ImageLayer {
            digest: layer.digest,
            bytes: layer.size,
            package: layer.annotations.get(PACKAGE).cloned(),
            images: holders.get(&layer.digest).copied().unwrap_or(1),
        });
        Ok(ImageDetail {
            image: self.usage.of(&image.record),
            ingredients: serde_json::from_slice(&description.ingredients)
                .map_err(|error| ImageError::Refused(format!("ingredients not JSON: {error}")))?,
            lock: description.lock,
            layers: layers.collect(),
        })
    }

    /// The images of a key, held until the draft goes.
    pub(crate) fn held_images(
        &self,
        key: &ImageKey,
        draft: &Draft,
    ) -> Result<Vec<Image>, ImageError> {
        let index = self.layout.index()?;
        let mut found = Vec::new();
        for named in index.manifests.iter().filter(|named| is_of(named, key)) {
            let picked = draft.pick(|image| image.digest == named.digest)?;
            if let Some(picked) = picked {
                found.push(Image::of(&picked.descriptor, picked.manifest?)?);
            }
        }
        if found.is_empty() {
            return Err(ImageError::NotFound(key.to_string()));
        }
        Ok(found)
    }

    /// Which other image of this node holds a layer of `image`, by digest: a
    /// registry that has that image need not be sent the layer again.
    pub(crate) fn shared_layers(
        &self,
        image: &Image,
    ) -> Result<BTreeMap<Digest, ImageKey>, ImageError> {
        let mut shared = BTreeMap::new();
        for other in images(&self.layout, &self.layout.index()?) {
            if other.record.key != image.record.key {
                let layers = other.package_layers().map(|layer| layer.digest);
                shared.extend(layers.map(|digest| (digest, other.record.key.clone())));
            }
        }
        let own = |digest: &Digest| image.package_layers().any(|it| it.digest == *digest);
        shared.retain(|digest, _| own(digest));
        Ok(shared)
    }

    /// Removes images that nobody needs and everything that no image holds.
    pub(crate) fn prune(&self, rules: &PruneRules) -> Result<Pruned, ImageError> {
        let now = Timestamp::now();
        let mut images = Vec::new();
        let drops = |descriptor: &Descriptor| {
            let Ok(image) = Image::read(&self.layout, descriptor) else {
                // Damaged, or not one that this release can use.
                return true;
            };
            let drops = self.is_old(&image, rules, now)
                && !rules.keep.contains(&image.record.key)
                && !self.in_use(descriptor.digest);
            if drops {
                images.push(image.record);
            }
            drops
        };
        let (blobs, doomed) = self.layout.sweep(drops, |live| {
            let stays = |digest| live.contains(&digest);
            self.unpacked.doom(stays, |digest| self.in_use(digest))
        })?;
        self.usage.forget(images.iter());
        let bytes = blobs + doomed.remove()?;
        tracing::info!(images = images.len(), bytes, "images pruned");
        Ok(Pruned { images, bytes })
    }

    fn is_old(&self, image: &Image, rules: &PruneRules, now: Timestamp) -> bool {
        let age = now.duration_since(self.usage.of(&image.record).last_used);
        // A clock that was set back makes nothing old, unless age does not matter.
        rules.unused_for.is_zero() || !age.is_negative() && age.unsigned_abs() >= rules.unused_for
    }

    /// Forgets an image that was found damaged, and those of its blobs that are.
    pub(crate) fn forget(&self, descriptor: &Descriptor) {
        let manifest = self
            .layout
            .document::<crate::document::Manifest>(descriptor);
        let digest = descriptor.digest;
        let change = |index: &mut Index| index.manifests.retain(|image| image.digest != digest);
        if let Err(error) = self.layout.change_index(change) {
            tracing::warn!(manifest = %digest, %error, "damaged image not forgotten");
        }
        let blobs = manifest.iter().flat_map(|manifest| manifest.blobs());
        for blob in blobs.chain([descriptor]) {
            let whole = self
                .layout
                .read(blob)
                .is_ok_and(|mut reader| reader.finish().is_ok());
            if !whole {
                self.layout.discard(blob.digest);
            }
        }
    }

    /// The packages of a key as a document for scanners; of the variant that
    /// was used last.
    pub(crate) fn sbom(&self, key: &ImageKey) -> Result<Value, ImageError> {
        let draft = self.layout.draft();
        let images = self.held_images(key, &draft)?;
        let newest = images
            .iter()
            .max_by_key(|image| self.usage.of(&image.record).last_used);
        let image = newest.ok_or_else(|| ImageError::NotFound(key.to_string()))?;
        sbom(&image.record, &image.check(&self.layout)?.lock)
    }
}

fn is_of(image: &Descriptor, key: &ImageKey) -> bool {
    image.annotations.get(IMAGE_KEY).map(String::as_str) == Some(key.as_str())
}

/// The images that can be read; the others are damaged or of another release.
fn images(layout: &Layout, index: &Index) -> Vec<Image> {
    let images = index.manifests.iter().filter_map(|named| {
        Image::read(layout, named)
            .inspect_err(|error| {
                tracing::debug!(manifest = %named.digest, %error, "image not shown");
            })
            .ok()
    });
    images.collect()
}
