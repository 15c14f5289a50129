//! What replicas write to `./outputs`, kept beyond them.

use std::{fmt, io, path::Path, sync::Arc};

use lusk_domain::ServiceName;

/// The folder that a replica has as `./outputs`. When the last holder drops it,
/// what it holds is kept for the last time, and the folder goes.
pub trait OutputFolder: Send + Sync + fmt::Debug {
    /// An empty folder of the replica's own.
    fn path(&self) -> &Path;
}

/// Keeps outputs: copies them to their store while replicas run and when they
/// end. What was written survives the end of the process, however it comes.
pub trait Outputs: Send + Sync + fmt::Debug {
    /// Makes a folder for one replica. Blocks on the disk.
    ///
    /// # Errors
    /// The folder cannot be made.
    fn open(
        &self,
        service: &ServiceName,
        revision: u64,
        replica: u32,
    ) -> io::Result<Arc<dyn OutputFolder>>;
}
