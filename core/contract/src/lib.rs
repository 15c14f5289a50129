//! Where rooms meet: the traits that deciders call and doers implement.
//!
//! No implementation lives here. With the feature `conformance` the module
//! [`conformance`] holds the suites that every implementer runs.

mod backend;
mod blobs;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod images;
mod log;
mod records;
mod replica;
mod score;
mod tensor;

pub use backend::{Backend, BackendError, Device, ModelSource, Session, Signature, TensorSpec};
pub use blobs::{BlobError, BlobSink, Blobs, StoredBlob};
pub use clock::{Clock, SystemClock};
pub use images::{ImageError, ImageRecord, Images};
pub use log::{LogStream, ServiceLog, ServiceLogs};
pub use records::{ModelFilter, RecordError, Records};
pub use replica::{
    MountedModel, Progress, Replica, ReplicaHost, ReplicaPlan, Revision, ScriptKind, ScriptSchema,
    StartError, StartErrorKind,
};
pub use score::{ScoreReply, ScoreRequest, ScriptError};
pub use tensor::{Tensor, TensorError, TensorType};
