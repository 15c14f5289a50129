//! Doors of local services (`computeType: local`): a port on loopback each, `/score`,
//! no keys, for debugging. Behind them everything is as on the scoring door.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use lusk_control::{LocalDoor, LocalDoors};
use lusk_domain::ServiceName;
use lusk_router::{Lead, Route};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    body::BodyLimits,
    listener::{self, ListenerOptions},
    mirror::Mirrors,
    paths::{self, Target},
    score::Door,
    scoring::ScoringOptions,
};

/// Opens the doors of local services.
#[derive(Debug)]
pub struct Doors {
    options: ScoringOptions,
    /// One for all doors: their bodies share the budget.
    limits: BodyLimits,
    open: Arc<Mutex<HashMap<u16, Tenant>>>,
}

/// Who has a port.
#[derive(Debug, Clone)]
struct Tenant {
    service: ServiceName,
    /// Told to close.
    stop: CancellationToken,
    /// Listens no more.
    closed: CancellationToken,
}

impl Doors {
    /// Doors with these bounds each; the bytes of bodies count for all together.
    pub fn new(mut options: ScoringOptions) -> Self {
        // They are on loopback, for debugging: nobody has a certificate for that.
        options.listener.tls = None;
        Self {
            limits: options.body_limits(),
            options,
            open: Arc::default(),
        }
    }

    /// Waits for a door of ours on this port that is closing; one that is open is in
    /// the way.
    async fn wait_for(&self, port: u16) -> Result<(), String> {
        let tenant = lock(&self.open).get(&port).cloned();
        let Some(tenant) = tenant else { return Ok(()) };
        if !tenant.stop.is_cancelled() {
            return Err(format!(
                "port {port} is the port of local service `{}`; delete that service, name another port, or none to get a free one",
                tenant.service
            ));
        }
        tenant.closed.cancelled().await;
        Ok(())
    }
}

#[async_trait]
impl LocalDoors for Doors {
    async fn open(
        &self,
        route: Arc<Route>,
        port: Option<u16>,
    ) -> Result<Box<dyn LocalDoor>, String> {
        let port = port.unwrap_or(0);
        self.wait_for(port).await?;
        let (listener, address) = bind(port).await.map_err(|error| refusal(port, &error))?;
        let tenant = Tenant {
            service: route.info().name.clone(),
            stop: CancellationToken::new(),
            closed: CancellationToken::new(),
        };
        let opened = Opened {
            address,
            route: Arc::new(ArcSwap::new(route)),
            stop: tenant.stop.clone(),
        };
        let door = OneService {
            route: Arc::clone(&opened.route),
            limits: self.limits.clone(),
            listener: self.options.listener.clone(),
        };
        lock(&self.open).insert(address.port(), tenant.clone());
        let (options, open) = (self.options.clone(), Arc::clone(&self.open));
        tokio::spawn(async move {
            let stop = tenant.stop.clone();
            let (bounds, books) = (&options.listener, &options.books);
            let rest = listener::accept(listener, Arc::new(door), bounds, books, stop).await;
            lock(&open).remove(&address.port());
            tenant.closed.cancel();
            match rest {
                Ok(rest) => rest.end().await,
                Err(error) => tracing::warn!(%address, %error, "a local door is closed"),
            }
        });
        Ok(Box::new(opened))
    }
}

async fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn refusal(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} on 127.0.0.1 is taken by another program; end that program, name another port, or none to get a free one"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} on 127.0.0.1 is not for this user; name a port from 1024 up, or none to get a free one"
        ),
        _ => format!("cannot listen on 127.0.0.1:{port}: {error}"),
    }
}

fn lock(open: &Mutex<HashMap<u16, Tenant>>) -> MutexGuard<'_, HashMap<u16, Tenant>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open door, as its owner holds it.
struct Opened {
    address: SocketAddr,
    route: Arc<ArcSwap<Route>>,
    stop: CancellationToken,
}

impl LocalDoor for Opened {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn set_route(&self, route: Arc<Route>) {
        self.route.store(route);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The inside of a door: one service under a short path.
struct OneService {
    route: Arc<ArcSwap<Route>>,
    limits: BodyLimits,
    listener: ListenerOptions,
}

impl Door for OneService {
    const NEEDS_KEY: bool = false;

    fn listener(&self) -> &ListenerOptions {
        &self.listener
    }

    fn limits(&self) -> &BodyLimits {
        &self.limits
    }

    fn target<'a>(&self, path: &'a str) -> Option<Target<'a>> {
        paths::local(path)
    }

    fn lead(&self, _: &str) -> Option<Lead> {
        Some(Lead::Service(self.route.load_full()))
    }

    fn mirrors(&self) -> Option<&Mirrors> {
        None
    }
}

#[cfg(test)]
mod tests;
