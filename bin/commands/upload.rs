//! Files on their way to the node: found, hashed, and sent unless they are
//! there already.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use futures::StreamExt as _;
use lusk_domain::{Digest, ModelFile};
use sha2::{Digest as _, Sha256};
use tokio_util::io::ReaderStream;

use super::Session;
use crate::render::Trouble;

/// Deepest nesting of folders in a model.
const MAX_DEPTH: usize = 64;

/// Bytes that are read at a time.
const PART_BYTES: usize = 256 * 1024;

/// A file of a model before it is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) file: PathBuf,
    /// What it is called in the model, its base name first.
    pub(crate) name: String,
    /// Its size now.
    pub(crate) size: u64,
}

/// The files at `path`, which is a file or a folder, in name order.
///
/// # Errors
/// It is missing, or holds what a model cannot hold.
pub(crate) fn files_of(path: &Path) -> anyhow::Result<Vec<Found>> {
    let real = path.canonicalize().map_err(|error| {
        let trouble = Trouble::new(format!("there is no file or folder {}", path.display()));
        if error.kind() == std::io::ErrorKind::NotFound {
            trouble
        } else {
            Trouble::new(format!("{} cannot be read", path.display()))
                .with_causes(vec![error.to_string()])
        }
    })?;
    // What the user called it, unless that is no name (`.` or `..`).
    let named = path.file_name().or_else(|| real.file_name());
    let name = named
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no name that is UTF-8 text", path.display()))?
        .to_owned();
    let mut walk = Walk {
        root: real.clone(),
        found: Vec::new(),
        above: Vec::new(),
    };
    walk.enter(&real, name)?;
    walk.found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.found)
}

struct Walk {
    root: PathBuf,
    found: Vec<Found>,
    /// Folders that are being walked, links resolved.
    above: Vec<PathBuf>,
}

impl Walk {
    fn enter(&mut self, real: &Path, name: String) -> anyhow::Result<()> {
        let metadata = fs::metadata(real).with_context(|| format!("reading {}", real.display()))?;
        if metadata.is_file() {
            self.found.push(Found {
                file: real.to_owned(),
                name,
                size: metadata.len(),
            });
            return Ok(());
        }
        anyhow::ensure!(
            metadata.is_dir(),
            "`{name}` is neither a file nor a folder; a model holds files"
        );
        anyhow::ensure!(
            !self.above.iter().any(|folder| folder == real),
            "link `{name}` leads back to a folder that holds it"
        );
        anyhow::ensure!(
            self.above.len() < MAX_DEPTH,
            "`{name}` is nested deeper than {MAX_DEPTH} folders"
        );
        self.above.push(real.to_owned());
        let entries = fs::read_dir(real).with_context(|| format!("reading {}", real.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", real.display()))?;
            let file = entry.file_name();
            let Some(file) = file.to_str() else {
                anyhow::bail!("a name in `{name}` is not UTF-8 text: {}", file.display());
            };
            let name = format!("{name}/{file}");
            let real = self.resolved(&entry.path(), &name)?;
            self.enter(&real, name)?;
        }
        self.above.pop();
        Ok(())
    }

    /// Where `path` leads to; never out of the model's folder.
    fn resolved(&self, path: &Path, name: &str) -> anyhow::Result<PathBuf> {
        let real = path
            .canonicalize()
            .with_context(|| format!("link `{name}` leads nowhere"))?;
        if real.starts_with(&self.root) {
            return Ok(real);
        }
        Err(Trouble::new(format!(
            "link `{name}` leads out of the model's folder, to {}",
            real.display()
        ))
        .with_help("replace it by a copy")
        .into())
    }
}

/// Hashes `files`.
///
/// # Errors
/// One cannot be read, or changes while it is.
pub(crate) fn hash(session: &Session, files: &[Found]) -> anyhow::Result<Vec<ModelFile>> {
    let total = files.iter().map(|file| file.size).sum();
    let moved = session.progress.bytes("hashing  ", total);
    let hashed = files
        .iter()
        .map(|found| {
            let context = || format!("reading {}", found.file.display());
            let file = File::open(&found.file).with_context(context)?;
            let (digest, size) = digest(moved.counting(file)).with_context(context)?;
            Ok(ModelFile {
                path: found.name.clone(),
                digest,
                size,
            })
        })
        .collect();
    session.progress.clear();
    hashed
}

/// Digest and length of everything that `reader` gives.
///
/// # Errors
/// Reading failed.
pub(crate) fn digest(mut reader: impl Read) -> std::io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut part = vec![0; PART_BYTES];
    let mut size = 0;
    loop {
        let read = reader.read(&mut part)?;
        if read == 0 {
            return Ok((Digest::from_bytes(hasher.finalize().into()), size));
        }
        hasher.update(&part[..read]);
        size += read as u64;
    }
}

/// Sends what the node does not have. `files` are paths with digest and size.
/// Gives how many were sent.
///
/// # Errors
/// A file cannot be read or has changed, or the node refused it.
pub(crate) async fn send(
    session: &Session,
    files: &[(&Path, Digest, u64)],
) -> anyhow::Result<usize> {
    let mut missing: Vec<&(&Path, Digest, u64)> = Vec::new();
    for file in files {
        let is_listed = missing.iter().any(|other| other.1 == file.1);
        if !is_listed && !session.client().has_blob(file.1).await? {
            missing.push(file);
        }
    }
    let total = missing.iter().map(|(_, _, size)| size).sum();
    let moved = session.progress.bytes("uploading", total);
    for (path, digest, _) in &missing {
        let file = tokio::fs::File::open(path)
            .await
            .with_context(|| format!("reading {}", path.display()))?;
        let moved = moved.clone();
        let parts = ReaderStream::with_capacity(file, PART_BYTES)
            .inspect(move |part| moved.add(part.as_ref().map_or(0, bytes::Bytes::len)));
        let sent = session.client().upload(*digest, parts).await;
        sent.inspect_err(|_| session.progress.clear())
            .with_context(|| format!("uploading {}", path.display()))?;
    }
    session.progress.clear();
    Ok(missing.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let found = files_of(path).unwrap();
        found.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_file_keeps_its_name_and_a_folder_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("b.bin"), "12").unwrap();
        fs::write(folder.join("sub/a.bin"), "1").unwrap();
        assert_eq!(names(&folder), ["model/b.bin", "model/sub/a.bin"]);
        assert_eq!(names(&folder.join("b.bin")), ["b.bin"]);
        assert_eq!(
            names(&folder.join("sub/..")),
            ["model/b.bin", "model/sub/a.bin"]
        );
        assert_eq!(files_of(&folder).unwrap()[0].size, 2);
    }

    #[test]
    fn links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        fs::create_dir(&folder).unwrap();
        fs::write(root.path().join("secret"), "").unwrap();
        fs::write(folder.join("real"), "").unwrap();
        symlink("real", folder.join("inside")).unwrap();
        assert_eq!(names(&folder), ["model/inside", "model/real"]);
        symlink("../secret", folder.join("outside")).unwrap();
        let error = files_of(&folder).unwrap_err().to_string();
        assert!(
            error.starts_with("link `model/outside` leads out of the model's folder"),
            "{error}"
        );
        fs::remove_file(folder.join("outside")).unwrap();
        symlink(".", folder.join("loop")).unwrap();
        let error = files_of(&folder).unwrap_err().to_string();
        assert_eq!(
            error,
            "link `model/loop` leads back to a folder that holds it"
        );
    }

    #[test]
    fn a_missing_path_is_named() {
        let error = files_of(Path::new("/nonexistent/model.onnx")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no file or folder /nonexistent/model.onnx"
        );
    }

    #[test]
    fn a_digest_is_that_of_the_whole_content() {
        let content = vec![7; PART_BYTES * 2 + 1];
        let (found, size) = digest(&content[..]).unwrap();
        assert_eq!((found, size), (Digest::of(&content), content.len() as u64));
    }
}
