//! An endpoint as callers see it: its record and its versions.

use lusk_domain::{
    EndpointRecord, Failure, FailureCode, ServiceState, Share, TrafficTable, VersionName,
};

use super::ServiceView;

/// An endpoint's record together with what is true of its versions in this moment.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// What is stored.
    pub record: EndpointRecord,
    /// Its versions by name, those that were never healthy among them.
    pub versions: Vec<VersionView>,
    /// The state of the default version; before there is one, of the only version.
    pub state: ServiceState,
    /// Why it is not healthy.
    pub error: Option<Failure>,
}

/// One version of an endpoint.
#[derive(Debug, Clone)]
pub struct VersionView {
    /// Its name.
    pub name: VersionName,
    /// Its own share; none before it was healthy.
    pub share: Option<Share>,
    /// What it really gets: the default has what nobody is assigned besides its own.
    pub effective: Share,
    /// Whether it is the default.
    pub is_default: bool,
    /// Whether it is the control; the others are treatments.
    pub is_control: bool,
    /// The version as the service that it is.
    pub service: ServiceView,
}

impl EndpointView {
    /// The endpoint of `record`; its versions are found among `services`.
    pub(crate) fn new(
        record: EndpointRecord,
        services: impl IntoIterator<Item = ServiceView>,
    ) -> Self {
        let table = record.traffic.as_ref();
        let versions: Vec<_> = services
            .into_iter()
            .filter(|service| service.record.spec.name.endpoint() == record.name.as_str())
            .map(|mut service| {
                service.record.spec.settings.auth = record.auth;
                service.record.spec.settings.app_insights_enabled = record.app_insights;
                service
            })
            .filter_map(|service| VersionView::new(table, service))
            .collect();
        let telling = versions
            .iter()
            .find(|version| version.is_default)
            .or(versions.first());
        let (state, error) = match telling {
            Some(version) => (version.service.state, version.service.record.error.clone()),
            None => (ServiceState::Unhealthy, Some(no_version(&record))),
        };
        Self {
            record,
            versions,
            state,
            error,
        }
    }
}

impl VersionView {
    fn new(table: Option<&TrafficTable>, service: ServiceView) -> Option<Self> {
        let name = service.record.spec.name.version()?;
        Some(Self {
            share: table.and_then(|table| table.share(&name)),
            effective: table.map_or(Share::NONE, |table| table.effective(&name)),
            is_default: table.is_some_and(|table| *table.default() == name),
            is_control: table.is_some_and(|table| table.control() == Some(&name)),
            name,
            service,
        })
    }
}

fn no_version(record: &EndpointRecord) -> Failure {
    let message = format!(
        "endpoint `{}` has no version yet: add one, and it is the default",
        record.name
    );
    Failure::new(FailureCode::KubernetesDeploymentFailed, message)
}
