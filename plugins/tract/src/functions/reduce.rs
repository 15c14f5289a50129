//! Reductions that lose their way.

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::body::{Body, attribute, integer, needed, output};

/// `ReduceLogSumExp`: tract's overflows where the answer does not, so the
/// largest value is taken out before and put back after.
pub(crate) fn log_sum_exp(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let data = needed(node, 0)?;
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    let mut inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let kept = node.attribute.iter().filter(|a| a.name != "keepdims");
    let mut wide: Vec<_> = kept.cloned().collect();
    wide.push(integer("keepdims", 1));
    let largest = finite_largest(body, &inputs, wide);
    let shifted = body.call("Sub", &[data, &largest], vec![]);
    let powers = body.call("Exp", &[&shifted], vec![]);
    let largest = finite_largest(body, &inputs, node.attribute.clone());
    inputs[0] = &powers;
    let (axes, attributes) = sum_axes(node, body);
    inputs.extend(axes.as_deref());
    let sum = body.call("ReduceSum", &inputs, attributes);
    let logarithm = body.call("Log", &[&sum], vec![]);
    body.call_as("Add", &[&logarithm, &largest], vec![], result);
    Ok(true)
}

/// The axes as `ReduceSum` wants them, which changed before the others did.
fn sum_axes(node: &NodeProto, body: &mut Body) -> (Option<String>, Vec<AttributeProto>) {
    let mut attributes = node.attribute.clone();
    let axes = attribute(node, "axes").filter(|_| body.version() >= 13);
    let axes = axes.map(|axes| {
        attributes.retain(|attribute| attribute.name != "axes");
        body.integers(&axes.ints)
    });
    (axes, attributes)
}

/// The largest value; an infinite one is left where it is.
fn finite_largest(body: &mut Body, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
    let largest = body.call("ReduceMax", inputs, attributes);
    let infinity = body.number(f32::INFINITY, &largest);
    let size = body.call("Abs", &[&largest], vec![]);
    let is_infinite = body.call("Equal", &[&size, &infinity], vec![]);
    let zero = body.number(0., &largest);
    body.call("Where", &[&is_infinite, &zero, &largest], vec![])
}
