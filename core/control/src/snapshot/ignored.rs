//! Which files of a project folder stay out of its snapshot.

use std::{fs, path::Path};

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
        if let Some((name, _)) = found {
            let file = root.join(name);
            let text = fs::read_to_string(&file).map_err(SnapshotError::io(&file))?;
            for line in text.trim_start_matches('\u{feff}').lines() {
                let added = builder.add_line(None, &literal_braces(line));
                added.map_err(|error| refused(&file, &error))?;
            }
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

/// Escapes braces: they mean nothing in git's syntax, alternatives in the matcher's.
fn literal_braces(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let mut in_class = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '[' if !in_class => {
                in_class = true;
                escaped.push('[');
                // A bracket that comes first is a member of the class.
                let rest = characters.as_str();
                let negated = rest.strip_prefix(['!', '^']).unwrap_or(rest);
                let first = rest.len() - negated.strip_prefix(']').unwrap_or(negated).len();
                escaped.extend(characters.by_ref().take(rest[..first].chars().count()));
                continue;
            }
            ']' => in_class = false,
            '{' | '}' if !in_class => escaped.push('\\'),
            '\\' => {
                escaped.push('\\');
                escaped.extend(characters.next());
                continue;
            }
            _ => {}
        }
        escaped.push(character);
    }
    escaped
}

fn refused(path: &Path, error: &ignore::Error) -> SnapshotError {
    SnapshotError::IgnoreFile {
        path: path.to_owned(),
        cause: error.to_string(),
    }
}
