//! YAML with line numbers, built from parser events so that depth, size and
//! aliases stay within bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use crate::{
    Place, Problem, Source,
    json::duplicate,
    node::{Entry, MAX_DEPTH, MAX_NODES, Node, Parsed, Value},
};

/// Reads a YAML text.
pub(crate) fn parse(source: &Source) -> Result<Parsed, Problem> {
    let mut build = Build {
        source,
        parser: Parser::new_from_str(source.text()),
        line: 1,
        nodes: 0,
        anchors: HashMap::new(),
        problems: Vec::new(),
    };
    let root = build.document()?;
    Ok(Parsed {
        root,
        problems: build.problems,
    })
}

struct Build<'a> {
    source: &'a Source,
    parser: Parser<'a, StrInput<'a>>,
    line: usize,
    nodes: usize,
    anchors: HashMap<usize, Node>,
    problems: Vec<Problem>,
}

impl<'a> Build<'a> {
    fn document(&mut self) -> Result<Node, Problem> {
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node {
                        place: self.place(),
                        value: Value::Null,
                    });
                }
                event => {
                    let root = self.node(event, 0)?;
                    self.expect_end()?;
                    return Ok(root);
                }
            }
        }
    }

    fn expect_end(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd | Event::Nothing => {}
                _ => return Err(self.refuse("holds more than one YAML document, expected one")),
            }
        }
    }

    fn next(&mut self) -> Result<Event<'a>, Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok(Event::StreamEnd),
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Problem> {
        self.count(1)?;
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        let place = self.place();
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                (anchor, scalar(&text, style, is_text))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => return Err(self.refuse("is not valid YAML")),
        };
        let node = Node { place, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize) -> Result<Node, Problem> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.refuse("an alias refers to the value it stands in"));
        };
        self.count(size(&node))?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (key, place) = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => (text.into_owned(), self.place()),
                _ => return Err(self.refuse("a key is not a plain text")),
            };
            let event = self.next()?;
            let node = self.node(event, depth + 1)?;
            if key == "<<" {
                merged.push(node);
                continue;
            }
            self.problems.extend(duplicate(&entries, &key, &place));
            entries.push(Entry { key, place, node });
        }
        for node in merged {
            merge(&mut entries, node);
        }
        Ok(Value::Map(entries))
    }

    /// Aliases count as often as they are used: a few lines of aliases of
    /// aliases would otherwise fill the memory.
    fn count(&mut self, nodes: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(format!("holds more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn place(&self) -> Place {
        self.source.line(self.line)
    }

    fn refuse(&self, message: impl Into<String>) -> Problem {
        Problem {
            place: self.place(),
            message: message.into(),
            help: None,
        }
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let at = error.marker();
        Problem {
            place: Place::File(self.source.name().clone()),
            message: format!(
                "is not valid YAML: {} at line {} column {}",
                error.info(),
                at.line(),
                at.col() + 1
            ),
            help: None,
        }
    }
}

/// `<<: *defaults` of YAML 1.1, which the original reads: own keys win.
fn merge(entries: &mut Vec<Entry>, from: Node) {
    match from.value {
        Value::Map(more) => {
            for entry in more {
                if entries.iter().all(|own| own.key != entry.key) {
                    entries.push(entry);
                }
            }
        }
        Value::List(items) => items.into_iter().for_each(|item| merge(entries, item)),
        _ => {}
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.node)).sum(),
        _ => 0,
    }
}

/// The core schema of YAML 1.2.
fn scalar(text: &str, style: ScalarStyle, is_text: bool) -> Value {
    let plain = style == ScalarStyle::Plain;
    if plain && !is_text {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ if is_number(text) => return Value::Number(text.to_owned()),
            _ => {}
        }
    }
    Value::Text {
        text: text.to_owned(),
        plain: plain && !is_text,
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let special = matches!(unsigned.to_ascii_lowercase().as_str(), ".nan" | ".inf");
    special
        || (unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && unsigned.contains(|c: char| c.is_ascii_digit())
            && text.parse::<f64>().is_ok())
}
