//! Online endpoints and their deployments as YAML of the original's successor (v2):
//! what a deployment is there is a version of an endpoint here.
//!
//! The defaults of that format hold for its files, also where the older format has
//! others: a request may take 5 s, not 60.

mod asset;
mod deployment;
mod endpoint;
mod probe;
mod quantity;
mod scale;
mod script;
mod traffic;
mod which;

pub use self::{
    asset::{ModelChoice, NewModel},
    deployment::{OnlineDeployment, OnlineScript, online_deployment},
    endpoint::{OnlineEndpoint, online_endpoint},
    traffic::{check_mirror, check_traffic},
};
use crate::{
    Checked, ManifestError, Override, Source,
    node::{Node, Value, shortened},
    reader::{Reader, Section},
    suggest::nearest,
};

/// Names of the schema's kinds; a node serves all of them alike.
const KINDS: [&str; 2] = ["managed", "kubernetes"];

/// Reads a file with the values of flags laid over it.
fn read<T>(
    source: &Source,
    overrides: &[Override],
    from: impl FnOnce(&mut Reader, Section<'_>) -> Option<T>,
) -> Result<Checked<T>, ManifestError> {
    let mut reader = Reader::default();
    let parsed = source.parse()?;
    reader.take(parsed.problems);
    let mut root = parsed.root;
    for given in overrides {
        root.lay_over(given);
    }
    let found = match reader.as_section(&root, "") {
        Some(top) => from(&mut reader, top),
        None => None,
    };
    let place = root.place.clone();
    let checked = reader.finish(found)?;
    match checked.value {
        Some(value) => Ok(Checked {
            value,
            notices: checked.notices,
        }),
        // Every way to nothing is a problem that was told.
        None => Err(crate::Problem {
            place,
            message: "cannot be read".to_owned(),
            help: None,
        }
        .into()),
    }
}

/// `type: managed` or `kubernetes`; without effect, but not any text.
fn kind(reader: &mut Reader, top: Section<'_>) {
    let (Some(node), Some(text)) = (top.get("type"), reader.text(top, "type")) else {
        return;
    };
    if KINDS.contains(&text.as_str()) {
        return;
    }
    let help = nearest(&text, KINDS).map(|near| format!("did you mean `{near}`?"));
    reader.problem(
        &node.place,
        format!(
            "`type`: `{}` is unknown, expected managed or kubernetes",
            shortened(&text)
        ),
        help,
    );
}

/// A text that must be a name of type `T`.
fn named<T>(reader: &mut Reader, top: Section<'_>, key: &str) -> Option<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let node = top.get(key)?;
    let text = reader.text(top, key)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => reader.refuse(node, &top.path_of(key), error.to_string()),
    }
}

/// The text of a node that holds one.
fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// `true` and `false`, quoted too, as published examples have them.
fn switch(reader: &mut Reader, of: Section<'_>, key: &str) -> Option<bool> {
    let quoted = of.get(key).and_then(text_of).map(str::to_ascii_lowercase);
    match quoted.as_deref() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => reader.boolean(of, key),
    }
}

#[cfg(test)]
mod tests;
