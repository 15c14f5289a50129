//! Stand-ins for tests of the rooms that only call the traits.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use lusk_domain::{Digest, ImageKey, RuntimeKind, Step, StepOutcome};
use serde_json::Value;

use crate::{
    ByteStream, ImageDetail, ImageError, ImageFiles, ImageRecord, ImageSource, ImageWish, Images,
    Progress, PruneRules, Pruned, Pushed, ReadyImage, StoredImage,
};

/// Images without files: built at the first wish, there from then on. An
/// environment for another system than Linux cannot be built; a dependency
/// called `native` has native code.
#[derive(Debug, Default)]
pub struct StubImages(Mutex<BTreeSet<ImageKey>>);

impl StubImages {
    fn record(wish: &ImageWish) -> ImageRecord {
        let key = ImageKey::of(&wish.environment);
        let python = &wish.environment.python;
        let native = format!("{:?}", python.conda_dependencies).contains("\"native\"");
        let process = native || python.user_managed_dependencies;
        let kind = if process {
            RuntimeKind::Process
        } else {
            RuntimeKind::Python
        };
        ImageRecord {
            manifest: Digest::of(key.as_str().as_bytes()).to_string(),
            key,
            variant: "stub".to_owned(),
            built: Timestamp::UNIX_EPOCH,
            runtime: wish.runtime.unwrap_or(kind),
            native: Vec::from_iter(native.then(|| "native".to_owned())),
            bytes: 0,
        }
    }

    fn stub<T>() -> Result<T, ImageError> {
        Err(ImageError::Unsupported("a stub cannot do this".to_owned()))
    }
}

#[async_trait]
impl Images for StubImages {
    async fn ensure(
        &self,
        wish: &ImageWish,
        progress: &dyn Progress,
    ) -> Result<ReadyImage, ImageError> {
        let platform = wish.environment.docker.platform.as_ref();
        if platform.is_some_and(|platform| platform.os != "Linux") {
            return Err(ImageError::Unsupported("not for Linux".to_owned()));
        }
        let record = Self::record(wish);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = if known.insert(record.key.clone()) {
            let text = format!("building {}", record.key.repository());
            progress.event(Step::Image, StepOutcome::Running, &text);
            progress.event(
                Step::Image,
                StepOutcome::Warning,
                "numpy is carried by lusk",
            );
            ImageSource::Built
        } else {
            ImageSource::Local
        };
        Ok(ReadyImage {
            record,
            source,
            moved_bytes: 0,
            files: Arc::new(ImageFiles {
                packages: None,
                interpreter: None,
            }),
        })
    }

    async fn list(&self) -> Result<Vec<StoredImage>, ImageError> {
        Ok(Vec::new())
    }

    async fn show(&self, key: &ImageKey) -> Result<Vec<ImageDetail>, ImageError> {
        Err(ImageError::NotFound(key.to_string()))
    }

    async fn push(&self, _key: &ImageKey, _progress: &dyn Progress) -> Result<Pushed, ImageError> {
        Self::stub()
    }

    async fn pull(
        &self,
        _key: &ImageKey,
        _progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError> {
        Self::stub()
    }

    async fn prune(&self, _rules: &PruneRules) -> Result<Pruned, ImageError> {
        Ok(Pruned::default())
    }

    async fn export(&self, key: &ImageKey) -> Result<ByteStream, ImageError> {
        Err(ImageError::NotFound(key.to_string()))
    }

    async fn import(&self, _archive: ByteStream) -> Result<Vec<StoredImage>, ImageError> {
        Self::stub()
    }

    async fn sbom(&self, key: &ImageKey) -> Result<Value, ImageError> {
        Err(ImageError::NotFound(key.to_string()))
    }
}
