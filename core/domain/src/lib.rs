//! The nouns of lusk and their arithmetic: checked names, specifications,
//! rules between fields, states.
//!
//! Everything here is a value. No file, socket, clock, task or log is touched;
//! who needs the time passes it in. The other rooms agree on these types and
//! nothing else.

mod batching;
mod binomial;
mod breach;
mod compare;
mod digest;
mod endpoint;
mod environment;
mod estimate;
mod failure;
mod guard;
pub mod histogram;
mod image;
mod keys;
mod model;
mod names;
mod operation;
mod replica_url;
mod scale;
mod service;
mod settings;
mod shards;
mod share;
mod sizing;
mod snapshot;
mod split;
mod tally;
mod traffic;
mod violation;

pub use batching::{Batch, BatchSettings, BatchSettingsError, Closed, Joined, OpenBatch};
pub use breach::{Breach, GuardWindow, Sample};
pub use compare::{
    Compared, Comparison, Counted, Difference, FEWEST_COMPARED, Level, Measure, Role, Verdict,
};
pub use digest::{Digest, DigestError};
pub use endpoint::{EndpointRecord, Mirror, MirrorError, RolledBack, Sticky, StickyError};
pub use environment::{
    CondaDependency, CondaSpec, Docker, DockerPlatform, Environment, EnvironmentRef, PythonSection,
    RegisteredEnvironment, RegistryCredentials, SparkPackage, SparkSection,
};
pub use estimate::{CONFIDENCE, Estimate};
pub use failure::{Failure, FailureCode, FailureDetail};
pub use guard::{Guard, GuardError};
pub use histogram::Histogram;
pub use image::ImageKey;
pub use keys::{KeyKind, KeyPair, Secret};
pub use model::{Model, ModelChange, ModelDraft, ModelError, ModelFile, ModelRequirements};
pub use names::{
    ComputeName, EnvironmentName, ModelId, ModelName, ModelVersion, NameError, Namespace,
    ServiceName, VersionName, WorkspaceName,
};
pub use operation::{Operation, OperationEvent, OperationKind, OperationState, Step, StepOutcome};
pub use replica_url::{ReplicaUrl, ReplicaUrlError};
pub use scale::{GROW_WINDOW, Load, SHRINK_AFTER, ScaleDecision, ScalePolicy, ScaleReason, Scaler};
pub use service::{
    ComputeType, DeploymentStatus, Entry, RuntimeKind, ServiceRecord, ServiceSpec, ServiceState,
};
pub use settings::{
    AuthMode, AutoScaler, AutoScalerChange, LivenessProbe, LivenessProbeChange, ResourceChange,
    Resources, Settings, SettingsChange,
};
pub use shards::{
    SHARD_THRESHOLD, ShardDecision, ShardLoad, ShardPolicy, ShardReason, ShardScaler, ShardStep,
};
pub use share::{Share, ShareError};
pub use sizing::{Size, Sizing, SizingError};
pub use snapshot::Snapshot;
pub use split::Split;
pub use tally::Tally;
pub use traffic::{MAX_VERSIONS, Stake, TrafficError, TrafficTable};
pub use violation::Violation;
