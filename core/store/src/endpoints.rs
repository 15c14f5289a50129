//! Records of endpoints. Their versions are services, see `services`.

use lusk_contract::RecordError;
use lusk_domain::{Digest, EndpointRecord, ServiceName};

use crate::{
    db::{Change, Table},
    services,
};

const ENDPOINTS: &[u8] = b"p/";

fn key(name: &ServiceName) -> Vec<u8> {
    [ENDPOINTS, name.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn put(change: &mut Change, record: &EndpointRecord) -> Result<(), RecordError> {
    change.put(key(&record.name), record)
}

pub(crate) fn get(
    table: &Table,
    name: &ServiceName,
) -> Result<Option<EndpointRecord>, RecordError> {
    table.get(&key(name))
}

pub(crate) fn list(table: &Table) -> Result<Vec<EndpointRecord>, RecordError> {
    table.list(ENDPOINTS)
}

/// Removes a record and those of its versions; returns the snapshots they named.
pub(crate) fn delete(
    table: &Table,
    change: &mut Change,
    name: &ServiceName,
) -> Result<Vec<Digest>, RecordError> {
    change.remove(key(name));
    let mut unnamed = Vec::new();
    for version in services::list_versions(table, name)? {
        unnamed.extend(services::delete(table, change, &version)?);
    }
    Ok(unnamed)
}
