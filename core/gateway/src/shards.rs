//! Serving shards: the scoring door on several threads, each by itself, as many as the
//! load needs.
//!
//! Off by default: then the door is one listener on the node's own runtime. With shards,
//! as many listeners as there may be shards share the address from the start to the end,
//! for the system resets who waits in one that is closed. The shards that run hold them
//! among themselves; to add or remove one is to deal them anew. How many should run is
//! `lusk_domain::ShardScaler`'s decision.
//!
//! Invariants: every listener is always held by a shard that runs, or on its way to one;
//! nobody who was let in is sent away; bounds of connections and bytes are those of all
//! shards together.

mod bind;
mod board;
mod crew;
mod meter;
mod moving;
mod scaling;
mod seat;
mod shard;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use lusk_domain::{SHARD_THRESHOLD, ShardPolicy};
use lusk_router::Router;
use tokio_util::sync::CancellationToken;

pub use bind::bind_shared;
pub(crate) use board::Board;
#[cfg(test)]
pub(crate) use meter::Meter;
pub(crate) use moving::{Moved, Moves};
pub(crate) use seat::{Timing, runtime};

use self::{crew::Crew, scaling::Scaling};
use crate::{
    listener::Answer,
    scoring::{ScoringDoor, ScoringOptions},
};

/// Bounds of a node's shards.
#[derive(Debug, Clone, Copy)]
pub struct ShardOptions {
    /// Routing time, at the 99th percentile of a second, from which on a shard is added.
    pub threshold: Duration,
    /// Router pods that a cluster may start beside this one; 0 without a cluster.
    pub max_pods: u32,
}

impl Default for ShardOptions {
    /// 3 ms, no cluster.
    fn default() -> Self {
        Self {
            threshold: SHARD_THRESHOLD,
            max_pods: 0,
        }
    }
}

/// Serves all services of a router until `shutdown`, then lets requests under way end;
/// on as many shards as are needed, at most one for each listener.
///
/// # Errors
/// No listener, or the system gives no thread for the first shard.
pub async fn serve_shards(
    listeners: Vec<std::net::TcpListener>,
    router: Arc<Router>,
    options: ScoringOptions,
    shards: ShardOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let door = Arc::new(ScoringDoor::new(router, &options));
    let served = serve(listeners, Arc::clone(&door), &options, shards, shutdown).await;
    door.end().await;
    served
}

async fn serve<A: Answer>(
    listeners: Vec<std::net::TcpListener>,
    door: Arc<A>,
    options: &ScoringOptions,
    shards: ShardOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let policy = ShardPolicy {
        max_shards: u32::try_from(listeners.len()).unwrap_or(u32::MAX),
        max_pods: shards.max_pods,
        threshold: shards.threshold,
    };
    let board = Arc::clone(options.books.shards());
    let mut crew = Crew::new(
        listeners,
        door,
        options,
        Arc::clone(&board),
        shutdown.clone(),
    )?;
    crew.set(1).await?;
    let scaling = Scaling::new(policy, board);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = scaling.run(&mut crew) => {}
    }
    crew.end().await;
    Ok(())
}
