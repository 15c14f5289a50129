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

/// `Celu`: tract's forgets its factor where floats have 16 bits.
pub(crate) fn celu(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, factor) = (needed(node, 0)?, factor(node));
    match output(node, 0) {
        Some(result) if factor != 1. => {
            let factor = body.number(factor, data);
            let scaled = body.call("Div", &[data, &factor], vec![]);
            let bent = body.call("Elu", &[&scaled], vec![]);
            body.call_as("Mul", &[&bent, &factor], vec![], result);
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

/// The first version of `PRelu` that broadcasts its slopes along the last axes.
const BROADCASTS_SLOPES: i64 = 7;

/// `PRelu` with one slope per channel, the second axis, as it was at first.
pub(crate) fn p_relu(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, slopes) = (needed(node, 0)?, needed(node, 1)?);
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    if body.version() >= BROADCASTS_SLOPES {
        return Ok(false);
    }
    let channels = body.integers(&[0, 0, -1]);
    let flat = body.call("Reshape", &[data, &channels], vec![]);
    let column = body.integers(&[-1, 1]);
    let slopes = body.call("Reshape", &[slopes, &column], vec![]);
    let sloped = body.call("PRelu", &[&flat, &slopes], vec![]);
    let shape = body.call("Shape", &[data], vec![]);
    body.call_as("Reshape", &[&sloped, &shape], vec![], result);
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
