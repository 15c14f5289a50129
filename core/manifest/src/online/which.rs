//! Which of the two kinds a file is: an endpoint's and a deployment's are easily taken
//! for each other, and most of their keys would only be called unknown.

use super::text_of;
use crate::{
    Place,
    reader::{Reader, Section},
};

/// A kind of file.
pub(super) struct Kind {
    /// What people call it.
    noun: &'static str,
    /// What its schema's address has in it, in small letters.
    schema: &'static str,
    /// The command that takes it.
    command: &'static str,
}

/// An endpoint's.
pub(super) const ENDPOINT: Kind = Kind {
    noun: "an endpoint",
    schema: "onlineendpoint",
    command: "online-endpoint",
};

/// A deployment's.
pub(super) const DEPLOYMENT: Kind = Kind {
    noun: "a deployment",
    schema: "onlinedeployment",
    command: "online-deployment",
};

/// Refuses a file of the `other` kind where one of the `wanted` kind is read: its schema
/// says so, or a key that only that kind has.
pub(super) fn refuse_other(
    reader: &mut Reader,
    top: Section<'_>,
    other: &Kind,
    wanted: &Kind,
    keys: &[&str],
) -> Option<()> {
    let schema = top.get("$schema").and_then(text_of).unwrap_or_default();
    let schema = schema.to_ascii_lowercase();
    if schema.contains(wanted.schema) {
        return Some(());
    }
    // A flag may set any key; the file is what is told apart.
    let mut keys = keys.iter().filter_map(|key| top.get(key));
    let key = keys.find(|node| !matches!(node.place, Place::Flag(_)));
    if key.is_none() && !schema.contains(other.schema) {
        return Some(());
    }
    let place = &top.node.place;
    let file = match place {
        Place::Line { file, .. } | Place::File(file) => file.as_ref(),
        Place::Flag(_) => "FILE",
    };
    let help = format!("`lusk {} create -f {file}` takes it", other.command);
    let message = format!("this is {}'s file, not {}'s", other.noun, wanted.noun);
    reader.problem(
        &key.map_or(place, |node| &node.place).clone(),
        message,
        Some(help),
    );
    None
}
