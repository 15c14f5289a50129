//! One advisory of an OSV database, as far as it concerns Python packages.
//!
//! An advisory that also speaks of ecosystems, credits or references of a kind
//! that is not known here must not be lost for that: only what is needed is
//! given to the reader of the schema.

use std::str::FromStr as _;

use osv::schema::{Affected, Event, Vulnerability};
use pep440_rs::Version;
use serde_json::{Map, Value, json};

use crate::builder::conda::normal_name;

/// An advisory with at least one Python package.
#[derive(Debug)]
pub(super) struct Advisory {
    entry: Vulnerability,
    severity: Option<String>,
}

impl Advisory {
    /// Reads an entry; none when it concerns no Python package.
    pub(super) fn read(content: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let entry: Map<String, Value> = serde_json::from_slice(content)?;
        let affected = entry.get("affected").and_then(Value::as_array);
        let affected: Vec<_> = affected
            .into_iter()
            .flatten()
            .filter_map(python_part)
            .collect();
        if affected.is_empty() && entry.contains_key("id") {
            return Ok(None);
        }
        let severity = severity_of(&entry);
        let mut needed = Map::new();
        for key in ["id", "modified", "withdrawn", "aliases", "summary"] {
            needed.extend(entry.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        needed.insert("affected".to_owned(), Value::Array(affected));
        let entry = serde_json::from_value(Value::Object(needed))?;
        Ok(Some(Self { entry, severity }))
    }

    pub(super) fn id(&self) -> &str {
        &self.entry.id
    }

    pub(super) fn aliases(&self) -> Vec<String> {
        let mut aliases = self.entry.aliases.clone().unwrap_or_default();
        aliases.sort();
        aliases
    }

    pub(super) fn summary(&self) -> Option<String> {
        self.entry.summary.clone()
    }

    pub(super) fn severity(&self) -> Option<String> {
        self.severity.clone()
    }

    /// The packages that it speaks of, each once; none when it was withdrawn.
    pub(super) fn packages(&self) -> Vec<String> {
        if self.entry.withdrawn.is_some() {
            return Vec::new();
        }
        let mut names: Vec<_> = self.affected().filter_map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether it holds for a version; `text` is how the version is written.
    pub(super) fn affects(&self, package: &str, text: &str, version: Option<&Version>) -> bool {
        self.of(package).any(|affected| {
            is_listed(affected, text, version)
                || version.is_some_and(|version| is_in_range(affected, version))
        })
    }

    /// Versions after `version` that mend it, the lowest first.
    pub(super) fn fixed(&self, package: &str, version: Option<&Version>) -> Vec<String> {
        let events = self.of(package).flat_map(events);
        let fixed = events.filter_map(|event| match event {
            Event::Fixed(fixed) => Some(fixed),
            _ => None,
        });
        let mut fixed: Vec<(Option<Version>, &String)> = fixed
            .map(|text| (Version::from_str(text).ok(), text))
            .filter(|(fixed, _)| version.is_none() || fixed.as_ref() > version)
            .collect();
        fixed.sort();
        fixed.dedup();
        fixed.into_iter().map(|(_, text)| text.clone()).collect()
    }

    fn affected(&self) -> impl Iterator<Item = &Affected> {
        self.entry.affected.iter().flatten()
    }

    fn of(&self, package: &str) -> impl Iterator<Item = &Affected> {
        self.affected()
            .filter(move |affected| name(affected).as_deref() == Some(package))
    }
}

fn name(affected: &Affected) -> Option<String> {
    affected.package.as_ref().map(|it| normal_name(&it.name))
}

fn events(affected: &Affected) -> impl Iterator<Item = &Event> {
    affected
        .ranges
        .iter()
        .flatten()
        .flat_map(|range| &range.events)
}

fn is_listed(affected: &Affected, text: &str, version: Option<&Version>) -> bool {
    let public = version.map(|version| version.clone().without_local());
    affected.versions.iter().flatten().any(|listed| {
        listed == text || (public.is_some() && Version::from_str(listed).ok() == public)
    })
}

/// The rule of the schema: of the events up to a version the last one counts.
fn is_in_range(affected: &Affected, version: &Version) -> bool {
    affected.ranges.iter().flatten().any(|range| {
        let mut events: Vec<(Version, &Event)> = range
            .events
            .iter()
            .filter_map(|event| Some((point(event)?, event)))
            .collect();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        let mut affected = false;
        for (point, event) in &events {
            match event {
                Event::Introduced(_) if version >= point => affected = true,
                Event::Fixed(_) if version >= point => affected = false,
                Event::LastAffected(_) if version > point => affected = false,
                _ => {}
            }
        }
        affected
    })
}

fn point(event: &Event) -> Option<Version> {
    match event {
        // Before every version, so also before `0.dev1`.
        Event::Introduced(text) if text == "0" => Version::from_str("0.dev0").ok(),
        Event::Introduced(text) | Event::Fixed(text) | Event::LastAffected(text) => {
            Version::from_str(text).ok()
        }
        _ => None,
    }
}

/// The part of an `affected` entry on a Python package: its name, its versions
/// and the ranges in the ecosystem's own order.
fn python_part(affected: &Value) -> Option<Value> {
    let package = &affected["package"];
    if package["ecosystem"] != "PyPI" {
        return None;
    }
    let ranges = affected["ranges"].as_array().into_iter().flatten();
    let ranges: Vec<_> = ranges
        .filter(|range| range["type"] == "ECOSYSTEM")
        .map(|range| json!({ "type": "ECOSYSTEM", "events": single_events(&range["events"]) }))
        .collect();
    Some(json!({
        "package": { "ecosystem": "PyPI", "name": package["name"] },
        "ranges": ranges,
        "versions": affected.get("versions"),
    }))
}

/// Events of the first schema held several points at once.
fn single_events(events: &Value) -> Vec<Value> {
    let events = events.as_array().into_iter().flatten();
    let points = events.filter_map(Value::as_object).flatten();
    points
        .filter(|(kind, _)| matches!(kind.as_str(), "introduced" | "fixed" | "last_affected"))
        .map(|(kind, point)| json!({ kind: point }))
        .collect()
}

/// The word of the database, else the vector of the newest scoring system.
fn severity_of(entry: &Map<String, Value>) -> Option<String> {
    let word = entry
        .get("database_specific")
        .and_then(|it| it["severity"].as_str());
    let scores = entry.get("severity").and_then(Value::as_array);
    let mut vectors: Vec<_> = scores
        .into_iter()
        .flatten()
        .filter_map(|it| Some((it["type"].as_str()?, it["score"].as_str()?)))
        .collect();
    vectors.sort_unstable();
    word.or(vectors.last().map(|(_, score)| *score))
        .map(str::to_owned)
}
