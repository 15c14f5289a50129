//! The data folder: records, blobs, logs of services and the node's own files.
//!
//! This is the only room that knows sled. It keeps what it is told and checks
//! that what is named is there (models of a service, blobs of a model); what a
//! deployment means is `control`'s business.
//!
//! Invariant: a call that changes something returns only after the change is
//! on the disk, and a crash at any moment leaves the state before or after it.

mod blobs;
mod db;
mod endpoints;
mod environments;
mod error;
mod files;
mod lines;
mod logs;
mod mirror;
mod models;
mod node;
mod operations;
mod services;
mod space;
mod store;

pub use blobs::LocalBlobs;
pub use error::StoreError;
pub use logs::LogFolder;
pub use mirror::MirrorFolder;
pub use node::{DataFolder, DataFolderError, FolderView, Holder, NodeInfo};
pub use store::{Collected, Store};
