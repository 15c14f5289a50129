//! Records as runs of sled entries: a record's key and a part number.

use std::collections::BTreeMap;

use lusk_contract::RecordError;
use serde::{Serialize, de::DeserializeOwned};

use crate::space::is_full;

/// Bytes of a value in one sled entry. A sled leaf holds up to about 30 entries
/// before it splits, and a page over 128 KiB would leave the log.
pub(crate) const PART_BYTES: usize = 3 << 10;

/// Reads records. A record is a run of entries: its key and a part number.
#[derive(Debug)]
pub(crate) struct Table {
    tree: sled::Tree,
}

impl Table {
    pub(crate) fn new(tree: sled::Tree) -> Self {
        Self { tree }
    }

    pub(crate) fn tree(&self) -> &sled::Tree {
        &self.tree
    }

    /// One record.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, RecordError> {
        self.bytes(key)?
            .map(|bytes| parsed(key, &bytes))
            .transpose()
    }

    /// Whether a record is there.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, RecordError> {
        let first = self.tree.contains_key(part_key(key, 0));
        first.map_err(engine)
    }

    /// The records whose keys begin with `prefix`, in key order.
    pub(crate) fn list<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, RecordError> {
        let mut records = Vec::new();
        self.each(prefix, |key, bytes| {
            records.push(parsed(key, bytes)?);
            Ok(())
        })?;
        Ok(records)
    }

    /// The keys that begin with `prefix`, in order.
    pub(crate) fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, RecordError> {
        let mut keys = Vec::new();
        for key in self.tree.scan_prefix(prefix).keys() {
            let key = key.map_err(engine)?;
            if let Some((record, 0)) = split_part(&key) {
                keys.push(record.to_vec());
            }
        }
        Ok(keys)
    }

    /// Calls `visit` with each record whose key begins with `prefix`.
    pub(crate) fn each(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let mut current: Option<(Vec<u8>, Vec<u8>)> = None;
        for entry in self.tree.scan_prefix(prefix) {
            let (key, part) = entry.map_err(engine)?;
            match (split_part(&key), &mut current) {
                (Some((_, 1..)), Some((_, bytes))) => bytes.extend_from_slice(&part),
                (Some((record, 0)), _) => {
                    let next = (record.to_vec(), part.to_vec());
                    if let Some((record, bytes)) = current.replace(next) {
                        visit(&record, &bytes)?;
                    }
                }
                _ => return Err(RecordError::Engine(format!("stray entry {key:?}"))),
            }
        }
        current.map_or(Ok(()), |(record, bytes)| visit(&record, &bytes))
    }

    pub(crate) fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        let mut found = None;
        for part in 0..=u32::MAX {
            match self.tree.get(part_key(key, part)).map_err(engine)? {
                Some(bytes) => found.get_or_insert_with(Vec::new).extend_from_slice(&bytes),
                None => break,
            }
        }
        Ok(found)
    }
}

/// Records to write and to remove, as one step.
#[derive(Debug, Default)]
pub(crate) struct Change {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Change {
    /// Writes a record.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: &impl Serialize) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| RecordError::Engine(format!("record not serialised: {error}")))?;
        self.writes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What each record is to become; `None` is removal.
    pub(crate) fn writes(&self) -> &BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        &self.writes
    }

    /// Bytes of the records to write.
    pub(crate) fn size(&self) -> u64 {
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        self.writes.iter().map(size).sum::<usize>() as u64
    }

    pub(crate) fn batch(&self, table: &Table) -> sled::Result<sled::Batch> {
        let mut batch = sled::Batch::default();
        for (key, value) in &self.writes {
            let mut parts = 0;
            for part in value.iter().flat_map(|bytes| bytes.chunks(PART_BYTES)) {
                batch.insert(part_key(key, parts), part);
                parts += 1;
            }
            // What was longer before must not grow a tail.
            while table.tree.contains_key(part_key(key, parts))? {
                batch.remove(part_key(key, parts));
                parts += 1;
            }
        }
        Ok(batch)
    }
}

fn part_key(key: &[u8], part: u32) -> Vec<u8> {
    [key, &part.to_be_bytes()].concat()
}

fn split_part(key: &[u8]) -> Option<(&[u8], u32)> {
    let (record, part) = key.split_last_chunk::<4>()?;
    Some((record, u32::from_be_bytes(*part)))
}

fn parsed<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let key = String::from_utf8_lossy(key);
        RecordError::Engine(format!("record {key:?} is not readable: {error}"))
    })
}

pub(crate) fn engine(error: sled::Error) -> RecordError {
    match error {
        sled::Error::Io(error) if is_full(&error) => RecordError::DiskFull,
        other => RecordError::Engine(other.to_string()),
    }
}
