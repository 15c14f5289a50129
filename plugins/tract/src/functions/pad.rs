//! `Pad` with what it is told to pad with.

use tract_onnx::pb::NodeProto;

use super::body::{Body, input};

/// The value may be a list of one, which tract does not take for a number.
pub(crate) fn pad(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let Some(value) = input(node, 2) else {
        return Ok(false);
    };
    let no_extents = body.integers(&[]);
    let value = body.call("Reshape", &[value, &no_extents], vec![]);
    let mut pad = node.clone();
    pad.input[2] = value;
    body.push(pad);
    Ok(true)
}
