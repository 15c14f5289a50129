//! The nodes that a function makes.

use std::collections::HashSet;

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use crate::file::element_type;

/// What is known of a graph's values, by name.
#[derive(Default)]
pub(crate) struct Values {
    /// What nodes compute, constants aside.
    computed: HashSet<String>,
    /// Inputs and weights that are integers of 16 bits.
    halves: HashSet<String>,
}

impl Values {
    /// Those of a graph.
    pub(crate) fn of(graph: &GraphProto) -> Self {
        let is_half = |kind| matches!(kind, DataType::Int16 | DataType::Uint16);
        let inputs = graph.input.iter();
        let inputs = inputs
            .filter(|input| element_type(input).is_some_and(is_half))
            .map(|input| input.name.clone());
        let weights = graph.initializer.iter();
        let weights = weights
            .filter(|weight| DataType::try_from(weight.data_type).is_ok_and(is_half))
            .map(|weight| weight.name.clone());
        let computing = graph.node.iter().filter(|node| node.op_type != "Constant");
        Self {
            computed: computing.flat_map(|node| node.output.clone()).collect(),
            halves: inputs.chain(weights).collect(),
        }
    }
}

/// Nodes under construction, whose values have names of their own.
pub(crate) struct Body<'a> {
    prefix: String,
    version: i64,
    values: &'a Values,
    nodes: Vec<NodeProto>,
}

impl<'a> Body<'a> {
    /// No nodes yet, to stand for `node` in a model of this version of `ai.onnx`.
    pub(crate) fn new(node: &NodeProto, version: i64, values: &'a Values) -> Self {
        let output = node.output.iter().find(|output| !output.is_empty());
        Self {
            prefix: format!("{}/{}", output.map_or("", String::as_str), node.op_type),
            version,
            values,
            nodes: Vec::new(),
        }
    }

    /// The version of `ai.onnx` that the model is written for.
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Whether a node of the graph computes `name`.
    pub(crate) fn is_computed(&self, name: &str) -> bool {
        self.values.computed.contains(name)
    }

    /// Whether `name` is known to be integers of 16 bits.
    pub(crate) fn is_half(&self, name: &str) -> bool {
        self.values.halves.contains(name)
    }

    /// All nodes made.
    pub(crate) fn into_nodes(self) -> Vec<NodeProto> {
        self.nodes
    }

    /// A node with one output, whose name is returned.
    pub(crate) fn call(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = format!("{}/{}", self.prefix, self.nodes.len());
        self.call_as(operator, inputs, attributes, &output);
        output
    }

    /// A node with the output `output`.
    pub(crate) fn call_as(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        output: &str,
    ) {
        self.push(NodeProto {
            op_type: operator.into(),
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// A node as it is.
    pub(crate) fn push(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    /// A name that nothing has yet.
    pub(crate) fn fresh(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// A list of integers.
    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        self.constant(TensorProto {
            dims: vec![values.len() as i64],
            data_type: DataType::Int64.into(),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        })
    }

    /// An integer.
    pub(crate) fn integer(&mut self, value: i64) -> String {
        self.constant(TensorProto {
            data_type: DataType::Int64.into(),
            int64_data: vec![value],
            ..TensorProto::default()
        })
    }

    /// A list of numbers.
    pub(crate) fn numbers(&mut self, values: &[f32]) -> String {
        self.constant(TensorProto {
            dims: vec![values.len() as i64],
            data_type: DataType::Float.into(),
            float_data: values.to_vec(),
            ..TensorProto::default()
        })
    }

    /// A number of the type of `like`.
    pub(crate) fn number(&mut self, value: f32, like: &str) -> String {
        let number = self.constant(TensorProto {
            data_type: DataType::Float.into(),
            float_data: vec![value],
            ..TensorProto::default()
        });
        self.call("CastLike", &[&number, like], vec![])
    }

    /// `from` with an axis of extent 1 more.
    pub(crate) fn unsqueeze(&mut self, from: &str, axis: i64) -> String {
        let axes = self.integers(&[axis]);
        self.call("Unsqueeze", &[from, &axes], vec![])
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let value = AttributeProto {
            t: Some(tensor),
            ..named("value", AttributeType::Tensor)
        };
        self.call("Constant", &[], vec![value])
    }
}

/// An attribute that is an integer.
pub(crate) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: value,
        ..named(name, AttributeType::Int)
    }
}

/// An attribute that is a list of integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..named(name, AttributeType::Ints)
    }
}

/// An attribute that is a text.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: value.as_bytes().to_vec(),
        ..named(name, AttributeType::String)
    }
}

/// The attribute of a node called `name`.
pub(crate) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|known| known.name == name)
}

/// The text of a node called `name`, or the one that stands for none.
pub(crate) fn text_of<'a>(node: &'a NodeProto, name: &str, default: &'a str) -> &'a str {
    let found = attribute(node, name).and_then(|found| str::from_utf8(&found.s).ok());
    found.unwrap_or(default)
}

/// The name of an input, if the node has it.
pub(crate) fn input(node: &NodeProto, position: usize) -> Option<&str> {
    let name = node.input.get(position).map(String::as_str);
    name.filter(|name| !name.is_empty())
}

/// The name of an input that the operator must have.
pub(crate) fn needed(node: &NodeProto, position: usize) -> Result<&str, String> {
    input(node, position).ok_or_else(|| format!("lacks its input {position}"))
}

/// The name of an output, if somebody wants it.
pub(crate) fn output(node: &NodeProto, position: usize) -> Option<&str> {
    let name = node.output.get(position).map(String::as_str);
    name.filter(|name| !name.is_empty())
}

fn named(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind.into(),
        ..AttributeProto::default()
    }
}
