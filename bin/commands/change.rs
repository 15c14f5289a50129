//! A change of a service, of an endpoint or of one of its versions, as a JSON Patch.
//!
//! Invariant: what nobody named stays, so each field is an operation of its own.

use lusk_domain::{SettingsChange, VersionName};
use lusk_manifest::InferenceChange;
use serde_json::{Value, json};

use super::{
    Session,
    deploy::{models, settings},
    script,
};
use crate::cli::{Label, ModelsArgs, ScriptArgs};

/// Operations below one place of the object.
pub(crate) struct Patch {
    root: String,
    operations: Vec<Value>,
}

/// The flags of description and labels.
#[derive(Default)]
pub(crate) struct Labels<'a> {
    /// Free text.
    pub(crate) description: Option<&'a str>,
    /// In place of all tags there are.
    pub(crate) tags: &'a [Label],
    /// Added or replaced.
    pub(crate) add_tags: &'a [Label],
    /// Taken away.
    pub(crate) remove_tags: &'a [String],
    /// Added.
    pub(crate) add_properties: &'a [Label],
}

impl Patch {
    /// Of the whole object.
    pub(crate) fn of_all() -> Self {
        Self {
            root: String::new(),
            operations: Vec::new(),
        }
    }

    /// Of one version of an endpoint.
    pub(crate) fn of_version(version: &VersionName) -> Self {
        Self {
            root: format!("/versions/{version}"),
            ..Self::of_all()
        }
    }

    /// Whether nothing is changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The patch as it is sent.
    pub(crate) fn into_value(self) -> Value {
        Value::Array(self.operations)
    }

    /// Gives a field another value.
    pub(crate) fn replace(&mut self, path: &str, value: impl Into<Value>) {
        self.push("replace", path, Some(value.into()));
    }

    /// Adds a field, or the whole object.
    pub(crate) fn add(&mut self, path: &str, value: impl Into<Value>) {
        self.push("add", path, Some(value.into()));
    }

    fn push(&mut self, op: &str, path: &str, value: Option<Value>) {
        let mut operation = json!({ "op": op, "path": format!("{}{path}", self.root) });
        if let Some(value) = value {
            operation["value"] = value;
        }
        self.operations.push(operation);
    }

    /// How it runs.
    pub(crate) fn settings(&mut self, change: &SettingsChange) {
        for (key, value) in settings(change) {
            self.leaves(&format!("/{key}"), value);
        }
    }

    fn leaves(&mut self, path: &str, value: Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.leaves(&format!("{path}/{key}"), value);
                }
            }
            // The file has its own place for it, the wire only this one.
            leaf if path == "/gpuCores" => {
                self.replace("/containerResourceRequirements/gpu", leaf);
            }
            leaf => self.replace(path, leaf),
        }
    }

    /// Description, tags and properties.
    pub(crate) fn labels(&mut self, labels: &Labels<'_>) {
        if let Some(text) = labels.description {
            self.replace("/description", text);
        }
        if !labels.tags.is_empty() {
            self.replace("/kvTags", json!(Label::map(labels.tags)));
        }
        for key in labels.remove_tags {
            self.push("remove", &format!("/kvTags/{}", escaped(key)), None);
        }
        for (list, place) in [
            (labels.add_tags, "kvTags"),
            (labels.add_properties, "properties"),
        ] {
            for (key, value) in Label::map(list) {
                self.add(&format!("/{place}/{}", escaped(&key)), value);
            }
        }
    }

    /// Script, environment and models; packs and sends what the node does not have.
    ///
    /// # Errors
    /// The folder cannot be packed, a model cannot be registered, or the node refused.
    pub(crate) async fn image(
        &mut self,
        session: &Session,
        flags: &ScriptArgs,
        script: Option<&InferenceChange>,
        given: &ModelsArgs,
    ) -> anyhow::Result<()> {
        let ids = match given.is_empty() {
            true => None,
            false => Some(models(session, given).await?),
        };
        if let Some(config) = script {
            let mut image = script::send(session, flags, config).await?;
            if let Some(ids) = ids {
                image["modelIds"] = json!(ids);
            }
            self.replace("/environmentImageRequest", image);
        } else if let Some(ids) = ids {
            self.replace("/modelIds", json!(ids));
        }
        Ok(())
    }
}

/// A key as one part of a JSON Pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_settings_are_patched_field_by_field() {
        let change: SettingsChange = serde_json::from_value(json!({
            "autoScaler": {"minReplicas": 2}, "gpuCores": 1
        }))
        .unwrap();
        let mut patch = Patch::of_version(&"blue".parse().unwrap());
        patch.settings(&change);
        assert_eq!(
            patch.into_value(),
            json!([
                {"op": "replace", "path": "/versions/blue/autoScaler/minReplicas", "value": 2},
                {"op": "replace", "path": "/versions/blue/containerResourceRequirements/gpu", "value": 1},
            ])
        );
    }

    #[test]
    fn labels_are_replaced_added_and_removed() {
        let mut patch = Patch::of_all();
        patch.labels(&Labels {
            description: Some("text"),
            add_tags: &["a/b~c=1".parse().unwrap()],
            remove_tags: &["d".to_owned()],
            add_properties: &["p=2".parse().unwrap()],
            ..Labels::default()
        });
        assert_eq!(
            patch.into_value(),
            json!([
                {"op": "replace", "path": "/description", "value": "text"},
                {"op": "remove", "path": "/kvTags/d"},
                {"op": "add", "path": "/kvTags/a~1b~0c", "value": "1"},
                {"op": "add", "path": "/properties/p", "value": "2"},
            ])
        );
    }
}
