//! `BatchNormalization` by what the batch itself is like.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, integer, needed, output};

/// With `training_mode`, mean and variance are those of the input, and what was
/// known before moves towards them.
pub(crate) fn batch_normalization(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    if attribute(node, "training_mode").is_none_or(|mode| mode.i == 0) {
        return Ok(false);
    }
    let (data, factor, bias) = (needed(node, 0)?, needed(node, 1)?, needed(node, 2)?);
    let (mean, variance) = (needed(node, 3)?, needed(node, 4)?);
    let number = |name, default| attribute(node, name).map_or(default, |number| number.f);
    let (epsilon, momentum) = (number("epsilon", 1e-5), number("momentum", 0.9));

    let flat = body.integers(&[0, 0, -1]);
    let flat = body.call("Reshape", &[data, &flat], vec![]);
    let now_mean = averaged(body, &flat, 1);
    let apart = body.call("Sub", &[&flat, &now_mean], vec![]);
    let square = body.call("Mul", &[&apart, &apart], vec![]);
    let now_variance = averaged(body, &square, 1);
    let epsilon = body.number(epsilon, data);
    let spread = body.call("Add", &[&now_variance, &epsilon], vec![]);
    let spread = body.call("Sqrt", &[&spread], vec![]);
    let normal = body.call("Div", &[&apart, &spread], vec![]);
    let factor = body.unsqueeze(factor, 1);
    let bias = body.unsqueeze(bias, 1);
    let scaled = body.call("Mul", &[&normal, &factor], vec![]);
    let moved = body.call("Add", &[&scaled, &bias], vec![]);
    if let Some(result) = output(node, 0) {
        let shape = body.call("Shape", &[data], vec![]);
        body.call_as("Reshape", &[&moved, &shape], vec![], result);
    }
    for (position, known, of) in [(1, mean, &flat), (2, variance, &square)] {
        if let Some(result) = output(node, position) {
            let now = averaged(body, of, 0);
            let kept = body.number(momentum, known);
            let kept = body.call("Mul", &[known, &kept], vec![]);
            let rest = body.number(1. - momentum, known);
            let rest = body.call("Mul", &[&now, &rest], vec![]);
            body.call_as("Add", &[&kept, &rest], vec![], result);
        }
    }
    Ok(true)
}

/// The average of each channel of a batch of rows.
fn averaged(body: &mut Body, rows: &str, keepdims: i64) -> String {
    let keepdims = vec![integer("keepdims", keepdims)];
    if body.version() < 18 {
        let mut attributes = keepdims;
        attributes.push(super::body::integers("axes", &[0, 2]));
        return body.call("ReduceMean", &[rows], attributes);
    }
    let axes = body.integers(&[0, 2]);
    body.call("ReduceMean", &[rows, &axes], keepdims)
}
