//! Replicas outside this process: the requests to them, and who stands for them.
//!
//! An outside replica is a server that somebody else runs and that speaks as the
//! original's scoring server does: `GET /` tells its health, `/score` takes
//! requests, `GET /swagger.json` tells its schema. [`RemoteHost`] starts and stops
//! nothing there; what it gives out is a client with a health of its own.
//!
//! Bodies pass through in parts, both ways; nobody reads faster than somebody else
//! takes. What a server answers is not trusted: heads are bounded, and an answer that
//! is no HTTP costs one request. Which replica gets which request, how
//! long it may take and who is tried next is the router's to say.

mod answer;
mod connector;
mod health;
mod link;
mod outgoing;
mod relay;
mod remote;
mod replica;
mod schema;
mod seats;
mod shelves;
mod socket;
mod trust;
mod upstream;
mod wire;

pub use remote::{RemoteHost, RemoteOptions};
pub use trust::trusting;
