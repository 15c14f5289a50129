//! A service as callers see it: its record and where it stands now.

use std::net::SocketAddr;

use lusk_domain::{DeploymentStatus, ImageKey, RuntimeKind, ServiceRecord, ServiceState};

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
}
