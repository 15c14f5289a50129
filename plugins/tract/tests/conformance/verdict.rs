//! What became of a case.

use std::{fmt, fs, num::NonZeroUsize, path::PathBuf};

use lusk_contract::{Backend, BackendError, ModelSource, Session, Tensor, TensorType};
use lusk_domain::Digest;
use tract_onnx::{
    pb::{GraphProto, ModelProto, ValueInfoProto, type_proto},
    prelude::Framework,
};

use crate::{
    case::{Case, DataSet},
    compare::{NOISE, difference, shape_difference},
    values,
};

/// Operators whose answer is random: only its type and shape can be compared.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// Operators that add what cancels out.
const NOISY: [&str; 2] = ["DFT", "GRU"];

/// What became of a case.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All outputs were as expected.
    Passed,
    /// The backend did not load it and said why.
    Refused(BackendError),
    /// It was loaded, but its tensors are of a type that the contract lacks.
    NotCarried(String),
    /// It was loaded, and the values of the call were refused.
    RefusedLate(BackendError),
    /// It was loaded and did not run.
    Failed(BackendError),
    /// It was loaded and an output was not the expected one.
    Wrong(String),
    /// It did not come back.
    Hung,
    /// It panicked across the border.
    Panicked,
}

impl Verdict {
    /// Whether the case passes.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Whether it was refused not when it was loaded but for a call's values.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::RefusedLate(_))
    }

    /// Whether the case should have been refused.
    pub(crate) fn is_wrong(&self) -> bool {
        !matches!(self, Self::Passed | Self::Refused(_) | Self::RefusedLate(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed"),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::RefusedLate(error) => write!(f, "refused late: {error}"),
            Self::NotCarried(kind) => write!(f, "loaded with tensors of {kind}"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Wrong(reason) => write!(f, "wrong: {reason}"),
            Self::Hung => write!(f, "hung"),
            Self::Panicked => write!(f, "panicked"),
        }
    }
}

/// Loads and runs a case.
pub(crate) fn judge(backend: &dyn Backend, case: &Case) -> Verdict {
    let path = case.model();
    let source = ModelSource {
        digest: Digest::of(&fs::read(&path).unwrap()),
        label: case.name.clone(),
        path,
        threads: NonZeroUsize::MIN,
    };
    let session = match backend.load(&source) {
        Ok(session) => session,
        Err(error) => return Verdict::Refused(error),
    };
    let proto = model(case);
    let graph = proto.graph.unwrap_or_default();
    let declared: Vec<_> = graph.output.iter().map(declared_kind).collect();
    let compare = |expected: &Tensor, answer: &Tensor| {
        if uses_any(&graph, &RANDOM) {
            return shape_difference(expected, answer);
        }
        let noise = if uses_any(&graph, &NOISY) { NOISE } else { 0. };
        difference(expected, answer, noise)
    };
    case.data_sets()
        .iter()
        .map(|data_set| call(session.as_ref(), data_set, &declared, &compare))
        .find(|verdict| !verdict.passes())
        .unwrap_or(Verdict::Passed)
}

fn call(
    session: &dyn Session,
    data_set: &DataSet,
    declared: &[Option<TensorType>],
    compare: &dyn Fn(&Tensor, &Tensor) -> Option<String>,
) -> Verdict {
    let read = |paths: &[PathBuf]| -> Result<Vec<Tensor>, String> {
        paths.iter().map(|path| values::read(path)).collect()
    };
    let (inputs, expected) = match (read(&data_set.inputs), read(&data_set.outputs)) {
        (Ok(inputs), Ok(expected)) => (inputs, expected),
        (Err(kind), _) | (_, Err(kind)) => return Verdict::NotCarried(kind),
    };
    let answers = match session.infer(&inputs) {
        Ok(answers) => answers,
        Err(error @ BackendError::BadInput { .. }) => return Verdict::RefusedLate(error),
        Err(error) => return Verdict::Failed(error),
    };
    let specs = &session.signature().outputs;
    for ((answer, spec), declared) in answers.iter().zip(specs).zip(declared) {
        if answer.kind() != spec.kind || declared.is_some_and(|kind| kind != answer.kind()) {
            let kind = answer.kind();
            return Verdict::Wrong(format!("`{}` has the type {kind:?}", spec.name));
        }
    }
    if answers.len() != expected.len() {
        let (got, wanted) = (answers.len(), expected.len());
        return Verdict::Wrong(format!("got {got} outputs, expected {wanted}"));
    }
    let differences = expected.iter().zip(&answers).enumerate();
    let first = differences
        .filter_map(|(at, (expected, answer))| {
            compare(expected, answer).map(|reason| format!("output {at}: {reason}"))
        })
        .next();
    first.map_or(Verdict::Passed, Verdict::Wrong)
}

/// The model of a case, which the backend has read as well.
pub(crate) fn model(case: &Case) -> ModelProto {
    tract_onnx::onnx()
        .proto_model_for_path(case.model())
        .unwrap()
}

/// The element type that the model says a value has.
fn declared_kind(value: &ValueInfoProto) -> Option<TensorType> {
    match value.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => values::carried(tensor.elem_type).ok(),
    }
}

/// Element types of inputs and outputs that the contract lacks, by name.
pub(crate) fn types_not_carried(graph: &GraphProto) -> Vec<String> {
    let values = graph.input.iter().chain(&graph.output);
    let name = |value: &ValueInfoProto| match value.r#type.as_ref()?.value.as_ref() {
        Some(type_proto::Value::TensorType(tensor)) => values::carried(tensor.elem_type).err(),
        None => Some("no tensor".to_owned()),
    };
    values.filter_map(name).collect()
}

fn uses_any(graph: &GraphProto, operators: &[&str]) -> bool {
    graph
        .node
        .iter()
        .any(|node| operators.contains(&node.op_type.as_str()))
}
