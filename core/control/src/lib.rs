//! The control room: takes a deployment from request to healthy.
//!
//! It keeps the records of services and operations through the traits of
//! `lusk-contract`, unpacks snapshots, asks for images and replicas, hands
//! finished routes to the router, and looks after replicas that die. It knows
//! no HTTP, no engine and no disk format.
//!
//! Invariants: at most one operation runs on a service; a service that serves
//! goes on serving until its successor is ready; a state is on the disk before
//! anybody is told.

mod capacity;
mod care;
mod change;
mod check;
mod control;
mod deploy;
mod endpoint;
mod error;
mod keys;
mod layout;
mod live;
mod local;
mod log;
mod operation;
mod parts;
mod remote;
mod request;
mod restore;
mod revision;
mod rollout;
mod running;
mod scaling;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod text;
mod view;
mod wanted;
mod watch;

pub use capacity::Both;
pub use control::Control;
pub use error::ControlError;
pub use local::{LocalDoor, LocalDoors};
pub use parts::{Capacity, Parts};
pub use request::{
    ChangeEndpoint, ChangeVersion, CreateEndpoint, CreateService, CreateVersion, UpdateService,
};
pub use scaling::{ScalingEvent, ScalingLine, ScalingReport};
pub use view::{EndpointView, ServiceView, VersionView};
