//! `lusk service update`: what the flags and files say, as a JSON Patch.

use http::Method;
use lusk_manifest::{InferenceChange, deployment_update};
use serde_json::{Value, json};

use super::path;
use crate::{
    cli::ServiceUpdateArgs,
    commands::{
        Session,
        change::{Labels, Patch},
        deploy::{both, checked_name},
        endpoint, operation, script,
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
        of_service(super::get(session, name.as_str()).await?)?
    } else {
        Value::Null
    };
    let mut patch = Patch::of_all();
    let script = read(session, args, &service, &mut patch)?;
    patch.labels(&Labels {
        description: args.description.as_deref(),
        tags: &args.tags,
        add_tags: &args.add_tags,
        remove_tags: &args.remove_tags,
        add_properties: &args.add_properties,
    });
    if patch.is_empty() && script.is_none() && args.models.is_empty() {
        return Err(
            Trouble::misuse("nothing to change: give at least one flag besides --name").into(),
        );
    }
    patch
        .image(session, &args.script, script.as_ref(), &args.models)
        .await?;
    let sent = session
        .client()
        .send(
            Method::PATCH,
            &path(name.as_str(), ""),
            Some(&patch.into_value()),
        )
        .await;
    let sent = match sent {
        Ok(sent) => sent,
        Err(refused) => {
            // The node speaks of fields; where there are versions, these are meant.
            of_service(super::get(session, name.as_str()).await?)?;
            return Err(refused);
        }
    };
    if args.no_wait {
        session
            .progress
            .say(&format!("update of service `{name}` goes on"));
    } else if sent.body["id"].is_string() {
        operation::follow(session, &sent.body, &format!("update of service `{name}`")).await?;
    }
    super::print(session, &super::get(session, name.as_str()).await?)
}

/// The object, unless it is an endpoint's.
fn of_service(object: Value) -> Result<Value, Trouble> {
    if !endpoint::is_one(&object) {
        return Ok(object);
    }
    let name = object["name"].as_str().unwrap_or_default();
    Err(Trouble::misuse(format!(
        "`{name}` is an endpoint: what runs is its versions, which are changed one by one"
    ))
    .with_help(format!(
        "`lusk endpoint realtime update-version -n {name} --vn VERSION`; what they have in \
         common: `lusk endpoint realtime update -n {name}`"
    )))
}

/// The script; the settings go into the patch.
fn read(
    session: &Session,
    args: &ServiceUpdateArgs,
    service: &Value,
    patch: &mut Patch,
) -> anyhow::Result<Option<InferenceChange>> {
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
    patch.settings(&change.value.settings);
    let urls = match args.remote.as_slice() {
        [] => change.value.remote.as_deref(),
        urls => Some(urls),
    };
    if let Some(urls) = urls {
        patch.replace("/remoteReplicas", json!(urls));
    }
    Ok(script.map(|script| script.value))
}
