//! The store: records and blobs under one lock, so that what a record names
//! cannot be removed while it is written.

use std::{collections::HashSet, fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use lusk_contract::{ModelFilter, RecordError, Records};
use lusk_domain::{
    Digest, EndpointRecord, Environment, EnvironmentName, Model, ModelChange, ModelDraft, ModelId,
    Operation, RegisteredEnvironment, ServiceName, ServiceRecord, VersionName,
};
use uuid::Uuid;

use crate::{
    StoreError,
    blobs::{BlobFolder, LocalBlobs},
    db::{Change, Db, Purpose, Table},
    endpoints, environments,
    files::private_folder,
    models, operations, services,
};

/// Version of the layout of records.
const SCHEMA: u32 = 1;

/// The record of the layout's version.
const SCHEMA_KEY: &[u8] = b"!schema";

/// What makes records of layout `n` from those of layout `n - 1`, at `n - 2`.
const MIGRATIONS: [Migration; SCHEMA as usize - 1] = [];

type Migration = fn(&Table, &mut Change) -> Result<(), RecordError>;

/// How long content that no record names is kept: an upload is registered
/// within this time.
const UNNAMED_FOR: Duration = Duration::from_secs(60 * 60);

/// What a collection of garbage removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The records of a data folder. Clones share one store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    blobs: Arc<BlobFolder>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in the data folder `data`, or makes an empty one;
    /// removes old content that no record names. Blocks on the disk.
    ///
    /// # Errors
    /// A folder that cannot be used, records that are damaged or of a newer
    /// lusk, a full disk.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let folder = |name| {
            let path = data.join(name);
            private_folder(&path)
                .map_err(|error| StoreError::io(&path, error))
                .map(|()| path)
        };
        let (meta, tmp) = (folder("meta")?, folder("tmp")?);
        let blobs = BlobFolder::open(&folder("blobs")?, &tmp)
            .map_err(|error| StoreError::io(&data.join("blobs"), error))?;
        let db = Db::open(&meta, &tmp)?;
        migrate(&db, &MIGRATIONS)?;
        let store = Self {
            inner: Arc::new(Inner {
                db,
                blobs: Arc::new(blobs),
            }),
        };
        let collected = store.inner.collect(Timestamp::now())?;
        if collected.blobs > 0 {
            tracing::info!(
                blobs = collected.blobs,
                bytes = collected.bytes,
                "unnamed content removed"
            );
        }
        Ok(store)
    }

    /// The blobs that the records name.
    pub fn blobs(&self) -> LocalBlobs {
        LocalBlobs::new(Arc::clone(&self.inner.blobs))
    }

    /// Removes blobs that no model and no service names and that nobody stored
    /// or asked about for an hour.
    ///
    /// # Errors
    /// Records or blobs that cannot be read.
    pub async fn collect_garbage(&self) -> Result<Collected, RecordError> {
        self.on_disk(|inner| inner.collect(Timestamp::now())).await
    }

    /// Runs `body` where it may block. It runs to its end even when the caller
    /// stops waiting.
    async fn on_disk<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Inner) -> Result<T, RecordError> + Send + 'static,
    ) -> Result<T, RecordError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || body(&inner))
            .await
            .map_err(|error| {
                RecordError::Engine(format!("a call of the store was lost: {error}"))
            })?
    }
}

impl Inner {
    fn collect(&self, now: Timestamp) -> Result<Collected, RecordError> {
        let Ok(before) = now.checked_sub(UNNAMED_FOR) else {
            return Ok(Collected::default());
        };
        self.db.hold(|table| {
            let named = named_blobs(table)?;
            let removed = self.blobs.remove_unnamed(&named, before);
            removed.map_err(|error| RecordError::Engine(format!("content not listed: {error}")))
        })
    }

    /// Removes those of `candidates` that no record names and nobody waits for.
    /// The change that stopped naming them is written: what goes wrong here is
    /// left to the next collection.
    fn drop_unnamed(&self, candidates: Vec<Digest>) {
        if candidates.is_empty() {
            return;
        }
        let dropped = self.db.hold(|table| {
            let named = named_blobs(table)?;
            for digest in candidates.iter().filter(|digest| !named.contains(*digest)) {
                self.blobs.remove_if_unwanted(*digest);
            }
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "unnamed content not removed");
        }
    }
}

/// Every digest that a model or a service names.
fn named_blobs(table: &Table) -> Result<HashSet<Digest>, RecordError> {
    let mut named = models::named_blobs(table)?;
    for record in services::list(table)? {
        named.extend(services::snapshots(&record));
    }
    Ok(named)
}

fn migrate(db: &Db, migrations: &[Migration]) -> Result<(), StoreError> {
    let known = migrations.len() as u32 + 1;
    let found = db.read(|table| table.get::<u32>(SCHEMA_KEY))?;
    match found {
        Some(found) if found == known => return Ok(()),
        Some(found) if found > known => return Err(StoreError::Newer { found, known }),
        _ => {}
    }
    let mut layout = found.unwrap_or(known);
    loop {
        let step = migrations.get(layout as usize - 1);
        db.write(Purpose::Grow, |table, change| {
            if let Some(step) = step {
                step(table, change)?;
                layout += 1;
            }
            change.put(SCHEMA_KEY.to_vec(), &layout)
        })?;
        if layout == known {
            return Ok(());
        }
    }
}

#[async_trait]
impl Records for Store {
    async fn register_model(&self, draft: ModelDraft) -> Result<Model, RecordError> {
        self.on_disk(|inner| {
            let model = inner.db.write(Purpose::Grow, |table, change| {
                models::register(table, change, &inner.blobs, draft)
            })?;
            for file in &model.draft.files {
                inner.blobs.delivered(file.digest);
            }
            Ok(model)
        })
        .await
    }

    async fn model(&self, id: &ModelId) -> Result<Option<Model>, RecordError> {
        let id = id.clone();
        self.on_disk(move |inner| inner.db.read(|table| models::get(table, &id)))
            .await
    }

    async fn models(&self, filter: &ModelFilter) -> Result<Vec<Model>, RecordError> {
        let filter = filter.clone();
        self.on_disk(move |inner| inner.db.read(|table| models::list(table, &filter)))
            .await
    }

    async fn change_model(&self, id: &ModelId, change: ModelChange) -> Result<Model, RecordError> {
        let id = id.clone();
        self.on_disk(move |inner| {
            inner.db.write(Purpose::Grow, |table, writes| {
                models::change(table, writes, &id, change)
            })
        })
        .await
    }

    async fn delete_model(&self, id: &ModelId) -> Result<(), RecordError> {
        let id = id.clone();
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Shrink, |table, change| {
                models::delete(table, change, &id)
            })?;
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn register_environment(
        &self,
        name: &EnvironmentName,
        environment: Environment,
    ) -> Result<RegisteredEnvironment, RecordError> {
        let name = name.clone();
        self.on_disk(move |inner| {
            inner.db.write(Purpose::Grow, |table, change| {
                environments::register(table, change, &name, environment)
            })
        })
        .await
    }

    async fn environment(
        &self,
        name: &EnvironmentName,
        version: Option<&str>,
    ) -> Result<Option<RegisteredEnvironment>, RecordError> {
        let (name, version) = (name.clone(), version.map(str::to_owned));
        self.on_disk(move |inner| {
            let read = |table: &_| environments::get(table, &name, version.as_deref());
            inner.db.read(read)
        })
        .await
    }

    async fn environments(&self) -> Result<Vec<RegisteredEnvironment>, RecordError> {
        self.on_disk(|inner| inner.db.read(environments::list))
            .await
    }

    async fn put_service(
        &self,
        record: &ServiceRecord,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        let (record, operation) = (record.clone(), operation.clone());
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Grow, |table, change| {
                operations::put(table, change, &operation)?;
                services::put(table, change, &inner.blobs, &record)
            })?;
            for digest in services::snapshots(&record) {
                inner.blobs.delivered(digest);
            }
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn service(&self, name: &ServiceName) -> Result<Option<ServiceRecord>, RecordError> {
        let name = name.clone();
        self.on_disk(move |inner| inner.db.read(|table| services::get(table, &name)))
            .await
    }

    async fn services(&self) -> Result<Vec<ServiceRecord>, RecordError> {
        self.on_disk(|inner| inner.db.read(services::list)).await
    }

    async fn delete_service(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        let (name, operation) = (name.clone(), operation.clone());
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Shrink, |table, change| {
                operations::put(table, change, &operation)?;
                services::delete(table, change, &name)
            })?;
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        version: Option<&ServiceRecord>,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        let (record, version) = (record.clone(), version.cloned());
        let operation = operation.clone();
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Grow, |table, change| {
                operations::put(table, change, &operation)?;
                endpoints::put(change, &record)?;
                match &version {
                    Some(version) => services::put(table, change, &inner.blobs, version),
                    None => Ok(Vec::new()),
                }
            })?;
            for digest in version.iter().flat_map(services::snapshots) {
                inner.blobs.delivered(digest);
            }
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn endpoint(&self, name: &ServiceName) -> Result<Option<EndpointRecord>, RecordError> {
        let name = name.clone();
        self.on_disk(move |inner| inner.db.read(|table| endpoints::get(table, &name)))
            .await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRecord>, RecordError> {
        self.on_disk(|inner| inner.db.read(endpoints::list)).await
    }

    async fn delete_version(
        &self,
        record: &EndpointRecord,
        version: &VersionName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        let (record, operation) = (record.clone(), operation.clone());
        let name = ServiceName::of_version(&record.name, version);
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Shrink, |table, change| {
                operations::put(table, change, &operation)?;
                endpoints::put(change, &record)?;
                services::delete(table, change, &name)
            })?;
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn delete_endpoint(
        &self,
        name: &ServiceName,
        operation: &Operation,
    ) -> Result<(), RecordError> {
        let (name, operation) = (name.clone(), operation.clone());
        self.on_disk(move |inner| {
            let unnamed = inner.db.write(Purpose::Shrink, |table, change| {
                operations::put(table, change, &operation)?;
                endpoints::delete(table, change, &name)
            })?;
            inner.drop_unnamed(unnamed);
            Ok(())
        })
        .await
    }

    async fn put_operation(&self, operation: &Operation) -> Result<(), RecordError> {
        let operation = operation.clone();
        self.on_disk(move |inner| {
            inner.db.write(Purpose::Grow, |table, change| {
                operations::put(table, change, &operation)
            })
        })
        .await
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>, RecordError> {
        self.on_disk(move |inner| inner.db.read(|table| operations::get(table, id)))
            .await
    }

    async fn unfinished_operations(&self) -> Result<Vec<Operation>, RecordError> {
        self.on_disk(|inner| inner.db.read(operations::unfinished))
            .await
    }
}

#[cfg(test)]
mod tests;
