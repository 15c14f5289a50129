//! What a request asks for, and the route that it is tried on next.
//!
//! A service has one route. Of an endpoint's versions one is chosen when the request is
//! about to be tried, and again only when that version's route takes nothing new: no
//! request fails because versions come and go or shares change.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use lusk_router::{Lead, Route, RouteError, Versions};

use super::Door;
use crate::{auth, headers, problem::Problem, sticky};

/// Names in a path, as written there.
pub(super) struct Place<'a> {
    /// A service or an endpoint.
    pub(super) name: &'a str,
    /// The version whose own path it is.
    pub(super) version: Option<&'a str>,
}

impl Place<'_> {
    /// What is there now. A version by its own path is a service like others.
    pub(super) fn look(&self, door: &impl Door) -> Option<Lead> {
        match (door.lead(self.name)?, self.version) {
            (lead, None) => Some(lead),
            (Lead::Endpoint(versions), Some(version)) => {
                let route = versions.named(version)?;
                Some(Lead::Service(Arc::clone(route)))
            }
            (Lead::Service(_), Some(_)) => None,
        }
    }
}

/// Whether the caller may use what is there.
pub(super) fn is_allowed(lead: &Lead, headers: &HeaderMap) -> bool {
    match lead {
        Lead::Service(route) => auth::is_allowed(&route.access(), headers),
        Lead::Endpoint(versions) => auth::is_allowed(&versions.endpoint().access(), headers),
    }
}

/// Who speaks for it when nothing is scored: of an endpoint its default version, if it
/// has one.
pub(super) fn front(lead: &Lead) -> Option<&Arc<Route>> {
    match lead {
        Lead::Service(route) => Some(route),
        Lead::Endpoint(versions) => versions.default_route(),
    }
}

/// No version of the endpoint was ever healthy.
pub(super) fn no_front(lead: &Lead) -> Problem {
    let name = match lead {
        Lead::Service(route) => &route.info().name,
        Lead::Endpoint(versions) => versions.endpoint().name(),
    };
    Problem::of_route(name, &RouteError::NoReadyReplicas)
}

/// What a request says of the version that it is for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// It names the version.
    named: Option<HeaderValue>,
    /// What names its caller, who is to stay at one version.
    caller: Option<Vec<u8>>,
}

impl Wish {
    /// Read of a request that may be made. A service has no versions to wish for.
    pub(super) fn of(lead: &Lead, headers: &HeaderMap) -> Self {
        let Lead::Endpoint(versions) = lead else {
            return Self::default();
        };
        let named = headers::wished_version(headers);
        let caller = match named {
            Some(_) => None,
            None => sticky::caller(versions.endpoint(), headers),
        };
        Self { named, caller }
    }

    /// Whether it names its version.
    pub(super) fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Refuses what cannot come true, before the body is read.
    pub(super) fn check(&self, lead: &Lead) -> Result<(), Problem> {
        match (lead, &self.named) {
            (Lead::Service(_), _) => Ok(()),
            (Lead::Endpoint(versions), Some(named)) => by_name(versions, named).map(drop),
            (Lead::Endpoint(_), None) => front(lead).map(drop).ok_or_else(|| no_front(lead)),
        }
    }

    /// Whether all routes that may take it pass bodies on as they come.
    pub(super) fn streams(&self, lead: &Lead) -> bool {
        match (lead, &self.named) {
            (Lead::Service(route), _) => route.relays(),
            (Lead::Endpoint(versions), Some(named)) => {
                by_name(versions, named).is_ok_and(|route| route.relays())
            }
            (Lead::Endpoint(versions), None) => shared(versions).all(|route| route.relays()),
        }
    }

    /// The route to try next, after `last` took nothing new: the same version's new one
    /// if there is any, or that of another version. Each call that has to choose among
    /// versions counts as a request.
    pub(super) fn choose(
        &self,
        lead: &Lead,
        last: Option<&Arc<Route>>,
    ) -> Result<Arc<Route>, Problem> {
        let versions = match lead {
            Lead::Service(route) => return Ok(Arc::clone(route)),
            Lead::Endpoint(versions) => versions,
        };
        if let Some(named) = &self.named {
            return by_name(versions, named).cloned();
        }
        let is_open = |route: &&Arc<Route>| last.is_none_or(|last| !Arc::ptr_eq(last, route));
        let successor = last
            .and_then(|last| last.info().name.version())
            .and_then(|version| versions.named(version.as_str()))
            .filter(is_open);
        let next = successor
            .or_else(|| picked(versions, self.caller.as_deref()).find(is_open))
            .ok_or_else(|| no_front(lead))?;
        Ok(Arc::clone(next))
    }
}

fn by_name<'v>(versions: &'v Versions, named: &HeaderValue) -> Result<&'v Arc<Route>, Problem> {
    let named = String::from_utf8_lossy(named.as_bytes());
    versions.named(&named).ok_or_else(|| {
        let endpoint = versions.endpoint().name();
        Problem::no_version(endpoint, &named, &versions.names())
    })
}

/// The version whose turn it is; after it those that may stand in.
fn picked<'v>(
    versions: &'v Versions,
    caller: Option<&[u8]>,
) -> impl Iterator<Item = &'v Arc<Route>> {
    let pick = versions.pick(caller).map(|(_, route)| route);
    pick.into_iter()
        .chain(versions.default_route())
        .chain(shared(versions))
}

/// Routes of versions that have a share.
fn shared(versions: &Versions) -> impl Iterator<Item = &Arc<Route>> {
    let shares = versions.endpoint().shares().iter();
    shares.filter_map(|(version, _)| versions.named(version.as_str()))
}
