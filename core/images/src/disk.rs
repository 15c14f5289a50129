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

/// Longest text of others in a message.
const MAX_SAID: usize = 400;

/// A text that holds words of others, as a terminal may show it: cut, and without
/// what is not to be seen.
pub(crate) fn printable(text: &str) -> String {
    let is_shown = |letter: &char| !letter.is_control() && *letter != char::REPLACEMENT_CHARACTER;
    let mut shown: String = text.chars().filter(is_shown).take(MAX_SAID).collect();
    if text.chars().filter(is_shown).nth(MAX_SAID).is_some() {
        shown.push('…');
    }
    shown
}

/// A refusal of content, in a text that may hold some of it.
pub(crate) fn refused(text: &str) -> ImageError {
    ImageError::Refused(printable(text))
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
            return refused(&format!("{what}: {refusal}"));
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
        None => refused(&format!("{what} is not readable: {error}")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_reach_no_terminal_raw() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{fffd}é"), "a[2Jbé");
        let long = printable(&"x".repeat(MAX_SAID + 1));
        assert_eq!(long.chars().count(), MAX_SAID + 1);
        assert!(long.ends_with('…'));
        let error = io::Error::other("numeric field was not a number: \u{0}\u{1b}");
        assert!(!verdict("archive", &error).to_string().contains('\u{1b}'));
    }
}
