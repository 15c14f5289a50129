//! Reading a file as text, within bounds.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use crate::{
    Place, Problem, json,
    node::{Node, Parsed},
    yaml,
};

/// Most bytes of one configuration file; real ones have a few kilobytes.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The text of a configuration file and the name to call it by.
#[derive(Debug, Clone)]
pub struct Source {
    name: Arc<str>,
    text: String,
}

impl Source {
    /// A text that was read elsewhere.
    pub fn new(name: impl AsRef<str>, text: impl Into<String>) -> Self {
        Self {
            name: name.as_ref().into(),
            text: text.into(),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is over [`MAX_BYTES`], or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let name: Arc<str> = path.display().to_string().into();
        let refuse = |message: String, help: Option<&str>| Problem {
            place: Place::File(name.clone()),
            message,
            help: help.map(str::to_owned),
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| refuse(reason(&error, path), None))?;
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| refuse(reason(&error, path), None))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refuse(
                format!("larger than {MAX_BYTES} bytes, the most a configuration file may have"),
                None,
            ));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(refuse(
                "is UTF-16 text, expected UTF-8".to_owned(),
                Some("save the file as UTF-8"),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..at]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            refuse(
                format!("is not UTF-8 text: bad byte at offset {at}, line {line}"),
                Some("save the file as UTF-8"),
            )
        })?;
        Ok(Self { name, text })
    }

    /// The name to call the file by.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The text without a byte order mark, which some Windows editors write.
    pub(crate) fn text(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// The file as a tree with line numbers. The ending tells the format; a
    /// file without one of the known endings is JSON if it begins like JSON.
    pub(crate) fn parse(&self) -> Result<Parsed, Problem> {
        if self.text().trim().is_empty() {
            return Err(Problem {
                place: Place::File(self.name.clone()),
                message: "is empty".to_owned(),
                help: Some("the smallest file is {}".to_owned()),
            });
        }
        let lower = self.name.to_ascii_lowercase();
        let is_json = if lower.ends_with(".json") {
            true
        } else if lower.ends_with(".yml") || lower.ends_with(".yaml") {
            false
        } else {
            self.text().trim_start().starts_with(['{', '['])
        };
        if is_json {
            json::parse(self)
        } else {
            yaml::parse(self)
        }
    }

    /// The place of a line of this file.
    pub(crate) fn line(&self, line: usize) -> Place {
        Place::Line {
            file: self.name.clone(),
            line,
        }
    }

    /// An empty mapping that stands for a file nobody gave.
    pub(crate) fn absent(name: &str) -> Node {
        Node::empty_map(Place::File(name.into()))
    }
}

fn reason(error: &std::io::Error, path: &Path) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ if path.is_dir() => "is a folder, expected a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
