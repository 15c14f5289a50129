//! Inputs whose values, not only extents, decide what a graph looks like.
//!
//! tract wants the axes of a reduction, the pieces of a split or the scales of a
//! resize as constants. Where a model takes them from its caller, they are found
//! here by walking from the operators that need them to the model's inputs.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto, tensor_proto::DataType};

use crate::file::{element_type, initializer_names};

/// Operators and which of their inputs tract wants as constants.
const SLOTS: [(&str, &[usize]); 39] = [
    ("AffineGrid", &[1]),
    ("BatchNormalization", &[1, 2, 3, 4]),
    ("BlackmanWindow", &[0]),
    ("Col2Im", &[1, 2]),
    ("ConstantOfShape", &[0]),
    ("CumSum", &[1]),
    ("DFT", &[1, 2]),
    ("DequantizeLinear", &[1, 2]),
    ("Dropout", &[1, 2]),
    ("Expand", &[1]),
    ("GRU", &[4]),
    ("HammingWindow", &[0]),
    ("HannWindow", &[0]),
    ("If", &[0]),
    ("LSTM", &[4]),
    ("MelWeightMatrix", &[0, 1, 2, 3, 4]),
    ("OneHot", &[1, 2]),
    ("Pad", &[1, 2, 3]),
    ("QuantizeLinear", &[1, 2]),
    ("RNN", &[4]),
    ("ReduceL1", &[1]),
    ("ReduceL2", &[1]),
    ("ReduceLogSum", &[1]),
    ("ReduceLogSumExp", &[1]),
    ("ReduceMax", &[1]),
    ("ReduceMean", &[1]),
    ("ReduceMin", &[1]),
    ("ReduceProd", &[1]),
    ("ReduceSum", &[1]),
    ("ReduceSumSquare", &[1]),
    ("Reshape", &[1]),
    ("Resize", &[1, 2, 3]),
    ("STFT", &[1, 2, 3]),
    ("Slice", &[1, 2, 3, 4]),
    ("Split", &[1]),
    ("Squeeze", &[1]),
    ("Tile", &[1]),
    ("Unsqueeze", &[1]),
    ("Upsample", &[1]),
];

/// The inputs of `graph` that decide what it looks like: their positions among
/// those that are no initializers.
pub(crate) fn structural_inputs(graph: &GraphProto) -> Vec<usize> {
    let weights: HashSet<&str> = initializer_names(graph).collect();
    let inputs = graph
        .input
        .iter()
        .filter(|input| !weights.contains(input.name.as_str()));
    let deciding = Deciding::find(graph);
    let role = |(position, input): (usize, &tract_onnx::pb::ValueInfoProto)| {
        let name = input.name.as_str();
        let is_number = matches!(
            element_type(input),
            Some(DataType::Int64 | DataType::Int32 | DataType::Bool | DataType::Uint8)
        );
        // Weights that pass through arithmetic are no structure.
        let decides =
            deciding.directly.contains(name) || is_number && deciding.behind.contains(name);
        decides.then_some(position)
    };
    inputs.enumerate().filter_map(role).collect()
}

/// The values that decide, by name.
#[derive(Default)]
struct Deciding<'a> {
    directly: HashSet<&'a str>,
    /// What they are computed from as well.
    behind: HashSet<&'a str>,
}

impl<'a> Deciding<'a> {
    fn find(graph: &'a GraphProto) -> Self {
        let mut found = Self::default();
        let mut makers: HashMap<&str, &NodeProto> = HashMap::new();
        for node in &graph.node {
            makers.extend(node.output.iter().map(|output| (output.as_str(), node)));
        }
        for name in graph.node.iter().flat_map(slots) {
            found.directly.extend(same_values(&makers, name));
            found.walk(&makers, name);
        }
        found
    }

    fn walk(&mut self, makers: &HashMap<&'a str, &'a NodeProto>, from: &'a str) {
        let mut waiting = vec![from];
        while let Some(name) = waiting.pop() {
            if !self.behind.insert(name) {
                continue;
            }
            let Some(node) = makers.get(name) else {
                continue;
            };
            // Extents are known without the values.
            if !matches!(node.op_type.as_str(), "Shape" | "Size") {
                waiting.extend(node.input.iter().map(String::as_str));
            }
        }
    }
}

/// `name` and what has the same values in another shape.
fn same_values<'a>(makers: &HashMap<&'a str, &'a NodeProto>, name: &'a str) -> HashSet<&'a str> {
    let mut names = HashSet::from([name]);
    let mut from = name;
    while let Some(node) = makers.get(from) {
        let is_same = matches!(node.op_type.as_str(), "Identity" | "Reshape" | "Squeeze");
        match node.input.first() {
            Some(input) if is_same && names.insert(input) => from = input,
            _ => break,
        }
    }
    names
}

fn slots(node: &NodeProto) -> impl Iterator<Item = &str> {
    let known = SLOTS.iter().find(|(operator, _)| *operator == node.op_type);
    let positions = known.map_or(&[][..], |(_, positions)| positions);
    positions
        .iter()
        .filter_map(|position| node.input.get(*position))
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}
