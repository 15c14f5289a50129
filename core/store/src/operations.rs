//! Records of operations, the order of each service's, and which are under way.

use lusk_contract::RecordError;
use lusk_domain::{Operation, ServiceName};
use uuid::Uuid;

use crate::db::{Change, Table};

/// Operations kept of one service.
const KEPT: usize = 50;

const UNFINISHED: &[u8] = b"u/";

fn key(id: Uuid) -> Vec<u8> {
    [b"o/", id.as_bytes().as_slice()].concat()
}

fn unfinished_key(id: Uuid) -> Vec<u8> {
    [UNFINISHED, id.as_bytes()].concat()
}

fn history_prefix(service: &ServiceName) -> Vec<u8> {
    [b"h/", service.as_str().as_bytes(), b"\0"].concat()
}

/// Sorts by time of acceptance; years before 1970 do not come up.
fn history_key(operation: &Operation) -> Vec<u8> {
    let accepted = operation.created_time.as_microsecond().max(0);
    [
        history_prefix(&operation.service),
        accepted.to_be_bytes().to_vec(),
        operation.id.as_bytes().to_vec(),
    ]
    .concat()
}

pub(crate) fn put(
    table: &Table,
    change: &mut Change,
    operation: &Operation,
) -> Result<(), RecordError> {
    change.put(key(operation.id), operation)?;
    if operation.state.is_final() {
        change.remove(unfinished_key(operation.id));
    } else {
        change.put(unfinished_key(operation.id), &())?;
    }
    let history = history_key(operation);
    if !table.contains(&history)? {
        drop_oldest(table, change, &operation.service)?;
        change.put(history, &())?;
    }
    Ok(())
}

/// Makes room for one more operation of `service`.
fn drop_oldest(
    table: &Table,
    change: &mut Change,
    service: &ServiceName,
) -> Result<(), RecordError> {
    let keys = table.keys(&history_prefix(service))?;
    let excess = (keys.len() + 1).saturating_sub(KEPT);
    for history in keys.into_iter().take(excess) {
        if let Some(id) = history.last_chunk::<16>() {
            let id = Uuid::from_bytes(*id);
            change.remove(key(id));
            change.remove(unfinished_key(id));
        }
        change.remove(history);
    }
    Ok(())
}

pub(crate) fn get(table: &Table, id: Uuid) -> Result<Option<Operation>, RecordError> {
    table.get(&key(id))
}

pub(crate) fn unfinished(table: &Table) -> Result<Vec<Operation>, RecordError> {
    let mut operations = Vec::new();
    for pending in table.keys(UNFINISHED)? {
        if let Some(id) = pending.last_chunk::<16>() {
            operations.extend(get(table, Uuid::from_bytes(*id))?);
        }
    }
    Ok(operations)
}
