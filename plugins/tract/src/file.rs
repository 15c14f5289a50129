//! A model's file: read and checked before tract translates it.
//!
//! tract believes what it reads: it looks operators up without their domain,
//! stops at the first one that is missing, and asserts what the format
//! promises. So the promises are checked here, and all missing operators are
//! found at once.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Component, Path, PathBuf},
};

use lusk_contract::{BackendError, ModelSource};
use tract_onnx::{
    Onnx,
    pb::{
        GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
        tensor_shape_proto::dimension::Value as Dim, type_proto,
    },
    prelude::{DatumType, Framework},
};

use crate::{
    NAME, attributes, functions,
    maps::{self, MapValues},
    operators::Operators,
    shortened,
    tensor::tensor_type,
    without_panic,
};

/// The longest name of a dimension. It may be an expression, whose reader
/// descends once per bracket: a longer one could exhaust the stack.
const MAX_DIMENSION_NAME: usize = 256;

/// A model's file whose promises hold.
pub(crate) struct ModelFile {
    /// What the file says.
    pub(crate) proto: ModelProto,
    /// The folder that external data lies in.
    pub(crate) folder: PathBuf,
    /// Files with external data, as the model names them.
    pub(crate) external: BTreeSet<String>,
    /// The inputs and outputs that are maps.
    pub(crate) maps: MapValues,
}

impl ModelFile {
    /// Reads and checks a model.
    pub(crate) fn read(onnx: &Onnx, source: &ModelSource) -> Result<Self, BackendError> {
        let malformed = |reason: String| BackendError::Malformed {
            model: source.label.clone(),
            reason,
        };
        let mut proto = decode(onnx, source)?;
        let unsupported = |reason: String| BackendError::Unsupported {
            model: source.label.clone(),
            backend: NAME,
            reason,
        };
        proto.graph.iter_mut().for_each(forget_negative_extents);
        functions::write_out(&mut proto).map_err(&unsupported)?;
        let maps = match &mut proto.graph {
            Some(graph) => maps::write_out(graph).map_err(unsupported)?,
            None => MapValues::new(),
        };
        let mut walk = Walk::new(onnx);
        let graph = proto
            .graph
            .as_ref()
            .ok_or_else(|| malformed("it holds no graph".into()))?;
        walk.graph(graph).map_err(malformed)?;
        if !walk.missing.is_empty() {
            return Err(BackendError::MissingOperators {
                model: source.label.clone(),
                backend: NAME,
                operators: walk.missing.into_iter().collect(),
            });
        }
        let external = walk.external;
        check_border(source, graph)?;
        let folder = source.path.parent().unwrap_or(Path::new("")).to_path_buf();
        for location in &external {
            locate(&folder, location).map_err(malformed)?;
        }
        Ok(Self {
            proto,
            folder,
            external,
            maps,
        })
    }
}

/// The file of external data at `location`, which must lie in `folder`.
pub(crate) fn locate(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    let refused = |why: &str| format!("external data file `{location}` {why}");
    if !Path::new(location).components().all(inside) {
        return Err(refused("is not a path inside the model's folder"));
    }
    let canonical = |path: &Path| {
        fs::canonicalize(path).map_err(|error| refused(&format!("cannot be read: {error}")))
    };
    let root = canonical(if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    })?;
    let path = canonical(&root.join(location))?;
    if !path.starts_with(&root) {
        return Err(refused("is a link out of the model's folder"));
    }
    if !path.is_file() {
        return Err(refused("is not a regular file"));
    }
    Ok(path)
}

fn decode(onnx: &Onnx, source: &ModelSource) -> Result<ModelProto, BackendError> {
    let unreadable = |reason: String| BackendError::Failed {
        model: source.label.clone(),
        reason: format!("cannot read its file: {reason}"),
    };
    let metadata = fs::metadata(&source.path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("not a regular file".into()));
    }
    let malformed = |reason: String| BackendError::Malformed {
        model: source.label.clone(),
        reason,
    };
    if metadata.len() == 0 {
        return Err(malformed("the file is empty".into()));
    }
    without_panic(|| onnx.proto_model_for_path(&source.path))
        .map_err(malformed)?
        .map_err(|error| malformed(shortened(&format!("{error:#}"))))
}

/// Element types of inputs and outputs must be ones that cross the border.
fn check_border(source: &ModelSource, graph: &GraphProto) -> Result<(), BackendError> {
    let weights: HashSet<&str> = initializer_names(graph).collect();
    let inputs = graph
        .input
        .iter()
        .filter(|input| !weights.contains(input.name.as_str()))
        .map(|input| ("input", input));
    let outputs = graph.output.iter().map(|output| ("output", output));
    for (role, value) in inputs.chain(outputs) {
        let Some(kind) = element_type(value) else {
            continue;
        };
        let carried = DatumType::try_from(kind).ok().and_then(tensor_type);
        if kind != DataType::Undefined && carried.is_none() {
            return Err(BackendError::UnsupportedType {
                model: source.label.clone(),
                backend: NAME,
                tensor: format!("{role} `{}`", value.name),
                kind: format!("tensor({})", kind.as_str_name().to_lowercase()),
            });
        }
    }
    Ok(())
}

/// The declared element type of a value, if it is a tensor of a known type.
pub(crate) fn element_type(value: &ValueInfoProto) -> Option<DataType> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    DataType::try_from(tensor.elem_type).ok()
}

/// The declared dimensions of a value; `None` if nothing is said about them.
pub(crate) fn dimensions(value: &ValueInfoProto) -> Option<impl Iterator<Item = Option<&Dim>>> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let shape = tensor.shape.as_ref()?;
    Some(shape.dim.iter().map(|dim| dim.value.as_ref()))
}

/// The names of a graph's initializers.
pub(crate) fn initializer_names(graph: &GraphProto) -> impl Iterator<Item = &str> {
    graph.initializer.iter().map(|tensor| tensor.name.as_str())
}

/// Some converters write -1 where any extent will do.
fn forget_negative_extents(graph: &mut GraphProto) {
    let values = graph.input.iter_mut().chain(&mut graph.output);
    for value in values.chain(&mut graph.value_info) {
        let Some(type_proto::Value::TensorType(tensor)) =
            value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            continue;
        };
        for dim in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
            if matches!(dim.value, Some(Dim::DimValue(..0))) {
                dim.value = None;
            }
        }
    }
}

/// One pass over all graphs of a model.
struct Walk<'a> {
    operators: Operators<'a>,
    missing: BTreeSet<String>,
    external: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn new(onnx: &'a Onnx) -> Self {
        Self {
            operators: Operators::new(onnx),
            missing: BTreeSet::new(),
            external: BTreeSet::new(),
        }
    }

    /// The depth is bounded by the decoder, which refuses a hundred levels.
    fn graph(&mut self, graph: &GraphProto) -> Result<(), String> {
        if graph.output.is_empty() {
            return Err(format!("graph `{}` has no outputs", graph.name));
        }
        let mut made: HashSet<&str> = initializer_names(graph).collect();
        made.extend(graph.input.iter().map(|input| input.name.as_str()));
        let outputs = graph.node.iter().flat_map(|node| &node.output);
        made.extend(outputs.map(String::as_str));
        if let Some(output) = graph
            .output
            .iter()
            .find(|value| !made.contains(value.name.as_str()))
        {
            return Err(format!("output `{}` is made by no node", output.name));
        }
        let values = graph.input.iter().chain(&graph.output);
        for value in values.chain(&graph.value_info) {
            check_dimension_names(value)?;
        }
        for tensor in &graph.initializer {
            self.tensor(tensor)?;
        }
        for node in &graph.node {
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &NodeProto) -> Result<(), String> {
        self.missing.extend(self.operators.missing(node));
        attributes::check(node)?;
        for attribute in &node.attribute {
            for tensor in attribute.t.iter().chain(&attribute.tensors) {
                self.tensor(tensor)?;
            }
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                self.graph(inner)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &TensorProto) -> Result<(), String> {
        let location = tensor
            .external_data
            .iter()
            .find(|entry| entry.key == "location");
        if let Some(entry) = location {
            self.external.insert(entry.value.clone());
        }
        let elements = tensor.dims.iter().try_fold(1i64, |product, dim| {
            product.checked_mul(*dim).filter(|product| *product >= 0)
        });
        if elements.is_none() {
            return Err(format!(
                "tensor `{}` has the impossible shape {:?}",
                tensor.name, tensor.dims
            ));
        }
        Ok(())
    }
}

fn check_dimension_names(value: &ValueInfoProto) -> Result<(), String> {
    let long = dimensions(value)
        .into_iter()
        .flatten()
        .flatten()
        .any(|dim| matches!(dim, Dim::DimParam(name) if name.len() > MAX_DIMENSION_NAME));
    if long {
        return Err(format!(
            "value `{}` has a dimension whose name is longer than {MAX_DIMENSION_NAME} bytes",
            value.name
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;

    /// A graph that makes `name` by an operator, with `inner` inside of it.
    fn graph(name: &str, domain: &str, operator: &str, inner: Option<GraphProto>) -> GraphProto {
        let node = NodeProto {
            op_type: operator.into(),
            domain: domain.into(),
            output: vec![name.into()],
            attribute: vec![AttributeProto {
                g: inner,
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        GraphProto {
            node: vec![node],
            output: vec![ValueInfoProto {
                name: name.into(),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        }
    }

    #[test]
    fn operators_of_inner_graphs_count_in_their_domain() {
        let onnx = tract_onnx::onnx();
        let missing = |domain: &str| {
            let inner = graph("inner", domain, "Pad", None);
            let mut walk = Walk::new(&onnx);
            walk.graph(&graph("outer", "", "If", Some(inner))).unwrap();
            walk.missing.into_iter().collect::<Vec<_>>()
        };
        assert!(missing("ai.onnx").is_empty());
        assert_eq!(missing("com.microsoft"), ["com.microsoft.Pad"]);
        assert_eq!(missing("pkg.torch"), ["pkg.torch.Pad"]);
    }
}
