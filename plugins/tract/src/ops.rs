//! Operators of our own, put into tract's registry.

pub(crate) mod attention;
mod bit_cast;
mod bit_shift;
mod bounded;
mod col2im;
mod cum_prod;
mod cum_sum;
mod extremum;
mod flatten;
pub(crate) mod kernel;
mod mat_mul;
mod one_hot;
pub(crate) mod quantize;
mod reverse_sequence;
mod string_normalizer;
mod tf_idf;
mod tile;
mod tokenizer;
mod upsample;

use tract_onnx::{
    model::OnnxOpRegister,
    prelude::{TractResult, TypedModel},
    tract_core::ops::{
        array::OneHot,
        nn::{Reduce, Reducer},
    },
};

/// Adds the operators, replacing those of the same name.
pub(crate) fn register(registry: &mut OnnxOpRegister) {
    registry.insert(attention::HIDE_KEYS, attention::hide_keys);
    registry.insert(attention::REPEAT_HEADS, attention::repeat_heads);
    registry.insert(attention::WEIGHTS, attention::weights);
    registry.insert("BitCast", bit_cast::bit_cast);
    registry.insert("BitShift", bit_shift::bit_shift);
    registry.insert("Col2Im", col2im::col2im);
    registry.insert("CumProd", cum_prod::cum_prod);
    registry.insert("CumSum", cum_sum::cum_sum);
    registry.insert("Flatten", flatten::flatten);
    registry.insert("MatMul", mat_mul::mat_mul);
    registry.insert(quantize::QUANTIZE, quantize::quantize);
    registry.insert("ReverseSequence", reverse_sequence::reverse_sequence);
    registry.insert("StringNormalizer", string_normalizer::string_normalizer);
    registry.insert("TfIdfVectorizer", tf_idf::tf_idf_vectorizer);
    registry.insert("Tile", tile::tile);
    registry.insert("Tokenizer", tokenizer::tokenizer);
    registry.insert("Upsample", upsample::upsample);
}

pub(crate) use extremum::of_nothing;

/// Puts our operators in the place of those that tract computes wrongly.
pub(crate) fn correct(model: &mut TypedModel) {
    for node in model.nodes_mut() {
        if let Some(one_hot) = node.op_as::<OneHot>() {
            node.op = Box::new(one_hot::Lights(one_hot.clone()));
        } else if let Some(reduce) = node.op_as::<Reduce>()
            && matches!(reduce.reducer, Reducer::Max | Reducer::Min)
        {
            node.op = Box::new(extremum::Extremum(reduce.clone()));
        }
    }
}

/// Puts a guard before the operators that do what values say.
pub(crate) fn bound(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes().len() {
        if let Some(bounded) = bounded::Bounded::of(model.node(id).op.as_ref()) {
            bounded.check_constants(&model.node_input_facts(id)?)?;
            model.node_mut(id).op = Box::new(bounded);
        }
    }
    Ok(())
}
