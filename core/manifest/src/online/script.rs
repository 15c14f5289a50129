//! `code_configuration`: the entry script and its folder.

use std::path::{Path, PathBuf};

use crate::{
    Problem,
    node::{Entry, Node, Value},
    reader::{Reader, Section},
    script::{Folder, check},
};

const KNOWN: [&str; 2] = [CODE, SCRIPT];
const CODE: &str = "code";
const SCRIPT: &str = "scoring_script";

/// What the rules about scripts call the two keys, and what they are called here.
const RENAMED: [(&str, &str); 2] = [
    ("`sourceDirectory`", "`code_configuration.code`"),
    ("`entryScript`", "`code_configuration.scoring_script`"),
];

/// The script and its folder, both absolute; none when there is no block, or when it
/// cannot be used.
pub(super) fn script(
    reader: &mut Reader,
    top: Section<'_>,
    base: &Path,
) -> Option<(PathBuf, Option<PathBuf>)> {
    const KEY: &str = "code_configuration";
    let section = reader.section(top, KEY, KEY)?;
    reader.check_keys(section, &KNOWN, &[]);
    if section.get(SCRIPT).is_none() {
        let help = "add `scoring_script: score.py`, or leave the whole block out".to_owned();
        let message = "`code_configuration.scoring_script` is missing";
        reader.problem(&section.node.place, message, Some(help));
    }
    let renamed = as_inference_config(section);
    let mut inner = Reader::default();
    let found = of_inference_config(&mut inner, &renamed, base);
    match inner.finish(found) {
        Ok(checked) => checked.value,
        Err(error) => {
            reader.take(error.problems.into_iter().map(in_these_words).collect());
            None
        }
    }
}

fn of_inference_config(
    reader: &mut Reader,
    root: &Node,
    base: &Path,
) -> Option<(PathBuf, Option<PathBuf>)> {
    let top = reader.as_section(root, "")?;
    let folder = Folder::of(reader, top, base);
    folder.report(reader);
    let script = check(reader, top, &folder)?;
    Some((script, folder.given))
}

/// The same two values under the older format's keys, whose rules hold.
fn as_inference_config(section: Section<'_>) -> Node {
    let old = [(CODE, "sourceDirectory"), (SCRIPT, "entryScript")];
    let entries = old.into_iter().filter_map(|(key, old)| {
        let node = section.get(key)?.clone();
        Some(Entry {
            key: old.to_owned(),
            place: node.place.clone(),
            node,
        })
    });
    Node {
        place: section.node.place.clone(),
        value: Value::Map(entries.collect()),
    }
}

fn in_these_words(mut problem: Problem) -> Problem {
    for (old, new) in RENAMED {
        problem.message = problem.message.replace(old, new);
    }
    problem
}
