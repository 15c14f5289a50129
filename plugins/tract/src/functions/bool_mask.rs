//! Choosing by a mask.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, integer, needed, output};

/// `Compress`: the slices along an axis where the mask holds.
pub(crate) fn compress(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, mask) = (needed(node, 0)?, needed(node, 1)?);
    let Some(chosen) = output(node, 0) else {
        return Ok(false);
    };
    let flat = body.integers(&[-1]);
    let places = body.call("NonZero", &[mask], vec![]);
    let places = body.call("Reshape", &[&places, &flat], vec![]);
    match attribute(node, "axis") {
        Some(axis) => {
            let along = vec![integer("axis", axis.i)];
            body.call_as("Gather", &[data, &places], along, chosen);
        }
        None => {
            let data = body.call("Reshape", &[data, &flat], vec![]);
            body.call_as("Gather", &[&data, &places], vec![], chosen);
        }
    }
    Ok(true)
}
