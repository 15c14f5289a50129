//! The versions of an endpoint in rows, and what each of them gets.

use lusk_domain::Share;
use serde_json::{Value, json};

use crate::{
    commands::{
        model::plain,
        service::{models, replicas},
    },
    render::Column,
};

/// What a version really gets; a key of ours.
pub(crate) const EFFECTIVE: &str = "effectiveTrafficPercentile";

/// Where there is nothing to say.
const NOTHING: &str = "—";

/// A version, and what is true of it among the others.
pub(super) struct Row<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its object.
    pub(super) version: &'a Value,
    /// What it really gets; none before it was healthy.
    pub(super) gets: Option<Share>,
    role: &'static str,
}

/// All versions by name.
pub(super) fn rows(endpoint: &Value) -> Vec<Row<'_>> {
    let Some(versions) = endpoint["versions"].as_object() else {
        return Vec::new();
    };
    let has_control = versions.values().any(is_control);
    versions
        .iter()
        .map(|(name, version)| {
            let own = share(version);
            let role = match (own, is_control(version)) {
                (Some(_), true) => "control",
                (Some(_), false) if has_control => "treatment",
                _ => NOTHING,
            };
            // The node knows what is assigned to nobody, and that the default gets it.
            let gets = own.and_then(|_| percentage(&version[EFFECTIVE]));
            Row {
                name,
                version,
                gets,
                role,
            }
        })
        .collect()
}

fn share(version: &Value) -> Option<Share> {
    percentage(&version["trafficPercentile"])
}

fn percentage(value: &Value) -> Option<Share> {
    Share::try_from(value.as_f64()?).ok()
}

fn is_control(version: &Value) -> bool {
    ["versionType", "type"]
        .iter()
        .filter_map(|key| version[*key].as_str())
        .any(|kind| kind.eq_ignore_ascii_case("control"))
}

fn percent(share: Option<Share>) -> String {
    share.map_or_else(|| NOTHING.to_owned(), |share| format!("{share} %"))
}

impl Row<'_> {
    /// `blue 90 %`.
    pub(super) fn brief(&self) -> String {
        format!("{} {}", self.name, percent(self.gets))
    }

    /// As [`COLUMNS`] read it.
    fn texts(&self) -> Value {
        let version = self.version;
        json!({
            "name": self.name,
            "state": plain(&version["state"]),
            "role": self.role,
            "default": if version["isDefault"] == true { "yes" } else { "" },
            "share": percent(share(version)),
            "gets": percent(self.gets),
            "replicas": replicas(version),
            "models": models(version),
            "uri": plain(&version["scoringUri"]),
        })
    }
}

/// The rows as [`COLUMNS`] read them.
pub(super) fn texts(endpoint: &Value) -> Value {
    rows(endpoint).iter().map(Row::texts).collect()
}

/// What people see of versions.
pub(super) const COLUMNS: [Column; 9] = [
    Column::new("Version", |row| plain(&row["name"])),
    Column::new("State", |row| plain(&row["state"])),
    Column::new("Role", |row| plain(&row["role"])),
    Column::new("Default", |row| plain(&row["default"])),
    Column::new("Share", |row| plain(&row["share"])),
    Column::new("Gets", |row| plain(&row["gets"])),
    Column::new("Replicas", |row| plain(&row["replicas"])),
    Column::new("Models", |row| plain(&row["models"])),
    Column::new("Scoring URI", |row| plain(&row["uri"])),
];
