//! Records of services.

use lusk_contract::RecordError;
use lusk_domain::{Digest, ModelId, ServiceName, ServiceRecord, ServiceSpec};

use crate::{
    blobs::BlobFolder,
    db::{Change, Table},
    models,
};

const SERVICES: &[u8] = b"s/";

fn key(name: &ServiceName) -> Vec<u8> {
    [SERVICES, name.as_str().as_bytes(), b"\0"].concat()
}

/// The specification that was asked for and the one to fall back to.
fn specs(record: &ServiceRecord) -> impl Iterator<Item = &ServiceSpec> {
    [Some(&record.spec), record.healthy_spec.as_ref()]
        .into_iter()
        .flatten()
}

/// The models that must stay while the record does.
pub(crate) fn models(record: &ServiceRecord) -> impl Iterator<Item = &ModelId> {
    specs(record).flat_map(|spec| &spec.models)
}

/// The snapshots that must stay while the record does.
pub(crate) fn snapshots(record: &ServiceRecord) -> impl Iterator<Item = Digest> {
    let entries = specs(record).filter_map(|spec| spec.entry.as_ref());
    entries.map(|entry| entry.snapshot.digest)
}

/// Writes a record whose models and new snapshots are there; returns the
/// snapshots that it stopped naming.
pub(crate) fn put(
    table: &Table,
    change: &mut Change,
    blobs: &BlobFolder,
    record: &ServiceRecord,
) -> Result<Vec<Digest>, RecordError> {
    for id in models(record) {
        if !models::is_there(table, id)? {
            return Err(RecordError::NoModel(id.clone()));
        }
    }
    let before = get(table, &record.spec.name)?;
    let mut named: Vec<Digest> = before.iter().flat_map(snapshots).collect();
    for digest in snapshots(record) {
        // One that was named before may be lost by now; the state of its
        // service must still be recorded.
        if !named.contains(&digest) && blobs.stored_size(digest).is_none() {
            let path = "snapshot".to_owned();
            return Err(RecordError::NoBlob { path, digest });
        }
    }
    named.retain(|digest| snapshots(record).all(|kept| kept != *digest));
    change.put(key(&record.spec.name), record)?;
    Ok(named)
}

pub(crate) fn get(table: &Table, name: &ServiceName) -> Result<Option<ServiceRecord>, RecordError> {
    table.get(&key(name))
}

pub(crate) fn list(table: &Table) -> Result<Vec<ServiceRecord>, RecordError> {
    table.list(SERVICES)
}

/// Names of an endpoint's versions.
pub(crate) fn list_versions(
    table: &Table,
    endpoint: &ServiceName,
) -> Result<Vec<ServiceName>, RecordError> {
    let prefix = [SERVICES, endpoint.as_str().as_bytes(), b"/"].concat();
    let records: Vec<ServiceRecord> = table.list(&prefix)?;
    Ok(records.into_iter().map(|record| record.spec.name).collect())
}

/// Removes a record; returns the snapshots it named.
pub(crate) fn delete(
    table: &Table,
    change: &mut Change,
    name: &ServiceName,
) -> Result<Vec<Digest>, RecordError> {
    let before = get(table, name)?;
    change.remove(key(name));
    Ok(before.iter().flat_map(snapshots).collect())
}
