//! `key=value` on the command line.

use std::{collections::BTreeMap, str::FromStr};

/// One tag or property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Before the first `=`.
    pub(crate) key: String,
    /// After it; none without one, which only filters take.
    pub(crate) value: Option<String>,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err("expected `key=value`".to_owned());
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

impl Label {
    /// Reads a label that must have a value.
    pub(super) fn pair(text: &str) -> Result<Self, String> {
        let label: Self = text.parse()?;
        if label.value.is_none() {
            return Err(format!("`{text}` has no value: expected `key=value`"));
        }
        Ok(label)
    }

    /// Labels as a map; of two with one key the later one counts.
    pub(crate) fn map(labels: &[Self]) -> BTreeMap<String, String> {
        labels
            .iter()
            .map(|label| (label.key.clone(), label.value.clone().unwrap_or_default()))
            .collect()
    }

    /// Labels as the admin API filters by them: `key` or `key=value`, commas between.
    pub(crate) fn filter(labels: &[Self]) -> Option<String> {
        let parts: Vec<_> = labels
            .iter()
            .map(|label| match &label.value {
                Some(value) => format!("{}={value}", label.key),
                None => label.key.clone(),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }
}
