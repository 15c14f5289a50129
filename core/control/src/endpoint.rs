//! Endpoints: several versions behind one name.
//!
//! A version is a service of its own, under the name `endpoint/version`: it is
//! deployed, cared for and scaled like any other. What is common to the versions (keys,
//! shares, labels) is the endpoint's record.
//!
//! Invariants: who reads an endpoint's record to write its next one holds
//! `Control::endpoints` from before the read until callers see what was written; only
//! versions that were healthy once are in the table; nobody who waits for a deployment
//! holds that lock.

mod applied;
mod change;
mod create;
mod remove;
mod version;

pub(crate) use applied::in_words;

use std::sync::Arc;

use lusk_domain::{
    EndpointRecord, KeyKind, Operation, OperationKind, Secret, ServiceName, ServiceRecord,
};
use lusk_router::{Access, EndpointRoute};

use crate::{Control, ControlError, EndpointView, keys, operation::LiveOperation};

impl Control {
    /// One endpoint with its versions.
    ///
    /// # Errors
    /// The store failed.
    pub async fn endpoint(&self, name: &ServiceName) -> Result<Option<EndpointView>, ControlError> {
        // Shares and versions of one moment.
        let _held = self.endpoints.lock().await;
        let Some(record) = self.parts.records.endpoint(name).await? else {
            return Ok(None);
        };
        let views = self.services().await?;
        Ok(Some(EndpointView::new(record, views)))
    }

    /// All endpoints by name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn endpoints(&self) -> Result<Vec<EndpointView>, ControlError> {
        let _held = self.endpoints.lock().await;
        let records = self.parts.records.endpoints().await?;
        let views = self.services().await?;
        let endpoints = records.into_iter();
        Ok(endpoints
            .map(|record| EndpointView::new(record, views.clone()))
            .collect())
    }

    /// Writes an endpoint's next record, with one of its versions if given, and lets
    /// callers see it. The caller holds the lock of endpoints.
    pub(crate) async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        version: Option<&ServiceRecord>,
        operation: &Operation,
    ) -> Result<(), ControlError> {
        let written = self.parts.records.put_endpoint(record, version, operation);
        written.await?;
        self.show_endpoint(record);
        Ok(())
    }

    /// Lets callers see an endpoint as it is recorded.
    pub(crate) fn show_endpoint(&self, record: &EndpointRecord) {
        let router = &self.parts.router;
        for route in router.routes() {
            let name = &route.info().name;
            if name.version().is_some() && name.endpoint() == record.name.as_str() {
                route.set_access(access(record));
            }
        }
        let before = router.endpoint(record.name.as_str());
        let route = EndpointRoute::new(record, access(record), before.as_deref());
        router.publish_endpoint(Arc::new(route));
        self.watch.table_changed(record);
    }

    /// An operation that needs no turn, for the lock of endpoints is its turn.
    pub(crate) fn operation_on(
        &self,
        kind: OperationKind,
        name: &ServiceName,
    ) -> Arc<LiveOperation> {
        LiveOperation::begin(Arc::clone(&self.parts.clock), kind, name.clone())
    }

    pub(crate) async fn regenerate_endpoint_key(
        &self,
        name: &ServiceName,
        kind: KeyKind,
        value: Option<&Secret>,
    ) -> Result<Operation, ControlError> {
        let _held = self.endpoints.lock().await;
        let record = self.parts.records.endpoint(name).await?;
        let mut record = record.ok_or_else(|| ControlError::NoService(name.clone()))?;
        record
            .keys
            .set(kind, keys::given_or_new(value, "keyValue")?);
        record.updated_time = self.parts.clock.now();
        let ended = self
            .operation_on(OperationKind::RegenerateKeys, name)
            .ended(None);
        self.put_endpoint(&record, None, &ended).await?;
        Ok(ended)
    }
}

/// Who may call an endpoint and its versions.
pub(crate) fn access(record: &EndpointRecord) -> Access {
    Access {
        mode: record.auth,
        keys: record.keys.clone(),
    }
}
