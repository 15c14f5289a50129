//! Snapshots: a project folder packed so that the same content always has the
//! same digest, and unpacked so that nothing in it can reach out of its folder.
//!
//! Packing happens where the folder is (the command line), unpacking on the
//! node. Both refuse names that mean different things to different systems.

mod ignored;
mod name;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;

use std::{io, path::PathBuf};

pub use pack::{Packed, pack};
pub use unpack::{Unpacked, unpack};

use lusk_domain::Snapshot;

/// Lifts the limit of files when set to anything, as in the original.
pub const NO_FILE_LIMIT: &str = "AML_SNAPSHOT_NO_FILE_LIMIT";

/// How much a snapshot may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most files.
    pub files: u32,
    /// Most bytes of all files.
    pub bytes: u64,
}

impl Limits {
    /// Most files when the user lifted the limit: it keeps a data folder from
    /// running out of inodes.
    pub const MOST_FILES: u32 = 100_000;

    /// The original's limits.
    pub const DEFAULT: Self = Self {
        files: Snapshot::MAX_FILES,
        bytes: Snapshot::MAX_BYTES,
    };

    /// The limits with [`NO_FILE_LIMIT`] set.
    pub const LIFTED: Self = Self {
        files: Self::MOST_FILES,
        bytes: Snapshot::MAX_BYTES,
    };
}

/// Why a folder was not packed or a snapshot not unpacked; nothing is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Reading or writing failed.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// Of what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a folder.
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The one file to pack is not below the folder.
    #[error("`{}` is not a file below `{}`", file.display(), root.display())]
    NotBelow {
        /// The file.
        file: PathBuf,
        /// The folder.
        root: PathBuf,
    },
    /// The ignore file has a pattern that means nothing.
    #[error("ignore file `{}`: {cause}", path.display())]
    IgnoreFile {
        /// The ignore file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A name that cannot be kept.
    #[error("the name of `{name}` {rule}; rename it or ignore it")]
    BadName {
        /// The path, unprintable parts replaced.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// A link that leaves the folder or leads nowhere.
    #[error("link `{name}` {why}; replace it by a copy or ignore it")]
    BadLink {
        /// The link.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Neither file nor folder.
    #[error("`{name}` is {kind}; a snapshot holds only files")]
    NotAFile {
        /// The entry.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Over the limit of bytes.
    #[error(
        "the folder holds {bytes} bytes after exclusion, at most {limit} are allowed; the largest files: {}; \
         exclude files with `.amlignore`",
        offenders.join(", ")
    )]
    TooLarge {
        /// Bytes seen.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
        /// The five largest files with their sizes.
        offenders: Vec<String>,
    },
    /// Over the limit of files.
    #[error(
        "the folder holds {files} files after exclusion, at most {limit} are allowed; the fullest folders: {}; \
         exclude files with `.amlignore` or set {NO_FILE_LIMIT}",
        offenders.join(", ")
    )]
    TooMany {
        /// Files seen.
        files: usize,
        /// Files allowed.
        limit: u32,
        /// The five folders with most files.
        offenders: Vec<String>,
    },
    /// A file changed its size while it was read.
    #[error("`{name}` changed while it was packed; pack again")]
    Changed {
        /// The file.
        name: String,
    },
    /// Not a snapshot.
    #[error("the snapshot is not a valid archive: {0}")]
    Malformed(String),
    /// Two entries of one name.
    #[error("the snapshot holds `{name}` twice")]
    Duplicate {
        /// The name.
        name: String,
    },
}

impl SnapshotError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
