//! Endpoints: several versions behind one name.
//!
//! A version is a service of its own, under the name `endpoint/version`: it is
//! deployed, cared for and scaled like any other. What is common to the versions (keys,
//! shares, labels) is the endpoint's record.

use std::sync::Arc;

use lusk_domain::{Operation, ServiceName, VersionName};

use crate::{ChangeEndpoint, Control, ControlError, CreateEndpoint, EndpointView};

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
        let _ = request;
        Err(ControlError::Internal("not there yet".to_owned()))
    }

    /// Accepts a change of an endpoint. One without a version is done at once, in one
    /// step; one with a version is deployed in the background and takes place, in one
    /// step, when that version is healthy.
    ///
    /// # Errors
    /// Why it was refused; then nothing was changed.
    pub async fn change_endpoint(
        self: &Arc<Self>,
        name: &ServiceName,
        change: ChangeEndpoint,
    ) -> Result<Operation, ControlError> {
        let _ = (name, change);
        Err(ControlError::Internal("not there yet".to_owned()))
    }

    /// Makes a version the default and the control, with all the traffic that the
    /// default had, in one step.
    ///
    /// # Errors
    /// No such endpoint or version, or the store failed.
    pub async fn promote(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
    ) -> Result<Operation, ControlError> {
        let _ = (name, version);
        Err(ControlError::Internal("not there yet".to_owned()))
    }

    /// Takes all traffic from a version, or from each but the control, in one step; what
    /// it had as default goes to the control.
    ///
    /// # Errors
    /// No such endpoint or version, no control, or the store failed.
    pub async fn roll_back(
        self: &Arc<Self>,
        name: &ServiceName,
        version: Option<&VersionName>,
    ) -> Result<Operation, ControlError> {
        let _ = (name, version);
        Err(ControlError::Internal("not there yet".to_owned()))
    }

    /// Deletes a version; the last one takes the endpoint with it. `None`: there was no
    /// such version. Its deployment, if one is under way, is given up.
    ///
    /// # Errors
    /// No such endpoint, it is the default while there are others, or the store failed.
    pub async fn delete_version(
        self: &Arc<Self>,
        name: &ServiceName,
        version: &VersionName,
    ) -> Result<Option<Operation>, ControlError> {
        let _ = (name, version);
        Err(ControlError::Internal("not there yet".to_owned()))
    }

    /// One endpoint with its versions.
    ///
    /// # Errors
    /// The store failed.
    pub async fn endpoint(&self, name: &ServiceName) -> Result<Option<EndpointView>, ControlError> {
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
        let records = self.parts.records.endpoints().await?;
        let views = self.services().await?;
        let endpoints = records.into_iter();
        Ok(endpoints
            .map(|record| EndpointView::new(record, views.clone()))
            .collect())
    }
}
