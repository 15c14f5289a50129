//! The tree that both formats are read into: values with their places.

use crate::{Place, Problem};

/// Most values of one file; real ones have some dozens, a long conda
/// definition a few hundred.
pub(crate) const MAX_NODES: usize = 20_000;

/// Deepest nesting; the files that are read here need five.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number as it was written, so that `3.10` stays a version.
    Number(String),
    Text {
        text: String,
        /// Unquoted YAML, where `yes` was once a boolean.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// A tree and the complaints of its format, duplicate keys for example.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Node,
    pub(crate) problems: Vec<Problem>,
}

/// A value from the command line that takes the place of one in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Path of the key as the file spells it, e.g. `autoScaler.minReplicas`.
    pub key: String,
    /// The value.
    pub value: Scalar,
    /// The flag it came from, dashes included.
    pub flag: String,
}

/// A value of an [`Override`].
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was typed.
    Number(String),
    /// A text.
    Text(String),
}

impl Override {
    /// An override of `key` by `flag`.
    pub fn new(key: impl Into<String>, flag: impl Into<String>, value: Scalar) -> Self {
        Self {
            key: key.into(),
            value,
            flag: flag.into(),
        }
    }
}

impl Node {
    pub(crate) fn empty_map(place: Place) -> Self {
        Self {
            place,
            value: Value::Map(Vec::new()),
        }
    }

    /// The value of `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node),
            _ => None,
        }
    }

    /// Where `path` stands, or the nearest mapping above it.
    pub(crate) fn place_of(&self, path: &str) -> &Place {
        let mut node = self;
        for key in path.split('.') {
            match node.get(key) {
                Some(next) => node = next,
                None => break,
            }
        }
        &node.place
    }

    /// Puts a flag's value where the file would have it.
    pub(crate) fn lay_over(&mut self, given: &Override) {
        let place = Place::Flag(given.flag.clone());
        let value = match &given.value {
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Number(text) => Value::Number(text.clone()),
            Scalar::Text(text) => Value::Text {
                text: text.clone(),
                plain: false,
            },
        };
        self.put(
            &given.key,
            Node {
                place: place.clone(),
                value,
            },
            &place,
        );
    }

    /// Replaces or adds the node at `path`, making the mappings above it.
    pub(crate) fn put(&mut self, path: &str, node: Node, place: &Place) {
        if matches!(self.value, Value::Null) {
            self.value = Value::Map(Vec::new());
        }
        // Anything but a mapping stays: reading it complains about its type.
        let Value::Map(entries) = &mut self.value else {
            return;
        };
        let (key, rest) = match path.split_once('.') {
            Some((key, rest)) => (key, Some(rest)),
            None => (path, None),
        };
        let index = entries
            .iter()
            .position(|entry| entry.key == key)
            .unwrap_or_else(|| {
                entries.push(Entry {
                    key: key.to_owned(),
                    place: place.clone(),
                    node: Node::empty_map(place.clone()),
                });
                entries.len() - 1
            });
        match rest {
            Some(rest) => entries[index].node.put(rest, node, place),
            None => entries[index].node = node,
        }
    }

    /// What this is, for a complaint about its type.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(text) => format!("the number {}", shortened(text)),
            Value::Text { text, .. } => format!("the text \"{}\"", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Null, false, empty, or made of such only: a scaffold's way to say nothing.
    pub(crate) fn is_blank(&self) -> bool {
        match &self.value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) | Value::Number(_) => false,
            Value::Text { text, .. } => text.is_empty(),
            Value::List(items) => items.iter().all(Self::is_blank),
            Value::Map(entries) => entries.iter().all(|entry| entry.node.is_blank()),
        }
    }

    /// The same value without its places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(text) => {
                serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
            }
            Value::Text { text, .. } => Json::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect(),
        }
    }
}

/// At most 60 characters of a text from a file, safe to print on one line.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
