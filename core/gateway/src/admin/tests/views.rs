//! An endpoint as the control room shows it, made by hand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lusk_control::{EndpointView, ServiceView, VersionView};
use lusk_domain::{
    AuthMode, ComputeType, DeploymentStatus, EndpointRecord, KeyPair, RuntimeKind, Secret,
    ServiceName, ServiceRecord, ServiceSpec, ServiceState, Settings, Share, Stake, TrafficTable,
};
use uuid::Uuid;

/// Endpoint `shop`: `blue` is default and control and has 50 of its own, `green` has
/// 20, `red` was never healthy.
pub(crate) fn shop() -> EndpointView {
    let name: ServiceName = "shop".parse().unwrap();
    let share = |text: &str| text.parse::<Share>().unwrap();
    let green = Stake {
        share: Some(share("20")),
        ..Stake::default()
    };
    let table = TrafficTable::new("blue".parse().unwrap(), share("50"), true);
    let table = table.with_added(&"green".parse().unwrap(), green).unwrap();
    let at: Timestamp = "2021-03-04T05:06:07.123456789Z".parse().unwrap();
    let record = EndpointRecord {
        name: name.clone(),
        compute_name: Some("edge1".parse().unwrap()),
        namespace: None,
        description: Some("d".to_owned()),
        tags: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
        properties: BTreeMap::new(),
        auth: AuthMode::None,
        app_insights: true,
        keys: keys(),
        traffic: Some(table),
        sticky: Some("header:x-user".parse().unwrap()),
        mirror: None,
        guards: BTreeMap::from([("green".parse().unwrap(), "p99>250ms".parse().unwrap())]),
        rolled_back: None,
        created_time: at,
        updated_time: at,
    };
    let versions = ["blue", "green", "red"].map(|version| view(&record, version, at));
    EndpointView {
        record,
        versions: versions.into(),
        state: ServiceState::Healthy,
        error: None,
    }
}

fn keys() -> KeyPair {
    KeyPair {
        primary_key: Secret::new("key one"),
        secondary_key: Secret::new("key two"),
    }
}

fn view(of: &EndpointRecord, version: &str, at: Timestamp) -> VersionView {
    let name = version.parse().unwrap();
    let table = of.traffic.as_ref().unwrap();
    let spec = ServiceSpec {
        name: ServiceName::of_version(&of.name, &name),
        compute: ComputeType::Aks,
        compute_name: None,
        description: None,
        tags: BTreeMap::from([("of".to_owned(), version.to_owned())]),
        properties: BTreeMap::new(),
        models: vec!["digits:1".parse().unwrap()],
        entry: None,
        remote: Vec::new(),
        settings: Settings::default(),
    };
    let record = ServiceRecord {
        spec,
        healthy_spec: None,
        keys: keys(),
        state: ServiceState::Healthy,
        error: None,
        created_time: at,
        updated_time: at,
        revision: 1,
        operation: Uuid::nil(),
    };
    VersionView {
        share: table.share(&name),
        effective: table.effective(&name),
        is_default: *table.default() == name,
        is_control: table.control() == Some(&name),
        name,
        service: ServiceView {
            record,
            state: ServiceState::Healthy,
            status: DeploymentStatus::default(),
            runtime: RuntimeKind::None,
            local_address: None,
            image: None,
            image_digest: None,
        },
    }
}
