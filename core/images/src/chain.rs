//! The lookup chain: this node, the workspace's registry, the global one, a build.
//!
//! A registry that is down or lies is a warning; the chain goes on. A disk that
//! fails ends it: nothing further along would fare better.

use std::sync::Arc;

use lusk_contract::{
    ImageError, ImageFiles, ImageSource, ImageWish, Progress, Pushed, ReadyImage, StoredImage,
};
use lusk_domain::{ImageKey, Step, StepOutcome};

use crate::{
    builder::Variant,
    flight::FlightLog,
    image::{Image, is_called},
    layout::Picked,
    local::Inner,
    pack::pack,
    registry::{Fetched, Registry, mib},
};

impl Inner {
    /// Finds or makes an image; one at a time for a key.
    pub(crate) async fn ensure(
        self: Arc<Self>,
        wish: ImageWish,
        log: Arc<FlightLog>,
    ) -> Result<ReadyImage, ImageError> {
        let key = ImageKey::of(&wish.environment);
        let _turn = self.turn(&key).await;
        let wish = Arc::new(wish);
        match self.find_or_build(&wish, log).await {
            // To install what builds is no way out if only a Python is missing.
            Err(error @ (ImageError::Build { .. } | ImageError::Unsupported(_)))
                if !wish.rebuild =>
            {
                let better = self.blocking(move |inner| Ok(inner.missing_python(&wish)));
                Err(better.await?.unwrap_or(error))
            }
            done => done,
        }
    }

    async fn find_or_build(
        self: &Arc<Self>,
        wish: &Arc<ImageWish>,
        log: Arc<FlightLog>,
    ) -> Result<ReadyImage, ImageError> {
        let asked = Arc::clone(wish);
        let variants = self
            .blocking(move |inner| inner.builds.variants(&asked))
            .await?;
        if !wish.rebuild {
            if let Some(ready) = self.find_here(wish, &variants, &log).await? {
                return Ok(ready);
            }
            for registry in self.registries() {
                let found = self.find_there(registry, wish, &variants, &*log).await?;
                if let Some(ready) = found {
                    return Ok(ready);
                }
            }
        }
        self.build(Arc::clone(wish), log).await
    }

    /// What an image that is here, and not of a variant that can run here, is
    /// made for and this machine does not have.
    fn missing_python(&self, wish: &ImageWish) -> Option<ImageError> {
        let key = ImageKey::of(&wish.environment);
        let images = self.held_images(&key, &self.layout.draft()).ok()?;
        images.iter().find_map(|image| {
            let found = self.builds.interpreter(&image.variant, &wish.environment);
            found.err()
        })
    }

    fn registries(&self) -> impl Iterator<Item = &Registry> {
        self.workspace.iter().chain(&self.global)
    }

    async fn find_here(
        self: &Arc<Self>,
        wish: &Arc<ImageWish>,
        variants: &[Variant],
        log: &Arc<FlightLog>,
    ) -> Result<Option<ReadyImage>, ImageError> {
        let (wish, variants, log) = (Arc::clone(wish), variants.to_vec(), Arc::clone(log));
        self.blocking(move |inner| {
            for variant in &variants {
                match inner.find_variant(&wish, variant) {
                    Ok(None) => {}
                    Ok(found) => return Ok(found),
                    Err(error) => soften(&*log, "image of this node is not used", error)?,
                }
            }
            Ok(None)
        })
        .await
    }

    /// An image that is here and whole. A damaged one is forgotten, so that it
    /// is fetched or built again.
    fn find_variant(
        &self,
        wish: &ImageWish,
        variant: &Variant,
    ) -> Result<Option<ReadyImage>, ImageError> {
        let key = ImageKey::of(&wish.environment);
        let draft = self.layout.draft();
        let picked = draft.pick(|image| is_called(image, &key, &variant.tag))?;
        let Some(Picked {
            descriptor,
            manifest,
        }) = picked
        else {
            return Ok(None);
        };
        let usable = || -> Result<(Image, _), ImageError> {
            let image = Image::of(&descriptor, manifest?)?;
            if let Some(blob) = image.manifest.blobs().find(|blob| !self.layout.has(blob)) {
                let digest = blob.digest;
                return Err(ImageError::Refused(format!(
                    "{digest} is missing or cut off"
                )));
            }
            image.check(&self.layout)?;
            let files = self.files(&draft, &image, &wish.environment)?;
            Ok((image, files))
        };
        let (image, files) = usable().inspect_err(|error| {
            if matches!(error, ImageError::Refused(_)) {
                self.forget(&descriptor);
            }
        })?;
        self.usage.hit(&image.record);
        Ok(Some(ReadyImage {
            record: image.record,
            source: ImageSource::Local,
            moved_bytes: 0,
            files,
        }))
    }

    /// Asks a registry for the variants, the preferred first.
    async fn find_there(
        self: &Arc<Self>,
        registry: &Registry,
        wish: &Arc<ImageWish>,
        variants: &[Variant],
        progress: &dyn Progress,
    ) -> Result<Option<ReadyImage>, ImageError> {
        for variant in variants {
            match self.fetch(registry, wish, variant, progress).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => {
                    // The next variant would meet the same registry.
                    let what = format!("{} registry is passed over", registry.role());
                    soften(progress, &what, error)?;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    async fn fetch(
        self: &Arc<Self>,
        registry: &Registry,
        wish: &Arc<ImageWish>,
        variant: &Variant,
        progress: &dyn Progress,
    ) -> Result<Option<ReadyImage>, ImageError> {
        let key = ImageKey::of(&wish.environment);
        let draft = Arc::new(self.layout.draft());
        let fetched = registry
            .fetch(&self.layout, &draft, &key, &variant.tag, progress)
            .await?;
        let Some(Fetched { image, moved_bytes }) = fetched else {
            return Ok(None);
        };
        let (wish, source) = (Arc::clone(wish), registry.source());
        self.blocking(move |inner| {
            image.check(&inner.layout)?;
            let files = inner.files(&draft, &image, &wish.environment)?;
            inner.name(&image)?;
            inner.usage.came(&image.record, source, true, moved_bytes);
            tracing::info!(image = %image.record.key, ?source, moved_bytes, "image fetched");
            Ok(Some(ReadyImage {
                record: image.record,
                source,
                moved_bytes,
                files,
            }))
        })
        .await
    }

    async fn build(
        self: &Arc<Self>,
        wish: Arc<ImageWish>,
        log: Arc<FlightLog>,
    ) -> Result<ReadyImage, ImageError> {
        let progress = Arc::clone(&log);
        let (image, files) = self
            .blocking(move |inner| inner.build_here(&wish, &*progress))
            .await?;
        let record = image.record.clone();
        if let Some(registry) = &self.workspace {
            match self.send(registry, &image, &*log).await {
                Ok(pushed) => {
                    let sent = mib(pushed.moved_bytes);
                    let text = format!("pushed to {}, {sent} sent", registry.address());
                    log.event(Step::Image, StepOutcome::Done, &text);
                }
                Err(error) => {
                    let what = format!("image is not in the {} registry", registry.role());
                    soften(&*log, &what, error)?;
                }
            }
        }
        Ok(ReadyImage {
            record,
            source: ImageSource::Built,
            moved_bytes: 0,
            files,
        })
    }

    fn build_here(
        &self,
        wish: &ImageWish,
        progress: &dyn Progress,
    ) -> Result<(Image, Arc<ImageFiles>), ImageError> {
        let built = self.builds.build(wish, self.layout.tmp(), progress)?;
        for remark in &built.remarks {
            progress.event(Step::Image, StepOutcome::Warning, remark);
        }
        let count = built.distributions.len();
        if count > 0 {
            let noun = if count == 1 { "package" } else { "packages" };
            let text = format!("packing {count} {noun}");
            progress.event(Step::Image, StepOutcome::Running, &text);
        }
        let draft = self.layout.draft();
        let ingredients = ImageKey::ingredients(&wish.environment);
        let descriptor = pack(&self.layout, &draft, &ingredients, &built)?;
        // The unpacked folder comes from the image, not from the build.
        drop(built);
        let image = Image::read(&self.layout, &descriptor)?;
        let files = self.files(&draft, &image, &wish.environment)?;
        self.name(&image)?;
        self.usage.came(&image.record, ImageSource::Built, true, 0);
        tracing::info!(
            image = %image.record.key,
            variant = image.record.variant,
            manifest = image.record.manifest,
            "image built"
        );
        Ok((image, files))
    }

    async fn send(
        self: &Arc<Self>,
        registry: &Registry,
        image: &Image,
        progress: &dyn Progress,
    ) -> Result<Pushed, ImageError> {
        let asked = image.clone();
        let shared = self
            .blocking(move |inner| inner.shared_layers(&asked))
            .await?;
        let pushed = registry
            .send(&self.layout, image, &shared, progress)
            .await?;
        let (record, bytes) = (image.record.clone(), pushed.moved_bytes);
        self.blocking(move |inner| {
            inner.usage.moved(&record, bytes);
            Ok(())
        })
        .await?;
        Ok(pushed)
    }

    /// Sends each variant of a key to the workspace's registry.
    pub(crate) async fn push(
        self: &Arc<Self>,
        key: &ImageKey,
        progress: &dyn Progress,
    ) -> Result<Pushed, ImageError> {
        let registry = self.workspace.as_ref().ok_or_else(no_registry)?;
        let wanted = key.clone();
        let draft = Arc::new(self.layout.draft());
        let held = Arc::clone(&draft);
        let images = self
            .blocking(move |inner| inner.held_images(&wanted, &held))
            .await?;
        let mut all = Pushed {
            references: Vec::new(),
            moved_bytes: 0,
        };
        for image in &images {
            let pushed = self.send(registry, image, progress).await?;
            all.references.extend(pushed.references);
            all.moved_bytes += pushed.moved_bytes;
        }
        all.references.sort();
        all.references.dedup();
        Ok(all)
    }

    /// Fetches what this node can run of a key.
    pub(crate) async fn pull(
        self: &Arc<Self>,
        key: &ImageKey,
        progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError> {
        let _turn = self.turn(key).await;
        if self.registries().next().is_none() {
            return Err(no_registry());
        }
        let mut last = None;
        for registry in self.registries() {
            match self.pull_from(registry, key, progress).await {
                Ok(images) if !images.is_empty() => return Ok(images),
                Ok(_) => {}
                Err(error) => {
                    last = Some(error.clone());
                    let what = format!("{} registry is passed over", registry.role());
                    soften(progress, &what, error)?;
                }
            }
        }
        let missing = || ImageError::NotFound(key.to_string());
        Err(last.unwrap_or_else(missing))
    }

    async fn pull_from(
        self: &Arc<Self>,
        registry: &Registry,
        key: &ImageKey,
        progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError> {
        let mut images = Vec::new();
        for tag in registry.tags(key).await? {
            if !runs_here(&tag) {
                continue;
            }
            let draft = Arc::new(self.layout.draft());
            let fetched = registry.fetch(&self.layout, &draft, key, &tag, progress);
            let Some(Fetched { image, moved_bytes }) = fetched.await? else {
                continue;
            };
            let source = registry.source();
            let stored = self.blocking(move |inner| {
                let _draft = draft;
                image.check(&inner.layout)?;
                inner.unpacked.lay_out(&inner.layout, &image)?;
                inner.name(&image)?;
                inner.usage.came(&image.record, source, false, moved_bytes);
                Ok(inner.usage.of(&image.record))
            });
            images.push(stored.await?);
        }
        Ok(images)
    }
}

/// Whether a tag is of a variant that this machine can run: one for the
/// sandbox, for its own processor, or with nothing in it to run.
fn runs_here(tag: &str) -> bool {
    let own = format!("-linux-{}", std::env::consts::ARCH);
    tag.ends_with("-wasm") || tag.ends_with(&own) || tag == "user-managed"
}

fn no_registry() -> ImageError {
    ImageError::Registry {
        registry: "workspace".to_owned(),
        message: "this node has no registry; start it with the address of one: \
                  `lusk up --registry HOST`, or LUSK_REGISTRY"
            .to_owned(),
    }
}

/// Turns what does not end the chain into a warning.
fn soften(progress: &dyn Progress, what: &str, error: ImageError) -> Result<(), ImageError> {
    match error {
        ImageError::Registry { .. } | ImageError::Refused(_) => {
            let text = format!("{what}: {error}");
            progress.event(Step::Image, StepOutcome::Warning, &text);
            Ok(())
        }
        other => Err(other),
    }
}
