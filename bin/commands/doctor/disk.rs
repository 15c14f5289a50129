//! The device of the data folder: room, and what its file system can do.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use lusk_store::FolderView;

use super::finding::Finding;
use crate::render::size;

/// Below this, uploads and records are refused: twice what the store keeps back.
const LEAST: u64 = 64 << 20;

/// What one environment of common packages takes while it is built, its layers
/// and its unpacked files together, and a model beside it.
const ROOMY: u64 = 2 << 30;

pub(super) fn space(data: &Path) -> Finding {
    let place = nearest(data);
    match FolderView::free_bytes(&place) {
        Ok(free) => judged(free, &place),
        Err(error) => Finding::warning(
            format!(
                "the device of {} does not tell its free space: {error}",
                place.display()
            ),
            "keep 2 GiB free for images and models",
        ),
    }
}

fn judged(free: u64, place: &Path) -> Finding {
    let text = format!("{} free on the device of {}", size(free), place.display());
    let (least, roomy) = (size(LEAST), size(ROOMY));
    if free < LEAST {
        return Finding::failed(
            format!("{text}: below {least} uploads and deployments are refused"),
            "free some, with `lusk image prune` for example, or choose another folder with --data",
        );
    }
    if free < ROOMY {
        return Finding::warning(
            format!("{text}: building an environment may take {roomy}"),
            "free some, with `lusk image prune` for example",
        );
    }
    Finding::ok(text)
}

/// Tries what a node relies on, in a folder that goes when this ends.
pub(super) fn file_system(data: &Path) -> Finding {
    let place = workplace(data);
    match tried(&place) {
        Ok(()) => Finding::ok(format!(
            "{} takes files, hard links and syncs",
            place.display()
        )),
        Err((what, error)) => refused(&place, what, &error),
    }
}

fn refused(place: &Path, what: &str, error: &io::Error) -> Finding {
    let remedy = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount it writable, or choose another folder with --data"
        }
        io::ErrorKind::PermissionDenied => {
            "run lusk as the folder's owner, or choose another folder with --data"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space, or choose another folder with --data"
        }
        _ => "choose a folder on a local file system (ext4, xfs, btrfs) with --data",
    };
    let text = format!("{}: {what} failed: {error}", place.display());
    Finding::failed(text, remedy)
}

fn tried(place: &Path) -> Result<(), (&'static str, io::Error)> {
    let folder = tempfile::Builder::new()
        .prefix(".lusk-doctor-")
        .tempdir_in(place)
        .map_err(step("making a folder"))?;
    let (one, two, three) = (
        folder.path().join("a"),
        folder.path().join("b"),
        folder.path().join("c"),
    );
    let mut file = File::create(&one).map_err(step("making a file"))?;
    file.write_all(&[7; 4096]).map_err(step("writing"))?;
    file.sync_all().map_err(step("syncing a file"))?;
    fs::hard_link(&one, &two).map_err(step("making a hard link"))?;
    fs::rename(&two, &three).map_err(step("renaming"))?;
    let opened = File::open(folder.path()).and_then(|it| it.sync_all());
    opened.map_err(step("syncing a folder"))?;
    folder.close().map_err(step("removing a folder"))
}

fn step(what: &'static str) -> impl Fn(io::Error) -> (&'static str, io::Error) {
    move |error| (what, error)
}

/// Where a check may write for a moment: the node's `tmp/` if there is one.
pub(super) fn workplace(data: &Path) -> PathBuf {
    let tmp = data.join("tmp");
    if tmp.is_dir() { tmp } else { nearest(data) }
}

/// The folder, or the first above it that is there.
fn nearest(data: &Path) -> PathBuf {
    // `data` from the current folder ends in the empty path.
    let here = |path: &Path| match path.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => path.to_owned(),
    };
    data.ancestors()
        .map(here)
        .find(|path| path.is_dir())
        .unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn room_is_judged_by_what_is_done_with_it() {
        let state = |free| judged(free, Path::new("/data")).state;
        assert_eq!(state(0), State::Failed);
        assert_eq!(state(LEAST), State::Warning);
        assert_eq!(state(ROOMY), State::Ok);
    }

    #[test]
    fn a_trial_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("not/there/yet");
        let finding = file_system(&data);
        assert_eq!(finding.state, State::Ok, "{finding:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        fs::create_dir_all(place.path().join("tmp")).unwrap();
        assert_eq!(workplace(place.path()), place.path().join("tmp"));
    }

    #[test]
    fn a_file_system_that_refuses_says_what_and_the_way_out() {
        let (what, error) = tried(Path::new("/proc")).unwrap_err();
        assert_eq!(what, "making a folder");
        let finding = refused(Path::new("/data"), what, &error);
        assert_eq!(finding.state, State::Failed);
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let finding = refused(Path::new("/data"), "writing", &read_only);
        assert!(finding.remedy.unwrap().starts_with("mount it writable"));
    }

    #[test]
    fn the_nearest_folder_is_one_that_is_there() {
        assert_eq!(nearest(Path::new("none-of-this/name")), Path::new("."));
        assert_eq!(nearest(Path::new("/none-of-this/name")), Path::new("/"));
    }
}
