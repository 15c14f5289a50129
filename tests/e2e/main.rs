//! The real binary from outside: real sockets on free ports, a data folder for
//! each test, and no crate of lusk's own.
//!
//! What is not a test: [`lusk`] (a node and its command line), [`http`] (a client
//! that sends exactly the bytes it is told), [`registry`] (a registry of images),
//! [`tar`] (archives that no packer
//! would make), [`warm`] (compiled code that all nodes share).

#![allow(
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program of tests: nobody outside, and what it says goes to its reader"
)]

mod http;
mod lusk;
mod registry;
mod tar;
mod warm;

mod admin;
mod bad_input;
mod batching;
mod capacity;
mod chain;
mod comparing;
mod crash;
mod deploy;
mod disk_full;
mod doctor;
mod endpoints;
mod environments;
mod examples;
mod failures;
mod flags;
mod images;
mod labels;
mod load;
mod local;
mod models;
mod native;
mod no_code;
mod node;
mod online;
mod outputs;
mod remote;
mod restart;
mod rolling;
mod rollout;
mod scaling;
mod schema;
mod scoring;
mod service;
mod shards;
mod snapshot;
mod tls;
