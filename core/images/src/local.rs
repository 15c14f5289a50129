//! Images of this node: the doors to what the other files do.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use lusk_contract::{
    ByteStream, ImageDetail, ImageError, ImageFiles, ImageWish, Images, Progress, PruneRules,
    Pruned, Pushed, ReadyImage, StoredImage,
};
use lusk_domain::{Digest, Environment, ImageKey, RuntimeKind};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    archive,
    builds::{Builder, Builds},
    disk::on_disk,
    flight::Flights,
    image::{Image, is_called},
    layout::{Draft, Layout},
    registry::{Patience, Registry, RegistryAddress, Role, Variables},
    unpack::Unpacked,
    usage::Usage,
};

/// Where images are kept and looked for.
#[derive(Debug, Clone)]
pub struct ImagesOptions {
    /// Folder of the OCI image layout; made if it is not there.
    pub folder: PathBuf,
    /// Folder of the same file system that is emptied at start.
    pub tmp: PathBuf,
    /// The workspace's registry: images are looked for there and sent there.
    pub registry: Option<RegistryAddress>,
    /// A registry that images are looked for in, after the workspace's.
    pub global_registry: Option<RegistryAddress>,
}

/// The images in a data folder. Clones share them.
#[derive(Debug, Clone)]
pub struct LocalImages {
    pub(crate) inner: Arc<Inner>,
}

/// Callers that share one flight want the same of the same image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    key: ImageKey,
    runtime: Option<RuntimeKind>,
    rebuild: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Arc<Layout>,
    pub(crate) unpacked: Unpacked,
    pub(crate) usage: Usage,
    pub(crate) builds: Arc<dyn Builds>,
    pub(crate) workspace: Option<Registry>,
    pub(crate) global: Option<Registry>,
    flights: Flights<Wanted, ReadyImage>,
    /// What has been handed out, by manifest; it stays while somebody holds it.
    handed_out: Mutex<HashMap<Digest, Vec<Weak<ImageFiles>>>>,
    /// Archives that may be written or read.
    pub(crate) archives: Arc<Semaphore>,
    /// One at a time for each key.
    keys: Mutex<HashMap<ImageKey, Weak<tokio::sync::Mutex<()>>>>,
}

impl LocalImages {
    /// Opens the layout in a folder, or makes an empty one. Blocks on the disk.
    ///
    /// # Errors
    /// A folder that cannot be written, a registry that is not to be talked to.
    pub fn open(options: ImagesOptions) -> Result<Self, ImageError> {
        let variables = |name: &str| std::env::var(name).ok();
        Self::open_with(options, Arc::new(Builder), Patience::default(), &variables)
    }

    pub(crate) fn open_with(
        options: ImagesOptions,
        builds: Arc<dyn Builds>,
        patience: Patience,
        variables: Variables<'_>,
    ) -> Result<Self, ImageError> {
        let (folder, tmp) = (&options.folder, &options.tmp);
        let registry = |address: Option<RegistryAddress>, role| {
            address
                .map(|address| Registry::new(address, role, patience, variables))
                .transpose()
        };
        Ok(Self {
            inner: Arc::new(Inner {
                layout: Arc::new(Layout::open(folder, tmp)?),
                unpacked: Unpacked::open(&folder.join("unpacked"), tmp)?,
                usage: Usage::open(&folder.join("usage.json"), tmp)?,
                builds,
                workspace: registry(options.registry, Role::Workspace)?,
                global: registry(options.global_registry, Role::Global)?,
                flights: Flights::default(),
                handed_out: Mutex::default(),
                archives: Arc::new(Semaphore::new(archive::AT_ONCE)),
                keys: Mutex::default(),
            }),
        })
    }
}

#[async_trait]
impl Images for LocalImages {
    async fn ensure(
        &self,
        wish: &ImageWish,
        progress: &dyn Progress,
    ) -> Result<ReadyImage, ImageError> {
        let wanted = Wanted {
            key: ImageKey::of(&wish.environment),
            runtime: wish.runtime,
            rebuild: wish.rebuild,
        };
        let flights = &self.inner.flights;
        let work = |log| Arc::clone(&self.inner).ensure(wish.clone(), log);
        flights.run(wanted, progress, work).await
    }

    async fn list(&self) -> Result<Vec<StoredImage>, ImageError> {
        self.inner.blocking(Inner::list).await
    }

    async fn show(&self, key: &ImageKey) -> Result<Vec<ImageDetail>, ImageError> {
        let key = key.clone();
        self.inner.blocking(move |inner| inner.show(&key)).await
    }

    async fn push(&self, key: &ImageKey, progress: &dyn Progress) -> Result<Pushed, ImageError> {
        self.inner.push(key, progress).await
    }

    async fn pull(
        &self,
        key: &ImageKey,
        progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError> {
        self.inner.pull(key, progress).await
    }

    async fn prune(&self, rules: &PruneRules) -> Result<Pruned, ImageError> {
        let rules = rules.clone();
        self.inner.blocking(move |inner| inner.prune(&rules)).await
    }

    async fn export(&self, key: &ImageKey) -> Result<ByteStream, ImageError> {
        archive::export(&self.inner, key).await
    }

    async fn import(&self, archive: ByteStream) -> Result<Vec<StoredImage>, ImageError> {
        archive::import(&self.inner, archive).await
    }

    async fn sbom(&self, key: &ImageKey) -> Result<Value, ImageError> {
        let key = key.clone();
        self.inner.blocking(move |inner| inner.sbom(&key)).await
    }
}

impl Inner {
    /// Runs what blocks on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Self) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let inner = Arc::clone(self);
        on_disk(move || body(&inner)).await
    }

    /// The turn of one piece of work on a key.
    pub(crate) async fn turn(&self, key: &ImageKey) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut keys = lock(&self.keys);
            keys.retain(|_, turn| turn.strong_count() > 0);
            match keys.get(key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(tokio::sync::Mutex::new(()));
                    keys.insert(key.clone(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }

    /// Lays an image out and hands its files to a caller. `_draft` holds the
    /// image until that is done.
    pub(crate) fn files(
        &self,
        _draft: &Draft,
        image: &Image,
        environment: &Environment,
    ) -> Result<Arc<ImageFiles>, ImageError> {
        let files = Arc::new(ImageFiles {
            packages: self.unpacked.lay_out(&self.layout, image)?,
            interpreter: self.builds.interpreter(&image.variant, environment)?,
        });
        let mut handed_out = lock(&self.handed_out);
        handed_out.retain(|_, files| {
            files.retain(|files| files.strong_count() > 0);
            !files.is_empty()
        });
        let digest = image.descriptor.digest;
        let all = handed_out.entry(digest).or_default();
        all.push(Arc::downgrade(&files));
        Ok(files)
    }

    /// Whether somebody holds files of an image.
    pub(crate) fn in_use(&self, manifest: Digest) -> bool {
        let handed_out = lock(&self.handed_out);
        let files = handed_out.get(&manifest);
        files.is_some_and(|files| files.iter().any(|files| files.strong_count() > 0))
    }

    /// Puts an image into the index, in place of one that was of the same name.
    pub(crate) fn name(&self, image: &Image) -> Result<(), ImageError> {
        self.name_all(std::slice::from_ref(image))
    }

    /// Puts images into the index, all at once.
    pub(crate) fn name_all(&self, images: &[Image]) -> Result<(), ImageError> {
        self.layout.change_index(|index| {
            for image in images {
                let (key, variant) = (&image.record.key, &image.record.variant);
                index
                    .manifests
                    .retain(|other| !is_called(other, key, variant));
                index.manifests.push(image.descriptor.clone());
            }
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
