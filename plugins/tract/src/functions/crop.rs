//! `CenterCropPad`: to an extent, from the middle.

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::body::{Body, attribute, integer, needed, output};

/// Pads what is too small and cuts what is too large, along the axes given.
pub(crate) fn center_crop_pad(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, wanted) = (needed(node, 0)?, needed(node, 1)?);
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    let axes = attribute(node, "axes").map(|axes| body.integers(&axes.ints));
    let axes = axes.as_deref().unwrap_or_default();
    let two = body.integer(2);

    let extents = extents(body, data, axes);
    let padded = body.call("Max", &[&extents, wanted], vec![]);
    let missing = body.call("Sub", &[&padded, &extents], vec![]);
    let before = body.call("Div", &[&missing, &two], vec![]);
    let after = body.call("Sub", &[&missing, &before], vec![]);
    let pads = body.call("Concat", &[&before, &after], vec![along_first()]);
    let data = body.call("Pad", &[data, &pads, "", axes], vec![]);

    let surplus = body.call("Sub", &[&padded, wanted], vec![]);
    let start = body.call("Div", &[&surplus, &two], vec![]);
    let end = body.call("Add", &[&start, wanted], vec![]);
    body.call_as("Slice", &[&data, &start, &end, axes], vec![], result);
    Ok(true)
}

fn extents(body: &mut Body, data: &str, axes: &str) -> String {
    let extents = body.call("Shape", &[data], vec![]);
    if axes.is_empty() {
        return extents;
    }
    body.call("Gather", &[&extents, axes], vec![])
}

fn along_first() -> AttributeProto {
    integer("axis", 0)
}
