//! A folder of installed packages, taken apart into distributions.
//!
//! Invariant: every file belongs to exactly one distribution, and the same
//! wheels make the same files: what tells of the tool, the time or the place
//! of the installation is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use lusk_contract::ImageError;

use crate::{
    builder::{Distribution, conda::normal_name},
    disk::failed,
};

/// Files of a `.dist-info` folder that tell how it came here. `direct_url.json`
/// can hold credentials.
const INSTALLER_FILES: [&str; 5] = [
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "uv_build.json",
    "uv_cache.json",
];

/// Where files go that no distribution names.
pub(crate) const REST: &str = "rest";

/// Longest metadata file that is read; a README is part of it.
const MAX_METADATA: u64 = 16 << 20;

/// Removes what is no package and tells which file belongs to whom.
pub(crate) fn distributions(site: &Path) -> Result<Vec<Distribution>, ImageError> {
    let mut files = BTreeSet::new();
    clean(site, Path::new(""), &mut files)?;
    let mut found = Vec::new();
    let mut owners = BTreeMap::new();
    for folder in metadata_folders(&files) {
        let number = found.len();
        found.push(identify(site, &folder)?);
        for file in rewrite_record(site, &folder, &files)? {
            owners.entry(file).or_insert(number);
        }
    }
    assign(&mut found, &owners, files);
    for distribution in &mut found {
        distribution.native |= distribution.files.iter().any(|file| is_native(file));
    }
    found.retain(|distribution| !distribution.files.is_empty());
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether a file is machine code that Python loads.
pub(crate) fn is_native(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    [".so", ".pyd", ".dylib", ".dll"]
        .iter()
        .any(|end| name.ends_with(end))
        || name.contains(".so.")
}

fn clean(site: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), ImageError> {
    let path = site.join(folder);
    let at = |error: io::Error| failed(&path, &error);
    for entry in fs::read_dir(&path).map_err(at)? {
        let entry = entry.map_err(at)?;
        let kind = entry.file_type().map_err(at)?;
        let relative = folder.join(entry.file_name());
        if is_noise(&relative) || !(kind.is_dir() || kind.is_file()) {
            let remove = match kind.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            };
            remove.map_err(at)?;
        } else if kind.is_dir() {
            clean(site, &relative, files)?;
        } else {
            files.insert(relative);
        }
    }
    Ok(())
}

/// Compiled code, programs, locks and what an installer leaves.
fn is_noise(relative: &Path) -> bool {
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    let parent = relative.parent().unwrap_or(Path::new(""));
    let top = parent.as_os_str().is_empty();
    name == "__pycache__"
        || name.ends_with(".pyc")
        || (top && (name == "bin" || name == ".lock"))
        || (is_metadata(parent) && INSTALLER_FILES.contains(&name.as_ref()))
}

fn is_metadata(folder: &Path) -> bool {
    folder.extension().is_some_and(|it| it == "dist-info") && folder.components().count() == 1
}

fn metadata_folders(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let folders = files.iter().filter_map(|file| file.parent());
    let folders = folders.filter(|folder| is_metadata(folder));
    folders.map(Path::to_owned).collect()
}

fn identify(site: &Path, folder: &Path) -> Result<Distribution, ImageError> {
    let metadata = read(&site.join(folder).join("METADATA"))?;
    let header = |key: &str| {
        let lines = metadata.lines().take_while(|line| !line.is_empty());
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim().to_owned())
    };
    // `name-version.dist-info`
    let stem = folder.file_stem().unwrap_or_default().to_string_lossy();
    let (name, version) = stem.split_once('-').unwrap_or((&stem, "0"));
    let wheel = read(&site.join(folder).join("WHEEL"))?;
    let mut tags = wheel.lines().filter_map(|line| line.strip_prefix("Tag:"));
    Ok(Distribution {
        name: normal_name(&header("Name").unwrap_or_else(|| name.to_owned())),
        version: header("Version").unwrap_or_else(|| version.to_owned()),
        native: tags.any(|tag| !tag.trim().ends_with("-any")),
        files: Vec::new(),
    })
}

/// The text of a file; empty when it is not there.
fn read(path: &Path) -> Result<String, ImageError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= MAX_METADATA => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path, &error)),
        _ => return Ok(String::new()),
    }
    let content = fs::read(path).map_err(|error| failed(path, &error))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Strikes out of a `RECORD` what is not there, and sorts it. Returns the files.
fn rewrite_record(
    site: &Path,
    folder: &Path,
    files: &BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>, ImageError> {
    let path = site.join(folder).join("RECORD");
    let record = read(&path)?;
    let mut lines: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for line in record.lines() {
        let file = record_path(line);
        if files.contains(&file) {
            lines.insert(file, line);
        }
    }
    if !record.is_empty() {
        let mut text = lines.values().copied().collect::<Vec<_>>().join("\n");
        text.push('\n');
        // The old one can be a link into the cache of the tool: it stays as it is.
        fs::remove_file(&path)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(lines.into_keys().collect())
}

/// The path of a line `path,hash,size`, which is quoted when it holds a comma.
/// Parts that lead out of the folder are a tool's trace of where it installed
/// first; they are left out.
fn record_path(line: &str) -> PathBuf {
    let path = match line.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.rfind("\",").unwrap_or(quoted.len());
            quoted[..end].replace("\"\"", "\"")
        }
        None => line.split(',').next().unwrap_or_default().to_owned(),
    };
    let parts = Path::new(&path).components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

/// Gives every file to its owner; one that nobody names goes to the owner of
/// its top folder, else to [`REST`].
fn assign(
    found: &mut Vec<Distribution>,
    owners: &BTreeMap<PathBuf, usize>,
    files: BTreeSet<PathBuf>,
) {
    let mut tops: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (file, owner) in owners {
        tops.entry(top(file)).or_insert(*owner);
    }
    let mut rest = Distribution {
        name: REST.to_owned(),
        version: "0".to_owned(),
        native: false,
        files: Vec::new(),
    };
    for file in files {
        match owners.get(&file).or_else(|| tops.get(&top(&file))) {
            Some(owner) => found[*owner].files.push(file),
            None => rest.files.push(file),
        }
    }
    found.push(rest);
}

fn top(file: &Path) -> PathBuf {
    file.components().take(1).collect()
}

#[cfg(test)]
mod tests;
