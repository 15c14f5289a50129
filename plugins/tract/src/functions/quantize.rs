//! `QuantizeLinear` with a scale that is computed.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, input, needed, output};
use crate::ops::quantize::QUANTIZE;

/// Where tract wants a constant and there is none, our own operator.
pub(crate) fn quantize_linear(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, scale) = (needed(node, 0)?, needed(node, 1)?);
    let (Some(zero), Some(result)) = (input(node, 2), output(node, 0)) else {
        return Ok(false);
    };
    if !body.is_computed(scale) || attribute(node, "axis").is_some() {
        return Ok(false);
    }
    body.call_as(QUANTIZE, &[data, scale, zero], vec![], result);
    Ok(true)
}
