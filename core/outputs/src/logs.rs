//! Names for service logs in the store.
//!
//! A full log is renamed and the next one begins under its old name. In the
//! store each is named after the time of its first line, which stays the same,
//! so that a renamed log is not taken for a new one nor overwritten.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::beneath;

/// Bytes in which the time of the first line ends.
const TIME_BYTES: u64 = 40;

/// Files of services' logs: path below `root`, and path in the store.
pub(crate) fn list(root: &Path) -> Vec<(PathBuf, [String; 3])> {
    let mut files = Vec::new();
    for service in fs::read_dir(root).into_iter().flatten().flatten() {
        for entry in fs::read_dir(service.path()).into_iter().flatten().flatten() {
            let path = Path::new(&service.file_name()).join(entry.file_name());
            let Ok(name) = name(root, &path) else {
                continue;
            };
            let service = service.file_name().to_string_lossy().into_owned();
            files.push((path, ["logs".to_owned(), service, name]));
        }
    }
    files.sort_unstable();
    files
}

/// `2026-01-31T09-30-00.123Z.txt`, or the file's own name if it has no such line.
fn name(root: &Path, path: &Path) -> io::Result<String> {
    let mut start = String::new();
    beneath::open(root, path)?
        .take(TIME_BYTES)
        .read_to_string(&mut start)
        .or_else(|error| match error.kind() {
            // The bytes may end within a character.
            io::ErrorKind::InvalidData => Ok(0),
            _ => Err(error),
        })?;
    let time = start.trim_start().split(' ').next().unwrap_or_default();
    let is_time = time.len() >= 20
        && time.starts_with(|char: char| char.is_ascii_digit())
        && time
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
    if is_time {
        return Ok(format!("{}.txt", time.replace(':', "-")));
    }
    let own = path.file_name().unwrap_or_default();
    Ok(own.to_string_lossy().into_owned())
}
