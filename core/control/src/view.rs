//! A service as callers see it: its record and where it stands now.

use std::net::SocketAddr;

use lusk_domain::{
    DeploymentStatus, Failure, FailureCode, ImageKey, RuntimeKind, ServiceRecord, ServiceState,
};

use crate::live::Now;

mod endpoint;

pub use endpoint::{EndpointView, VersionView};

/// A service's record together with what is true in this moment.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// What is stored.
    pub record: ServiceRecord,
    /// The state now; the record holds the one last written.
    pub state: ServiceState,
    /// Replica counts now.
    pub status: DeploymentStatus,
    /// How the entry script is executed.
    pub runtime: RuntimeKind,
    /// Where a local service listens.
    pub local_address: Option<SocketAddr>,
    /// The environment's image; none for runtimes that need none.
    pub image: Option<ImageKey>,
    /// Digest of its manifest, while the service runs.
    pub image_digest: Option<String>,
}

impl ServiceView {
    pub(crate) fn new(mut record: ServiceRecord, now: &Now) -> Self {
        let replicas = now
            .running
            .as_ref()
            .map_or(0, |running| running.route.replicas().len());
        let available = u32::try_from(replicas).unwrap_or(u32::MAX);
        let (state, error) = state(&record, now, available);
        record.state = state;
        if error.is_some() {
            record.error.clone_from(&error);
        }
        let running = now.running.as_deref();
        let runtime = running.map_or(record.spec.runtime(), |running| running.runtime);
        let desired = running.map_or(record.spec.settings.initial_replicas(), |running| {
            running.scaling.replicas()
        });
        let door = now
            .running
            .as_ref()
            .and_then(|running| running.door.as_ref());
        Self {
            state,
            status: DeploymentStatus {
                desired_replicas: desired,
                updated_replicas: if state == ServiceState::Transitioning {
                    0
                } else {
                    available
                },
                available_replicas: available,
                error,
            },
            runtime,
            local_address: door.map(|door| door.address()),
            image: record
                .spec
                .image_key()
                .filter(|_| matches!(runtime, RuntimeKind::Python | RuntimeKind::Process)),
            image_digest: running.and_then(|running| running.image.clone()),
            record,
        }
    }
}

/// Whether the service has no replica because nobody calls it.
fn is_asleep(now: &Now) -> bool {
    let running = now.running.as_ref();
    running.is_some_and(|running| running.scaling.replicas() == 0)
}

/// The state now, and why it is not healthy.
fn state(record: &ServiceRecord, now: &Now, available: u32) -> (ServiceState, Option<Failure>) {
    if let Some((state, failure)) = &now.note {
        return (*state, Some(failure.clone()));
    }
    match record.state {
        ServiceState::Transitioning if now.operation.is_some() => {
            (ServiceState::Transitioning, None)
        }
        _ if now.running.is_none() => (ServiceState::Failed, record.error.clone()),
        _ if available == 0 && !is_asleep(now) => {
            let message = format!(
                "no replica of service `{}` answers its probe; new ones are being started",
                record.spec.name
            );
            let failure = Failure::new(FailureCode::KubernetesDeploymentFailed, message);
            (ServiceState::Unhealthy, Some(failure))
        }
        _ => {
            let bound = now.running.as_ref().and_then(|it| it.scaling.bound());
            let failure = bound.map(|text| {
                let name = &record.spec.name;
                let message = format!("service `{name}` is CapacityBound: {text}");
                Failure::new(FailureCode::Unschedulable, message)
            });
            (ServiceState::Healthy, failure)
        }
    }
}
