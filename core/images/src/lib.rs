//! Environment images in an OCI image layout on disk.
//!
//! An image is made from an environment alone and found by its `ImageKey`. It
//! holds no runtime: lusk carries that itself. What it pins is the description
//! that the key is the hash of, and which packages lusk gives for it, so that
//! the same key means the same thing on every node that reads the layout.
//!
//! Invariant: what `index.json` names is whole on the disk.

mod archive;
mod builder;
mod builds;
mod chain;
mod disk;
mod document;
mod flight;
mod image;
mod inventory;
mod layout;
mod local;
mod pack;
mod packages;
mod python_tools;
mod registry;
mod sbom;
mod scan;
mod shelf;
mod tarball;
#[cfg(test)]
mod testing;
mod unpack;
mod usage;

pub use inventory::{Inventory, Minor, inventory};
pub use local::{ImagesOptions, LocalImages};
pub use registry::{RegistryAddress, Role as RegistryRole, ping};
pub use scan::{Finding, ScanError, ScanReport, scan};
