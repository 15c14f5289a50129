//! What a deployment's YAML names, on its way to the node.

use anyhow::Context as _;
use lusk_domain::{Environment, EnvironmentRef, ModelId};
use lusk_manifest::{EnvironmentChoice, ModelChoice, OnlineDeployment, OnlineScript};
use serde_json::{Value, json};

use crate::{
    cli::ScriptArgs,
    client::part,
    commands::{Session, deploy::name_from_file, model::register, script},
    render::Trouble,
};

/// The version's `environmentImageRequest`; models that stand in the file are registered
/// and files sent first.
pub(super) async fn image(
    session: &Session,
    deployment: &OnlineDeployment,
) -> anyhow::Result<Value> {
    let mut image = match &deployment.script {
        Some(script) => {
            let environment = environment(session, script).await?;
            script::send(session, &ScriptArgs::default(), &script.with(environment)).await?
        }
        None => json!({}),
    };
    let model = match &deployment.model {
        Some(choice) => Some(model(session, choice).await?),
        None => None,
    };
    image["modelIds"] = json!(Vec::from_iter(model));
    Ok(image)
}

async fn model(session: &Session, choice: &ModelChoice) -> anyhow::Result<ModelId> {
    match choice {
        ModelChoice::Registered(name, Some(version)) => Ok(ModelId {
            name: name.clone(),
            version: *version,
        }),
        ModelChoice::Registered(name, None) => newest(session, name.as_str()).await,
        ModelChoice::New(model) => {
            let name = match &model.name {
                Some(name) => name.clone(),
                None => name_from_file(&model.path)?,
            };
            register::path_once(session, name, &model.path).await
        }
    }
}

async fn newest(session: &Session, name: &str) -> anyhow::Result<ModelId> {
    let model = register::newest(session, name).await?;
    let id = model.as_ref().and_then(|model| model["id"].as_str());
    let id = id.ok_or_else(|| {
        Trouble::new(format!("no model `{name}` is registered"))
            .with_help("`lusk model list` shows what is registered")
    })?;
    id.parse().context("reading the id of the newest model")
}

/// The environment with the deployment's variables. Over a registered one they need its
/// whole definition, under no name.
async fn environment(
    session: &Session,
    script: &OnlineScript,
) -> anyhow::Result<EnvironmentChoice> {
    let mut whole = match &script.environment {
        EnvironmentChoice::Definition(environment) => environment.as_ref().clone(),
        EnvironmentChoice::Registered(_) if script.variables.is_empty() => {
            return Ok(script.environment.clone());
        }
        EnvironmentChoice::Registered(reference) => registered(session, reference).await?,
    };
    let variables = script.variables.clone();
    whole.environment_variables.extend(variables);
    Ok(EnvironmentChoice::Definition(Box::new(whole)))
}

async fn registered(session: &Session, reference: &EnvironmentRef) -> anyhow::Result<Environment> {
    let mut path = format!("/environments/{}", part(&reference.name));
    if let Some(version) = &reference.version {
        path += &format!("/versions/{}", part(version));
    }
    let object = session.client().get(&path).await?;
    let whole: Environment =
        serde_json::from_value(object).context("reading the registered environment")?;
    Ok(Environment {
        name: None,
        version: None,
        asset_id: None,
        ..whole
    })
}
