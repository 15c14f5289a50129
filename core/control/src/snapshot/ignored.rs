//! Which files of a project folder stay out of its snapshot.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::SnapshotError;

/// The rules of the one ignore file in the root: `.amlignore`, else
/// `.gitignore`, in git's wildmatch syntax. The file itself is packed unless it
/// names itself, as in the original.
pub(super) struct Ignored {
    rules: Gitignore,
    /// Rules written for git stand beside what git never looks at.
    git: bool,
}

impl Ignored {
    pub(super) fn of(root: &Path) -> Result<Self, SnapshotError> {
        let names = [(".amlignore", false), (".gitignore", true)];
        let found = names
            .into_iter()
            .find(|(name, _)| root.join(name).is_file());
        let mut builder = GitignoreBuilder::new(root);
        if let Some((name, _)) = found
            && let Some(error) = builder.add(root.join(name))
        {
            return Err(refused(&root.join(name), &error));
        }
        let rules = builder.build().map_err(|error| refused(root, &error))?;
        Ok(Self {
            rules,
            git: found.is_some_and(|(_, git)| git),
        })
    }

    /// Whether `path`, relative to the root, stays out; its parents do not.
    pub(super) fn covers(&self, path: &Path, is_folder: bool) -> bool {
        (self.git && path == Path::new(".git")) || self.rules.matched(path, is_folder).is_ignore()
    }
}

fn refused(path: &Path, error: &ignore::Error) -> SnapshotError {
    SnapshotError::IgnoreFile {
        path: path.to_owned(),
        cause: error.to_string(),
    }
}
