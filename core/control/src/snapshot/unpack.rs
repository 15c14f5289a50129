//! Unpacks a snapshot into a fresh folder. The archive is not trusted: only
//! plain files and folders, plain names, each once, within limits.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::Path,
};

use tar::{Archive, EntryType};

use super::{Limits, SnapshotError, name};

/// What an unpacked snapshot held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u32,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Unpacks `archive` into the folder `into`, which must not be there yet; its
/// files are read-only.
///
/// # Errors
/// Anything wrong with the archive; then the folder is gone again.
pub fn unpack(archive: impl Read, into: &Path, limits: Limits) -> Result<Unpacked, SnapshotError> {
    fs::create_dir(into).map_err(SnapshotError::io(into))?;
    let result = Unpacking::new(into, limits).run(archive);
    if result.is_err()
        && let Err(error) = fs::remove_dir_all(into)
    {
        tracing::warn!(folder = %into.display(), %error, "cannot remove a half-unpacked snapshot");
    }
    result
}

struct Unpacking<'a> {
    into: &'a Path,
    limits: Limits,
    names: HashSet<String>,
    /// The name of the next entry if it did not fit into its header.
    long_name: Option<Vec<u8>>,
    unpacked: Unpacked,
}

impl<'a> Unpacking<'a> {
    fn new(into: &'a Path, limits: Limits) -> Self {
        Self {
            into,
            limits,
            names: HashSet::new(),
            long_name: None,
            unpacked: Unpacked { files: 0, bytes: 0 },
        }
    }

    fn run(mut self, archive: impl Read) -> Result<Unpacked, SnapshotError> {
        let mut archive = Archive::new(archive);
        // Raw entries: long names are read here, within their limit.
        for entry in archive.entries().map_err(malformed)?.raw(true) {
            let mut entry = entry.map_err(malformed)?;
            let kind = entry.header().entry_type();
            if kind == EntryType::GNULongName {
                self.read_long_name(&mut entry)?;
                continue;
            }
            let raw = match self.long_name.take() {
                Some(name) => name,
                None => entry.header().path_bytes().into_owned(),
            };
            let name = readable(raw)?;
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let bytes = entry.size();
                    self.file(&name, bytes, &mut entry)?;
                }
                EntryType::Directory => self.folder(name.trim_end_matches('/'))?,
                other => {
                    let kind = describe(other);
                    return Err(SnapshotError::NotAFile { name, kind });
                }
            }
        }
        Ok(self.unpacked)
    }

    fn read_long_name(&mut self, entry: &mut impl Read) -> Result<(), SnapshotError> {
        let mut name = Vec::new();
        let limit = name::MAX_PATH as u64 + 2;
        entry
            .take(limit)
            .read_to_end(&mut name)
            .map_err(malformed)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        self.long_name = Some(name);
        Ok(())
    }

    fn file(
        &mut self,
        name: &str,
        bytes: u64,
        content: &mut impl Read,
    ) -> Result<(), SnapshotError> {
        self.admit(name, bytes)?;
        self.unpacked.files += 1;
        let path = self.into.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(SnapshotError::io(parent))?;
        }
        let created = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path);
        let mut file = created.map_err(SnapshotError::io(&path))?;
        let copied = io::copy(content, &mut file).map_err(SnapshotError::io(&path))?;
        if copied != bytes {
            return Err(SnapshotError::Malformed(format!(
                "`{name}` ends after {copied} of {bytes} bytes"
            )));
        }
        let mut mode = file
            .metadata()
            .map_err(SnapshotError::io(&path))?
            .permissions();
        mode.set_readonly(true);
        fs::set_permissions(&path, mode).map_err(SnapshotError::io(&path))
    }

    fn folder(&mut self, name: &str) -> Result<(), SnapshotError> {
        self.admit(name, 0)?;
        let path = self.into.join(name);
        fs::create_dir_all(&path).map_err(SnapshotError::io(&path))
    }

    /// Lets one entry in, or refuses it before anything of it is written.
    fn admit(&mut self, name: &str, bytes: u64) -> Result<(), SnapshotError> {
        name::check(name)?;
        let total = self.unpacked.bytes.saturating_add(bytes);
        if total > self.limits.bytes {
            return Err(SnapshotError::TooLarge {
                bytes: total,
                limit: self.limits.bytes,
                offenders: vec![format!("`{name}`")],
            });
        }
        if self.names.len() >= self.limits.files as usize {
            return Err(SnapshotError::TooMany {
                files: self.names.len() + 1,
                limit: self.limits.files,
                offenders: vec![format!("`{name}`")],
            });
        }
        if !self.names.insert(name.to_owned()) {
            return Err(SnapshotError::Duplicate {
                name: name.to_owned(),
            });
        }
        self.unpacked.bytes = total;
        Ok(())
    }
}

fn readable(name: Vec<u8>) -> Result<String, SnapshotError> {
    String::from_utf8(name).map_err(|error| SnapshotError::BadName {
        name: String::from_utf8_lossy(error.as_bytes())
            .chars()
            .take(200)
            .collect(),
        rule: "is not UTF-8 text",
    })
}

fn describe(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "of a kind that no snapshot holds",
    }
}

fn malformed(error: io::Error) -> SnapshotError {
    SnapshotError::Malformed(error.to_string())
}
