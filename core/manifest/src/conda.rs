//! Conda definitions, inline or as a file of their own.

use std::path::Path;

use lusk_domain::{CondaDependency, CondaSpec};

use crate::{
    Place, Problem, Source,
    node::{Node, Value},
    reader::{Reader, Section},
};

const KNOWN: [&str; 3] = ["name", "channels", "dependencies"];

/// What `conda env export` writes besides.
const IDLE: [&str; 2] = ["prefix", "variables"];

/// Reads a conda definition that stands in `of`.
pub(crate) fn spec(reader: &mut Reader, of: Section<'_>) -> CondaSpec {
    reader.check_keys(of, &KNOWN, &IDLE);
    let path = of.path_of("dependencies");
    CondaSpec {
        name: reader.text(of, "name"),
        channels: reader.texts(of, "channels"),
        dependencies: reader
            .items(of, "dependencies")
            .iter()
            .enumerate()
            .filter_map(|(index, item)| dependency(reader, item, &format!("{path}[{index}]")))
            .collect(),
    }
}

fn dependency(reader: &mut Reader, item: &Node, path: &str) -> Option<CondaDependency> {
    match &item.value {
        Value::Text { text, .. } => Some(CondaDependency::Package(text.clone())),
        Value::Map(_) => {
            let section = reader.as_section(item, path)?;
            reader.check_keys(section, &["pip"], &[]);
            Some(CondaDependency::Pip {
                pip: reader.texts(section, "pip"),
            })
        }
        _ => reader.mistyped(item, path, "a package or a mapping with `pip`"),
    }
}

/// Reads the conda file at `path`; `given` is what the user wrote and where.
pub(crate) fn file(reader: &mut Reader, path: &Path, given: (&Place, &str)) -> Option<CondaSpec> {
    let (place, key) = given;
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(problem) => {
            reader.problem(place, format!("`{key}`: {problem}"), None);
            return None;
        }
    };
    match source.parse() {
        Ok(parsed) => {
            reader.take(parsed.problems);
            let section = reader.as_section(&parsed.root, "")?;
            Some(spec(reader, section))
        }
        Err(problem) => {
            reader.take(vec![problem]);
            None
        }
    }
}

/// Warns when a definition lacks what Azure's scoring server needs. Nothing
/// here needs it; the same file would fail there.
pub(crate) fn check_defaults(reader: &mut Reader, spec: &CondaSpec, place: &Place) {
    let is_there = |line: &String| {
        line.trim()
            .to_ascii_lowercase()
            .replace('_', "-")
            .starts_with("azureml-defaults")
    };
    let found = spec.dependencies.iter().any(|dependency| match dependency {
        CondaDependency::Package(line) => is_there(line),
        CondaDependency::Pip { pip } => pip.iter().any(is_there),
    });
    if !found && !spec.dependencies.is_empty() {
        reader.notice(
            place,
            "the conda dependencies lack `azureml-defaults`, which Azure needs to serve (lusk does not)",
            None,
        );
    }
}

/// A problem of reading a text file that a key names.
pub(crate) fn read_text(path: &Path) -> Result<String, Problem> {
    Source::read(path).map(|source| source.text().to_owned())
}
