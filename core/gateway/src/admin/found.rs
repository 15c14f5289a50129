//! What a name in a path leads to: a service, an endpoint, or a version of one.

use http::StatusCode;
use lusk_control::{EndpointView, ServiceView, VersionView};
use lusk_domain::{ServiceName, VersionName};
use serde::Deserialize;

use super::{
    Admin,
    fault::Fault,
    input::{Params, parse_part},
};

/// The name of a service or an endpoint in a path.
#[derive(Deserialize)]
pub(crate) struct Named {
    name: String,
}

impl Named {
    pub(crate) fn service(&self) -> Result<ServiceName, Fault> {
        parse_part(&self.name)
    }
}

/// The name of a version in a path.
#[derive(Deserialize)]
pub(crate) struct Versioned {
    name: String,
    version: String,
}

impl Versioned {
    /// The endpoint and the version.
    pub(crate) fn names(&self) -> Result<(ServiceName, VersionName), Fault> {
        Ok((parse_part(&self.name)?, parse_part(&self.version)?))
    }
}

/// What there is of a name.
pub(crate) enum Found {
    /// A service that stands alone.
    Service(Box<ServiceView>),
    /// An endpoint with its versions.
    Endpoint(Box<EndpointView>),
}

/// The service or endpoint of a name.
pub(crate) async fn found(admin: &Admin, name: &ServiceName) -> Result<Found, Fault> {
    if let Some(view) = admin.control.service(name).await? {
        return Ok(Found::Service(Box::new(view)));
    }
    match admin.control.endpoint(name).await? {
        Some(view) => Ok(Found::Endpoint(Box::new(view))),
        None => Err(no_service(name)),
    }
}

/// The endpoint of a name.
pub(crate) async fn endpoint(admin: &Admin, name: &ServiceName) -> Result<EndpointView, Fault> {
    if let Some(view) = admin.control.endpoint(name).await? {
        return Ok(view);
    }
    Err(match admin.control.service(name).await? {
        Some(_) => Fault::bad_request(format!(
            "`{name}` is a service without versions: an endpoint, computeType AKSENDPOINT, has them"
        )),
        None => no_endpoint(name),
    })
}

/// The service that requests about one service mean: of an endpoint the version that
/// the query names, else the default one.
pub(crate) async fn one_service(
    admin: &Admin,
    name: &ServiceName,
    params: &Params,
) -> Result<ServiceName, Fault> {
    let asked: Option<VersionName> = params.parsed("version")?;
    match (found(admin, name).await?, asked) {
        (Found::Service(_), None) => Ok(name.clone()),
        (Found::Service(_), Some(asked)) => Err(Fault::bad_request(format!(
            "query parameter `version` is `{asked}`, but service `{name}` has no versions"
        ))),
        (Found::Endpoint(view), Some(asked)) => {
            let version = version(&view, &asked)?;
            Ok(ServiceName::of_version(name, &version.name))
        }
        (Found::Endpoint(view), None) => match default_version(&view) {
            Some(version) => Ok(ServiceName::of_version(name, &version.name)),
            None => Err(Fault::not_found(format!(
                "endpoint `{name}` has no version yet"
            ))),
        },
    }
}

/// A version of an endpoint.
pub(crate) fn version<'a>(
    view: &'a EndpointView,
    name: &VersionName,
) -> Result<&'a VersionView, Fault> {
    let found = view.versions.iter().find(|version| version.name == *name);
    found.ok_or_else(|| no_version(view, name))
}

/// The default version; before there is one, the first.
pub(crate) fn default_version(view: &EndpointView) -> Option<&VersionView> {
    let default = view.versions.iter().find(|version| version.is_default);
    default.or(view.versions.first())
}

pub(crate) fn no_service(name: &ServiceName) -> Fault {
    Fault::not_found(format!("no service `{name}`"))
}

pub(crate) fn no_endpoint(name: &ServiceName) -> Fault {
    Fault::not_found(format!("no endpoint `{name}`"))
}

/// There is no such version.
pub(crate) fn no_version(view: &EndpointView, name: &VersionName) -> Fault {
    let there: Vec<_> = view
        .versions
        .iter()
        .map(|version| format!("`{}`", version.name))
        .collect();
    let there = match there.as_slice() {
        [] => "none yet".to_owned(),
        there => there.join(", "),
    };
    Fault::not_found(format!(
        "endpoint `{}` has no version `{name}`, it has {there}",
        view.record.name
    ))
}

/// The name is taken.
pub(crate) fn taken(name: &ServiceName, what: &str) -> Fault {
    Fault::new(
        StatusCode::CONFLICT,
        "Conflict",
        format!("{what} `{name}` exists already; update it, or create it with overwrite"),
    )
}
