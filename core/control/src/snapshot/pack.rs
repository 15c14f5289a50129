//! Packs a project folder into an archive whose bytes depend on names and
//! contents alone: sorted, without times, owners or modes.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    env, fs,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use lusk_domain::{Digest, Snapshot};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::{
    Limits, NO_FILE_LIMIT, SnapshotError,
    ignored::Ignored,
    name,
    walk::{Found, Walk, one_file},
};
use crate::text::size;

/// Mode of every packed file. Nothing runs a file of a snapshot by its mode.
const MODE: u32 = 0o644;

/// Offenders that a refusal names.
const NAMED: usize = 5;

/// A packed folder.
#[derive(Debug)]
pub struct Packed {
    /// What it holds and is called.
    pub snapshot: Snapshot,
    /// The archive, an uncompressed tar; removed on drop.
    pub archive: NamedTempFile,
    /// Files and whole folders that the ignore file kept out.
    pub ignored: u32,
}

/// Packs the folder `root`, under the name `top` if there is one; or `only`
/// one file of it, to which no ignore rule applies.
///
/// # Errors
/// A name, link or file that a snapshot cannot hold, or too much of them.
pub fn pack(root: &Path, top: Option<&str>, only: Option<&Path>) -> Result<Packed, SnapshotError> {
    let limits = match env::var_os(NO_FILE_LIMIT) {
        Some(_) => Limits::LIFTED,
        None => Limits::DEFAULT,
    };
    pack_within(root, top, only, limits)
}

pub(super) fn pack_within(
    root: &Path,
    top: Option<&str>,
    only: Option<&Path>,
    limits: Limits,
) -> Result<Packed, SnapshotError> {
    let real = fs::canonicalize(root).map_err(SnapshotError::io(root))?;
    if !real.is_dir() {
        return Err(SnapshotError::NotAFolder(root.to_owned()));
    }
    let (found, ignored) = match only {
        Some(only) => (vec![one_file(&real, only)?], 0),
        None => {
            let rules = Ignored::of(&real)?;
            let walk = Walk::through(&real, &rules)?;
            (walk.found, walk.left_out)
        }
    };
    check_limits(&found, limits)?;
    let prefix = match top {
        Some(top) => {
            name::check(top)?;
            format!("{top}/")
        }
        None => String::new(),
    };
    let (archive, digest) = write(&found, &prefix)?;
    let snapshot = Snapshot {
        digest,
        files: u32::try_from(found.len()).unwrap_or(u32::MAX),
        bytes: found.iter().map(|file| file.bytes).sum(),
    };
    Ok(Packed {
        snapshot,
        archive,
        ignored,
    })
}

fn check_limits(found: &[Found], limits: Limits) -> Result<(), SnapshotError> {
    let bytes = found.iter().map(|file| file.bytes).sum();
    if bytes > limits.bytes {
        let mut largest: Vec<_> = found.iter().collect();
        largest.sort_by_key(|file| Reverse(file.bytes));
        let named = largest.into_iter().take(NAMED);
        return Err(SnapshotError::TooLarge {
            bytes,
            limit: limits.bytes,
            offenders: named
                .map(|file| format!("`{}` ({})", file.name, size(file.bytes)))
                .collect(),
        });
    }
    if found.len() > limits.files as usize {
        return Err(SnapshotError::TooMany {
            files: found.len(),
            limit: limits.files,
            offenders: fullest(found),
        });
    }
    Ok(())
}

/// The folders that hold most files, with how many.
fn fullest(found: &[Found]) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for file in found {
        let folder = file.name.rsplit_once('/').map_or(".", |(folder, _)| folder);
        *folders.entry(folder).or_default() += 1;
    }
    let mut folders: Vec<_> = folders.into_iter().collect();
    folders.sort_by_key(|(_, files)| Reverse(*files));
    let named = folders.into_iter().take(NAMED);
    named
        .map(|(folder, files)| format!("`{folder}` ({files})"))
        .collect()
}

fn write(found: &[Found], prefix: &str) -> Result<(NamedTempFile, Digest), SnapshotError> {
    let archive = NamedTempFile::new().map_err(SnapshotError::io(env::temp_dir()))?;
    let path = archive.path();
    let file = archive
        .as_file()
        .try_clone()
        .map_err(SnapshotError::io(path))?;
    let mut builder = Builder::new(Hashed {
        inner: BufWriter::new(file),
        hasher: Sha256::new(),
    });
    for file in found {
        append(&mut builder, file, prefix)?;
    }
    let mut hashed = builder.into_inner().map_err(SnapshotError::io(path))?;
    hashed.flush().map_err(SnapshotError::io(path))?;
    let digest = Digest::from_bytes(hashed.hasher.finalize().into());
    Ok((archive, digest))
}

fn append(
    builder: &mut Builder<impl Write>,
    file: &Found,
    prefix: &str,
) -> Result<(), SnapshotError> {
    let content = fs::File::open(&file.file).map_err(SnapshotError::io(&file.file))?;
    let mut exact = Exact {
        inner: BufReader::new(content),
        left: file.bytes,
    };
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(MODE);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(file.bytes);
    let name = format!("{prefix}{}", file.name);
    name::check(&name)?;
    let appended = builder.append_data(&mut header, &name, &mut exact);
    appended.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Changed { name },
        _ => SnapshotError::io(&file.file)(error),
    })
}

/// Gives exactly as many bytes as the header promised.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

struct Hashed<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
