//! New endpoints, with or without a first version.

use std::{collections::BTreeMap, sync::Arc};

use lusk_domain::{EndpointRecord, KeyPair, Operation, OperationKind, ServiceName};

use super::version::{Accepted, stake_of};
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
        let record = self.endpoint_of(&request, before.as_ref())?;
        let Some(version) = version else {
            let ended = operation.ended(None);
            self.put_endpoint(&record, None, &ended).await?;
            return Ok(ended);
        };
        drop(held);
        self.create_first(request, before, record, version).await
    }

    async fn create_first(
        self: &Arc<Self>,
        request: CreateEndpoint,
        before: Option<EndpointRecord>,
        record: EndpointRecord,
        version: CreateVersion,
    ) -> Result<Operation, ControlError> {
        let service = ServiceName::of_version(&record.name, &version.name);
        let (turn, operation) = self.begin(OperationKind::Create, &service)?;
        let previous = self.parts.records.service(&service).await?;
        let mut after = ChangeEndpoint {
            stakes: stake_of(&version.name, version.stake),
            ..ChangeEndpoint::default()
        };
        after.guards.extend(
            version
                .guard
                .map(|guard| (version.name.clone(), Some(guard))),
        );
        let (spec, models) = self
            .wanted_version(&record, service, version.service)
            .await?;
        let _held = self.endpoints.lock().await;
        // Looked at again: what holds is what is there while the lock is ours.
        let now = self.free_for_endpoint(&request).await?;
        if now != before {
            return Err(ControlError::Exists(request.name));
        }
        self.check_version(&record, &version.name, &after).await?;
        let accepted = Accepted {
            turn,
            operation,
            previous,
            spec,
            models,
            after,
        };
        self.deploy_version(Some(&record), accepted).await
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

    fn endpoint_of(
        &self,
        request: &CreateEndpoint,
        before: Option<&EndpointRecord>,
    ) -> Result<EndpointRecord, ControlError> {
        let now = self.parts.clock.now();
        let kept = before.map(|record| &record.keys);
        let primary = request.primary_key.as_ref();
        let primary = primary.or(kept.map(|keys| &keys.primary_key));
        let secondary = request.secondary_key.as_ref();
        let secondary = secondary.or(kept.map(|keys| &keys.secondary_key));
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
                primary_key: keys::given_or_new(primary, "keys.primaryKey")?,
                secondary_key: keys::given_or_new(secondary, "keys.secondaryKey")?,
            },
            traffic: before.and_then(|record| record.traffic.clone()),
            sticky: before.and_then(|record| record.sticky.clone()),
            mirror: before.and_then(|record| record.mirror.clone()),
            guards: before.map_or_else(BTreeMap::new, |record| record.guards.clone()),
            rolled_back: before.and_then(|record| record.rolled_back.clone()),
            created_time: before.map_or(now, |record| record.created_time),
            updated_time: now,
        })
    }
}
