//! An endpoint named `shop` and versions of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use jiff::Timestamp;
use lusk_contract::{MirrorLog, MirroredPair, Replica};
use lusk_domain::{
    AuthMode, EndpointRecord, Mirror, ServiceName, Share, Stake, TrafficTable, VersionName,
};
use lusk_router::{EndpointRoute, Route, RouteInfo, Router};
use serde_json::Value;

use super::{Answer, BEARER, Behaviour, Client, Fake, access, info, reply, request};

/// The path that scores at the endpoint.
pub(crate) const SHOP: &str = "/api/v1/endpoint/shop/score";

/// The header that picks a version and names the one that answered.
pub(crate) const DEPLOYMENT: &str = "azureml-model-deployment";

pub(crate) fn shop() -> ServiceName {
    "shop".parse().expect("a name")
}

pub(crate) fn version(name: &str) -> VersionName {
    name.parse().expect("a version")
}

/// An endpoint of these versions, in percent; the first is the default and gets the rest.
pub(crate) fn endpoint(versions: &[(&str, f64)]) -> EndpointRecord {
    let mut versions = versions.iter();
    let (first, own) = versions.next().expect("a default");
    let share = |share: f64| Share::try_from(share).expect("a share");
    let mut table = TrafficTable::new(version(first), share(*own), false);
    for (name, percent) in versions {
        let stake = Stake {
            share: Some(share(*percent)),
            ..Stake::default()
        };
        table = table.with_added(&version(name), stake).expect("a table");
    }
    EndpointRecord {
        name: shop(),
        compute_name: None,
        namespace: None,
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        auth: AuthMode::Key,
        app_insights: false,
        keys: access(AuthMode::Key).keys,
        traffic: Some(table),
        sticky: None,
        mirror: None,
        guards: BTreeMap::new(),
        rolled_back: None,
        created_time: Timestamp::UNIX_EPOCH,
        updated_time: Timestamp::UNIX_EPOCH,
    }
}

/// The same, with copies of so many percent for a version.
pub(crate) fn mirroring(mut record: EndpointRecord, to: &str, percent: f64) -> EndpointRecord {
    let share = Share::try_from(percent).expect("a share");
    record.mirror = Some(Mirror::new(version(to), share).expect("a mirror"));
    record
}

/// What does not change about a version.
pub(crate) fn version_info(name: &str) -> RouteInfo {
    RouteInfo {
        name: ServiceName::of_version(&shop(), &version(name)),
        title: name.to_owned(),
        ..info()
    }
}

/// A version with this replica, which has room for many.
pub(crate) fn version_with(name: &str, replica: Arc<dyn Replica>) -> Arc<Route> {
    let route = Route::new(version_info(name), access(AuthMode::Key));
    route.add(0, replica, 256);
    Arc::new(route)
}

/// A version that answers with its own name.
pub(crate) fn version_route(name: &str) -> Arc<Route> {
    let says = Behaviour::Reply(reply(StatusCode::OK, name));
    version_with(name, Fake::new(says))
}

/// Makes this the endpoint's state, as a change of it does.
pub(crate) fn publish(router: &Router, record: &EndpointRecord) {
    let access = access(record.auth);
    let before = router.endpoint("shop");
    let next = EndpointRoute::new(record, access, before.as_deref());
    router.publish_endpoint(Arc::new(next));
}

/// One request to the endpoint; the version that answered, which must have said 200.
pub(crate) async fn ask(client: &mut Client, headers: &[(&str, &str)]) -> String {
    let headers = [&[BEARER], headers].concat();
    client.send(request("POST", SHOP, &headers, "x")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    named(&answer)
}

/// The version that an answer names.
pub(crate) fn named(answer: &Answer) -> String {
    let name = answer.header(DEPLOYMENT);
    name.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// A log that keeps pairs in memory.
#[derive(Debug, Default)]
pub(crate) struct Pairs(pub(crate) Mutex<Vec<MirroredPair>>);

impl Pairs {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    /// The only pair.
    pub(crate) fn only(&self) -> MirroredPair {
        let pairs = self.0.lock().expect("no panic");
        assert_eq!(pairs.len(), 1, "{pairs:?}");
        pairs[0].clone()
    }
}

#[async_trait::async_trait]
impl MirrorLog for Pairs {
    fn keep(&self, pair: MirroredPair) {
        self.0.lock().expect("no panic").push(pair);
    }

    fn dropped(&self, _: &ServiceName) -> u64 {
        0
    }

    async fn tail(&self, _: &ServiceName, _: usize) -> std::io::Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn remove(&self, _: &ServiceName) {}
}
