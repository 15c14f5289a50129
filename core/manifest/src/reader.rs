//! Reading fields one by one, so that one wrong field does not hide the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Checked, ManifestError, Notice, Place, Problem,
    node::{Entry, Node, Value, shortened},
    suggest::nearest,
};

/// Collects what is wrong and what is odd while fields are read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<Problem>,
    notices: Vec<Notice>,
    /// Paths whose value could not be read.
    failed: BTreeSet<String>,
    /// Keys without effect here, by file.
    idle: Vec<(Place, String)>,
}

/// A mapping under its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    path: &'a str,
    pub(crate) node: &'a Node,
}

impl<'a> Section<'a> {
    pub(crate) fn path(&self) -> &'a str {
        self.path
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(crate) fn entries(&self) -> &'a [Entry] {
        match &self.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of `key`; null counts as not given, as in the original.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.node
            .get(key)
            .filter(|node| !matches!(node.value, Value::Null))
    }
}

impl Reader {
    pub(crate) fn problem(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.problems.push(Problem {
            place: place.clone(),
            message: message.into(),
            help,
        });
    }

    pub(crate) fn notice(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.notices.push(Notice {
            place: place.clone(),
            message: message.into(),
            help,
        });
    }

    pub(crate) fn take(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Notes a key that is known but does nothing here; all are named in one notice.
    pub(crate) fn idle(&mut self, place: &Place, path: impl Into<String>) {
        self.idle.push((place.clone(), path.into()));
    }

    pub(crate) fn has_failed(&self, path: &str) -> bool {
        self.failed.contains(path)
    }

    /// The value if nothing was wrong, else everything that was.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<Checked<T>, ManifestError> {
        self.name_idle_keys();
        self.notices.sort_by_key(|notice| match notice.place {
            Place::Line { line, .. } => line,
            Place::File(_) | Place::Flag(_) => usize::MAX,
        });
        if self.problems.is_empty() {
            Ok(Checked {
                value,
                notices: self.notices,
            })
        } else {
            Err(ManifestError {
                problems: self.problems,
                notices: self.notices,
            })
        }
    }

    fn name_idle_keys(&mut self) {
        let mut by_file: BTreeMap<String, (Place, Vec<String>)> = BTreeMap::new();
        for (place, path) in self.idle.drain(..) {
            let place = match place {
                Place::Line { file, .. } => Place::File(file),
                other => other,
            };
            let keys = &mut by_file
                .entry(place.to_string())
                .or_insert_with(|| (place, Vec::new()))
                .1;
            keys.push(format!("`{path}`"));
        }
        for (place, keys) in by_file.into_values() {
            let message = format!("accepted without effect here: {}", keys.join(", "));
            self.notice(&place, message, None);
        }
    }

    /// `node` as a mapping under `path`.
    pub(crate) fn as_section<'a>(&mut self, node: &'a Node, path: &'a str) -> Option<Section<'a>> {
        match node.value {
            Value::Map(_) => Some(Section { path, node }),
            _ => self.mistyped(node, path, "a mapping"),
        }
    }

    /// The mapping at `key`. `path` is its whole path, spelled out by the
    /// caller because every caller knows it.
    pub(crate) fn section<'a>(
        &mut self,
        of: Section<'a>,
        key: &str,
        path: &'a str,
    ) -> Option<Section<'a>> {
        let node = of.get(key)?;
        self.as_section(node, path)
    }

    pub(crate) fn boolean(&mut self, of: Section<'_>, key: &str) -> Option<bool> {
        let node = of.get(key)?;
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Text { text, plain: true } => match text.to_ascii_lowercase().as_str() {
                // YAML 1.1, which the original reads.
                "yes" | "on" => Some(true),
                "no" | "off" => Some(false),
                _ => self.mistyped(node, &of.path_of(key), "true or false"),
            },
            _ => self.mistyped(node, &of.path_of(key), "true or false"),
        }
    }

    /// A whole number from `smallest` up. `3.0` is one, as in Python.
    pub(crate) fn integer(&mut self, of: Section<'_>, key: &str, smallest: u32) -> Option<u32> {
        let node = of.get(key)?;
        let path = of.path_of(key);
        let whole = match &node.value {
            Value::Number(text) => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.fract() == 0.0 || number.is_infinite()),
            _ => None,
        };
        let Some(number) = whole else {
            return self.mistyped(node, &path, "a whole number");
        };
        if number < f64::from(smallest) {
            return self.refuse(
                node,
                &path,
                format!("{number} is below the smallest value, {smallest}"),
            );
        }
        if number > f64::from(u32::MAX) {
            let found = node.describe();
            return self.refuse(
                node,
                &path,
                format!("{found} is over the largest value, {}", u32::MAX),
            );
        }
        // In range and whole, so nothing is cut off.
        Some(number as u32)
    }

    pub(crate) fn number(&mut self, of: Section<'_>, key: &str) -> Option<f64> {
        let node = of.get(key)?;
        let number = match &node.value {
            Value::Number(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => Some(number),
            Some(number) if number.is_infinite() => {
                let message = format!("{} is out of range", node.describe());
                self.refuse(node, &of.path_of(key), message)
            }
            _ => self.mistyped(node, &of.path_of(key), "a number"),
        }
    }

    pub(crate) fn text(&mut self, of: Section<'_>, key: &str) -> Option<String> {
        let node = of.get(key)?;
        self.node_text(node, &of.path_of(key))
    }

    fn node_text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text { text, .. } => Some(text.clone()),
            // `version: 3` and `WORKER_COUNT: 1` are meant as they are written.
            Value::Number(text) => Some(text.clone()),
            _ => self.mistyped(node, path, "a text"),
        }
    }

    /// A list of texts; none when the key is missing.
    pub(crate) fn texts(&mut self, of: Section<'_>, key: &str) -> Vec<String> {
        self.items(of, key)
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                self.node_text(item, &format!("{}[{index}]", of.path_of(key)))
            })
            .collect()
    }

    /// The nodes of a list; none when the key is missing.
    pub(crate) fn items<'a>(&mut self, of: Section<'a>, key: &str) -> &'a [Node] {
        let Some(node) = of.get(key) else {
            return &[];
        };
        match &node.value {
            Value::List(items) => items,
            _ => {
                self.mistyped::<()>(node, &of.path_of(key), "a list");
                &[]
            }
        }
    }

    /// A mapping of texts; booleans and numbers as they are written.
    pub(crate) fn text_map(&mut self, of: Section<'_>, key: &str) -> BTreeMap<String, String> {
        let path = of.path_of(key);
        let Some(section) = of.get(key).and_then(|node| {
            if let Value::Map(_) = node.value {
                return Some(Section { path: &path, node });
            }
            self.mistyped(node, &path, "a mapping")
        }) else {
            return BTreeMap::new();
        };
        let mut map = BTreeMap::new();
        for entry in section.entries() {
            let text = match &entry.node.value {
                Value::Bool(value) => Some(value.to_string()),
                Value::Null => Some(String::new()),
                _ => self.node_text(&entry.node, &section.path_of(&entry.key)),
            };
            if let Some(text) = text {
                map.insert(entry.key.clone(), text);
            }
        }
        map
    }

    /// Complains about the type of `node`.
    pub(crate) fn mistyped<T>(&mut self, node: &Node, path: &str, expected: &str) -> Option<T> {
        let found = node.describe();
        self.refuse(node, path, format!("expected {expected}, found {found}"))
    }

    /// Complains about the value of `node`.
    pub(crate) fn refuse<T>(&mut self, node: &Node, path: &str, message: String) -> Option<T> {
        self.failed.insert(path.to_owned());
        let message = if path.is_empty() {
            message
        } else {
            format!("`{path}`: {message}")
        };
        self.problem(&node.place, message, None);
        None
    }

    /// Warns of every key of `of` that is not in `known`. `idle` keys are
    /// known too, but do nothing here.
    pub(crate) fn check_keys(&mut self, of: Section<'_>, known: &[&str], idle: &[&str]) {
        for entry in of.entries() {
            let key = entry.key.as_str();
            if idle.contains(&key) {
                if !entry.node.is_blank() {
                    self.idle(&entry.place, of.path_of(key));
                }
            } else if !known.contains(&key) {
                let near = nearest(key, known.iter().chain(idle).copied());
                let help = near.map(|near| format!("did you mean `{near}`?"));
                self.unknown_key(entry, &of.path_of(key), help);
            }
        }
    }

    pub(crate) fn unknown_key(&mut self, entry: &Entry, path: &str, help: Option<String>) {
        self.notice(
            &entry.place,
            format!("unknown key `{}`, ignored as Azure does", shortened(path)),
            help,
        );
    }
}
