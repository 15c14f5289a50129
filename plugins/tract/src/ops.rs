//! Operators of our own, put into tract's registry.

pub(crate) mod attention;
mod bit_shift;
mod col2im;
pub(crate) mod extremum;
mod kernel;
mod tf_idf;
mod upsample;

use tract_onnx::model::OnnxOpRegister;

/// Adds the operators, replacing those of the same name.
pub(crate) fn register(registry: &mut OnnxOpRegister) {
    registry.insert(attention::HIDE_KEYS, attention::hide_keys);
    registry.insert(attention::REPEAT_HEADS, attention::repeat_heads);
    registry.insert(attention::WEIGHTS, attention::weights);
    registry.insert("BitShift", bit_shift::bit_shift);
    registry.insert("Col2Im", col2im::col2im);
    registry.insert("TfIdfVectorizer", tf_idf::tf_idf_vectorizer);
    registry.insert("Upsample", upsample::upsample);
}
