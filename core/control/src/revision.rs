//! A revision on disk: the unpacked snapshot and the models beside it.

use std::{io, path::Path};

use futures::{StreamExt, TryStreamExt, stream};
use lusk_contract::{BlobError, MountedModel};
use lusk_domain::{Digest, Failure, FailureCode, Model, ServiceSpec, Snapshot};
use tokio::{fs, task::spawn_blocking};

use crate::{
    Parts, layout,
    running::RevisionFolder,
    snapshot::{self, Limits, SnapshotError, Unpacked},
};

/// Files placed at a time.
const PLACED_AT_ONCE: usize = 8;

/// The files of a revision, and what owns them.
pub(crate) struct LaidOut {
    pub(crate) folder: RevisionFolder,
    pub(crate) models: Vec<MountedModel>,
    /// What the snapshot held; nothing without an entry script.
    pub(crate) unpacked: Option<Unpacked>,
}

/// Lays out the files of revision `number` of `spec` below the folder for
/// temporary files.
pub(crate) async fn lay_out(
    parts: &Parts,
    spec: &ServiceSpec,
    number: u64,
    models: &[Model],
) -> Result<LaidOut, Failure> {
    let folder = RevisionFolder::new(
        parts
            .tmp
            .join(format!("{}-{number}", spec.name.file_name())),
    );
    let unpacked = match &spec.entry {
        Some(entry) => {
            let unpacked = unpack(parts, &entry.snapshot, folder.path()).await?;
            check_script(folder.path(), &layout::script(entry)).await?;
            Some(unpacked)
        }
        None => {
            fs::create_dir(folder.path())
                .await
                .map_err(|e| unwritable(folder.path(), &e))?;
            None
        }
    };
    let models = models.iter().map(layout::mounted).collect::<Vec<_>>();
    place(parts, folder.path(), &models).await?;
    Ok(LaidOut {
        folder,
        models,
        unpacked,
    })
}

async fn unpack(parts: &Parts, snapshot: &Snapshot, into: &Path) -> Result<Unpacked, Failure> {
    let archive = into.with_extension("tar");
    let placed = parts.blobs.place(snapshot.digest, &archive).await;
    let result = match placed {
        Ok(()) => {
            let limits = if snapshot.files > Limits::DEFAULT.files {
                Limits::LIFTED
            } else {
                Limits::DEFAULT
            };
            let (archive, into) = (archive.clone(), into.to_owned());
            let work = spawn_blocking(move || {
                let file = std::fs::File::open(&archive).map_err(SnapshotError::io(&archive))?;
                snapshot::unpack(io::BufReader::new(file), &into, limits)
            });
            match work.await {
                Ok(done) => done.map_err(|error| refused(&error)),
                Err(fault) => Err(Failure::new(
                    FailureCode::InternalServerError,
                    fault.to_string(),
                )),
            }
        }
        Err(error) => Err(not_placed(&error, "snapshot")),
    };
    if let Err(error) = fs::remove_file(&archive).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %archive.display(), %error, "cannot remove an unpacked archive");
    }
    result
}

async fn check_script(app_root: &Path, script: &str) -> Result<(), Failure> {
    match fs::metadata(app_root.join(script)).await {
        Ok(found) if found.is_file() => Ok(()),
        _ => Err(Failure::new(
            FailureCode::BadRequest,
            format!(
                "entry script `{script}` is not a file of the snapshot; check the path and the ignore file"
            ),
        )),
    }
}

async fn place(parts: &Parts, app_root: &Path, models: &[MountedModel]) -> Result<(), Failure> {
    let files = models.iter().flat_map(|model| model.files.iter());
    let placing: Vec<_> = files
        .map(|(path, digest)| place_one(parts, app_root, path, *digest))
        .collect();
    stream::iter(placing)
        .buffer_unordered(PLACED_AT_ONCE)
        .try_collect()
        .await
}

async fn place_one(
    parts: &Parts,
    app_root: &Path,
    path: &str,
    digest: Digest,
) -> Result<(), Failure> {
    let file = app_root.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)
            .await
            .map_err(|e| unwritable(parent, &e))?;
    }
    if fs::try_exists(&file).await.unwrap_or(false) {
        return Err(Failure::new(
            FailureCode::BadRequest,
            format!(
                "the snapshot holds `{path}`, where a model's file goes; exclude it with `.amlignore`"
            ),
        ));
    }
    let placed = parts.blobs.place(digest, &file).await;
    placed.map_err(|error| not_placed(&error, path))
}

fn refused(error: &SnapshotError) -> Failure {
    let code = match error {
        SnapshotError::Io { .. } => FailureCode::StorageFailed,
        SnapshotError::TooLarge { .. } | SnapshotError::TooMany { .. } => FailureCode::TooLarge,
        _ => FailureCode::BadRequest,
    };
    let failure = Failure::new(code, error.to_string());
    match std::error::Error::source(error) {
        Some(cause) => failure.with_detail("Cause", cause.to_string()),
        None => failure,
    }
}

fn not_placed(error: &BlobError, what: &str) -> Failure {
    Failure::new(
        FailureCode::StorageFailed,
        format!("cannot lay out `{what}`"),
    )
    .with_detail("Cause", error.to_string())
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        FailureCode::StorageFailed,
        format!("cannot create folder `{}`", path.display()),
    )
    .with_detail("Cause", error.to_string())
}
