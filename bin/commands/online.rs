//! `lusk online-endpoint …` and `lusk online-deployment …`: v2's words and YAML over the
//! same endpoints and versions.

mod deployment;
mod endpoint;
mod source;
mod traffic;
mod view;

use lusk_domain::{ServiceName, VersionName};
use lusk_manifest::Checked;
use serde_json::Value;

use super::{
    Session,
    endpoint::{is_one, no_service},
    operation, service,
    subject::Subject,
};
use crate::{
    cli::{OnlineDeploymentCommand, OnlineEndpointCommand, ServiceLogsArgs, ServiceRunArgs},
    client::{Words, in_words},
    render::{self, Trouble},
};

/// Runs a command about endpoints.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn endpoint(
    session: &Session,
    command: OnlineEndpointCommand,
) -> anyhow::Result<()> {
    let done = on_endpoint(session, command).await;
    done.map_err(|error| in_words(error, Words::Online))
}

async fn on_endpoint(session: &Session, command: OnlineEndpointCommand) -> anyhow::Result<()> {
    match command {
        OnlineEndpointCommand::Create(args) => endpoint::create(session, &args).await,
        OnlineEndpointCommand::Update(args) => endpoint::update(session, &args).await,
        OnlineEndpointCommand::Show { name } => {
            let endpoint = get(session, &Subject::endpoint(&name)?).await?;
            view::endpoint(session, &endpoint)
        }
        OnlineEndpointCommand::List => view::endpoints(session).await,
        // Nothing is asked, so that there is nothing to say yes to.
        OnlineEndpointCommand::Delete {
            name,
            no_wait,
            yes: _,
        } => {
            let subject = no_service(session, Subject::endpoint(&name)?).await?;
            service::delete(session, &subject, no_wait).await
        }
        OnlineEndpointCommand::Invoke(args) => {
            let subject = no_service(session, Subject::endpoint(&args.name)?).await?;
            let subject = subject.with_version(args.deployment_name.as_deref())?;
            let run = ServiceRunArgs {
                name: args.name,
                input_data: args.request_file.map(|file| format!("@{file}")),
                ca: args.ca,
            };
            service::score(session, &subject, &run).await
        }
        OnlineEndpointCommand::GetCredentials { name } => {
            let subject = no_service(session, Subject::endpoint(&name)?).await?;
            service::keys(session, &subject).await
        }
    }
}

/// Runs a command about deployments.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn deployment(
    session: &Session,
    command: OnlineDeploymentCommand,
) -> anyhow::Result<()> {
    let done = on_deployment(session, command).await;
    done.map_err(|error| in_words(error, Words::Online))
}

async fn on_deployment(session: &Session, command: OnlineDeploymentCommand) -> anyhow::Result<()> {
    let of = |endpoint: &str, name: &str| Subject::endpoint(endpoint)?.with_version(Some(name));
    match command {
        OnlineDeploymentCommand::Create(args) => deployment::create(session, &args).await,
        OnlineDeploymentCommand::Update(args) => deployment::update(session, &args).await,
        OnlineDeploymentCommand::Show(args) => {
            let subject = of(&args.endpoint_name, &args.name)?;
            let endpoint = get(session, &subject).await?;
            view::deployment(session, existing(&endpoint, &args.name)?)
        }
        OnlineDeploymentCommand::List { endpoint_name } => {
            let endpoint = get(session, &Subject::endpoint(&endpoint_name)?).await?;
            view::deployments(session, &endpoint)
        }
        OnlineDeploymentCommand::Delete {
            of: args,
            no_wait,
            yes: _,
        } => {
            let subject = of(&args.endpoint_name, &args.name)?;
            service::delete(session, &subject, no_wait).await
        }
        OnlineDeploymentCommand::GetLogs(args) => {
            let subject = of(&args.of.endpoint_name, &args.of.name)?;
            let logs = ServiceLogsArgs {
                name: args.of.endpoint_name,
                num_lines: args.lines,
                init: false,
            };
            service::logs(session, &subject, &logs).await
        }
    }
}

/// Asks for an endpoint.
async fn get(session: &Session, subject: &Subject) -> anyhow::Result<Value> {
    let name = subject.name();
    let path = service::path(name.as_str(), "");
    match session.client().find_one(&path).await? {
        Some(object) if is_one(&object) => Ok(object),
        Some(_) => Err(Trouble::new(format!(
            "`{name}` is a service without deployments, not an endpoint"
        ))
        .with_help(format!("`lusk service show -n {name}` shows it"))
        .into()),
        None => Err(Trouble::new(format!("no endpoint `{name}`"))
            .with_help("`lusk online-endpoint create -f endpoint.yml` makes one")
            .into()),
    }
}

/// A deployment of an endpoint.
fn existing<'a>(endpoint: &'a Value, name: &str) -> Result<&'a Value, Trouble> {
    let versions = endpoint["versions"].as_object();
    let found = versions.and_then(|versions| versions.get(name));
    found.ok_or_else(|| {
        let of = endpoint["name"].as_str().unwrap_or_default();
        Trouble::new(format!("endpoint `{of}` has no deployment `{name}`")).with_help(format!(
            "`lusk online-deployment list -e {of}` shows those that are there"
        ))
    })
}

/// Follows a change that the node took.
async fn follow(
    session: &Session,
    accepted: &Value,
    what: &str,
    no_wait: bool,
) -> anyhow::Result<()> {
    if no_wait {
        session.progress.say(&format!("{what} goes on"));
    } else if accepted["id"].is_string() {
        operation::follow(session, accepted, what).await?;
    }
    Ok(())
}

/// What a file holds, its oddities told.
fn told<T>(session: &Session, checked: Checked<T>) -> T {
    if !session.is_quiet {
        render::notices(&checked.notices);
    }
    checked.value
}

/// The endpoint that file or flag names.
fn named(name: Option<ServiceName>, flag: &str) -> Result<ServiceName, Trouble> {
    name.ok_or_else(|| {
        Trouble::misuse("neither the file nor a flag names the endpoint")
            .with_help(format!("give {flag}"))
    })
}

/// The deployment that file or flag names.
fn named_version(name: Option<VersionName>) -> Result<VersionName, Trouble> {
    name.ok_or_else(|| {
        Trouble::misuse("neither the file nor a flag names the deployment").with_help("give --name")
    })
}
