//! `lusk model download`: every file checked against its digest before it gets
//! its name.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use lusk_domain::{Digest, ModelDraft, ModelFile};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{checked_id, one, plain};
use crate::{
    cli::ModelDownloadArgs,
    commands::Session,
    progress::Moved,
    render::{self, Column, Trouble},
};

const COLUMNS: [Column; 1] = [Column::new("Path", |reply| plain(&reply["path"]))];

/// Downloads a model and prints where it lies.
///
/// # Errors
/// Files that are in the way, a broken connection, content that is not what
/// was registered.
pub(crate) async fn run(session: &Session, args: &ModelDownloadArgs) -> anyhow::Result<()> {
    let id = checked_id(&args.model_id)?;
    let model = one(session, &id).await?;
    let draft: ModelDraft =
        serde_json::from_value(model).context("reading the model's list of files")?;
    // The paths come from outside: none may leave the folder.
    draft.check()?;
    let folder = session.at(&args.target_dir);
    if !args.overwrite {
        refuse_to_replace(&folder, &draft.files)?;
    }
    let total = draft.files.iter().map(|file| file.size).sum();
    let moved = session.progress.bytes("loading  ", total);
    for file in &draft.files {
        let written = download(session, file, &folder, &moved).await;
        written.inspect_err(|_| session.progress.clear())?;
    }
    session.progress.clear();
    session.progress.say(&format!(
        "  model     {id}: {} files, {}",
        draft.files.len(),
        render::size(total)
    ));
    let path = common_path(&folder, &draft.files);
    render::data(session.format, &json!({ "path": path }), &COLUMNS)
}

fn refuse_to_replace(folder: &Path, files: &[ModelFile]) -> anyhow::Result<()> {
    let there: Vec<_> = files
        .iter()
        .map(|file| folder.join(&file.path))
        .filter(|path| path.symlink_metadata().is_ok())
        .collect();
    let Some(first) = there.first() else {
        return Ok(());
    };
    let more = match there.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more of the model's files"),
    };
    Err(
        Trouble::new(format!("{}{more} would be replaced", first.display()))
            .with_help("give --overwrite to replace them, or another --target-dir")
            .into(),
    )
}

async fn download(
    session: &Session,
    file: &ModelFile,
    folder: &Path,
    moved: &Moved,
) -> anyhow::Result<()> {
    let path = folder.join(&file.path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let content = session.client().download(file.digest).await?;
    let temporary = NamedTempFile::new_in(parent)
        .with_context(|| format!("writing to {}", parent.display()))?;
    let written = write(content, temporary, moved)
        .await
        .with_context(|| format!("downloading {}", path.display()))?;
    let (temporary, digest) = written;
    anyhow::ensure!(
        digest == file.digest,
        "`{}` arrived with digest {digest}, {} was registered",
        file.path,
        file.digest
    );
    keep(temporary, &path)
}

async fn write(
    content: impl Stream<Item = Result<bytes::Bytes, hyper::Error>>,
    mut temporary: NamedTempFile,
    moved: &Moved,
) -> anyhow::Result<(NamedTempFile, Digest)> {
    let mut content = std::pin::pin!(content);
    let mut hasher = Sha256::new();
    while let Some(part) = content.next().await {
        let part = part?;
        hasher.update(&part);
        temporary.write_all(&part)?;
        moved.add(part.len());
    }
    temporary.as_file().sync_all()?;
    let digest = Digest::from_bytes(hasher.finalize().into());
    Ok((temporary, digest))
}

fn keep(temporary: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    make_readable(&temporary)?;
    temporary
        .persist(path)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// A temporary file is private; a model file is as any other.
fn make_readable(temporary: &NamedTempFile) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o644);
    Ok(temporary.as_file().set_permissions(permissions)?)
}

/// What the model's files have in common: the file or folder registered.
fn common_path(folder: &Path, files: &[ModelFile]) -> PathBuf {
    let top = files
        .first()
        .and_then(|file| file.path.split('/').next())
        .unwrap_or_default();
    folder.join(top)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn file(path: &str) -> ModelFile {
        ModelFile {
            path: path.to_owned(),
            digest: Digest::of(b""),
            size: 0,
        }
    }

    #[test]
    fn files_in_the_way_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = [file("model/a"), file("model/b")];
        refuse_to_replace(folder.path(), &files).unwrap();
        std::fs::create_dir(folder.path().join("model")).unwrap();
        std::fs::write(folder.path().join("model/b"), "").unwrap();
        let error = refuse_to_replace(folder.path(), &files).unwrap_err();
        assert!(error.to_string().ends_with("model/b would be replaced"));
    }

    #[tokio::test]
    async fn content_is_hashed_as_it_is_written() {
        let moved = crate::progress::Progress::new(true).bytes("x", 2);
        let parts = stream::iter([Ok(bytes::Bytes::from("a")), Ok(bytes::Bytes::from("b"))]);
        let temporary = NamedTempFile::new().unwrap();
        let (temporary, digest) = write(parts, temporary, &moved).await.unwrap();
        assert_eq!(digest, Digest::of(b"ab"));
        assert_eq!(std::fs::read(temporary.path()).unwrap(), b"ab");
    }

    #[test]
    fn the_common_path_is_what_was_registered() {
        let folder = Path::new("/t");
        assert_eq!(
            common_path(folder, &[file("m/a"), file("m/b")]),
            Path::new("/t/m")
        );
        assert_eq!(
            common_path(folder, &[file("a.onnx")]),
            Path::new("/t/a.onnx")
        );
    }
}
