//! Registered environments: register, look, and what requests mean by a name.

use axum::{
    Json as JsonReply,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use lusk_domain::{Environment, EnvironmentName, EnvironmentRef, RegisteredEnvironment};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin, Shared,
    fault::Fault,
    input::{Json, Params, parse_part},
    paging::{self, Link},
    service_json,
};

/// Most names that a refusal lists.
const NAMES_SHOWN: usize = 5;

/// The environment's name in a path.
#[derive(Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// Name and version in a path.
#[derive(Deserialize)]
pub(crate) struct Versioned {
    name: String,
    version: String,
}

/// `POST /environments` with a whole definition.
pub(crate) async fn register(State(admin): Shared, body: Json) -> Result<Response, Fault> {
    let environment: Environment = body.parse()?;
    let name = environment.name.as_deref().ok_or_else(|| {
        Fault::bad_request("`name` is missing: an environment is registered under it")
    })?;
    let name: EnvironmentName = parse_part(name)?;
    let registered = admin
        .control
        .register_environment(&name, environment)
        .await?;
    Ok((StatusCode::CREATED, JsonReply(object(&registered))).into_response())
}

/// `GET /environments`: the newest version of each name.
pub(crate) async fn list(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let newest = newest(admin.control.environments().await?);
    let link = Link::new(paging::base_url(&headers, &uri), &uri);
    let page = paging::page(
        newest,
        &params,
        &link,
        |one| one.name.clone(),
        |one| object(&one),
    )?;
    Ok(JsonReply(page))
}

/// The last one of each name; they come in the order of their registration.
fn newest(all: Vec<RegisteredEnvironment>) -> Vec<RegisteredEnvironment> {
    let mut newest: Vec<RegisteredEnvironment> = Vec::new();
    for one in all {
        match newest.last_mut() {
            Some(last) if last.name == one.name => *last = one,
            _ => newest.push(one),
        }
    }
    newest
}

/// `GET /environments/{name}`: its newest version.
pub(crate) async fn show(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let found = find(&admin, &parse_part(&named.name)?, None).await?;
    Ok(JsonReply(object(&found)))
}

/// `GET /environments/{name}/versions`, in the order of their registration.
pub(crate) async fn versions(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let name: EnvironmentName = parse_part(&named.name)?;
    let mut all = admin.control.environments().await?;
    all.retain(|one| one.name == name);
    if all.is_empty() {
        return Err(unknown(&admin, &name, None).await?);
    }
    let value: Vec<_> = all.iter().map(object).collect();
    Ok(JsonReply(paging::whole(value)))
}

/// `GET /environments/{name}/versions/{version}`.
pub(crate) async fn version(
    State(admin): Shared,
    Path(path): Path<Versioned>,
) -> Result<JsonReply<Value>, Fault> {
    let name = parse_part(&path.name)?;
    let found = find(&admin, &name, Some(&path.version)).await?;
    Ok(JsonReply(object(&found)))
}

/// What a request means by a name.
pub(crate) async fn resolve(
    admin: &Admin,
    reference: &EnvironmentRef,
) -> Result<Environment, Fault> {
    let name = reference.name.parse::<EnvironmentName>();
    let name =
        name.map_err(|error| Fault::bad_request(format!("`environmentReference.name`: {error}")))?;
    let found = find(admin, &name, reference.version.as_deref()).await?;
    Ok(found.environment)
}

async fn find(
    admin: &Admin,
    name: &EnvironmentName,
    version: Option<&str>,
) -> Result<RegisteredEnvironment, Fault> {
    match admin.control.environment(name, version).await? {
        Some(found) => Ok(found),
        None => Err(unknown(admin, name, version).await?),
    }
}

/// 404, with what there is instead.
async fn unknown(
    admin: &Admin,
    name: &EnvironmentName,
    version: Option<&str>,
) -> Result<Fault, Fault> {
    let all = admin.control.environments().await?;
    let versions: Vec<_> = all
        .iter()
        .filter(|one| one.name == *name)
        .map(|one| one.version.as_str())
        .collect();
    if let (Some(version), Some(newest)) = (version, versions.last()) {
        return Ok(Fault::not_found(format!(
            "no version `{version:.80}` of environment `{name}`; the newest of {} is `{newest}`",
            versions.len()
        )));
    }
    let near = near(
        name.as_str(),
        newest(all).iter().map(|one| one.name.as_str()),
    );
    let help = match near.as_slice() {
        [] => "register it first".to_owned(),
        near => format!("near it are {}", near.join(", ")),
    };
    Ok(Fault::not_found(format!(
        "no environment `{name}` is registered on this node; {help}"
    )))
}

/// Names that share a word or most of their letters with `wanted`.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_ascii_lowercase();
    names
        .filter(|name| is_near(&wanted, &name.to_ascii_lowercase()))
        .take(NAMES_SHOWN)
        .map(|name| format!("`{name}`"))
        .collect()
}

fn is_near(wanted: &str, name: &str) -> bool {
    let shared = wanted
        .bytes()
        .zip(name.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let shorter = wanted.len().min(name.len());
    wanted.contains(name) || name.contains(wanted) || (shorter > 2 && shared * 2 >= shorter)
}

/// The environment as it was registered, when, and the image that goes with it.
/// The password of its registry is left out.
pub(crate) fn object(registered: &RegisteredEnvironment) -> Value {
    let mut object = service_json::environment(&registered.environment);
    object["name"] = json!(registered.name);
    object["version"] = json!(registered.version);
    object["createdTime"] = json!(service_json::time(registered.created_time));
    object["imageId"] = json!(registered.image_key().repository());
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_share_their_beginning_or_hold_one_another() {
        let names = ["sklearn", "sklearn-env", "torch", "env"];
        assert_eq!(near("sklaern", names.into_iter()), Vec::<String>::new());
        assert_eq!(
            near("sklearm", names.into_iter()),
            ["`sklearn`", "`sklearn-env`"]
        );
        assert_eq!(near("ENV", names.into_iter()), ["`sklearn-env`", "`env`"]);
    }
}
