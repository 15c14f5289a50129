//! Activations that open and close smoothly.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, needed, output};

/// `Swish`: tract reads it without its factor.
pub(crate) fn swish(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, factor) = (needed(node, 0)?, factor(node));
    match output(node, 0) {
        Some(result) if factor != 1. => {
            let gate = gate(body, data, factor);
            body.call_as("Mul", &[data, &gate], vec![], result);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `SwiGLU`: one input through `Swish`, times the other.
pub(crate) fn swi_glu(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, other) = (needed(node, 0)?, needed(node, 1)?);
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    let gate = gate(body, data, factor(node));
    let swish = body.call("Mul", &[data, &gate], vec![]);
    body.call_as("Mul", &[&swish, other], vec![], result);
    Ok(true)
}

fn factor(node: &NodeProto) -> f32 {
    attribute(node, "alpha").map_or(1., |alpha| alpha.f)
}

fn gate(body: &mut Body, data: &str, factor: f32) -> String {
    let factor = body.number(factor, data);
    let scaled = body.call("Mul", &[data, &factor], vec![]);
    body.call("Sigmoid", &[&scaled], vec![])
}
