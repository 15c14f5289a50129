//! Replicas in this process: entry scripts in a WebAssembly sandbox, and models
//! without a script.
//!
//! The only room that knows wasmtime. [`LocalHost`] implements
//! `lusk_contract::ReplicaHost`; HTTP, stores and traffic are not its business.
//!
//! A replica has as many *instances* as it has slots. An instance is one store
//! with one guest that ran `init()` once; it runs one request at a time in the
//! caller's task. Whatever ends an instance out of turn (a trap, its memory
//! limit, a caller who left) costs that one request, and the instance is
//! replaced.

mod aot;
mod batch;
mod bindings;
mod budget;
mod carried;
mod compile;
mod component;
mod context;
mod core_module;
mod direct;
mod encode;
mod engine;
mod folder;
mod instance;
mod javascript;
mod local;
mod models;
mod modules;
mod nn;
mod no_code;
mod output;
mod pool;
mod process;
mod python;
mod query;
mod runner;
mod sandbox;
mod script;
mod session;
mod tensor_json;
#[cfg(test)]
mod testing;
mod wording;

pub use aot::AotError;
pub use carried::{CarriedRunner, carried_runners};
pub use compile::{CompileError, CompileIn, compile_for_parent};
pub use local::{LocalHost, LocalHostError, LocalHostOptions};
