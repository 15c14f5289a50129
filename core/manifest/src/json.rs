//! JSON with line numbers. `serde_json` decides what is JSON and words the
//! syntax errors; this walks the text once more to learn where things stand.

use crate::{
    Place, Problem, Source,
    node::{Entry, MAX_DEPTH, MAX_NODES, Node, Parsed, Value, shortened},
};

/// Reads a JSON text.
pub(crate) fn parse(source: &Source) -> Result<Parsed, Problem> {
    let text = source.text();
    let refuse = |message: String| Problem {
        place: Place::File(source.name().clone()),
        message,
        help: None,
    };
    // A whole value words more errors well than `IgnoredAny`, trailing commas
    // and numbers out of range for example.
    serde_json::from_str::<serde_json::Value>(text)
        .map_err(|error| refuse(format!("is not valid JSON: {error}")))?;
    let mut walk = Walk {
        source,
        rest: text,
        line: 1,
        nodes: 0,
        depth: 0,
        trouble: None,
        problems: Vec::new(),
    };
    let Some(root) = walk.value() else {
        return Err(refuse(walk.trouble.unwrap_or_else(|| {
            format!("is not valid JSON near line {}", walk.line)
        })));
    };
    Ok(Parsed {
        root,
        problems: walk.problems,
    })
}

struct Walk<'a> {
    source: &'a Source,
    rest: &'a str,
    line: usize,
    nodes: usize,
    depth: usize,
    /// Which limit the text is over.
    trouble: Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    /// The next value; `None` if a limit is passed, or if `serde_json` took
    /// what this does not.
    fn value(&mut self) -> Option<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.trouble = Some(format!("holds more than {MAX_NODES} values"));
            return None;
        }
        if self.depth > MAX_DEPTH {
            self.trouble = Some(format!("is nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        self.depth += 1;
        self.skip_space();
        let place = self.source.line(self.line);
        let value = match self.rest.as_bytes().first()? {
            b'{' => self.map()?,
            b'[' => self.list()?,
            b'"' => Value::Text {
                text: self.string()?,
                plain: false,
            },
            _ => self.literal()?,
        };
        self.depth -= 1;
        Some(Node { place, value })
    }

    fn map(&mut self) -> Option<Value> {
        self.take(1);
        let mut entries: Vec<Entry> = Vec::new();
        if self.next_is("}") {
            return Some(Value::Map(entries));
        }
        loop {
            self.skip_space();
            let place = self.source.line(self.line);
            let key = self.string()?;
            if !self.next_is(":") {
                return None;
            }
            let node = self.value()?;
            self.problems.extend(duplicate(&entries, &key, &place));
            entries.push(Entry { key, place, node });
            if self.next_is("}") {
                return Some(Value::Map(entries));
            }
            if !self.next_is(",") {
                return None;
            }
        }
    }

    fn list(&mut self) -> Option<Value> {
        self.take(1);
        let mut items = Vec::new();
        if self.next_is("]") {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.next_is("]") {
                return Some(Value::List(items));
            }
            if !self.next_is(",") {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })?;
        // No line break can stand inside a JSON string.
        serde_json::from_str(self.take(end + 2)).ok()
    }

    fn literal(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
            .unwrap_or(self.rest.len());
        Some(match self.take(end) {
            "" => return None,
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => Value::Number(number.to_owned()),
        })
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let skipped = self.take(self.rest.len() - rest.len());
        self.line += skipped.bytes().filter(|b| *b == b'\n').count();
    }

    fn next_is(&mut self, token: &str) -> bool {
        self.skip_space();
        let is = self.rest.starts_with(token);
        if is {
            self.take(token.len());
        }
        is
    }
}

/// The complaint about `key` if `entries` have it already. Both places are
/// named: which of the two was meant, only the user can tell.
pub(crate) fn duplicate(entries: &[Entry], key: &str, place: &Place) -> Option<Problem> {
    let first = entries.iter().find(|entry| entry.key == key)?;
    let before = match &first.place {
        Place::Line { line, .. } => format!(", first on line {line}"),
        _ => String::new(),
    };
    Some(Problem {
        place: place.clone(),
        message: format!("key `{}` is given twice{before}", shortened(key)),
        help: Some("remove one of the two".to_owned()),
    })
}
