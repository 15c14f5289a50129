//! Opens files below a folder without following a link anywhere on the way.
//!
//! Scripts own what lies in their folder and may swap a folder for a link at
//! any moment; checking a path and then opening it would let them read the
//! host's files. So each step is opened from the one before it.

use std::{
    fs::File,
    io,
    path::{Component, Path},
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, openat},
};

/// Opens the regular file `relative` below `root`.
///
/// # Errors
/// It is not there, is reached over a link, or is no regular file.
pub(crate) fn open(root: &Path, relative: &Path) -> io::Result<File> {
    let step = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder: OwnedFd = openat(CWD, root, step | OFlags::DIRECTORY, Mode::empty())?;
    let mut names = relative.components().peekable();
    while let Some(Component::Normal(name)) = names.next() {
        if names.peek().is_some() {
            folder = openat(&folder, name, step | OFlags::DIRECTORY, Mode::empty())?;
            continue;
        }
        // A pipe would block for ever without this.
        let file = openat(&folder, name, step | OFlags::NONBLOCK, Mode::empty())?;
        let file = File::from(file);
        if !file.metadata()?.is_file() {
            break;
        }
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file of the folder",
    ))
}
