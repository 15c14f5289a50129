//! What this machine has for building environments and running native Python.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::python_tools::Tools;

/// Minor versions of Python 3 that are looked for: those that packages are still
/// published for.
const MINORS: std::ops::RangeInclusive<u8> = 9..=14;

/// The tools and Pythons of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Where `uv` is.
    pub uv: Option<PathBuf>,
    /// Why `LUSK_UV` cannot be used.
    pub uv_problem: Option<String>,
    /// Whether the default Python can run `pip`.
    pub has_pip: bool,
    /// Programs by minor version, e.g. `3.11`.
    pub pythons: BTreeMap<Minor, PathBuf>,
    /// Whether the time was over before all was asked.
    pub is_cut_short: bool,
}

/// A minor version of Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minor(
    /// Of Python 3.
    pub u8,
);

impl std::fmt::Display for Minor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "3.{}", self.0)
    }
}

/// Looks for tools and Pythons, for about `patience`; blocks. What is not found
/// in time is left out.
pub fn inventory(patience: Duration) -> Inventory {
    of(&Tools::of_machine(), patience)
}

fn of(tools: &Tools, patience: Duration) -> Inventory {
    let begun = Instant::now();
    let (uv, uv_problem) = match tools.uv() {
        Ok(uv) => (uv, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let has_pip = tools
        .default_python()
        .is_some_and(|python| tools.has_pip(&python));
    let mut is_cut_short = false;
    let minors = MINORS.rev().map(Minor);
    let pythons = minors
        .take_while(|_| {
            is_cut_short = begun.elapsed() >= patience;
            !is_cut_short
        })
        .filter_map(|minor| Some((minor, tools.python(&minor.to_string())?.program)))
        .collect();
    Inventory {
        uv,
        uv_problem,
        has_pip,
        pythons,
        is_cut_short,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;

    /// A program that says what a Python says about itself.
    fn python(folder: &Path, name: &str, version: &str) -> PathBuf {
        let path = folder.join(name);
        let said = path.display();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *pip*) exit 1;; esac\necho {version}\necho {said}\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn machine(variables: &[(&str, &Path)]) -> Inventory {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), value.as_os_str().to_owned()));
        let tools = Tools::new(variables, Duration::from_secs(60));
        of(&tools, Duration::from_secs(60))
    }

    #[test]
    fn pythons_are_found_by_name_and_version() {
        let folder = tempfile::tempdir().unwrap();
        let default = python(folder.path(), "python3", "3.11.7");
        let other = python(folder.path(), "python3.12", "3.12.1");
        // Not what its name says.
        python(folder.path(), "python3.13", "3.9.9");
        let found = machine(&[("PATH", folder.path())]);
        let pythons: Vec<_> = found.pythons.into_iter().collect();
        assert_eq!(pythons, [(Minor(11), default), (Minor(12), other)]);
        assert_eq!((found.uv, found.has_pip), (None, false));
    }

    #[test]
    fn a_python_that_is_too_slow_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        python(folder.path(), "python3", "3.11.7");
        let path = ("PATH".into(), folder.path().into());
        let tools = Tools::new([path], Duration::from_secs(60));
        let found = of(&tools, Duration::ZERO);
        assert!(found.pythons.is_empty() && found.is_cut_short);
        assert!(!of(&tools, Duration::from_secs(60)).is_cut_short);
    }

    #[test]
    fn an_empty_machine_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(machine(&[("PATH", folder.path())]), Inventory::default());
        let named = machine(&[
            ("PATH", folder.path()),
            ("LUSK_UV", &folder.path().join("nothing")),
        ]);
        let problem = named.uv_problem.unwrap();
        assert!(problem.contains("which is no program"), "{problem}");
    }
}
