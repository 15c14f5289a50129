//! What the disk says, in the words of this room.

use std::{error::Error, fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

use lusk_contract::ImageError;

/// An error of the disk; a full one is told apart.
pub(crate) fn failed(path: &Path, error: &io::Error) -> ImageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ImageError::DiskFull,
        _ => ImageError::Storage(format!("`{}`: {error}", path.display())),
    }
}

/// Makes a folder and what is missing above it, for this user alone.
pub(crate) fn make_folder(path: &Path) -> Result<(), ImageError> {
    let mut folder = DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(path).map_err(|error| failed(path, &error))
}

/// Content that was refused while it was read through [`io::Read`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    pub(crate) fn into_io(text: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self(text))
    }
}

/// Tells content that was refused from a disk that failed, however deep the
/// readers between have wrapped it.
pub(crate) fn verdict(what: &str, error: &io::Error) -> ImageError {
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        return ImageError::DiskFull;
    }
    let mut cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return ImageError::Refused(format!("{what}: {refusal}"));
        }
        if let Some(inner) = error.downcast_ref::<io::Error>() {
            return verdict(what, inner);
        }
        if let Some(error) = error.downcast_ref::<ImageError>() {
            return error.clone();
        }
        cause = error.source();
    }
    match error.raw_os_error() {
        Some(_) => ImageError::Storage(format!("{what}: {error}")),
        None => ImageError::Refused(format!("{what} is not readable: {error}")),
    }
}

/// Runs what blocks on a thread that may.
pub(crate) async fn on_disk<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(body)
        .await
        .map_err(|error| ImageError::Storage(format!("a call was lost: {error}")))?
}
