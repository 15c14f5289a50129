//! Names that a snapshot may hold: the same on every system that could unpack
//! it, and nothing that leads out of a folder.

use super::SnapshotError;

/// Longest path, in bytes.
pub(super) const MAX_PATH: usize = 1024;

/// Longest part of a path, in bytes: what common file systems take.
const MAX_PART: usize = 255;

/// Checks a path, `/` between its parts.
pub(super) fn check(path: &str) -> Result<(), SnapshotError> {
    match flaw(path) {
        None => Ok(()),
        Some(rule) => Err(SnapshotError::BadName {
            name: path
                .chars()
                .take(200)
                .flat_map(char::escape_debug)
                .collect(),
            rule,
        }),
    }
}

fn flaw(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.len() > MAX_PATH {
        return Some("is longer than 1,024 bytes");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return Some("holds a backslash or a control character");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("has an empty part"),
        "." => Some("has a part `.`"),
        ".." => Some("has a part `..`"),
        part if part.len() > MAX_PART => Some("has a part longer than 255 bytes"),
        _ => None,
    })
}
