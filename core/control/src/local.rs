//! Ports of local services, as this room sees them.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use lusk_router::Route;

/// Opens doors of local services (`computeType: local`).
#[async_trait]
pub trait LocalDoors: Send + Sync {
    /// Listens on loopback, on `port` or a free one, and scores through `route`
    /// without auth.
    ///
    /// # Errors
    /// Why it cannot listen, naming the port.
    async fn open(
        &self,
        route: Arc<Route>,
        port: Option<u16>,
    ) -> Result<Box<dyn LocalDoor>, String>;
}

/// The open port of one local service; closes on drop.
pub trait LocalDoor: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// Sends requests to `route` from now on, so that an update of the service
    /// keeps its port and refuses nobody.
    fn set_route(&self, route: Arc<Route>);
}
