//! Who started a process, written into its environment, so that what outlived
//! its owner can be found.
//!
//! A mark is `<data folder>-<pid>-<start of that pid>-<host>-<worker>`: the
//! folder as a hash, then the lusk process, then numbers.

use std::{
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use sha2::{Digest, Sha256};

use super::table;

/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 8;

/// Makes marks.
#[derive(Debug)]
pub(super) struct Owner {
    folder: String,
    process: String,
}

impl Owner {
    /// This process, for the node that has the folder.
    pub(super) fn new(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let hash = Sha256::digest(folder.as_os_str().as_bytes());
        let started = table::own().map_or(0, |own| own.started);
        Self {
            folder: hex::encode(&hash[..HASH_BYTES]),
            process: format!("{}-{started}-{}", std::process::id(), next()),
        }
    }

    /// A mark that no other worker has.
    pub(super) fn mark(&self) -> String {
        format!("{}{}", self.prefix(), next())
    }

    /// Ends what workers of this host left behind.
    pub(super) fn sweep_own(&self) {
        let prefix = self.prefix();
        table::sweep(|mark| mark.starts_with(&prefix));
    }

    fn prefix(&self) -> String {
        format!("{}-{}-", self.folder, self.process)
    }

    /// Ends, in a thread, what an earlier process of the same folder left behind.
    pub(super) fn sweep_leftovers(&self) {
        let folder = self.folder.clone();
        let sweep = move || table::sweep(|mark| is_leftover(mark, &folder));
        if let Err(error) = thread::Builder::new()
            .name("lusk-leftovers".to_owned())
            .spawn(sweep)
        {
            tracing::warn!(%error, "processes of an earlier run are not looked for");
        }
    }
}

/// Counts for the whole process: several hosts may share a folder.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether the mark is of this folder and the process that gave it is gone.
fn is_leftover(mark: &str, folder: &str) -> bool {
    let mut parts = mark.split('-');
    let (Some(theirs), Some(Ok(pid)), Some(Ok(started))) = (
        parts.next(),
        parts.next().map(str::parse::<i32>),
        parts.next().map(str::parse::<u64>),
    ) else {
        return false;
    };
    theirs == folder && table::process(pid).is_none_or(|now| now.started != started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_living_and_of_others_are_left_alone() {
        let owner = Owner::new(Path::new("/tmp"));
        let mark = owner.mark();
        assert_ne!(mark, owner.mark());
        assert!(!is_leftover(&mark, &owner.folder));
        let dead = format!("{}-{}-1-0", owner.folder, std::process::id());
        assert!(is_leftover(&dead, &owner.folder));
        assert!(!is_leftover(&dead, "other"));
        assert!(!is_leftover("anything", "anything"));
    }
}
