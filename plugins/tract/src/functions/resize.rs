//! Making images larger and smaller.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, needed, output, text, text_of};

/// The last version in which `Resize` was `Upsample` under another name.
const OLD_RESIZE: i64 = 10;

/// `Upsample` with its scales as an attribute.
pub(crate) fn upsample(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let (data, result) = (needed(node, 0)?, output(node, 0));
    let (Some(scales), Some(result)) = (attribute(node, "scales"), result) else {
        return Ok(false);
    };
    let scales = body.numbers(&scales.floats);
    let mode = vec![text("mode", text_of(node, "mode", "nearest"))];
    body.call_as("Upsample", &[data, &scales], mode, result);
    Ok(true)
}

/// `Resize` in its first version.
pub(crate) fn resize(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    if body.version() > OLD_RESIZE {
        return Ok(false);
    }
    let mut upsample = node.clone();
    upsample.op_type = "Upsample".into();
    body.push(upsample);
    Ok(true)
}

/// `SpaceToDepth`: tract reads it without its mode.
pub(crate) fn space_to_depth(node: &NodeProto, _: &mut Body) -> Result<bool, String> {
    match text_of(node, "mode", "DCR") {
        "DCR" => Ok(false),
        mode => Err(format!("with the mode `{mode}` is not supported")),
    }
}
