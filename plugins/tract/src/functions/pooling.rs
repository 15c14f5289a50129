//! `LpPool`: the norm of each window.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, integer, needed, output};

/// As an average of powers, times the window, under the root.
pub(crate) fn lp_pool(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let data = needed(node, 0)?;
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    let kernel = attribute(node, "kernel_shape").ok_or("lacks its kernel")?;
    let window = kernel.ints.iter().map(|extent| *extent as f32).product();
    let power = attribute(node, "p").map_or(2., |p| p.i as f32);
    if power < 1. {
        return Err(format!("has the impossible norm {power}"));
    }

    let exponent = body.number(power, data);
    let positive = body.call("Abs", &[data], vec![]);
    let powers = body.call("Pow", &[&positive, &exponent], vec![]);
    let passed_on = |name: &str| name != "p";
    let mut attributes = node.attribute.clone();
    attributes.retain(|attribute| passed_on(&attribute.name));
    attributes.push(integer("count_include_pad", 1));
    let mean = body.call("AveragePool", &[&powers], attributes);
    let window = body.number(window, data);
    let sum = body.call("Mul", &[&mean, &window], vec![]);
    let root = body.number(1. / power, data);
    body.call_as("Pow", &[&sum, &root], vec![], result);
    Ok(true)
}
