//! Services and endpoints: create, look, change, delete, keys, logs. What only an
//! endpoint can do is in [`super::endpoints`].

use std::collections::BTreeSet;

use axum::{
    Json as JsonReply,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::HeaderName};
use lusk_control::{ServiceView, UpdateService};
use lusk_domain::{ComputeType, Entry, EnvironmentRef, Operation, ServiceName};
use serde_json::{Value, json};

pub(crate) use super::found::{Named, no_service};
use super::{
    Admin, Shared, endpoint_json, endpoints, environments,
    fault::Fault,
    filter::{Filter, Listed},
    found::{Found, found, one_service},
    input::{Json, Params},
    operation_json,
    paging::{self, Link},
    patch,
    service_json::{self, Models},
    wire::{self, ImageRequest, Wished},
    workspace_url,
};

/// Log lines that are given when nobody says how many.
const DEFAULT_TAIL: usize = 5_000;

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// Where a request came in, for the URLs of its answer.
pub(crate) struct Place {
    workspace: String,
}

impl Place {
    pub(crate) fn of(admin: &Admin, headers: &HeaderMap, uri: &http::Uri) -> Self {
        let base = paging::base_url(headers, uri);
        Self {
            workspace: workspace_url(admin, &base, uri.path()),
        }
    }

    /// The URL of the workspace.
    pub(crate) fn workspace(&self) -> &str {
        &self.workspace
    }

    /// 202 with the operation that goes on.
    pub(crate) fn accepted(&self, operation: &Operation) -> Response {
        let location = format!("{}/operations/{}", self.workspace, operation.id);
        let object = operation_json::operation(operation, &self.workspace, 0);
        let mut response = (StatusCode::ACCEPTED, JsonReply(object)).into_response();
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(OPERATION_LOCATION, location);
        }
        response
    }
}

/// `POST /services`.
pub(crate) async fn create(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Fault> {
    if wire::is_endpoint(&body)? {
        let operation = endpoints::create(&admin, &body).await?;
        return Ok(Place::of(&admin, &headers, &uri).accepted(&operation));
    }
    let Wished {
        mut wish,
        reference,
    } = wire::create_service(&body)?;
    complete(&admin, wish.entry.as_mut(), reference).await?;
    let operation = admin.control.create(wish).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// `GET /services`.
pub(crate) async fn list(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    params.flag("expand")?;
    let filter = Filter::read(&params)?;
    let mut items = items(&admin).await?;
    items.retain(|item| filter.admits(item));
    let models = models_of(&admin, items.iter().flat_map(Listed::services)).await?;
    let link = Link::new(paging::base_url(&headers, &uri), &uri);
    let page = paging::page(
        items,
        &params,
        &link,
        |item| item.name().clone(),
        |item| match item {
            Listed::Service(view) => service_json::service(&view, &models, &admin.options),
            Listed::Endpoint(view) => endpoint_json::endpoint(&view, &models, &admin.options),
        },
    )?;
    Ok(JsonReply(page))
}

/// `GET /services/{name}`.
pub(crate) async fn show(
    State(admin): Shared,
    Path(named): Path<Named>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    params.flag("expand")?;
    let item = match found(&admin, &named.service()?).await? {
        Found::Service(view) => {
            let models = models_of(&admin, [&*view]).await?;
            service_json::service(&view, &models, &admin.options)
        }
        Found::Endpoint(view) => {
            let services = view.versions.iter().map(|version| &version.service);
            let models = models_of(&admin, services).await?;
            endpoint_json::endpoint(&view, &models, &admin.options)
        }
    };
    Ok(JsonReply(item))
}

/// `PATCH /services/{name}`, a JSON Patch.
pub(crate) async fn update(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
    body: Json,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let view = match found(&admin, &name).await? {
        Found::Service(view) => view,
        Found::Endpoint(view) => {
            let place = Place::of(&admin, &headers, &uri);
            return endpoints::update(&admin, &place, &view, &body).await;
        }
    };
    let Wished {
        wish: mut change,
        reference,
    } = patch::update_service(&body, &view.record.spec)?;
    complete(&admin, change.entry.as_mut(), reference).await?;
    let operation = admin.control.update(&name, change).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// `POST /services/{name}/reload`: a new script for a local service; what is not
/// given of it stays.
pub(crate) async fn reload(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
    body: Json,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let view = match found(&admin, &name).await? {
        Found::Service(view) => view,
        Found::Endpoint(_) => {
            return Err(Fault::bad_request(format!(
                "`{name}` is an endpoint, not a local service; change its version with an update"
            )));
        }
    };
    if !matches!(view.record.spec.compute, ComputeType::Local { .. }) {
        return Err(Fault::bad_request(format!(
            "service `{name}` is not a local one; change it with an update"
        )));
    }
    let now = view.record.spec.entry.as_ref();
    let image = body.parse::<ImageRequest>()?.change(now)?;
    let mut entry = image.entry.ok_or_else(|| {
        Fault::bad_request(
            "a reload takes a new entry script: `driverProgram` and `assets`, or another environment",
        )
    })?;
    complete(&admin, Some(&mut entry), image.reference).await?;
    let change = UpdateService {
        entry: Some(entry),
        models: image.models,
        ..UpdateService::default()
    };
    let operation = admin.control.update(&name, change).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// `DELETE /services/{name}`; 204 when there was none.
pub(crate) async fn delete(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
) -> Result<Response, Fault> {
    Ok(match admin.control.delete(&named.service()?).await? {
        Some(operation) => Place::of(&admin, &headers, &uri).accepted(&operation),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// `POST /services/{name}/listkeys`.
pub(crate) async fn list_keys(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let name = named.service()?;
    let keys = admin.control.keys(&name).await?;
    let keys = keys.ok_or_else(|| no_service(&name))?;
    Ok(JsonReply(json!(keys)))
}

/// `POST /services/{name}/regenerateKeys`.
pub(crate) async fn regenerate_key(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
    body: Json,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let (kind, value) = wire::regenerate_key(&body)?;
    let operation = admin.control.regenerate_key(&name, kind, value).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// `POST /services/{name}/token`: no service takes tokens in this release.
pub(crate) async fn token(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let what = match found(&admin, &name).await? {
        Found::Service(_) => "service",
        Found::Endpoint(_) => "endpoint",
    };
    Err(Fault::bad_request(format!(
        "{what} `{name}` does not take tokens; its keys are under …/services/{name}/listkeys"
    )))
}

/// `GET /services/{name}/logs`.
pub(crate) async fn logs(
    State(admin): Shared,
    Path(named): Path<Named>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let name = one_service(&admin, &named.service()?, &params).await?;
    log_of(&admin, &name, &params).await
}

/// The log of one service, or of one version of an endpoint.
pub(crate) async fn log_of(
    admin: &Admin,
    name: &ServiceName,
    params: &Params,
) -> Result<JsonReply<Value>, Fault> {
    let tail = params.parsed("tail")?.unwrap_or(DEFAULT_TAIL);
    let of_init_container = params.flag("init")?;
    let content = admin.control.logs(name, tail).await?;
    let content = content.ok_or_else(|| no_service(name))?;
    // Models are mounted by the node itself, so there is no init container that
    // could have said anything.
    let content = if of_init_container {
        String::new()
    } else {
        content
    };
    Ok(JsonReply(json!({ "content": content })))
}

/// `POST /services/migrate`.
pub(crate) async fn migrate() -> Fault {
    Fault::not_supported(
        "services cannot be migrated between compute targets: a node is its only one",
    )
}

/// `POST /packages`.
pub(crate) async fn package() -> Fault {
    Fault::not_supported("models cannot be packaged as Docker images or build contexts")
}

/// All services that stand alone and all endpoints, by name.
async fn items(admin: &Admin) -> Result<Vec<Listed>, Fault> {
    let services = admin.control.services().await?;
    let services = services
        .into_iter()
        .filter(|view| view.record.spec.name.version().is_none())
        .map(|view| Listed::Service(Box::new(view)));
    let endpoints = admin.control.endpoints().await?;
    let endpoints = endpoints
        .into_iter()
        .map(|view| Listed::Endpoint(Box::new(view)));
    let mut items: Vec<_> = services.chain(endpoints).collect();
    items.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(items)
}

/// The models that services use, each looked up once.
pub(crate) async fn models_of(
    admin: &Admin,
    views: impl IntoIterator<Item = &ServiceView>,
) -> Result<Models, Fault> {
    let ids: BTreeSet<_> = views
        .into_iter()
        .flat_map(|view| &view.record.spec.models)
        .collect();
    let mut models = Models::new();
    for id in ids {
        if let Some(model) = admin.control.model(id).await? {
            models.insert(id.clone(), model);
        }
    }
    Ok(models)
}

/// Fills in what only the node knows of an entry script: the size of its
/// snapshot, and what a registered environment is.
pub(crate) async fn complete(
    admin: &Admin,
    entry: Option<&mut Entry>,
    reference: Option<EnvironmentRef>,
) -> Result<(), Fault> {
    match (entry, reference) {
        (Some(entry), Some(reference)) => {
            entry.environment = environments::resolve(admin, &reference).await?;
            complete_snapshot(admin, Some(entry)).await
        }
        (None, Some(reference)) => Err(Fault::bad_request(format!(
            "`environmentReference` names `{:.80}`, but there is no entry script that would need it",
            reference.name
        ))),
        (entry, None) => complete_snapshot(admin, entry).await,
    }
}

/// Checks that the snapshot was uploaded, and fills in its size if nobody said.
async fn complete_snapshot(admin: &Admin, entry: Option<&mut Entry>) -> Result<(), Fault> {
    let Some(snapshot) = entry.map(|entry| &mut entry.snapshot) else {
        return Ok(());
    };
    let size = admin.options.blobs.size(snapshot.digest).await?;
    let size = size.ok_or_else(|| {
        Fault::bad_request(format!(
            "snapshot {} is not stored here; upload it with `POST …/blobs` first",
            snapshot.digest
        ))
    })?;
    if snapshot.bytes == 0 {
        snapshot.bytes = size;
    }
    Ok(())
}
