//! Promises of [`Records`](crate::Records) about endpoints and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lusk_domain::{
    AuthMode, EndpointRecord, KeyPair, ModelId, Operation, OperationState, Secret, ServiceName,
    ServiceRecord, Share, TrafficTable, VersionName,
};

use super::records::{operation, service};
use crate::{RecordError, Records};

/// Runs every check against `records`, which hold no endpoint.
pub async fn suite(records: &dyn Records) {
    an_endpoint_and_its_version_are_written_together(records).await;
    a_version_goes_and_its_endpoint_goes_on(records).await;
    an_endpoint_takes_its_versions_along_and_nobody_elses(records).await;
}

/// An endpoint whose version `blue` gets everything.
pub fn endpoint(name: &str) -> EndpointRecord {
    EndpointRecord {
        name: name.parse().expect("a good name"),
        compute_name: None,
        namespace: None,
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        auth: AuthMode::Key,
        app_insights: false,
        keys: KeyPair {
            primary_key: Secret::new("primary"),
            secondary_key: Secret::new("secondary"),
        },
        traffic: Some(TrafficTable::new(version("blue"), Share::NONE, true)),
        sticky: None,
        mirror: None,
        guards: BTreeMap::new(),
        rolled_back: None,
        created_time: Timestamp::UNIX_EPOCH,
        updated_time: Timestamp::UNIX_EPOCH,
    }
}

fn version(name: &str) -> VersionName {
    name.parse().expect("a good name")
}

fn version_of(endpoint: &EndpointRecord, name: &str, models: Vec<ModelId>) -> ServiceRecord {
    let mut record = service("placeholder", models, None);
    record.spec.name = ServiceName::of_version(&endpoint.name, &version(name));
    record
}

fn done(id: u128, endpoint: &EndpointRecord) -> Operation {
    operation(id, &endpoint.name, OperationState::Succeeded, 0)
}

async fn service_names(records: &dyn Records) -> Vec<String> {
    let services = records.services().await.expect("a list");
    let names = services.iter().map(|record| record.spec.name.to_string());
    names.collect()
}

async fn put(records: &dyn Records, endpoint: &EndpointRecord, versions: &[&str], id: u128) {
    for (at, name) in versions.iter().enumerate() {
        let version = version_of(endpoint, name, Vec::new());
        let operation = done(id + at as u128, endpoint);
        let written = records.put_endpoint(endpoint, Some(&version), &operation);
        written.await.expect("written");
    }
}

async fn an_endpoint_and_its_version_are_written_together(records: &dyn Records) {
    let one = endpoint("together");
    let missing: ModelId = "not-there:1".parse().expect("an id");
    let broken = version_of(&one, "blue", vec![missing]);
    let refused = records
        .put_endpoint(&one, Some(&broken), &done(700, &one))
        .await;
    assert!(
        matches!(refused, Err(RecordError::NoModel(_))),
        "{refused:?}"
    );
    assert_eq!(records.endpoint(&one.name).await.expect("a read"), None);

    put(records, &one, &["blue"], 701).await;
    let changed = EndpointRecord {
        description: Some("changed".to_owned()),
        ..one.clone()
    };
    let written = records.put_endpoint(&changed, None, &done(702, &one)).await;
    written.expect("written");
    assert_eq!(
        records.endpoint(&one.name).await.expect("a read"),
        Some(changed.clone())
    );
    assert_eq!(records.endpoints().await.expect("a list"), [changed]);
    assert_eq!(service_names(records).await, ["together/blue"]);
    let operation = records.operation(done(702, &one).id).await.expect("a read");
    assert_eq!(operation.map(|it| it.service), Some(one.name.clone()));
    let deleted = records.delete_endpoint(&one.name, &done(703, &one)).await;
    deleted.expect("deleted");
}

async fn a_version_goes_and_its_endpoint_goes_on(records: &dyn Records) {
    let one = endpoint("goes-on");
    put(records, &one, &["blue", "green"], 710).await;
    let without = EndpointRecord {
        description: Some("without".to_owned()),
        ..one.clone()
    };
    let (green, operation) = (version("green"), done(712, &one));
    let deleted = records.delete_version(&without, &green, &operation);
    deleted.await.expect("deleted");
    assert_eq!(service_names(records).await, ["goes-on/blue"]);
    assert_eq!(
        records.endpoint(&one.name).await.expect("a read"),
        Some(without)
    );
    let deleted = records.delete_endpoint(&one.name, &done(713, &one)).await;
    deleted.expect("deleted");
}

async fn an_endpoint_takes_its_versions_along_and_nobody_elses(records: &dyn Records) {
    let (one, other) = (endpoint("one"), endpoint("one-more"));
    put(records, &one, &["blue", "green"], 720).await;
    put(records, &other, &["blue"], 722).await;
    let deleted = records.delete_endpoint(&one.name, &done(723, &one)).await;
    deleted.expect("deleted");
    assert_eq!(
        records.endpoints().await.expect("a list"),
        std::slice::from_ref(&other)
    );
    assert_eq!(service_names(records).await, ["one-more/blue"]);
    let deleted = records
        .delete_endpoint(&other.name, &done(724, &other))
        .await;
    deleted.expect("deleted");
    assert!(service_names(records).await.is_empty());
}
