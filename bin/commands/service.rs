//! `lusk service …`: the short ones; changes have their own files.

mod batches;
pub(crate) mod reload;
mod scaling;
pub(crate) mod update;

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, Read as _},
};

use anyhow::Context as _;
use http::{Method, StatusCode};
use lusk_domain::KeyKind;
use serde_json::{Map, Value, json};

use super::{
    Session,
    deploy::checked_name,
    endpoint,
    model::{labels, plain, seconds},
    operation,
    subject::Subject,
};
use crate::{
    cli::{
        Format, Label, ServiceCommand, ServiceListArgs, ServiceLogsArgs, ServiceRegenArgs,
        ServiceRunArgs,
    },
    client::{Call, part, query},
    render::{self, Column, Trouble},
};

/// Runs a command.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn run(session: &Session, command: ServiceCommand) -> anyhow::Result<()> {
    match command {
        ServiceCommand::List(args) => list(session, &args).await,
        ServiceCommand::Show { name } => show(session, &name).await,
        ServiceCommand::Update(args) => update::run(session, &args).await,
        ServiceCommand::Delete { name, no_wait } => {
            delete(session, &Subject::service(&name)?, no_wait).await
        }
        ServiceCommand::GetKeys { name } => keys(session, &Subject::service(&name)?).await,
        ServiceCommand::RegenKey(args) => {
            regenerate(session, &Subject::service(&args.name)?, &args).await
        }
        ServiceCommand::GetLogs(args) => logs(session, &Subject::service(&args.name)?, &args).await,
        ServiceCommand::ScalingLog(args) => scaling::run(session, &args).await,
        ServiceCommand::Batches { name } => batches::run(session, &name).await,
        ServiceCommand::Run(args) => score(session, &Subject::service(&args.name)?, &args).await,
        ServiceCommand::Reload(args) => reload::run(session, &args).await,
    }
}

/// The keys of the original's `serialize()`, which programs know.
const SERIALIZED: [&str; 32] = [
    "name",
    "description",
    "tags",
    "properties",
    "state",
    "createdTime",
    "updatedTime",
    "error",
    "computeType",
    "workspaceName",
    "imageId",
    "imageDigest",
    "imageDetails",
    "scoringUri",
    "createdBy",
    "appInsightsEnabled",
    "authEnabled",
    "autoScaler",
    "computeName",
    "containerResourceRequirements",
    "dataCollection",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "livenessProbeRequirements",
    "numReplicas",
    "deploymentStatus",
    "scoringTimeoutMs",
    "aadAuthEnabled",
    "environmentDetails",
    "modelDetails",
    "isDefault",
    "trafficPercentile",
];

/// The last of them, and what a local service has besides.
const VERSION_TYPE: &str = "versionType";
const PORT: &str = "port";

/// The service as the original's `serialize()` gives it, or the endpoint.
pub(crate) fn serialized(service: &Value) -> Value {
    if endpoint::is_one(service) {
        return endpoint::serialized(service);
    }
    let is_local = service["computeType"] == "LOCAL";
    let keys = SERIALIZED.into_iter().chain([VERSION_TYPE]);
    let keys = keys.chain(is_local.then_some(PORT));
    let object: Map<_, _> = keys
        .map(|key| (key.to_owned(), service[key].clone()))
        .collect();
    Value::Object(object)
}

const LIST: [Column; 6] = [
    Column::new("Name", |service| plain(&service["name"])),
    Column::new("State", |service| plain(&service["state"])),
    Column::new("Type", |service| plain(&service["computeType"])),
    Column::new("Replicas", replicas),
    Column::new("Models", models),
    Column::new("Scoring URI", |service| plain(&service["scoringUri"])),
];

/// What people see of one service.
pub(crate) fn columns() -> [Column; 16] {
    [
        Column::new("Name", |service| plain(&service["name"])),
        Column::new("State", |service| plain(&service["state"])),
        Column::new("Error", |service| plain(&service["error"]["message"])),
        Column::new("Description", |service| plain(&service["description"])),
        Column::new("Type", |service| plain(&service["computeType"])),
        Column::new("Runtime", |service| plain(&service["runtime"])),
        Column::new("Outside replicas", remote),
        Column::new("Debug port", |service| plain(&service["debugPort"])),
        Column::new("Scoring URI", |service| plain(&service["scoringUri"])),
        Column::new("Auth", auth),
        Column::new("Replicas", replicas),
        Column::new("Models", models),
        Column::new("Image", |service| plain(&service["imageId"])),
        Column::new("Tags", |service| labels(&service["tags"])),
        Column::new("Properties", |service| labels(&service["properties"])),
        Column::new("Updated", |service| seconds(&service["updatedTime"])),
    ]
}

/// Those of an endpoint are those of its versions.
pub(super) fn replicas(service: &Value) -> String {
    let sum = |key: &str| -> Option<u64> {
        let counts = parts(service).into_iter();
        counts
            .map(|part| part["deploymentStatus"][key].as_u64())
            .sum()
    };
    match (sum("availableReplicas"), sum("desiredReplicas")) {
        (Some(ready), Some(wanted)) => format!("{ready} of {wanted}"),
        _ => String::new(),
    }
}

/// The service, or the versions of the endpoint.
fn parts(service: &Value) -> Vec<&Value> {
    match service["versions"].as_object() {
        Some(versions) => versions.values().collect(),
        None => vec![service],
    }
}

fn remote(service: &Value) -> String {
    let urls = service["remoteReplicas"].as_array();
    let urls: Vec<_> = urls.into_iter().flatten().map(plain).collect();
    urls.join(", ")
}

pub(super) fn models(service: &Value) -> String {
    let parts = parts(service);
    let models = parts
        .iter()
        .filter_map(|part| part["modelDetails"].as_array());
    let mut ids: Vec<_> = models.flatten().map(|model| plain(&model["id"])).collect();
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids.join(", ")
}

pub(super) fn auth(service: &Value) -> String {
    let is = |key: &str| service[key] == true;
    match (is("authEnabled"), is("aadAuthEnabled")) {
        (_, true) => "token",
        (true, _) => "key",
        _ => "none",
    }
    .to_owned()
}

/// Prints one service or endpoint: everything for people, the known keys for programs.
pub(super) fn print(session: &Session, service: &Value) -> anyhow::Result<()> {
    if endpoint::is_one(service) {
        return endpoint::print(session, service);
    }
    match session.format {
        Format::Table | Format::Tsv => render::data(session.format, service, &columns()),
        _ => render::data(session.format, &serialized(service), &columns()),
    }
}

/// Asks for a service.
pub(super) async fn get(session: &Session, name: &str) -> anyhow::Result<Value> {
    let name = checked_name(name)?;
    session.client().get(&path(name.as_str(), "")).await
}

/// The path of a service, or of something below it.
pub(crate) fn path(name: &str, below: &str) -> String {
    format!("/services/{}{below}", part(name))
}

async fn list(session: &Session, args: &ServiceListArgs) -> anyhow::Result<()> {
    let services = found(session, args).await?;
    if services.is_empty() {
        session.progress.say("no services");
    }
    let services = services.iter().map(serialized).collect();
    render::data(session.format, &Value::Array(services), &LIST)
}

/// The services and endpoints that the flags describe.
pub(super) async fn found(session: &Session, args: &ServiceListArgs) -> anyhow::Result<Vec<Value>> {
    let query = query(&[
        ("expand", Some("true".to_owned())),
        ("computeType", args.compute_type.clone()),
        ("modelId", args.model_id.clone()),
        ("modelName", args.model_name.clone()),
        ("tags", Label::filter(&args.tags)),
        ("properties", Label::filter(&args.properties)),
        ("imageDigest", args.image_digest.clone()),
    ]);
    session.client().list(&format!("/services{query}")).await
}

async fn show(session: &Session, name: &str) -> anyhow::Result<()> {
    print(session, &get(session, name).await?)
}

/// Deletes it.
pub(super) async fn delete(
    session: &Session,
    subject: &Subject,
    no_wait: bool,
) -> anyhow::Result<()> {
    let sent = session
        .client()
        .send(Method::DELETE, &subject.path(""), None)
        .await?;
    if sent.status == StatusCode::NO_CONTENT {
        session.progress.say(&format!("{subject} did not exist"));
    } else if no_wait {
        session
            .progress
            .say(&format!("deletion of {subject} goes on"));
    } else {
        operation::follow(session, &sent.body, &format!("deletion of {subject}")).await?;
        session.progress.say(&format!("{subject} is deleted"));
    }
    Ok(())
}

const KEYS: [Column; 2] = [
    Column::new("Primary key", |keys| plain(&keys["primaryKey"])),
    Column::new("Secondary key", |keys| plain(&keys["secondaryKey"])),
];

/// Prints its keys.
pub(super) async fn keys(session: &Session, subject: &Subject) -> anyhow::Result<()> {
    let keys = list_keys(session, subject).await?;
    render::data(session.format, &keys, &KEYS)
}

/// The keys are those of the whole endpoint.
async fn list_keys(session: &Session, subject: &Subject) -> anyhow::Result<Value> {
    let path = path(subject.name().as_str(), "/listkeys");
    Ok(session.client().send(Method::POST, &path, None).await?.body)
}

/// Replaces a key and prints both.
pub(super) async fn regenerate(
    session: &Session,
    subject: &Subject,
    args: &ServiceRegenArgs,
) -> anyhow::Result<()> {
    let kind: KeyKind = args
        .key
        .parse()
        .map_err(|error: String| Trouble::new(error))?;
    let body = json!({ "keyType": kind, "keyValue": args.set_key });
    let sent = session
        .client()
        .send(Method::POST, &subject.path("/regenerateKeys"), Some(&body))
        .await?;
    operation::follow(
        session,
        &sent.body,
        &format!("change of a key of {subject}"),
    )
    .await?;
    keys(session, subject).await
}

/// Prints what the entry script wrote.
pub(super) async fn logs(
    session: &Session,
    subject: &Subject,
    args: &ServiceLogsArgs,
) -> anyhow::Result<()> {
    let query = query(&[
        ("tail", Some(args.num_lines.to_string())),
        ("init", Some(args.init.to_string())),
    ]);
    let path = subject.path(&format!("/logs{query}"));
    let logs = session.client().get(&path).await?;
    render::text(session.format, logs["content"].as_str().unwrap_or_default())
}

/// Sends a request and prints the reply.
pub(super) async fn score(
    session: &Session,
    subject: &Subject,
    args: &ServiceRunArgs,
) -> anyhow::Result<()> {
    let body = input(session, args.input_data.as_deref())?;
    let service = get(session, subject.name().as_str()).await?;
    let url = service["scoringUri"].as_str().ok_or_else(|| {
        Trouble::new(format!("{subject} has no address now"))
            .with_help(format!("see `{}`", subject.command("show")))
    })?;
    let keys = if service["authEnabled"] == true {
        list_keys(session, subject).await?
    } else {
        Value::Null
    };
    let call = Call {
        key: keys["primaryKey"].as_str(),
        version: subject.version().map(|version| version.as_str()),
        ca: args.ca.as_deref(),
    };
    let scored = session.client().score(url, call, body).await?;
    if scored.status.is_success() {
        if let Some(version) = &scored.version {
            session
                .progress
                .say(&format!("version `{version}` answered"));
        }
        return print_reply(session.format, &scored.body);
    }
    if let Some(trouble) = not_healthy(subject, &service) {
        return Err(trouble.into());
    }
    let said = String::from_utf8_lossy(&scored.body);
    let said: Vec<_> = (!said.trim().is_empty())
        .then(|| said.into_owned())
        .into_iter()
        .collect();
    let by = match &scored.version {
        Some(version) if subject.version().is_none() => format!(" (version `{version}`)"),
        _ => String::new(),
    };
    Err(
        Trouble::new(format!("{subject} answered {}{by}", scored.status))
            .with_causes(said)
            .with_help(format!("see `{}`", subject.command("get-logs")))
            .into(),
    )
}

/// Why a service that did not answer well cannot; none if it should have.
fn not_healthy(subject: &Subject, service: &Value) -> Option<Trouble> {
    let of_version = subject
        .version()
        .map(|name| &service["versions"][name.as_str()]);
    let service = of_version.unwrap_or(service);
    let state = service["state"].as_str().filter(|it| *it != "Healthy")?;
    let error = service["error"]["message"].as_str();
    let error = error.or(service["deploymentStatus"]["error"]["message"].as_str());
    Some(
        Trouble::new(format!("{subject} is {state}"))
            .with_causes(error.map(str::to_owned).into_iter().collect())
            .with_help(format!(
                "see `{}` and `{}`",
                subject.command("show"),
                subject.command("get-logs")
            )),
    )
}

/// The reply as it came; a line end is added, for the prompt that follows.
/// The reply as it came, in any format but the one for silence.
fn print_reply(format: Format, reply: &[u8]) -> anyhow::Result<()> {
    if format == Format::None {
        return Ok(());
    }
    render::bytes(reply)?;
    if reply.ends_with(b"\n") || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    render::bytes(b"\n")
}

fn input(session: &Session, given: Option<&str>) -> anyhow::Result<Vec<u8>> {
    match given.map(|text| text.strip_prefix('@').ok_or(text)) {
        Some(Ok(file)) => {
            let path = session.at(std::path::Path::new(file));
            std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
        }
        Some(Err(text)) => Ok(text.as_bytes().to_vec()),
        None if std::io::stdin().is_terminal() => {
            Err(Trouble::misuse("there is nothing to send: give --input-data").into())
        }
        None => {
            let mut body = Vec::new();
            std::io::stdin()
                .read_to_end(&mut body)
                .context("reading standard input")?;
            Ok(body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_exactly_the_keys_of_serialize() {
        let service = json!({"name": "digits", "computeType": "AKS", "runtime": "python",
            "kvTags": {}, "tags": {"a": "b"}, "port": null});
        let serialized = serialized(&service);
        let keys = serialized.as_object().unwrap();
        assert_eq!(keys.len(), 33);
        assert!(!keys.contains_key("runtime") && !keys.contains_key("port"));
        assert_eq!(serialized["tags"]["a"], "b");
    }

    #[test]
    fn a_service_that_is_not_healthy_says_why() {
        let failed = json!({"state": "Failed", "error": {"message": "init() raised"}});
        let digits = Subject::service("digits").unwrap();
        let trouble = not_healthy(&digits, &failed).unwrap();
        assert_eq!(trouble.to_string(), "service `digits` is Failed");
        assert!(format!("{trouble:?}").contains("init() raised"));
        assert_eq!(not_healthy(&digits, &json!({"state": "Healthy"})), None);
    }

    #[test]
    fn a_local_service_tells_its_port() {
        let service = json!({"computeType": "LOCAL", "port": 8890});
        assert_eq!(serialized(&service)["port"], 8890);
    }
}
