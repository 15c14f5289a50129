//! What only endpoints can do: versions, traffic between them, promotion and the way
//! back.

use axum::{
    Json as JsonReply,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use lusk_control::{ChangeVersion, EndpointView};
use lusk_domain::{Operation, ServiceName, VersionName};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Admin, Shared, batches, endpoint_json,
    fault::Fault,
    found::{Named, Versioned, endpoint, version},
    input::{Json, Params},
    patch::{self, EndpointPatch},
    scaling,
    services::{Place, complete, log_of, models_of},
    wire::{self, Wished},
};

/// `POST /services` for an endpoint.
pub(crate) async fn create(admin: &Admin, body: &Json) -> Result<Operation, Fault> {
    let Wished {
        mut wish,
        reference,
    } = wire::create_endpoint(body)?;
    let version = wish.version.as_mut();
    let entry = version.and_then(|version| version.service.entry.as_mut());
    complete(admin, entry, reference).await?;
    Ok(admin.control.create_endpoint(wish).await?)
}

/// `PATCH /services/{name}` for an endpoint.
pub(crate) async fn update(
    admin: &Admin,
    place: &Place,
    now: &EndpointView,
    body: &Json,
) -> Result<Response, Fault> {
    let name = &now.record.name;
    match patch::update_endpoint(body, now)? {
        EndpointPatch::Remove(version) => remove(admin, place, name, &version).await,
        EndpointPatch::Change(change) => {
            let Wished {
                mut wish,
                reference,
            } = *change;
            let entry = match &mut wish.version {
                Some((_, ChangeVersion::Create(service))) => service.entry.as_mut(),
                Some((_, ChangeVersion::Update(service))) => service.entry.as_mut(),
                None => None,
            };
            complete(admin, entry, reference).await?;
            let operation = admin.control.change_endpoint(name, wish).await?;
            Ok(place.accepted(&operation))
        }
    }
}

/// `GET /services/{name}/versions/{version}`.
pub(crate) async fn show(
    State(admin): Shared,
    Path(versioned): Path<Versioned>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    params.flag("expand")?;
    let (name, wanted) = versioned.names()?;
    let view = endpoint(&admin, &name).await?;
    let one = version(&view, &wanted)?;
    let models = models_of(&admin, [&one.service]).await?;
    Ok(JsonReply(endpoint_json::version(
        one,
        &view.record,
        &models,
        &admin.options,
    )))
}

/// `DELETE /services/{name}/versions/{version}`; 204 when there was none.
pub(crate) async fn delete(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(versioned): Path<Versioned>,
) -> Result<Response, Fault> {
    let (name, version) = versioned.names()?;
    endpoint(&admin, &name).await?;
    let place = Place::of(&admin, &headers, &uri);
    remove(&admin, &place, &name, &version).await
}

async fn remove(
    admin: &Admin,
    place: &Place,
    name: &ServiceName,
    version: &VersionName,
) -> Result<Response, Fault> {
    Ok(match admin.control.delete_version(name, version).await? {
        Some(operation) => place.accepted(&operation),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// `GET /services/{name}/versions/{version}/logs`.
pub(crate) async fn logs(
    State(admin): Shared,
    Path(versioned): Path<Versioned>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let service = service(&admin, &versioned).await?;
    log_of(&admin, &service, &params).await
}

/// `GET /services/{name}/versions/{version}/scaling`.
pub(crate) async fn scaling(
    State(admin): Shared,
    Path(versioned): Path<Versioned>,
) -> Result<JsonReply<Value>, Fault> {
    let service = service(&admin, &versioned).await?;
    scaling::of(&admin, &service).await
}

/// `GET /services/{name}/versions/{version}/batches`.
pub(crate) async fn batches(
    State(admin): Shared,
    Path(versioned): Path<Versioned>,
) -> Result<JsonReply<Value>, Fault> {
    let service = service(&admin, &versioned).await?;
    Ok(batches::of(&admin, &service))
}

/// Which version a step is about.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepBody {
    #[serde(default)]
    version: Option<VersionName>,
}

impl StepBody {
    fn read(body: &Json) -> Result<Self, Fault> {
        match body.is_empty() {
            true => Ok(Self::default()),
            false => body.parse(),
        }
    }
}

/// `POST /services/{name}/promote`: a version has won.
pub(crate) async fn promote(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
    body: Json,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let view = endpoint(&admin, &name).await?;
    let wanted = StepBody::read(&body)?.version.ok_or_else(|| {
        Fault::bad_request("`version` is not given: say which version is promoted")
    })?;
    version(&view, &wanted)?;
    let operation = admin.control.promote(&name, &wanted).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// `POST /services/{name}/rollback`: a version, or each but the control, has lost.
pub(crate) async fn roll_back(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Path(named): Path<Named>,
    body: Json,
) -> Result<Response, Fault> {
    let name = named.service()?;
    let view = endpoint(&admin, &name).await?;
    let wanted = StepBody::read(&body)?.version;
    if let Some(wanted) = &wanted {
        version(&view, wanted)?;
    }
    let operation = admin.control.roll_back(&name, wanted.as_ref()).await?;
    Ok(Place::of(&admin, &headers, &uri).accepted(&operation))
}

/// The service that the version in a path is.
async fn service(admin: &Admin, versioned: &Versioned) -> Result<ServiceName, Fault> {
    let (name, wanted) = versioned.names()?;
    let view = endpoint(admin, &name).await?;
    let one = version(&view, &wanted)?;
    Ok(ServiceName::of_version(&name, &one.name))
}
