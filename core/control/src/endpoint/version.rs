//! Versions on their way: from the accepted change to the table that holds them.

use std::{collections::BTreeMap, sync::Arc};

use lusk_contract::Progress;
use lusk_domain::{
    ComputeType, EndpointRecord, KeyPair, MAX_VERSIONS, Model, Operation, ServiceName,
    ServiceRecord, ServiceSpec, Stake, Step, StepOutcome, TrafficError, VersionName,
};

use super::applied::{Applied, applied};
use crate::{
    ChangeEndpoint, Control, ControlError, CreateService, deploy::Deployment, live::Turn,
    operation::LiveOperation,
};

/// A version that may be deployed.
pub(super) struct Accepted {
    pub(super) turn: Turn,
    pub(super) operation: Arc<LiveOperation>,
    pub(super) previous: Option<ServiceRecord>,
    pub(super) spec: ServiceSpec,
    pub(super) models: Vec<Model>,
    /// What changes with it when it is healthy.
    pub(super) after: ChangeEndpoint,
}

pub(super) fn stake_of(version: &VersionName, stake: Stake) -> BTreeMap<VersionName, Stake> {
    match stake == Stake::default() {
        true => BTreeMap::new(),
        false => BTreeMap::from([(version.clone(), stake)]),
    }
}

/// Of a change whose shares are not possible any more: what says nothing of shares.
fn what_stays(after: &ChangeEndpoint, version: &VersionName) -> ChangeEndpoint {
    let own = after.stakes.get(version).copied().unwrap_or_default();
    let role = Stake {
        is_control: own.is_control,
        ..Stake::default()
    };
    let guard = after.guards.get(version).copied();
    ChangeEndpoint {
        stakes: stake_of(version, role),
        guards: guard
            .map(|guard| (version.clone(), guard))
            .into_iter()
            .collect(),
        ..ChangeEndpoint::default()
    }
}

impl Control {
    /// The specification of a new version: name, compute and auth are its endpoint's.
    pub(super) async fn wanted_version(
        &self,
        endpoint: &EndpointRecord,
        name: ServiceName,
        mut request: CreateService,
    ) -> Result<(ServiceSpec, Vec<Model>), ControlError> {
        request.name = name;
        request.compute = ComputeType::Aks;
        request.compute_name.clone_from(&endpoint.compute_name);
        request.settings.auth_enabled = None;
        request.settings.token_auth_enabled = None;
        let (mut spec, models) = self.wanted(request).await?;
        spec.settings.auth = endpoint.auth;
        spec.settings.app_insights_enabled = endpoint.app_insights;
        spec.settings.namespace.clone_from(&endpoint.namespace);
        Ok((spec, models))
    }

    /// Whether a version has its place, and whether all that changes with it may. The
    /// caller holds the lock of endpoints.
    pub(super) async fn check_version(
        &self,
        endpoint: &EndpointRecord,
        version: &VersionName,
        after: &ChangeEndpoint,
    ) -> Result<(), ControlError> {
        let there = self.versions_of(&endpoint.name).await?;
        if !there.contains(version) && there.len() >= MAX_VERSIONS {
            return Err(ControlError::Traffic {
                endpoint: endpoint.name.clone(),
                error: TrafficError::TooMany { versions: there },
            });
        }
        applied(endpoint, after, Some(version)).map(drop)
    }

    /// All versions of an endpoint, those that were never healthy among them.
    pub(super) async fn versions_of(
        &self,
        endpoint: &ServiceName,
    ) -> Result<Vec<VersionName>, ControlError> {
        let services = self.parts.records.services().await?;
        let names = services.iter().map(|record| &record.spec.name);
        let own = names.filter(|name| name.endpoint() == endpoint.as_str());
        Ok(own.filter_map(ServiceName::version).collect())
    }

    /// Records an accepted version, with its endpoint where that is new, and lets its
    /// deployment begin. The caller holds the lock of endpoints.
    pub(super) async fn deploy_version(
        self: &Arc<Self>,
        endpoint: Option<&EndpointRecord>,
        version: Accepted,
    ) -> Result<Operation, ControlError> {
        let Accepted {
            turn,
            operation,
            previous,
            spec,
            models,
            after,
        } = version;
        self.check_room(&spec)?;
        let begun = operation.now();
        let keys = match endpoint {
            Some(endpoint) => endpoint.keys.clone(),
            None => self.endpoint_keys(&spec.name).await?,
        };
        let accepted = self.accepted(spec, &begun, previous.as_ref(), &keys);
        match endpoint {
            Some(endpoint) => self.put_endpoint(endpoint, Some(&accepted), &begun).await?,
            None => self.parts.records.put_service(&accepted, &begun).await?,
        }
        tracing::info!(version = %begun.service, operation = %begun.id, "deployment begins");
        self.journal.open(&operation);
        let deployment = Deployment {
            control: Arc::clone(self),
            turn,
            operation,
            accepted,
            previous,
            keys,
            models,
            after,
        };
        self.tasks.spawn(deployment.run());
        Ok(begun)
    }

    /// The endpoint of a version as it goes on with that version healthy. What the
    /// change asked for and is not possible any more is left out, and said.
    pub(crate) async fn joined(
        &self,
        version: &ServiceName,
        after: &ChangeEndpoint,
        operation: &LiveOperation,
    ) -> Result<EndpointRecord, ControlError> {
        let (endpoint, name) = (self.endpoint_of_version(version).await?, version.version());
        let name = name.ok_or_else(|| ControlError::NoEndpoint(version.clone()))?;
        let Applied { mut record, notes } = match applied(&endpoint, after, Some(&name)) {
            Ok(applied) => applied,
            Err(error) => {
                let text = format!(
                    "the version is healthy and gets no more traffic than it had; its role and \
                     its guard stand: {error}"
                );
                operation.event(Step::Traffic, StepOutcome::Warning, &text);
                let rest = what_stays(after, &name);
                applied(&endpoint, &rest, Some(&name))
                    .or_else(|_| applied(&endpoint, &ChangeEndpoint::default(), Some(&name)))?
            }
        };
        for note in notes {
            operation.event(Step::Traffic, StepOutcome::Warning, &note);
        }
        record.updated_time = self.parts.clock.now();
        Ok(record)
    }

    /// The record of the endpoint that a version is of.
    pub(crate) async fn endpoint_of_version(
        &self,
        version: &ServiceName,
    ) -> Result<EndpointRecord, ControlError> {
        let missing = || ControlError::NoEndpoint(version.clone());
        let name: ServiceName = version.endpoint().parse().map_err(|_| missing())?;
        let record = self.parts.records.endpoint(&name).await?;
        record.ok_or_else(missing)
    }

    async fn endpoint_keys(&self, version: &ServiceName) -> Result<KeyPair, ControlError> {
        Ok(self.endpoint_of_version(version).await?.keys)
    }
}
