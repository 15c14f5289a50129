//! Suites that every implementer of a trait runs in its own tests.
//!
//! A suite is an async function that panics at the first broken promise; the
//! name of the inner function in the backtrace is the promise. No suite sleeps
//! and none looks at a clock.

pub mod backend;
pub mod blobs;
pub mod endpoints;
pub mod environments;
pub mod logs;
pub mod records;
pub mod replica_host;
