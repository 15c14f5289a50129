//! What infers: a backend loads models into sessions.

use std::{fmt, num::NonZeroUsize, path::PathBuf, sync::Arc};

use lusk_domain::Digest;

use crate::{Tensor, TensorType};

/// A device that a backend can run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Short name, e.g. `cpu`.
    pub name: String,
    /// What it is, for a person.
    pub description: String,
}

/// Where a model's bytes are.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// Digest of the file; sessions of one digest share their weights.
    pub digest: Digest,
    /// What to call it in messages, e.g. `digits:1/digits.onnx`.
    pub label: String,
    /// The ONNX file. External data files are looked for beside it.
    pub path: PathBuf,
    /// Threads that one call may compute on: the whole cores that `cpu` of the
    /// service reserves for a replica. A call may get fewer, where others
    /// compute. Sessions of one digest share their weights whatever this says.
    pub threads: NonZeroUsize,
}

/// Name, type and shape of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// As in the model.
    pub name: String,
    /// Element type.
    pub kind: TensorType,
    /// Extents, outermost first; `None` is any, e.g. the batch.
    pub shape: Vec<Option<usize>>,
    /// Says that ONNX has maps here. The tensor is then a table of a row for each
    /// map and a column for each key.
    pub maps: Option<Arc<Maps>>,
}

impl TensorSpec {
    /// ONNX's name of the type as onnxruntime prints it, e.g. `tensor(float)` or
    /// `seq(map(string,tensor(float)))`.
    pub fn onnx_name(&self) -> String {
        let tensor = self.kind.onnx_name();
        let Some(maps) = &self.maps else {
            return tensor.to_owned();
        };
        let key = match maps.keys {
            Keys::Texts(_) => "string",
            Keys::Integers(_) => "int64",
        };
        match maps.are_many {
            true => format!("seq(map({key},{tensor}))"),
            false => format!("map({key},{tensor})"),
        }
    }
}

/// Maps as ONNX has them: what `ZipMap` makes, what `DictVectorizer` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// The key of each column.
    pub keys: Keys,
    /// Whether ONNX has a sequence of maps, a map for each row; otherwise there is
    /// one row and one map.
    pub are_many: bool,
}

/// Keys of maps, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Texts.
    Texts(Vec<String>),
    /// 64-bit integers.
    Integers(Vec<i64>),
}

impl Keys {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(keys) => keys.len(),
            Self::Integers(keys) => keys.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Inputs and outputs of a model, in the model's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// Inputs that a caller must give.
    pub inputs: Vec<TensorSpec>,
    /// Outputs that a caller gets.
    pub outputs: Vec<TensorSpec>,
}

/// Why a model was not loaded or did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The bytes are no model.
    #[error("`{model}` is not a readable ONNX model: {reason}")]
    Malformed {
        /// The model's label.
        model: String,
        /// What the parser said.
        reason: String,
    },
    /// The model asks for something the backend has not.
    #[error("`{model}` needs operator(s) that backend `{backend}` lacks: {}", operators.join(", "))]
    MissingOperators {
        /// The model's label.
        model: String,
        /// The backend's name.
        backend: &'static str,
        /// Operator names with their domain, e.g. `ai.onnx.ml.Scaler`.
        operators: Vec<String>,
    },
    /// An element type outside [`TensorType`].
    #[error("`{model}`: {tensor} has the type {kind}, which backend `{backend}` does not carry")]
    UnsupportedType {
        /// The model's label.
        model: String,
        /// The backend's name.
        backend: &'static str,
        /// Which input or output.
        tensor: String,
        /// Its type.
        kind: String,
    },
    /// The bytes are a model that the backend cannot prepare.
    #[error("`{model}` cannot be prepared by backend `{backend}`: {reason}")]
    Unsupported {
        /// The model's label.
        model: String,
        /// The backend's name.
        backend: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The inputs do not fit the signature.
    #[error("input does not fit model `{model}`: {reason}")]
    BadInput {
        /// The model's label.
        model: String,
        /// Which input, what was expected, what was given.
        reason: String,
    },
    /// The computation itself failed.
    #[error("model `{model}` failed: {reason}")]
    Failed {
        /// The model's label.
        model: String,
        /// What the engine said.
        reason: String,
    },
}

/// An engine that runs models on one kind of device.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Its name, e.g. `tract`.
    fn name(&self) -> &'static str;

    /// The devices found; empty if the backend cannot run here.
    fn devices(&self) -> Vec<Device>;

    /// Loads a model, or finds it loaded: equal digests share one session's
    /// weights for as long as anybody holds it. Blocks; takes milliseconds to
    /// seconds. A missing operator is named here, not at the first request.
    ///
    /// # Errors
    /// The model is malformed or not supported.
    fn load(&self, source: &ModelSource) -> Result<Arc<dyn Session>, BackendError>;
}

/// How a session came to be, for the operation's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loading {
    /// Threads that one call computes on at most: those of the source, if the
    /// device has so many.
    pub threads: NonZeroUsize,
    /// Whether the weights were there, loaded for another holder.
    pub shared: bool,
    /// By how many bytes the process grew at most while the model was loaded,
    /// if the system tells. What else the process did then counts too.
    pub peak_bytes: Option<u64>,
    /// What was chosen for this model, for a person, one choice each, e.g. `53 of
    /// 53 convolutions blocked`.
    pub choices: Vec<String>,
}

impl Default for Loading {
    /// One thread, nothing known.
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            shared: false,
            peak_bytes: None,
            choices: Vec::new(),
        }
    }
}

/// A loaded model. Calls may run at the same time.
pub trait Session: Send + Sync + fmt::Debug {
    /// Inputs and outputs.
    fn signature(&self) -> &Signature;

    /// How it came to be.
    fn loading(&self) -> Loading;

    /// Computes the outputs in the order of the signature. `inputs` are in the
    /// order of the signature too. Blocks for as long as it computes. A panic
    /// of the engine is an error value.
    ///
    /// # Errors
    /// The inputs do not fit, or the computation failed.
    fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError>;
}
