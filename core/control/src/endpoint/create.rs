//! New endpoints, with or without a first version.

use std::{collections::BTreeMap, sync::Arc};

use lusk_domain::{
    EndpointRecord, KeyPair, Operation, OperationKind, Secret, ServiceName, Violation,
};

use super::{
    applied::{Applied, applied},
    version::{Accepted, stake_of},
};
use crate::{ChangeEndpoint, Control, ControlError, CreateEndpoint, CreateVersion, keys};

impl Control {
    /// Accepts and records a new endpoint; its first version is then deployed in the
    /// background.
    ///
    /// # Errors
    /// Why it was refused; then nothing was changed.
    pub async fn create_endpoint(
        self: &Arc<Self>,
        request: CreateEndpoint,
    ) -> Result<Operation, ControlError> {
        let this = Arc::clone(self);
        self.whole(async move { this.create_endpoint_whole(request).await })
            .await
    }

    async fn create_endpoint_whole(
        self: &Arc<Self>,
        mut request: CreateEndpoint,
    ) -> Result<Operation, ControlError> {
        let version = request.version.take();
        // The name's turn keeps a service of this name from being made meanwhile.
        let (_turn, operation) = self.begin(OperationKind::Create, &request.name)?;
        let held = self.endpoints.lock().await;
        let before = self.free_for_endpoint(&request).await?;
        let record = match &before {
            Some(before) => before.clone(),
            None => self.endpoint_of(&request)?,
        };
        let change = match &before {
            Some(before) => over(before, &request)?,
            None => ChangeEndpoint::default(),
        };
        let Some(version) = version else {
            let Applied { record, .. } = applied(&record, &change, None)?;
            let ended = operation.ended(None);
            self.put_endpoint(&record, None, &ended).await?;
            return Ok(ended);
        };
        drop(held);
        self.create_first(request, record, change, version).await
    }

    /// Deploys the version of a new endpoint, or one of an endpoint that is there: then
    /// nothing of it changes before the version is healthy.
    async fn create_first(
        self: &Arc<Self>,
        request: CreateEndpoint,
        record: EndpointRecord,
        mut after: ChangeEndpoint,
        version: CreateVersion,
    ) -> Result<Operation, ControlError> {
        let service = ServiceName::of_version(&record.name, &version.name);
        let (turn, operation) = self.begin(OperationKind::Create, &service)?;
        let previous = self.parts.records.service(&service).await?;
        after.stakes = stake_of(&version.name, version.stake);
        let guard = version.guard.map(|it| (version.name.clone(), Some(it)));
        after.guards.extend(guard);
        let (spec, models) = self
            .wanted_version(&record, service, version.service)
            .await?;
        let _held = self.endpoints.lock().await;
        // Looked at again: what holds is what is there while the lock is ours.
        let now = self.free_for_endpoint(&request).await?;
        let current = now.as_ref().unwrap_or(&record);
        self.check_version(current, &version.name, &after).await?;
        let accepted = Accepted {
            turn,
            operation,
            previous,
            spec,
            models,
            after,
        };
        let new = now.is_none().then_some(&record);
        self.deploy_version(new, accepted).await
    }

    /// The endpoint that is there and may be changed.
    async fn free_for_endpoint(
        &self,
        request: &CreateEndpoint,
    ) -> Result<Option<EndpointRecord>, ControlError> {
        if self.parts.records.service(&request.name).await?.is_some() {
            return Err(ControlError::OtherKind {
                name: request.name.clone(),
                is: "a service",
                wanted: "an endpoint",
            });
        }
        match self.parts.records.endpoint(&request.name).await? {
            Some(_) if !request.overwrite => Err(ControlError::Exists(request.name.clone())),
            other => Ok(other),
        }
    }

    fn endpoint_of(&self, request: &CreateEndpoint) -> Result<EndpointRecord, ControlError> {
        let now = self.parts.clock.now();
        let (primary, secondary) = (&request.primary_key, &request.secondary_key);
        Ok(EndpointRecord {
            name: request.name.clone(),
            compute_name: request.compute_name.clone(),
            namespace: request.namespace.clone(),
            description: request.description.clone(),
            tags: request.tags.clone(),
            properties: request.properties.clone(),
            auth: request.auth,
            app_insights: request.app_insights,
            keys: KeyPair {
                primary_key: keys::given_or_new(primary.as_ref(), "keys.primaryKey")?,
                secondary_key: keys::given_or_new(secondary.as_ref(), "keys.secondaryKey")?,
            },
            traffic: None,
            sticky: None,
            mirror: None,
            guards: BTreeMap::new(),
            rolled_back: None,
            created_time: now,
            updated_time: now,
        })
    }
}

/// What an overwrite changes of the endpoint that is there: labels that are given. Who
/// may call it does not change by the way, for all its versions.
fn over(before: &EndpointRecord, request: &CreateEndpoint) -> Result<ChangeEndpoint, ControlError> {
    let mut violations = Vec::new();
    let mut differs = |path: &str, what: &str| {
        let message = format!(
            "endpoint `{}` has another {what}; an overwrite leaves it as it is, an update of \
             the endpoint changes it",
            before.name
        );
        violations.push(Violation::new(path, message));
    };
    if request.auth != before.auth {
        differs("authEnabled", "way to prove who callers are");
    }
    let differ =
        |given: &Option<Secret>, kept: &Secret| given.as_ref().is_some_and(|it| it != kept);
    if differ(&request.primary_key, &before.keys.primary_key)
        || differ(&request.secondary_key, &before.keys.secondary_key)
    {
        differs("keys", "key");
    }
    if !violations.is_empty() {
        return Err(ControlError::Invalid { violations });
    }
    let is_new = |(key, _): &(&String, &String)| !before.properties.contains_key(*key);
    let properties = request.properties.iter().filter(is_new);
    Ok(ChangeEndpoint {
        description: request.description.clone(),
        tags: (!request.tags.is_empty()).then(|| request.tags.clone()),
        add_properties: properties
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        ..ChangeEndpoint::default()
    })
}
