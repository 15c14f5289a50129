//! The table from names to routes: read by every request, written by deployments.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use lusk_domain::ServiceName;

use crate::Route;

/// All routes of a node. Reading takes no lock; a change swaps the table whole.
#[derive(Debug, Default)]
pub struct Router {
    table: ArcSwap<HashMap<String, Arc<Route>>>,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The route of a service.
    pub fn route(&self, name: &str) -> Option<Arc<Route>> {
        self.table.load().get(name).cloned()
    }

    /// Makes a route reachable under its name; returns the one it replaced, which
    /// goes on with what it has until it is drained.
    pub fn publish(&self, route: Arc<Route>) -> Option<Arc<Route>> {
        let mut replaced = None;
        self.table.rcu(|table| {
            let mut next = HashMap::clone(table);
            replaced = next.insert(route.info().name.to_string(), Arc::clone(&route));
            next
        });
        replaced
    }

    /// Takes a service's route out of the table.
    pub fn withdraw(&self, name: &ServiceName) -> Option<Arc<Route>> {
        let mut withdrawn = None;
        self.table.rcu(|table| {
            let mut next = HashMap::clone(table);
            withdrawn = next.remove(name.as_str());
            next
        });
        withdrawn
    }

    /// All routes, by name.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self.table.load().values().cloned().collect();
        routes.sort_by(|a, b| a.info().name.cmp(&b.info().name));
        routes
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
}
