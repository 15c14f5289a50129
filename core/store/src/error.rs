//! Why a store was not opened, and the way out.

use std::{
    io,
    path::{Path, PathBuf},
};

use lusk_contract::RecordError;

use crate::space::is_full;

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or folder was not read or written.
    #[error("`{}` cannot be used", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The records do not fit together; nothing was removed or changed.
    #[error("the records in `{}` are damaged: {what}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer lusk wrote the records.
    #[error("the records have layout {found}, this lusk knows layouts up to {known}")]
    Newer {
        /// The layout found.
        found: u32,
        /// The newest layout known.
        known: u32,
    },
    /// The disk is full.
    #[error("no space left on the device of the data folder")]
    DiskFull,
    /// The engine failed.
    #[error("the store failed: {0}")]
    Engine(String),
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::DiskFull;
        }
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn engine(path: &Path, error: sled::Error) -> Self {
        match error {
            sled::Error::Io(source) => Self::io(path, source),
            sled::Error::Corruption { .. } => Self::damaged(path, "sled finds its log corrupt"),
            other => Self::Engine(other.to_string()),
        }
    }

    /// The way out, for a person.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(format!(
                "nothing was removed. Keep a copy of `{0}`, then put back a backup of the data \
                 folder, or start with empty records: mv '{0}' '{0}.damaged'",
                path.display()
            )),
            Self::Newer { .. } => Some("start the newer lusk again, or another --data".to_owned()),
            Self::DiskFull => Some("free space on the device and start again".to_owned()),
            _ => None,
        }
    }
}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::DiskFull => Self::DiskFull,
            other => Self::Engine(other.to_string()),
        }
    }
}
