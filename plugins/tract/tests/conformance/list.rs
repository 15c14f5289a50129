//! A checked-in list of cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::{case::Case, verdict::Verdict};

/// The names of some cases, one a line, sorted. No file is an empty list.
pub(crate) struct List {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl List {
    /// The list called `file` beside this source.
    pub(crate) fn read(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
        let path = folder.join(file);
        let names = fs::read_to_string(&path).unwrap_or_default();
        Self {
            path,
            names: names.lines().map(str::to_owned).collect(),
        }
    }

    /// Replaces the list; an empty one has no file.
    pub(crate) fn write(&self, names: BTreeSet<String>) {
        if names.is_empty() {
            let removed = fs::remove_file(&self.path);
            let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            assert!(removed.is_ok() || removed.is_err_and(|error| is_gone(&error)));
            return;
        }
        let lines = names.into_iter().map(|name| name + "\n");
        fs::write(&self.path, lines.collect::<String>()).unwrap();
    }

    /// Where the list and what was found differ.
    pub(crate) fn compare(
        &self,
        verdicts: &BTreeMap<Case, Verdict>,
        belongs: impl Fn(&Verdict) -> bool,
        deed: &str,
    ) -> Vec<String> {
        let list = self.path.file_name().unwrap().to_string_lossy();
        let mut complaints = Vec::new();
        let mut gone = self.names.clone();
        for (case, verdict) in verdicts {
            match (gone.remove(&case.name), belongs(verdict)) {
                (true, false) => complaints.push(format!(
                    "{}: is in {list} but does not {deed}: {verdict}",
                    case.name
                )),
                (false, true) => complaints.push(format!(
                    "{}: does {deed} but is not in {list}; LUSK_UPDATE_CONFORMANCE=1 adds it: {verdict}",
                    case.name
                )),
                _ => {}
            }
        }
        let unknown = |name| format!("{name}: is in {list}, but there is no such case");
        complaints.extend(gone.into_iter().map(unknown));
        complaints
    }
}
