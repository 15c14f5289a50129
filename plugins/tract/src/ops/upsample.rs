//! `Upsample`, and `Resize` as it was in version 10.

use tract_onnx::{
    model::ParsingContext,
    pb::{AttributeProto, NodeProto, attribute_proto::AttributeType},
    tract_hir::internal::*,
};

/// The version of `Resize` that says what both leave unsaid.
const RESIZE_VERSION: i64 = 13;

/// Builds `Upsample` as the newer `Resize`: both take the pixel to the upper
/// left, which the newer one must be told.
pub(crate) fn upsample(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let [data, scales] = node.input.as_slice() else {
        bail!("expected 2 inputs, got {}", node.input.len());
    };
    let mut resize = node.clone();
    resize.op_type = "Resize".into();
    resize.input = vec![data.clone(), String::new(), scales.clone()];
    resize.attribute.extend([
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ]);
    let builders = &context.framework.op_register.0;
    let build = builders.get("Resize").context("Resize is missing")?;
    let mut context = context.clone();
    context.onnx_operator_set_version = RESIZE_VERSION;
    build(&context, &resize)
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String.into(),
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}
