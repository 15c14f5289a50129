//! `lusk endpoint realtime …`: versions behind one URL, and who gets how much.
//!
//! An endpoint is a service for whatever they have in common (keys, logs, requests):
//! that is done there.

pub(crate) mod body;
mod compare;
mod mirror_log;
mod promote;
mod show;
mod table;
mod update;
mod version;

use http::Method;
use serde_json::Value;

pub(crate) use self::{
    show::{print, serialized},
    table::EFFECTIVE,
};
use super::{Session, model::plain, operation, service, subject::Subject};
use crate::{
    cli::{EndpointCommand, RealtimeCommand, VersionDeleteArgs},
    client::{Words, in_words},
    render::{self, Column, Trouble},
};

/// Runs a command.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn run(session: &Session, command: EndpointCommand) -> anyhow::Result<()> {
    let EndpointCommand::Realtime(command) = command;
    let done = realtime(session, command).await;
    done.map_err(|error| in_words(error, Words::Endpoint))
}

async fn realtime(session: &Session, command: RealtimeCommand) -> anyhow::Result<()> {
    match command {
        RealtimeCommand::CreateVersion(args) => version::create(session, &args).await,
        RealtimeCommand::UpdateVersion(args) => version::update(session, &args).await,
        RealtimeCommand::DeleteVersion(args) => delete_version(session, &args).await,
        RealtimeCommand::Update(args) => update::run(session, &args).await,
        RealtimeCommand::Delete { name, no_wait } => {
            let subject = no_service(session, Subject::endpoint(&name)?).await?;
            service::delete(session, &subject, no_wait).await
        }
        RealtimeCommand::List(args) => show::list(session, &args).await,
        RealtimeCommand::Show { name } => {
            print(session, &get(session, &Subject::endpoint(&name)?).await?)
        }
        RealtimeCommand::GetKeys { name } => {
            let subject = no_service(session, Subject::endpoint(&name)?).await?;
            service::keys(session, &subject).await
        }
        RealtimeCommand::RegenKey(args) => {
            let subject = no_service(session, Subject::endpoint(&args.name)?).await?;
            service::regenerate(session, &subject, &args).await
        }
        RealtimeCommand::GetAccessToken { name } => token(session, &name).await,
        RealtimeCommand::GetLogs(args) => {
            let subject = Subject::endpoint(&args.logs.name)?;
            let subject = no_service(session, subject).await?;
            let subject = subject.with_version(args.version_name.as_deref())?;
            service::logs(session, &subject, &args.logs).await
        }
        RealtimeCommand::Run(args) => {
            let subject = Subject::endpoint(&args.run.name)?;
            let subject = no_service(session, subject).await?;
            let subject = subject.with_version(args.version_name.as_deref())?;
            service::score(session, &subject, &args.run).await
        }
        RealtimeCommand::Compare { name } => compare::run(session, &name).await,
        RealtimeCommand::MirrorLog(args) => mirror_log::run(session, &args).await,
        RealtimeCommand::Promote(args) => promote::run(session, &args).await,
        RealtimeCommand::Rollback { name, version_name } => {
            promote::back(session, &name, version_name.as_deref()).await
        }
    }
}

/// Whether the object is an endpoint's.
pub(crate) fn is_one(object: &Value) -> bool {
    let kind = object["computeType"].as_str().unwrap_or_default();
    kind.eq_ignore_ascii_case("aksendpoint")
}

/// Asks for an endpoint.
///
/// # Errors
/// There is none of this name, or it is a service.
async fn get(session: &Session, subject: &Subject) -> anyhow::Result<Value> {
    let name = subject.name();
    match find(session, subject).await? {
        Some(object) if is_one(&object) => Ok(object),
        Some(_) => Err(not_an_endpoint(subject).into()),
        None => Err(Trouble::new(format!("no endpoint `{name}`"))
            .with_help(format!(
                "`lusk endpoint realtime list` shows those that are there; `lusk model deploy -n \
                 {name} --cp aksendpoint` makes one with its first version"
            ))
            .into()),
    }
}

/// What a service of this name is told by commands about endpoints.
fn not_an_endpoint(subject: &Subject) -> Trouble {
    let name = subject.name();
    Trouble::new(format!(
        "`{name}` is a service without versions, not an endpoint"
    ))
    .with_help(format!(
        "`lusk service show -n {name}` shows it; `lusk model deploy --cp aksendpoint` makes an \
         endpoint"
    ))
}

/// The subject back, unless a service has its name: the node takes either where their
/// requests are the same. That nothing has it is the node's to say.
///
/// # Errors
/// It is a service.
pub(crate) async fn no_service(session: &Session, subject: Subject) -> anyhow::Result<Subject> {
    match find(session, &subject).await? {
        Some(object) if !is_one(&object) => Err(not_an_endpoint(&subject).into()),
        _ => Ok(subject),
    }
}

/// Asks for an endpoint that may not be there.
async fn find(session: &Session, subject: &Subject) -> anyhow::Result<Option<Value>> {
    let path = service::path(subject.name().as_str(), "");
    session.client().find_one(&path).await
}

/// Sends a change, follows it unless nobody waits, and prints who gets how much then.
async fn change(
    session: &Session,
    subject: &Subject,
    (method, path, body): (Method, &str, &Value),
    what: &str,
    no_wait: bool,
) -> anyhow::Result<()> {
    let sent = session.client().send(method, path, Some(body)).await?;
    if no_wait {
        session.progress.say(&format!("{what} goes on"));
    } else if sent.body["id"].is_string() {
        operation::follow(session, &sent.body, what).await?;
    }
    show::traffic(session, &get(session, subject).await?)
}

async fn delete_version(session: &Session, args: &VersionDeleteArgs) -> anyhow::Result<()> {
    let subject = no_service(session, Subject::endpoint(&args.of.name)?).await?;
    let subject = subject.with_version(Some(&args.of.version_name))?;
    service::delete(session, &subject, args.no_wait).await?;
    match find(session, &subject).await? {
        Some(endpoint) if is_one(&endpoint) => show::traffic(session, &endpoint),
        _ => {
            let name = subject.name();
            let gone = format!("it was the last version: endpoint `{name}` is deleted too");
            session.progress.say(&gone);
            Ok(())
        }
    }
}

const TOKEN: [Column; 4] = [
    Column::new("Token", |token| plain(&token["accessToken"])),
    Column::new("Type", |token| plain(&token["tokenType"])),
    Column::new("Refresh after", |token| plain(&token["refreshAfter"])),
    Column::new("Expires", |token| plain(&token["expiryOn"])),
];

async fn token(session: &Session, name: &str) -> anyhow::Result<()> {
    let path = Subject::endpoint(name)?.path("/token");
    let token = session.client().send(Method::POST, &path, None).await?.body;
    render::data(session.format, &token, &TOKEN)
}
