//! Logs of services: what scripts print.

use std::{fmt, sync::Arc};

use lusk_domain::ServiceName;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// lusk's own remarks about the replica.
    Host,
}

/// The log of one service. Bounded on disk: old lines go.
pub trait ServiceLog: Send + Sync + fmt::Debug {
    /// Appends one line (without its line end; cut at 16 KiB). Never blocks for
    /// long, never fails: what cannot be written is counted and dropped.
    fn line(&self, replica: u32, stream: LogStream, text: &str);

    /// The last `lines` lines, oldest first, one text.
    fn tail(&self, lines: usize) -> String;
}

/// The logs of all services.
pub trait ServiceLogs: Send + Sync + fmt::Debug {
    /// Opens or creates the log of a service.
    fn open(&self, service: &ServiceName) -> Arc<dyn ServiceLog>;

    /// Removes the log of a deleted service.
    fn remove(&self, service: &ServiceName);
}
