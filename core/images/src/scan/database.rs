//! The entries of an OSV database, one at a time.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::Path,
};

use zip::ZipArchive;

use super::ScanError;

/// Longest entry in bytes, unpacked; the longest of PyPI's are below 1 MiB.
const MAX_ENTRY: u64 = 4 << 20;

/// Deepest folder below the database's own.
const MAX_DEPTH: usize = 8;

/// Passes each entry's content on; none for one that cannot be read or is too long.
pub(super) fn each_entry(
    database: &Path,
    entry: &mut dyn FnMut(Option<Vec<u8>>),
) -> Result<(), ScanError> {
    let at = |error: io::Error| not_read(database, &error);
    if fs::metadata(database).map_err(at)?.is_dir() {
        return each_in_folder(database, 0, entry).map_err(at);
    }
    if has_extension(database, "zip") {
        return each_in_archive(database, entry).map_err(at);
    }
    entry(bounded(File::open(database).map_err(at)?));
    Ok(())
}

fn each_in_folder(
    folder: &Path,
    depth: usize,
    entry: &mut dyn FnMut(Option<Vec<u8>>),
) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let path = file.path();
        // A link to a folder could lead round in a circle.
        if file.file_type()?.is_dir() {
            if depth < MAX_DEPTH {
                each_in_folder(&path, depth + 1, entry)?;
            }
        } else if has_extension(&path, "json") {
            entry(File::open(&path).ok().and_then(bounded));
        } else if has_extension(&path, "zip") {
            each_in_archive(&path, entry)?;
        }
    }
    Ok(())
}

fn each_in_archive(path: &Path, entry: &mut dyn FnMut(Option<Vec<u8>>)) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    for index in 0..archive.len() {
        let Ok(file) = archive.by_index(index) else {
            entry(None);
            continue;
        };
        let is_entry = file
            .name()
            .is_ok_and(|name| name.to_ascii_lowercase().ends_with(".json"));
        if is_entry {
            entry(bounded(file));
        }
    }
    Ok(())
}

fn bounded(source: impl Read) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let read = source.take(MAX_ENTRY + 1).read_to_end(&mut content).ok()?;
    (read as u64 <= MAX_ENTRY).then_some(content)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|it| it.eq_ignore_ascii_case(extension))
}

fn not_read(database: &Path, error: &io::Error) -> ScanError {
    ScanError::Database {
        path: database.to_owned(),
        message: format!("not readable: {error}"),
    }
}
