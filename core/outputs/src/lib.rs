//! Keeps what replicas write to `./outputs`, and on request the logs of
//! services, in an object store: a local folder, Azure Blob, S3 or GCS.
//!
//! A replica writes into a folder of its own below `spool/`, on the data
//! folder's disk. One thread looks every 10 s for files that changed and copies
//! them; when the replica is gone, it copies the rest and removes the folder.
//! Replicas never wait for the store.
//!
//! # Names
//!
//! `spool/<service>/<run>/<file>` becomes `<service>/<run>/<file>` below the
//! store's prefix, `<run>` being `<revision>-<replica>-<milliseconds since 1970>`.
//! So neither replicas nor restarts of a node overwrite each other's files.
//! Logs become `logs/<service>/<time of the first line>.txt`: a log that was
//! rotated keeps its name, and an older one is never overwritten.
//!
//! Invariant: a spool folder goes only after everything in it that fits the
//! bounds (1 GiB, 10,000 files) was taken by the store. What a killed process
//! leaves behind is sent by the next one.

mod beneath;
mod keeper;
mod logs;
mod scan;
mod sender;
mod spool;
mod status;
mod store;
mod upload;

pub use keeper::{OutputKeeper, OutputOptions, Pace};
pub use status::OutputStatus;
pub use store::{OutputStore, OutputStoreError};

#[cfg(test)]
mod tests;
