//! What the control room is made of: the doers it calls, handed in by who
//! wires the process.

use std::{path::PathBuf, sync::Arc};

use lusk_contract::{Blobs, Clock, Images, Records, ReplicaHost, ServiceLogs};
use lusk_domain::WorkspaceName;
use lusk_router::Router;

use crate::LocalDoors;

/// The doers behind [`crate::Control`].
#[derive(Clone)]
pub struct Parts {
    /// Records that survive `kill -9`.
    pub records: Arc<dyn Records>,
    /// Stored content.
    pub blobs: Arc<dyn Blobs>,
    /// Environment images.
    pub images: Arc<dyn Images>,
    /// Starts replicas.
    pub host: Arc<dyn ReplicaHost>,
    /// Logs of services.
    pub logs: Arc<dyn ServiceLogs>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where requests find their replicas.
    pub router: Arc<Router>,
    /// Opens the ports of local services.
    pub doors: Arc<dyn LocalDoors>,
    /// Folder for unpacked revisions; empty when the control room starts.
    pub tmp: PathBuf,
    /// The one workspace of this node.
    pub workspace: WorkspaceName,
    /// What replicas may reserve on this node.
    pub capacity: Capacity,
}

/// What a node has, or what some replicas need of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Cores.
    pub cores: f64,
    /// Bytes of memory.
    pub bytes: u64,
}
