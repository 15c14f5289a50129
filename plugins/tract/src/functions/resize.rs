//! Making images larger and smaller.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, needed, output, text, text_of};

/// `Upsample`, which `Resize` has replaced.
pub(crate) fn upsample(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let data = needed(node, 0)?;
    let Some(result) = output(node, 0) else {
        return Ok(false);
    };
    let scales = match attribute(node, "scales") {
        Some(scales) => body.numbers(&scales.floats),
        None => needed(node, 1)?.to_owned(),
    };
    let attributes = vec![
        text("mode", text_of(node, "mode", "nearest")),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ];
    body.call_as("Resize", &[data, "", &scales], attributes, result);
    Ok(true)
}

/// `SpaceToDepth`: tract reads it without its mode.
pub(crate) fn space_to_depth(node: &NodeProto, _: &mut Body) -> Result<bool, String> {
    match text_of(node, "mode", "DCR") {
        "DCR" => Ok(false),
        mode => Err(format!("with the mode `{mode}` is not supported")),
    }
}
