//! The router: from a service's name to a free slot of one of its replicas.
//!
//! It decides who runs next and nothing else: HTTP is `lusk-gateway`'s, starting
//! and stopping replicas `lusk-control`'s, running the script the replica's.
//!
//! Invariants: slots are counted exactly, so a replica never gets more requests
//! at a time than it has slots; the oldest request that can use a free slot gets
//! it; whatever way a request ends (answer, error, deadline, caller gone), its
//! slot or its place in the queue is free again and it is counted once. No lock is
//! held across an await.

mod autoscale;
mod counters;
mod endpoint;
mod pace;
mod pool;
mod route;
mod table;

pub use autoscale::Autoscaler;
pub use counters::{Counters, LATENCY_BOUNDS};
pub use endpoint::EndpointRoute;
pub use pace::Pace;
pub use pool::MAX_QUEUED;
pub use route::{Access, Limits, Relayed, Route, RouteError, RouteInfo, RouteStatus, Scored, Turn};
pub use table::{Lead, Router, Versions};
