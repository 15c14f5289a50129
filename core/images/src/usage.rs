//! What became of each image of this node: hits, misses, bytes moved.
//!
//! Kept in `usage.json`, written anew and renamed on every change. It is for
//! people: a damaged file means that counting starts again, nothing else.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use lusk_contract::{ImageError, ImageRecord, ImageSource, StoredImage};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::disk::failed;

/// Counts of one image, by key and variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Count {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) last_used: Timestamp,
    pub(crate) source: ImageSource,
    pub(crate) moved_bytes: u64,
}

type Counts = BTreeMap<String, Count>;

/// The counts of all images.
#[derive(Debug)]
pub(crate) struct Usage {
    path: PathBuf,
    tmp: PathBuf,
    counts: Mutex<Counts>,
}

impl Usage {
    pub(crate) fn open(path: &Path, tmp: &Path) -> Result<Self, ImageError> {
        let counts = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let path = path.display();
                tracing::warn!(%path, %error, "damaged usage file, counting images starts again");
                Counts::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Counts::new(),
            Err(error) => return Err(failed(path, &error)),
        };
        Ok(Self {
            path: path.to_owned(),
            tmp: tmp.to_owned(),
            counts: Mutex::new(counts),
        })
    }

    /// It was asked for and was there.
    pub(crate) fn hit(&self, image: &ImageRecord) {
        self.change(image, ImageSource::Local, |count| {
            count.hits += 1;
            count.last_used = Timestamp::now();
        });
    }

    /// It came to this node from `source`; `asked` tells whether a deployment
    /// asked for it and did not find it here.
    pub(crate) fn came(&self, image: &ImageRecord, source: ImageSource, asked: bool, moved: u64) {
        self.change(image, source, |count| {
            count.source = source;
            count.misses += u64::from(asked);
            count.moved_bytes += moved;
            count.last_used = Timestamp::now();
        });
    }

    /// Bytes of it were sent somewhere.
    pub(crate) fn moved(&self, image: &ImageRecord, bytes: u64) {
        if bytes > 0 {
            self.change(image, ImageSource::Local, |count| {
                count.moved_bytes += bytes
            });
        }
    }

    /// An image with its counts; one that was never counted was used when it was built.
    pub(crate) fn of(&self, record: &ImageRecord) -> StoredImage {
        let count = self.lock().get(&name(record)).cloned();
        let count = count.unwrap_or_else(|| never(record, ImageSource::Local));
        StoredImage {
            record: record.clone(),
            hits: count.hits,
            misses: count.misses,
            last_used: count.last_used,
            source: count.source,
            moved_bytes: count.moved_bytes,
        }
    }

    /// Forgets images that are gone.
    pub(crate) fn forget<'a>(&self, gone: impl Iterator<Item = &'a ImageRecord>) {
        let mut counts = self.lock();
        for image in gone {
            counts.remove(&name(image));
        }
        self.write(&counts);
    }

    fn change(&self, image: &ImageRecord, source: ImageSource, change: impl FnOnce(&mut Count)) {
        let mut counts = self.lock();
        let count = counts
            .entry(name(image))
            .or_insert_with(|| never(image, source));
        change(count);
        self.write(&counts);
    }

    /// A deployment does not fail for a count that could not be written.
    fn write(&self, counts: &Counts) {
        let write = || -> io::Result<()> {
            let mut file = NamedTempFile::new_in(&self.tmp)?;
            file.write_all(&serde_json::to_vec(counts)?)?;
            file.persist(&self.path)?;
            Ok(())
        };
        if let Err(error) = write() {
            let path = self.path.display();
            tracing::warn!(%path, %error, "usage of images not written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(image: &ImageRecord) -> String {
    format!("{}/{}", image.key, image.variant)
}

fn never(image: &ImageRecord, source: ImageSource) -> Count {
    Count {
        hits: 0,
        misses: 0,
        last_used: image.built,
        source,
        moved_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use lusk_domain::{Environment, ImageKey, RuntimeKind};

    use super::*;

    fn record() -> ImageRecord {
        ImageRecord {
            key: ImageKey::of(&Environment::default()),
            variant: "python3.14-wasm".to_owned(),
            manifest: "sha256:00".to_owned(),
            built: Timestamp::UNIX_EPOCH,
            runtime: RuntimeKind::Python,
            native: Vec::new(),
            bytes: 7,
        }
    }

    #[test]
    fn counts_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.json");
        let usage = Usage::open(&path, folder.path()).unwrap();
        assert_eq!(usage.of(&record()).last_used, Timestamp::UNIX_EPOCH);
        usage.came(&record(), ImageSource::Global, true, 40);
        usage.hit(&record());
        usage.hit(&record());
        usage.moved(&record(), 2);
        let seen = Usage::open(&path, folder.path()).unwrap().of(&record());
        assert_eq!((seen.hits, seen.misses, seen.moved_bytes), (2, 1, 42));
        assert_eq!(seen.source, ImageSource::Global);
        assert!(seen.last_used > Timestamp::UNIX_EPOCH);
        usage.forget([record()].iter());
        assert_eq!(usage.of(&record()).hits, 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.json");
        fs::write(&path, r#"{"x":{"hits":"#).unwrap();
        let usage = Usage::open(&path, folder.path()).unwrap();
        usage.hit(&record());
        let seen = Usage::open(&path, folder.path()).unwrap().of(&record());
        assert_eq!(seen.hits, 1);
    }
}
