//! Environment images in an OCI image layout on disk.
//!
//! An image is made from an environment alone and found by its `ImageKey`. It
//! holds no runtime: lusk carries that itself. What it pins is the description
//! that the key is the hash of, and which packages lusk gives for it, so that
//! the same key means the same thing on every node that reads the layout.
//!
//! Invariant: what `index.json` names is whole on the disk.

mod document;
mod layout;
mod local;
mod packages;

pub use local::LocalImages;
