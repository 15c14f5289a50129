//! The table from names to routes: read by every request, written by deployments.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use lusk_domain::{Mirror, ServiceName, VersionName};

use crate::{EndpointRoute, Route};

/// All routes of a node. Reading takes no lock; a change swaps the table whole.
#[derive(Debug, Default)]
pub struct Router {
    table: ArcSwap<Table>,
}

/// One state of the table. Versions of endpoints have routes of their own, under the
/// names that they have as services.
#[derive(Debug, Default, Clone)]
struct Table {
    routes: HashMap<String, Arc<Route>>,
    endpoints: HashMap<String, Arc<EndpointRoute>>,
}

/// Where a name leads.
#[derive(Debug, Clone)]
pub enum Lead {
    /// To one service.
    Service(Arc<Route>),
    /// To the versions of an endpoint.
    Endpoint(Versions),
}

/// An endpoint and the routes of its versions as they were in one moment: a change of
/// shares, or the end of a version, is seen whole or not at all.
#[derive(Debug, Clone)]
pub struct Versions {
    endpoint: Arc<EndpointRoute>,
    table: Arc<Table>,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The service or the endpoint of a name.
    pub fn lead(&self, name: &str) -> Option<Lead> {
        let table = self.table.load();
        if let Some(route) = table.routes.get(name) {
            return Some(Lead::Service(Arc::clone(route)));
        }
        let endpoint = Arc::clone(table.endpoints.get(name)?);
        let table = Arc::clone(&table);
        Some(Lead::Endpoint(Versions { endpoint, table }))
    }

    /// The route of a service, or of a version by the name that it has as a service.
    pub fn route(&self, name: &str) -> Option<Arc<Route>> {
        self.table.load().routes.get(name).cloned()
    }

    /// One endpoint.
    pub fn endpoint(&self, name: &str) -> Option<Arc<EndpointRoute>> {
        self.table.load().endpoints.get(name).cloned()
    }

    /// Makes a route reachable under its name; returns the one it replaced, which
    /// goes on with what it has until it is drained.
    pub fn publish(&self, route: Arc<Route>) -> Option<Arc<Route>> {
        self.change(|table| {
            let name = route.info().name.to_string();
            table.routes.insert(name, Arc::clone(&route))
        })
    }

    /// Takes a service's route out of the table.
    pub fn withdraw(&self, name: &ServiceName) -> Option<Arc<Route>> {
        self.change(|table| table.routes.remove(name.as_str()))
    }

    /// Puts an endpoint's new state in place of the one before.
    pub fn publish_endpoint(&self, endpoint: Arc<EndpointRoute>) -> Option<Arc<EndpointRoute>> {
        self.change(|table| {
            let name = endpoint.name().to_string();
            table.endpoints.insert(name, Arc::clone(&endpoint))
        })
    }

    /// Takes an endpoint out of the table; the routes of its versions stay.
    pub fn withdraw_endpoint(&self, name: &ServiceName) -> Option<Arc<EndpointRoute>> {
        self.change(|table| table.endpoints.remove(name.as_str()))
    }

    /// All routes, by name, those of versions among them.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self.table.load().routes.values().cloned().collect();
        routes.sort_by(|a, b| a.info().name.cmp(&b.info().name));
        routes
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> Vec<Arc<EndpointRoute>> {
        let mut endpoints: Vec<_> = self.table.load().endpoints.values().cloned().collect();
        endpoints.sort_by(|a, b| a.name().cmp(b.name()));
        endpoints
    }

    fn change<T>(&self, mut change: impl FnMut(&mut Table) -> Option<T>) -> Option<T> {
        let mut result = None;
        self.table.rcu(|table| {
            let mut next = Table::clone(table);
            result = change(&mut next);
            next
        });
        result
    }
}

impl Versions {
    /// The endpoint itself.
    pub fn endpoint(&self) -> &EndpointRoute {
        &self.endpoint
    }

    /// A version by its name, whether it has a share or not.
    pub fn named(&self, version: &str) -> Option<&Arc<Route>> {
        let name = format!("{}/{version}", self.endpoint.name());
        self.table.routes.get(&name)
    }

    /// Names of all versions that have a route, with a share or without. It looks at
    /// every route of the node: for messages.
    pub fn names(&self) -> Vec<VersionName> {
        let names = self.table.routes.values().map(|route| &route.info().name);
        let endpoint = self.endpoint.name().as_str();
        let own = names.filter(|name| name.endpoint() == endpoint);
        let mut names: Vec<_> = own.filter_map(ServiceName::version).collect();
        names.sort_unstable();
        names
    }

    /// The default version.
    pub fn default_route(&self) -> Option<&Arc<Route>> {
        self.endpoint.default_version().and_then(|it| self.of(it))
    }

    /// The version of the next request, or of everybody who is named as `caller`.
    /// Each call without a caller is one request.
    pub fn pick(&self, caller: Option<&[u8]>) -> Option<(&VersionName, &Arc<Route>)> {
        let version = self.endpoint.pick(caller)?;
        Some((version, self.of(version)?))
    }

    /// Who gets a copy of this request, if anybody. Each call is one request.
    pub fn pick_mirror(&self) -> Option<(&Mirror, &Arc<Route>)> {
        let mirror = self.endpoint.pick_mirror()?;
        Some((mirror, self.of(&mirror.version)?))
    }

    fn of(&self, version: &VersionName) -> Option<&Arc<Route>> {
        self.named(version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::route;

    #[test]
    fn a_published_route_is_found_until_it_is_withdrawn() {
        let router = Router::new();
        assert!(router.publish(Arc::new(route("digits"))).is_none());
        assert_eq!(
            router
                .route("digits")
                .expect("published")
                .info()
                .name
                .as_str(),
            "digits"
        );
        assert!(router.route("digit").is_none());

        let name = "digits".parse().expect("a name");
        assert!(router.withdraw(&name).is_some());
        assert!(router.route("digits").is_none());
        assert!(router.withdraw(&name).is_none());
    }

    #[test]
    fn publishing_again_hands_back_the_route_before() {
        let router = Router::new();
        let first = Arc::new(route("digits"));
        router.publish(Arc::clone(&first));
        let replaced = router.publish(Arc::new(route("digits")));
        assert!(Arc::ptr_eq(&replaced.expect("replaced"), &first));
    }

    #[test]
    fn routes_come_in_the_order_of_their_names() {
        let router = Router::new();
        for name in ["zebra", "apple", "mango"] {
            router.publish(Arc::new(route(name)));
        }
        let names: Vec<_> = router
            .routes()
            .iter()
            .map(|route| route.info().name.to_string())
            .collect();
        assert_eq!(names, ["apple", "mango", "zebra"]);
    }

    fn endpoint(green: f64) -> Arc<EndpointRoute> {
        let (record, access) = (
            crate::endpoint::tests::record(green),
            crate::endpoint::tests::access(),
        );
        Arc::new(EndpointRoute::new(&record, access, None))
    }

    fn version(name: &str) -> Arc<Route> {
        let version = name.parse().expect("a version");
        let shop = "shop".parse().expect("an endpoint");
        let name = ServiceName::of_version(&shop, &version);
        Arc::new(crate::route::tests::named(name))
    }

    fn versions(router: &Router) -> Versions {
        match router.lead("shop") {
            Some(Lead::Endpoint(versions)) => versions,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_endpoint_leads_to_its_versions_by_their_shares() {
        let router = Router::new();
        router.publish(version("blue"));
        router.publish(version("green"));
        router.publish_endpoint(endpoint(20.0));
        let versions = versions(&router);
        let mut green = 0;
        for _ in 0..1_000 {
            let (name, route) = versions.pick(None).expect("a version");
            assert_eq!(route.info().name.version().as_ref(), Some(name));
            green += u32::from(name.as_str() == "green");
        }
        assert_eq!(green, 200);
        let default = versions.default_route().expect("a default");
        assert_eq!(default.info().name.as_str(), "shop/blue");
        assert!(versions.named("green").is_some());
        assert!(versions.named("red").is_none());
        assert!(matches!(router.lead("shop/blue"), Some(Lead::Service(_))));
    }

    #[test]
    fn a_state_that_was_looked_up_stays_whole() {
        let router = Router::new();
        router.publish(version("blue"));
        router.publish(version("green"));
        router.publish_endpoint(endpoint(50.0));
        let before = versions(&router);
        router.publish_endpoint(endpoint(0.0));
        router.withdraw(&version("green").info().name);
        for _ in 0..10 {
            assert!(before.pick(None).is_some());
            let after = versions(&router);
            assert_eq!(after.pick(None).expect("blue").0.as_str(), "blue");
        }
        router.withdraw_endpoint(before.endpoint().name());
        assert!(router.lead("shop").is_none());
        assert!(router.route("shop/blue").is_some());
    }
}
