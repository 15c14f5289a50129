//! Small models for unit tests.

pub(crate) mod network;

use std::{collections::BTreeSet, path::PathBuf};

use tract_onnx::{
    model::OnnxOpRegister,
    pb::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
        TypeProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::Dimension,
        type_proto,
    },
};

use crate::{file::ModelFile, functions, maps::MapValues, memory, ops, plan::Plans};

/// A value of any extents.
pub(crate) fn value(name: &str, kind: DataType, rank: usize) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type: kind.into(),
        shape: Some(TensorShapeProto {
            dim: vec![Dimension::default(); rank],
        }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A model of one operator, from these inputs to the output `y` of floats.
pub(crate) fn model(
    operator: &str,
    version: i64,
    inputs: Vec<ValueInfoProto>,
    attributes: Vec<AttributeProto>,
    rank: usize,
) -> ModelProto {
    let node = NodeProto {
        op_type: operator.into(),
        input: inputs.iter().map(|input| input.name.clone()).collect(),
        output: vec!["y".into()],
        attribute: attributes,
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        input: inputs,
        output: vec![value("y", DataType::Float, rank)],
        ..GraphProto::default()
    };
    ModelProto {
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            version,
            ..OperatorSetIdProto::default()
        }],
        ..ModelProto::default()
    }
}

/// The model made runnable as the backend makes it, or why not.
pub(crate) fn plans(proto: ModelProto) -> Result<Plans, String> {
    plans_with(proto, |_| {})
}

/// The same, with operators that only the test knows.
pub(crate) fn plans_with(
    mut proto: ModelProto,
    register: impl FnOnce(&mut OnnxOpRegister),
) -> Result<Plans, String> {
    functions::write_out(&mut proto)?;
    let mut onnx = tract_onnx::onnx();
    ops::register(&mut onnx.op_register);
    memory::guard(&mut onnx.op_register);
    register(&mut onnx.op_register);
    let file = ModelFile {
        proto,
        folder: PathBuf::new(),
        external: BTreeSet::new(),
        maps: MapValues::new(),
    };
    Plans::translate(&onnx, &file).map_err(|error| format!("{error:#}"))
}
