//! `lusk service update`: what the flags and files say, as a JSON Patch.

use http::Method;
use lusk_manifest::{InferenceChange, deployment_update};
use serde_json::{Value, json};

use super::path;
use crate::{
    cli::{Label, ServiceUpdateArgs},
    commands::{
        Session,
        deploy::{both, checked_name, models, settings},
        operation, script,
    },
    render::{self, Trouble},
};

/// Changes a service.
///
/// # Errors
/// Nothing to change, a wrong config, a change that did not become healthy.
pub(crate) async fn run(session: &Session, args: &ServiceUpdateArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let service = if args.script.is_given() {
        super::get(session, name.as_str()).await?
    } else {
        Value::Null
    };
    let (script, change) = read(session, args, &service)?;
    let mut patch = change;
    labels(args, &mut patch);
    if patch.is_empty() && script.is_none() && !names_models(args) {
        return Err(
            Trouble::misuse("nothing to change: give at least one flag besides --name").into(),
        );
    }
    image(session, args, script.as_ref(), &mut patch).await?;
    let sent = session
        .client()
        .send(
            Method::PATCH,
            &path(name.as_str(), ""),
            Some(&Value::Array(patch)),
        )
        .await?;
    if args.no_wait {
        session
            .progress
            .say(&format!("update of service `{name}` goes on"));
    } else if sent.body["id"].is_string() {
        operation::follow(session, &sent.body, &format!("update of service `{name}`")).await?;
    }
    super::print(session, &super::get(session, name.as_str()).await?)
}

fn names_models(args: &ServiceUpdateArgs) -> bool {
    !args.models.models.is_empty() || !args.models.metadata_files.is_empty()
}

/// The script, and the settings as operations of a patch.
fn read(
    session: &Session,
    args: &ServiceUpdateArgs,
    service: &Value,
) -> anyhow::Result<(Option<InferenceChange>, Vec<Value>)> {
    let script = script::read_change(&args.script, &session.directory, service);
    let change = script::source(args.deploy_config_file.as_deref(), &session.directory)
        .and_then(|source| deployment_update(source.as_ref(), &args.settings.overrides()));
    let (script, change) = both(script, change)?;
    if !session.is_quiet {
        if let Some(script) = &script {
            render::notices(&script.notices);
        }
        render::notices(&change.notices);
        if args.is_migration || args.compute_target.is_some() {
            render::warning(
                "--is-migration and --compute-target: accepted without effect here",
                None,
            );
        }
    }
    let mut patch = Vec::new();
    for (key, value) in settings(&change.value.settings) {
        replace(&mut patch, &format!("/{key}"), &value);
    }
    let urls = match args.remote.as_slice() {
        [] => change.value.remote.as_deref(),
        urls => Some(urls),
    };
    if let Some(urls) = urls {
        patch.push(json!({ "op": "replace", "path": "/remoteReplicas", "value": urls }));
    }
    Ok((script.map(|script| script.value), patch))
}

/// One operation for each field, so that what is not named stays.
fn replace(patch: &mut Vec<Value>, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                replace(patch, &format!("{path}/{key}"), value);
            }
        }
        // The file has its own place for it, the wire only this one.
        leaf => {
            let path = if path == "/gpuCores" {
                "/containerResourceRequirements/gpu"
            } else {
                path
            };
            patch.push(json!({ "op": "replace", "path": path, "value": leaf }));
        }
    }
}

fn labels(args: &ServiceUpdateArgs, patch: &mut Vec<Value>) {
    if let Some(text) = &args.description {
        patch.push(json!({ "op": "replace", "path": "/description", "value": text }));
    }
    if !args.tags.is_empty() {
        let tags = Label::map(&args.tags);
        patch.push(json!({ "op": "replace", "path": "/kvTags", "value": tags }));
    }
    for key in &args.remove_tags {
        patch.push(json!({ "op": "remove", "path": format!("/kvTags/{}", escaped(key)) }));
    }
    for (list, place) in [
        (&args.add_tags, "kvTags"),
        (&args.add_properties, "properties"),
    ] {
        for (key, value) in Label::map(list) {
            let path = format!("/{place}/{}", escaped(&key));
            patch.push(json!({ "op": "add", "path": path, "value": value }));
        }
    }
}

/// A key as one part of a JSON Pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

async fn image(
    session: &Session,
    args: &ServiceUpdateArgs,
    script: Option<&InferenceChange>,
    patch: &mut Vec<Value>,
) -> anyhow::Result<()> {
    let ids = if names_models(args) {
        Some(models(session, &args.models).await?)
    } else {
        None
    };
    if let Some(config) = script {
        let mut image = script::send(session, &args.script, config).await?;
        if let Some(ids) = ids {
            image["modelIds"] = json!(ids);
        }
        patch.push(json!({ "op": "replace", "path": "/environmentImageRequest", "value": image }));
    } else if let Some(ids) = ids {
        patch.push(json!({ "op": "replace", "path": "/modelIds", "value": ids }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_settings_are_patched_field_by_field() {
        let mut patch = Vec::new();
        replace(&mut patch, "/autoScaler", &json!({"minReplicas": 2}));
        replace(&mut patch, "/gpuCores", &json!(1));
        assert_eq!(
            Value::Array(patch),
            json!([
                {"op": "replace", "path": "/autoScaler/minReplicas", "value": 2},
                {"op": "replace", "path": "/containerResourceRequirements/gpu", "value": 1},
            ])
        );
    }

    #[test]
    fn keys_with_slashes_are_escaped() {
        assert_eq!(escaped("a/b~c"), "a~1b~0c");
    }
}
