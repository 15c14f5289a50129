//! The packed project folder of one deployment.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A project folder, packed, sorted and stripped of times, so that the same
/// content always has the same digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Digest of the uncompressed tar archive, which is the blob's name.
    pub digest: Digest,
    /// Files in it, at most [`Snapshot::MAX_FILES`].
    pub files: u32,
    /// Sum of the files' sizes, at most [`Snapshot::MAX_BYTES`].
    pub bytes: u64,
}

impl Snapshot {
    /// Most files of one snapshot, the original's limit.
    pub const MAX_FILES: u32 = 2_000;
    /// Most bytes of one snapshot after exclusion: the original's 300 MB.
    pub const MAX_BYTES: u64 = 300 * 1_000 * 1_000;
}
