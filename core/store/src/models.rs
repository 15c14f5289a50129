//! Records of models, and the counter of each name's versions.
//!
//! The counter outlives the models: a version is never given twice.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use lusk_contract::{ModelFilter, RecordError};
use lusk_domain::{
    Digest, Model, ModelChange, ModelDraft, ModelId, ModelName, ModelVersion, ServiceName,
};
use serde::Deserialize;

use crate::{
    blobs::BlobFolder,
    db::{Change, Table},
    services,
};

const MODELS: &[u8] = b"m/";

/// Names never hold a zero byte, so `a` sorts before `a.b` and no key is the
/// beginning of another.
fn key(id: &ModelId) -> Vec<u8> {
    [name_prefix(&id.name), id.version.0.to_be_bytes().to_vec()].concat()
}

fn name_prefix(name: &ModelName) -> Vec<u8> {
    [MODELS, name.as_str().as_bytes(), b"\0"].concat()
}

fn counter_key(name: &ModelName) -> Vec<u8> {
    [b"c/", name.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn register(
    table: &Table,
    change: &mut Change,
    blobs: &BlobFolder,
    mut draft: ModelDraft,
) -> Result<Model, RecordError> {
    draft.check()?;
    for file in &mut draft.files {
        let size = blobs.stored_size(file.digest);
        file.size = size.ok_or_else(|| RecordError::NoBlob {
            path: file.path.clone(),
            digest: file.digest,
        })?;
    }
    let last = table.get::<ModelVersion>(&counter_key(&draft.name))?;
    let version = last.map_or(ModelVersion::FIRST, ModelVersion::next);
    change.put(counter_key(&draft.name), &version)?;
    let model = Model {
        id: ModelId {
            name: draft.name.clone(),
            version,
        },
        created_time: Timestamp::now(),
        draft,
    };
    change.put(key(&model.id), &model)?;
    Ok(model)
}

pub(crate) fn get(table: &Table, id: &ModelId) -> Result<Option<Model>, RecordError> {
    table.get(&key(id))
}

pub(crate) fn is_there(table: &Table, id: &ModelId) -> Result<bool, RecordError> {
    table.contains(&key(id))
}

pub(crate) fn list(table: &Table, filter: &ModelFilter) -> Result<Vec<Model>, RecordError> {
    let prefix = filter.name.as_ref().map_or(MODELS.to_vec(), name_prefix);
    let mut models: Vec<Model> = table.list(&prefix)?;
    if filter.latest {
        // Versions of one name are neighbours, the highest last.
        let next: Vec<_> = models
            .iter()
            .skip(1)
            .map(|model| model.id.name.clone())
            .collect();
        let mut next = next.into_iter().map(Some).chain([None]);
        models.retain(|model| next.next().flatten().as_ref() != Some(&model.id.name));
    }
    models.retain(|model| matches(&model.draft, filter));
    Ok(models)
}

fn matches(draft: &ModelDraft, filter: &ModelFilter) -> bool {
    let run = filter.run_id.is_none() || draft.run_id == filter.run_id;
    let framework = filter.framework.is_none() || draft.framework == filter.framework;
    run && framework
        && has_labels(&draft.tags, &filter.tags)
        && has_labels(&draft.properties, &filter.properties)
}

fn has_labels(
    labels: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, Option<String>>,
) -> bool {
    wanted.iter().all(|(key, value)| {
        let found = labels.get(key);
        found.is_some() && (value.is_none() || found == value.as_ref())
    })
}

pub(crate) fn change(
    table: &Table,
    writes: &mut Change,
    id: &ModelId,
    change: ModelChange,
) -> Result<Model, RecordError> {
    let mut model = get(table, id)?.ok_or_else(|| RecordError::NoModel(id.clone()))?;
    model.apply(change)?;
    writes.put(key(id), &model)?;
    Ok(model)
}

/// Removes a model that no service names; returns the blobs it named.
pub(crate) fn delete(
    table: &Table,
    change: &mut Change,
    id: &ModelId,
) -> Result<Vec<Digest>, RecordError> {
    let model = get(table, id)?.ok_or_else(|| RecordError::NoModel(id.clone()))?;
    let mut users: Vec<ServiceName> = Vec::new();
    for record in services::list(table)? {
        if services::models(&record).any(|used| used == id) {
            users.push(record.spec.name);
        }
    }
    if !users.is_empty() {
        let model = id.clone();
        return Err(RecordError::ModelInUse { model, users });
    }
    change.remove(key(id));
    Ok(model
        .draft
        .files
        .into_iter()
        .map(|file| file.digest)
        .collect())
}

/// Every digest that a model names.
pub(crate) fn named_blobs(table: &Table) -> Result<HashSet<Digest>, RecordError> {
    /// A model's files and nothing else: garbage is looked for among all models.
    #[derive(Deserialize)]
    struct Files {
        files: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        digest: Digest,
    }
    let mut named = HashSet::new();
    for model in table.list::<Files>(MODELS)? {
        named.extend(model.files.into_iter().map(|file| file.digest));
    }
    Ok(named)
}
