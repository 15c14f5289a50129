//! The front door: HTTP in, calls of the rooms below out.
//!
//! [`serve_scoring`] is the way of callers to their services, [`admin::serve_admin`]
//! the control plane, [`Doors`] opens the ports of local services. Who may run when is
//! `lusk-router`'s decision, what a service is `lusk-control`'s. All mapping from errors
//! to HTTP stands in `problem`.
//!
//! Invariants: every error of a door is answered with a JSON body and the ids of the
//! request; what a caller sends is bounded in size, in time and in number.

pub mod admin;
mod auth;
mod body;
mod books;
mod caller;
mod connection;
mod cors;
mod headers;
mod listener;
mod local;
mod mirror;
mod openapi;
mod passage;
mod paths;
mod problem;
mod reply;
mod score;
mod scoring;
mod shards;
mod stall;
mod sticky;
mod swagger;
#[cfg(test)]
mod testing;
mod tls;

pub use books::Books;
pub use listener::{ListenerOptions, raise_file_limit};
pub use local::Doors;
pub use scoring::{ScoringOptions, serve_scoring};
pub use shards::{ShardOptions, bind_shared, serve_shards};
pub use tls::{Tls, TlsError};
