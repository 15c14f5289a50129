//! Finds the files of a project folder, in the order in which they are packed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{SnapshotError, ignored::Ignored, name};

/// Most entries looked at: links to folders can multiply a small folder.
const MOST_ENTRIES: usize = 1_000_000;

/// One file that will be packed.
pub(super) struct Found {
    /// Path below the root, `/` between parts.
    pub(super) name: String,
    /// Where its content is.
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
}

/// All files of a folder, by name, and how many entries the ignore file kept out.
pub(super) struct Walk<'a> {
    /// With all links resolved.
    root: &'a Path,
    ignored: &'a Ignored,
    pub(super) found: Vec<Found>,
    /// Files and whole folders.
    pub(super) left_out: u32,
    seen: usize,
    /// Real paths of the folders from the root to where the walk is.
    ancestors: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    /// Walks `root`, whose path holds no link.
    pub(super) fn through(root: &'a Path, ignored: &'a Ignored) -> Result<Self, SnapshotError> {
        let mut walk = Self {
            root,
            ignored,
            found: Vec::new(),
            left_out: 0,
            seen: 0,
            ancestors: vec![root.to_owned()],
        };
        walk.folder(root, "")?;
        walk.found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(walk)
    }

    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), SnapshotError> {
        for entry in fs::read_dir(folder).map_err(SnapshotError::io(folder))? {
            let entry = entry.map_err(SnapshotError::io(folder))?;
            self.seen += 1;
            if self.seen > MOST_ENTRIES {
                return Err(SnapshotError::TooMany {
                    files: self.seen,
                    limit: super::Limits::MOST_FILES,
                    offenders: vec![format!("`{prefix}`")],
                });
            }
            let Some(base) = entry.file_name().to_str().map(str::to_owned) else {
                return self.not_text(prefix, &entry);
            };
            let path = format!("{prefix}{base}");
            self.entry(&entry.path(), path)?;
        }
        Ok(())
    }

    /// A name that is not text is refused, unless it is ignored.
    fn not_text(&mut self, prefix: &str, entry: &fs::DirEntry) -> Result<(), SnapshotError> {
        let relative = Path::new(prefix).join(entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if self.ignored.covers(&relative, is_folder) {
            self.left_out += 1;
            return Ok(());
        }
        Err(SnapshotError::BadName {
            name: relative.to_string_lossy().into_owned(),
            rule: "is not UTF-8 text",
        })
    }

    fn entry(&mut self, file: &Path, name: String) -> Result<(), SnapshotError> {
        let link = fs::symlink_metadata(file).map_err(SnapshotError::io(file))?;
        let is_link = link.file_type().is_symlink();
        // A link is ignored by its own name; its target decides whether it is a folder.
        let target = if is_link {
            fs::metadata(file).ok()
        } else {
            Some(link)
        };
        let is_folder = target.as_ref().is_some_and(fs::Metadata::is_dir);
        if self.ignored.covers(Path::new(&name), is_folder) {
            self.left_out += 1;
            return Ok(());
        }
        name::check(&name)?;
        let Some(target) = target else {
            return Err(bad_link(name, "leads nowhere"));
        };
        if is_link {
            self.check_link(file, &name)?;
        }
        if is_folder {
            return self.enter(file, &name);
        }
        if !target.is_file() {
            let kind = kind(&target);
            return Err(SnapshotError::NotAFile { name, kind });
        }
        self.found.push(Found {
            name,
            file: file.to_owned(),
            bytes: target.len(),
        });
        Ok(())
    }

    fn check_link(&self, link: &Path, name: &str) -> Result<(), SnapshotError> {
        let target = fs::canonicalize(link).map_err(SnapshotError::io(link))?;
        if target.starts_with(self.root) {
            Ok(())
        } else {
            Err(bad_link(name.to_owned(), "leads out of the folder"))
        }
    }

    fn enter(&mut self, folder: &Path, name: &str) -> Result<(), SnapshotError> {
        let real = fs::canonicalize(folder).map_err(SnapshotError::io(folder))?;
        if self.ancestors.contains(&real) {
            return Err(bad_link(name.to_owned(), "leads to a folder that holds it"));
        }
        self.ancestors.push(real);
        self.folder(folder, &format!("{name}/"))?;
        self.ancestors.pop();
        Ok(())
    }
}

fn bad_link(name: String, why: &'static str) -> SnapshotError {
    SnapshotError::BadLink { name, why }
}

#[cfg(unix)]
fn kind(metadata: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(_: &fs::Metadata) -> &'static str {
    "no plain file"
}

/// The one file to pack: below `root`, and so is what a link leads to.
pub(super) fn one_file(root: &Path, only: &Path) -> Result<Found, SnapshotError> {
    let not_below = || SnapshotError::NotBelow {
        file: only.to_owned(),
        root: root.to_owned(),
    };
    let file = root.join(only);
    let relative = match file.strip_prefix(root) {
        Ok(relative) => relative.to_owned(),
        // An absolute path may be spelled through links that `root` resolved.
        Err(_) => {
            let real = fs::canonicalize(&file).map_err(SnapshotError::io(&file))?;
            real.strip_prefix(root).map_err(|_| not_below())?.to_owned()
        }
    };
    let plain: PathBuf = relative
        .components()
        .filter(|c| *c != std::path::Component::CurDir)
        .collect();
    let name = plain.to_str().ok_or_else(|| SnapshotError::BadName {
        name: plain.to_string_lossy().into_owned(),
        rule: "is not UTF-8 text",
    })?;
    let name = name.replace(std::path::MAIN_SEPARATOR, "/");
    name::check(&name)?;
    let real = fs::canonicalize(&file).map_err(SnapshotError::io(&file))?;
    if !real.starts_with(root) {
        return Err(not_below());
    }
    let target = fs::metadata(&real).map_err(SnapshotError::io(&file))?;
    if !target.is_file() {
        return Err(SnapshotError::io(&file)(io::ErrorKind::IsADirectory.into()));
    }
    Ok(Found {
        name,
        file,
        bytes: target.len(),
    })
}
