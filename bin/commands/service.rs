//! `lusk service …`: the short ones; changes have their own files.

mod batches;
pub(crate) mod reload;
mod scaling;
pub(crate) mod update;

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use http::{Method, StatusCode};
use lusk_domain::KeyKind;
use serde_json::{Map, Value, json};

use super::{
    Session,
    deploy::checked_name,
    model::{labels, plain, seconds},
    operation,
};
use crate::{
    cli::{
        Format, Label, ServiceCommand, ServiceListArgs, ServiceLogsArgs, ServiceRegenArgs,
        ServiceRunArgs,
    },
    client::{part, query},
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
        ServiceCommand::Delete { name, no_wait } => delete(session, &name, no_wait).await,
        ServiceCommand::GetKeys { name } => keys(session, &name).await,
        ServiceCommand::RegenKey(args) => regenerate(session, &args).await,
        ServiceCommand::GetLogs(args) => logs(session, &args).await,
        ServiceCommand::ScalingLog(args) => scaling::run(session, &args).await,
        ServiceCommand::Batches { name } => batches::run(session, &name).await,
        ServiceCommand::Run(args) => score(session, &args).await,
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

/// The service as the original's `serialize()` gives it.
pub(crate) fn serialized(service: &Value) -> Value {
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

fn replicas(service: &Value) -> String {
    let status = &service["deploymentStatus"];
    match (
        status["availableReplicas"].as_u64(),
        status["desiredReplicas"].as_u64(),
    ) {
        (Some(ready), Some(wanted)) => format!("{ready} of {wanted}"),
        _ => String::new(),
    }
}

fn remote(service: &Value) -> String {
    let urls = service["remoteReplicas"].as_array();
    let urls: Vec<_> = urls.into_iter().flatten().map(plain).collect();
    urls.join(", ")
}

fn models(service: &Value) -> String {
    let models = service["modelDetails"].as_array();
    let ids: Vec<_> = models
        .into_iter()
        .flatten()
        .map(|model| plain(&model["id"]))
        .collect();
    ids.join(", ")
}

fn auth(service: &Value) -> String {
    let is = |key: &str| service[key] == true;
    match (is("authEnabled"), is("aadAuthEnabled")) {
        (_, true) => "token",
        (true, _) => "key",
        _ => "none",
    }
    .to_owned()
}

/// Prints one service: everything for people, the known keys for programs.
pub(super) fn print(session: &Session, service: &Value) -> anyhow::Result<()> {
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
pub(super) fn path(name: &str, below: &str) -> String {
    format!("/services/{}{below}", part(name))
}

async fn list(session: &Session, args: &ServiceListArgs) -> anyhow::Result<()> {
    let query = query(&[
        ("expand", Some("true".to_owned())),
        ("computeType", args.compute_type.clone()),
        ("modelId", args.model_id.clone()),
        ("modelName", args.model_name.clone()),
        ("tags", Label::filter(&args.tags)),
        ("properties", Label::filter(&args.properties)),
        ("imageDigest", args.image_digest.clone()),
    ]);
    let services = session.client().list(&format!("/services{query}")).await?;
    if services.is_empty() {
        session.progress.say("no services");
    }
    let services = services.iter().map(serialized).collect();
    render::data(session.format, &Value::Array(services), &LIST)
}

async fn show(session: &Session, name: &str) -> anyhow::Result<()> {
    print(session, &get(session, name).await?)
}

async fn delete(session: &Session, name: &str, no_wait: bool) -> anyhow::Result<()> {
    let name = checked_name(name)?;
    let sent = session
        .client()
        .send(Method::DELETE, &path(name.as_str(), ""), None)
        .await?;
    if sent.status == StatusCode::NO_CONTENT {
        session
            .progress
            .say(&format!("service `{name}` did not exist"));
    } else if no_wait {
        session
            .progress
            .say(&format!("deletion of service `{name}` goes on"));
    } else {
        operation::follow(
            session,
            &sent.body,
            &format!("deletion of service `{name}`"),
        )
        .await?;
        session
            .progress
            .say(&format!("service `{name}` is deleted"));
    }
    Ok(())
}

const KEYS: [Column; 2] = [
    Column::new("Primary key", |keys| plain(&keys["primaryKey"])),
    Column::new("Secondary key", |keys| plain(&keys["secondaryKey"])),
];

async fn keys(session: &Session, name: &str) -> anyhow::Result<()> {
    let name = checked_name(name)?;
    let keys = list_keys(session, name.as_str()).await?;
    render::data(session.format, &keys, &KEYS)
}

async fn list_keys(session: &Session, name: &str) -> anyhow::Result<Value> {
    let path = path(name, "/listkeys");
    Ok(session.client().send(Method::POST, &path, None).await?.body)
}

async fn regenerate(session: &Session, args: &ServiceRegenArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let kind: KeyKind = args
        .key
        .parse()
        .map_err(|error: String| Trouble::new(error))?;
    let body = json!({ "keyType": kind, "keyValue": args.set_key });
    let sent = session
        .client()
        .send(
            Method::POST,
            &path(name.as_str(), "/regenerateKeys"),
            Some(&body),
        )
        .await?;
    let what = format!("change of a key of service `{name}`");
    operation::follow(session, &sent.body, &what).await?;
    let keys = list_keys(session, name.as_str()).await?;
    render::data(session.format, &keys, &KEYS)
}

async fn logs(session: &Session, args: &ServiceLogsArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let query = query(&[
        ("tail", Some(args.num_lines.to_string())),
        ("init", Some(args.init.to_string())),
    ]);
    let path = path(name.as_str(), &format!("/logs{query}"));
    let logs = session.client().get(&path).await?;
    render::text(session.format, logs["content"].as_str().unwrap_or_default())
}

async fn score(session: &Session, args: &ServiceRunArgs) -> anyhow::Result<()> {
    let body = input(session, args.input_data.as_deref())?;
    let service = get(session, &args.name).await?;
    let url = service["scoringUri"].as_str().ok_or_else(|| {
        Trouble::new(format!("service `{}` has no address now", args.name))
            .with_help(format!("see `lusk service show -n {}`", args.name))
    })?;
    let keys = if service["authEnabled"] == true {
        list_keys(session, &args.name).await?
    } else {
        Value::Null
    };
    let client = session.client();
    let (status, reply) = client
        .score(url, keys["primaryKey"].as_str(), body, args.ca.as_deref())
        .await?;
    if status.is_success() {
        return print_reply(&reply);
    }
    if let Some(trouble) = not_healthy(&args.name, &service) {
        return Err(trouble.into());
    }
    let said = String::from_utf8_lossy(&reply);
    let said: Vec<_> = (!said.trim().is_empty())
        .then(|| said.into_owned())
        .into_iter()
        .collect();
    Err(
        Trouble::new(format!("service `{}` answered {status}", args.name))
            .with_causes(said)
            .with_help(format!("see `lusk service get-logs -n {}`", args.name))
            .into(),
    )
}

/// Why a service that did not answer well cannot; none if it should have.
fn not_healthy(name: &str, service: &Value) -> Option<Trouble> {
    let state = service["state"].as_str().filter(|it| *it != "Healthy")?;
    let error = service["error"]["message"].as_str();
    let error = error.or(service["deploymentStatus"]["error"]["message"].as_str());
    Some(
        Trouble::new(format!("service `{name}` is {state}"))
            .with_causes(error.map(str::to_owned).into_iter().collect())
            .with_help(format!(
                "see `lusk service show -n {name}` and `lusk service get-logs -n {name}`"
            )),
    )
}

/// The reply as it came; a line end is added, for the prompt that follows.
fn print_reply(reply: &[u8]) -> anyhow::Result<()> {
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
        let trouble = not_healthy("digits", &failed).unwrap();
        assert_eq!(trouble.to_string(), "service `digits` is Failed");
        assert!(format!("{trouble:?}").contains("init() raised"));
        assert_eq!(not_healthy("digits", &json!({"state": "Healthy"})), None);
    }

    #[test]
    fn a_local_service_tells_its_port() {
        let service = json!({"computeType": "LOCAL", "port": 8890});
        assert_eq!(serialized(&service)["port"], 8890);
    }
}
