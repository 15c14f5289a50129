//! `QuantizeLinear` and `DequantizeLinear` as tract cannot do them.

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::body::{Body, attribute, input, integer, needed, output};
use crate::ops::quantize::QUANTIZE;

/// Where the scale is computed, or there are 16 bits: our own operator.
pub(crate) fn quantize_linear(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, scale) = (needed(node, 0)?, needed(node, 1)?);
    let (Some(zero), Some(result)) = (input(node, 2), output(node, 0)) else {
        return Ok(false);
    };
    let ours = body.is_computed(scale) || body.is_half(zero);
    if !ours || attribute(node, "axis").is_some() {
        return Ok(false);
    }
    body.call_as(QUANTIZE, &[data, scale, zero], vec![], result);
    Ok(true)
}

/// Where there are 16 bits: arithmetic, one scale for all.
pub(crate) fn dequantize_linear(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, scale) = (needed(node, 0)?, needed(node, 1)?);
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    if !body.is_half(data) {
        return Ok(false);
    }
    let to_float = || vec![integer("to", i64::from(i32::from(DataType::Float)))];
    let one = body.integers(&[]);
    let mut numbers = body.call("Cast", &[data], to_float());
    if let Some(zero) = input(node, 2) {
        let zero = body.call("Cast", &[zero], to_float());
        let zero = body.call("Reshape", &[&zero, &one], vec![]);
        numbers = body.call("Sub", &[&numbers, &zero], vec![]);
    }
    let scale = body.call("Reshape", &[scale, &one], vec![]);
    body.call_as("Mul", &[&numbers, &scale], vec![], result);
    Ok(true)
}
