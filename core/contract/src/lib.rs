//! Where rooms meet: the traits that deciders call and doers implement.
//!
//! No implementation lives here. With the feature `conformance` the module
//! [`conformance`] holds the suites that every implementer runs, and [`testing`]
//! stand-ins for tests.

mod backend;
mod batches;
mod blobs;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod images;
mod log;
mod mirror;
mod outputs;
mod records;
mod relay;
mod replica;
mod score;
mod tensor;
#[cfg(feature = "conformance")]
pub mod testing;

pub use backend::{
    Backend, BackendError, Device, Keys, Loading, Maps, ModelSource, Session, Signature, TensorSpec,
};
pub use batches::{BATCH_ROW_BOUNDS, BatchCounts, BatchReport, Batches};
pub use blobs::{BlobError, BlobSink, Blobs, StoredBlob};
pub use clock::{Clock, SystemClock};
pub use images::{
    ByteStream, ImageDetail, ImageError, ImageFiles, ImageLayer, ImageRecord, ImageSource,
    ImageWish, Images, PruneRules, Pruned, Pushed, ReadyImage, StoredImage,
};
pub use log::{LogStream, ServiceLog, ServiceLogs};
pub use mirror::{MirrorLog, MirroredAnswer, MirroredPair};
pub use outputs::{OutputFolder, Outputs};
pub use records::{ModelFilter, RecordError, Records};
pub use relay::{BrokenOff, Flow, NotRelayed, Parts, RelayReply, RelayRequest};
pub use replica::{
    MountedModel, Progress, Replica, ReplicaHost, ReplicaPlan, Revision, ScriptKind, ScriptSchema,
    Standing, StartError, StartErrorKind,
};
pub use score::{ScoreReply, ScoreRequest, ScriptError};
pub use tensor::{Tensor, TensorError, TensorType, append_text};
