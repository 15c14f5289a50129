//! Operators that are written with others: what tract lacks, or reads wrongly.
//!
//! A node is replaced in the model's file before tract sees it. A node that
//! neither tract nor these functions answer rightly is refused by name here.
//!
//! Invariant: what a function makes uses only operators that tract has, so the
//! check for missing operators that follows tells the truth.

mod attention;
mod batch_norm;
mod body;
mod bool_mask;
mod crop;
mod gates;
mod local;
mod loss;
mod pad;
mod pooling;
mod quantize;
mod recurrent;
mod reduce;
mod resize;

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, tensor_proto::DataType,
    type_proto,
};

use body::{Body, Values};

/// Writes a node with others. `false` leaves the node as it is.
type Function = fn(&NodeProto, &mut Body) -> Result<bool, String>;

/// Which operators of `ai.onnx` are looked at.
const FUNCTIONS: [(&str, Function); 21] = [
    ("Attention", attention::attention),
    ("BatchNormalization", batch_norm::batch_normalization),
    ("Celu", gates::celu),
    ("CenterCropPad", crop::center_crop_pad),
    ("Compress", bool_mask::compress),
    ("DequantizeLinear", quantize::dequantize_linear),
    ("GRU", recurrent::in_reverse),
    ("LSTM", recurrent::in_reverse),
    ("LpPool", pooling::lp_pool),
    ("NegativeLogLikelihoodLoss", loss::negative_log_likelihood),
    ("PRelu", gates::p_relu),
    ("Pad", pad::pad),
    ("QuantizeLinear", quantize::quantize_linear),
    ("RNN", recurrent::in_reverse),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("Resize", resize::resize),
    ("SoftmaxCrossEntropyLoss", loss::softmax_cross_entropy),
    ("SpaceToDepth", resize::space_to_depth),
    ("SwiGLU", gates::swi_glu),
    ("Swish", gates::swish),
    ("Upsample", resize::upsample),
];

/// Writes the nodes of all graphs of a model.
///
/// # Errors
/// A node asks for something that nobody answers rightly.
pub(crate) fn write_out(proto: &mut ModelProto) -> Result<(), String> {
    local::write_out(proto)?;
    let imports = proto.opset_import.iter();
    let version = imports
        .filter(|import| is_standard(&import.domain))
        .map(|import| import.version)
        .next()
        .unwrap_or_default();
    proto
        .graph
        .as_mut()
        .map_or(Ok(()), |graph| graph_with(graph, version))
}

fn graph_with(graph: &mut GraphProto, version: i64) -> Result<(), String> {
    let mut nodes = Vec::with_capacity(graph.node.len());
    let values = Values::of(graph);
    for mut node in std::mem::take(&mut graph.node) {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                inner.input.iter_mut().for_each(guess_type);
                graph_with(inner, version)?;
            }
        }
        let function = FUNCTIONS.iter().find(|(name, _)| *name == node.op_type);
        let mut body = Body::new(&node, version, &values);
        match function {
            Some((_, write)) if is_standard(&node.domain) => {
                let written = write(&node, &mut body)
                    .map_err(|reason| format!("operator ai.onnx.{} {reason}", node.op_type))?;
                if written {
                    nodes.extend(body.into_nodes());
                } else {
                    nodes.push(node);
                }
            }
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
    Ok(())
}

/// An inner graph need not say the types of its inputs, which tract asks for.
/// Most are floats; where one is not, the model does not fit together and is
/// refused.
fn guess_type(input: &mut ValueInfoProto) {
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float.into(),
        shape: None,
    };
    input.r#type.get_or_insert_with(|| TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..TypeProto::default()
    });
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

#[cfg(test)]
mod tests;
