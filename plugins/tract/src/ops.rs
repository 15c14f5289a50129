//! Operators of our own, put into tract's registry.

pub(crate) mod attention;
mod bit_cast;
mod bit_shift;
mod col2im;
mod cum_prod;
pub(crate) mod extremum;
mod kernel;
mod reverse_sequence;
mod tf_idf;
mod upsample;

use tract_onnx::model::OnnxOpRegister;

/// Adds the operators, replacing those of the same name.
pub(crate) fn register(registry: &mut OnnxOpRegister) {
    registry.insert(attention::HIDE_KEYS, attention::hide_keys);
    registry.insert(attention::REPEAT_HEADS, attention::repeat_heads);
    registry.insert(attention::WEIGHTS, attention::weights);
    registry.insert("BitCast", bit_cast::bit_cast);
    registry.insert("BitShift", bit_shift::bit_shift);
    registry.insert("Col2Im", col2im::col2im);
    registry.insert("CumProd", cum_prod::cum_prod);
    registry.insert("ReverseSequence", reverse_sequence::reverse_sequence);
    registry.insert("TfIdfVectorizer", tf_idf::tf_idf_vectorizer);
    registry.insert("Upsample", upsample::upsample);
}
