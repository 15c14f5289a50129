//! The operators of `ai.onnx.ml`, versions 1 to 5, for tract.
