//! Compiled code that the nodes of all tests share.
//!
//! The first start of a node compiles the Python runner, which takes seconds of
//! two cores. One node does it here; every other one finds the result in its
//! `aot/` folder, as a node does after its second start.

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::lusk::{BINARY, Lusk, plain_script};

/// Puts the shared code into the data folder `data`.
pub fn fill(data: &Path) {
    static WARM: OnceLock<PathBuf> = OnceLock::new();
    let warm = WARM.get_or_init(prepare);
    let aot = data.join("aot");
    private_folder(data);
    private_folder(&aot);
    copy(warm, &aot);
}

/// Makes the folder of compiled code, unless an earlier run with the same
/// binary did.
fn prepare() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).expect("a folder for tests");
    // Two test runs may share the target folder.
    let lock = File::create(root.join("warm.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let binary = fs::metadata(BINARY).expect("the binary");
    let stamp = format!(
        "{} {} {}",
        binary.size(),
        binary.mtime(),
        binary.mtime_nsec()
    );
    let warm = root.join("warm-aot");
    let mark = root.join("warm-aot.of");
    if fs::read_to_string(&mark).ok().as_deref() != Some(stamp.as_str()) {
        let _ = fs::remove_dir_all(&warm);
        let mut node = Lusk::start_cold("warm");
        node.deploy("warm").python(&plain_script()).done();
        node.stop();
        fs::create_dir(&warm).expect("a folder for compiled code");
        copy(&node.data().join("aot"), &warm);
        fs::write(mark, stamp).expect("a mark");
    }
    warm
}

fn private_folder(path: &Path) {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .expect("a folder");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("compiled code") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        // A tmpfs of its own cannot share the file.
        if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
