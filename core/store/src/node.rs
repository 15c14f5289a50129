//! The data folder of a node: its layout, its lock, and the two files by which
//! every other command finds and enters the node.
//!
//! Invariant: while a [`DataFolder`] lives, no other process holds the folder.

mod view;

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use lusk_domain::Secret;
use serde::{Deserialize, Serialize};

use crate::{
    files::{empty_folder, private, private_folder, read_small, remove_folder, write_atomically},
    space::is_full,
};

pub use view::{FolderView, Holder};

const LOCK: &str = "lock";
const NODE: &str = "node.json";
const TOKEN: &str = "admin.token";

/// Base62 characters of an admin token: 238 bits.
const TOKEN_LENGTH: usize = 40;

/// Bytes of the node's small files that are read at most.
const SMALL_FILE_BYTES: u64 = 64 << 10;

const FOLDERS: [&str; 9] = [
    "meta",
    "blobs",
    "images",
    "aot",
    "logs",
    "mirror",
    "outputs",
    "modeldata",
    "tmp",
];

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataFolderError {
    /// Another process works in it.
    #[error("data folder `{}` is in use by {}", path.display(), pid.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, if it wrote its number.
        pid: Option<u32>,
    },
    /// A file or folder was not made, read or written.
    #[error("`{}` cannot be {action}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was meant to be done to it.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left on the device of the data folder")]
    DiskFull,
    /// The system gave no random bytes for a token.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(String),
    /// A file of the node holds something else.
    #[error("`{}` is not what lusk wrote there: {what}", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl DataFolderError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if is_full(&source) {
                Self::DiskFull
            } else {
                Self::Io {
                    path,
                    action,
                    source,
                }
            }
        }
    }

    /// The way out, for a person.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::InUse { pid: Some(pid), .. } => Some(format!(
                "stop that one (kill {pid}) or choose another folder with --data"
            )),
            Self::InUse { .. } | Self::Io { .. } => {
                Some("choose another folder with --data or LUSK_DATA".to_owned())
            }
            Self::DiskFull => Some("free space on the device and start again".to_owned()),
            Self::Foreign { path, .. } => {
                Some(format!("move it away: mv '{0}' '{0}.old'", path.display()))
            }
            Self::NoRandomness(_) => None,
        }
    }
}

/// Where a node listens: the content of `node.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// URL of the scoring door.
    pub scoring: String,
    /// URL of the admin door.
    pub admin: String,
    /// The data folder.
    pub data: PathBuf,
    /// The process.
    pub pid: u32,
    /// Version of lusk.
    pub version: String,
}

impl NodeInfo {
    /// The node that works in `data` as it announced itself, `None` if none
    /// did. One that was killed leaves its announcement behind.
    ///
    /// # Errors
    /// A `node.json` that cannot be read or is not one.
    pub fn read(data: &Path) -> Result<Option<Self>, DataFolderError> {
        let path = data.join(NODE);
        let text = match read_small(&path, SMALL_FILE_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataFolderError::io(&path, "read")(error)),
        };
        let info = serde_json::from_str(&text);
        info.map(Some).map_err(|error| DataFolderError::Foreign {
            path,
            what: error.to_string(),
        })
    }

    /// The admin token of the node that works in `data`, `None` before its
    /// first start.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn admin_token(data: &Path) -> Result<Option<Secret>, DataFolderError> {
        let path = data.join(TOKEN);
        match read_small(&path, SMALL_FILE_BYTES) {
            Ok(text) => Ok(Some(Secret::new(text.trim()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DataFolderError::io(&path, "read")(error)),
        }
    }
}

/// A data folder that this process holds.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    ephemeral: bool,
    announced: bool,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder and what belongs into it, takes its lock, and empties
    /// `tmp/`. An `ephemeral` one is removed when this is dropped.
    ///
    /// # Errors
    /// A folder that another process holds or that cannot be written.
    pub fn lock(path: &Path, ephemeral: bool) -> Result<Self, DataFolderError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(DataFolderError::io(path, "created"))?;
        // Links above the folder are the user's choice; the name of what they
        // lead to is what others find the node by.
        let path = fs::canonicalize(path).map_err(DataFolderError::io(path, "opened"))?;
        let lock = take_lock(&path)?;
        for name in FOLDERS {
            let folder = path.join(name);
            private_folder(&folder).map_err(DataFolderError::io(&folder, "created"))?;
        }
        let tmp = path.join("tmp");
        empty_folder(&tmp).map_err(DataFolderError::io(&tmp, "emptied"))?;
        // Left behind by a node that was killed.
        remove_file(&path.join(NODE))?;
        Ok(Self {
            path,
            ephemeral,
            announced: false,
            _lock: lock,
        })
    }

    /// The folder itself, absolute and without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `images/`: the OCI layout.
    pub fn images(&self) -> PathBuf {
        self.path.join("images")
    }

    /// `aot/`: compiled code, safe to delete.
    pub fn aot(&self) -> PathBuf {
        self.path.join("aot")
    }

    /// `logs/`: logs of services.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// `mirror/`: answers of mirrored versions beside the live ones.
    pub fn mirror(&self) -> PathBuf {
        self.path.join("mirror")
    }

    /// `outputs/`: what scripts wrote.
    pub fn outputs(&self) -> PathBuf {
        self.path.join("outputs")
    }

    /// `modeldata/`: collected model data.
    pub fn modeldata(&self) -> PathBuf {
        self.path.join("modeldata")
    }

    /// `tmp/`: emptied at every start.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The token that opens the admin door; made at first use and kept over
    /// restarts.
    ///
    /// # Errors
    /// A token file that cannot be read or written, or is too short to be one.
    pub fn admin_token(&self) -> Result<Secret, DataFolderError> {
        let path = self.path.join(TOKEN);
        if let Some(token) = NodeInfo::admin_token(&self.path)? {
            if token.reveal().len() >= 32 && token.reveal().bytes().all(|b| b.is_ascii_graphic()) {
                return Ok(token);
            }
            let what = "a token has 32 visible characters at least".to_owned();
            return Err(DataFolderError::Foreign { path, what });
        }
        let token = base62(TOKEN_LENGTH)?;
        write_atomically(&self.tmp(), &path, format!("{token}\n").as_bytes())
            .map_err(DataFolderError::io(&path, "written"))?;
        Ok(Secret::new(token))
    }

    /// Tells other commands where the node listens: `node.json`, gone again
    /// when this is dropped.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn announce(&mut self, info: &NodeInfo) -> Result<(), DataFolderError> {
        let path = self.path.join(NODE);
        let mut text =
            serde_json::to_vec_pretty(info).map_err(|error| DataFolderError::Foreign {
                path: path.clone(),
                what: error.to_string(),
            })?;
        text.push(b'\n');
        write_atomically(&self.tmp(), &path, &text)
            .map_err(DataFolderError::io(&path, "written"))?;
        self.announced = true;
        Ok(())
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        let removed = if self.ephemeral {
            // A thread that is still ending may write a last file in between.
            remove_folder(&self.path).or_else(|_| remove_folder(&self.path))
        } else if self.announced {
            fs::remove_file(self.path.join(NODE))
        } else {
            Ok(())
        };
        if let Err(error) = removed {
            tracing::warn!(folder = %self.path.display(), %error, "data folder not left clean");
        }
    }
}

fn take_lock(folder: &Path) -> Result<File, DataFolderError> {
    let path = folder.join(LOCK);
    let mut options = private();
    options.create(true).read(true).write(true);
    let mut file = options
        .open(&path)
        .map_err(DataFolderError::io(&path, "opened"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = lock_holder(&path);
            return Err(DataFolderError::InUse {
                path: folder.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(error)) => {
            return Err(DataFolderError::io(&path, "locked")(error));
        }
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(DataFolderError::io(&path, "written"))?;
    Ok(file)
}

/// The number that the holder of a lock file wrote there.
fn lock_holder(path: &Path) -> Option<u32> {
    read_small(path, 32).ok()?.trim().parse().ok()
}

fn remove_file(path: &Path) -> Result<(), DataFolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DataFolderError::io(path, "removed")(error))
        }
        _ => Ok(()),
    }
}

/// `length` characters from the system's random source, each equally likely.
fn base62(length: usize) -> Result<String, DataFolderError> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)
            .map_err(|error| DataFolderError::NoRandomness(error.to_string()))?;
        // 248 is the largest multiple of 62 in a byte.
        let even = bytes.into_iter().filter(|byte| *byte < 248);
        let chars = even.map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(chars.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
