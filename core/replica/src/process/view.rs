//! A worker's own view of the app root: a folder of links.
//!
//! A process cannot mount, so it cannot have the app root at
//! `/var/azureml-app` nor its own `./outputs` in it. The view gives both names
//! a place: one link for each entry of the app root, and `outputs` for the
//! replica's output folder. It is the working directory and `AML_APP_ROOT`.
//! The entries themselves are shared by all replicas and read-only by promise.

use std::{fs, io, os::unix::fs::symlink, path::Path};

/// The name that leads to the output folder, whatever the app root has there.
const OUTPUTS: &str = "outputs";

/// Makes the view as the new folder `view`.
pub(super) fn make(view: &Path, app_root: &Path, outputs: &Path) -> io::Result<()> {
    fs::create_dir(view)?;
    for entry in fs::read_dir(fs::canonicalize(app_root)?)? {
        let entry = entry?;
        if entry.file_name() != OUTPUTS {
            symlink(entry.path(), view.join(entry.file_name()))?;
        }
    }
    symlink(fs::canonicalize(outputs)?, view.join(OUTPUTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_the_replicas_and_the_rest_is_the_app_roots() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["app/azureml-models/m", "app/outputs", "kept"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("app/score.py"), "x").unwrap();
        make(&at("view"), &at("app"), &at("kept")).unwrap();
        assert_eq!(fs::read_to_string(at("view/score.py")).unwrap(), "x");
        assert!(at("view/azureml-models/m").is_dir());
        fs::write(at("view/outputs/a"), "1").unwrap();
        assert_eq!(fs::read_to_string(at("kept/a")).unwrap(), "1");
    }
}
