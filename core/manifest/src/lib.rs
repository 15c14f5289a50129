//! Configuration files: text in, domain values out, every complaint with its
//! file, line, path and the nearest name that would have been right.
//!
//! Reads `inferenceconfig.json`, `deploymentconfig.json`, conda files and
//! environment directories, and v2's online endpoints and deployments, in JSON or YAML, with command-line flags laid over
//! them. What the values mean is the domain's business; talking to a node is
//! the caller's.
//!
//! Invariant: nothing stops at the first complaint. A file that can be parsed
//! at all is read to its end, and all of its problems are reported together.

mod conda;
mod deployment;
mod environment;
mod inference;
mod json;
mod legacy;
mod node;
mod online;
mod reader;
mod report;
mod runtime;
mod script;
mod source;
mod suggest;
mod yaml;

pub use deployment::{
    DeployedVersion, Deployment, deployment, deployment_of_version, deployment_update,
};
pub use environment::environment_directory;
pub use inference::{
    Deployed, EnvironmentChoice, InferenceChange, InferenceConfig, InferenceRequest, inference,
    inference_change,
};
pub use node::{Override, Scalar};
pub use online::{
    ModelChoice, NewModel, OnlineDeployment, OnlineEndpoint, OnlineScript, check_mirror,
    check_traffic, online_deployment, online_endpoint,
};
pub use report::{Checked, ManifestError, Notice, Place, Problem};
pub use source::{MAX_BYTES, Source};

#[cfg(test)]
mod tests;
