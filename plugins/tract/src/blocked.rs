//! Convolutional networks in blocked layout.
//!
//! A translated model is rewritten before tract simplifies it: convolutions with
//! constant weights become operators of `lusk-conv`, which take bias, batch
//! normalisation, a residual sum and the activation along ([`chain`]); pooling
//! and what works number by number stays in blocked layout between them, and
//! tensors change their layout only at the borders ([`rewrite`]). All the rest
//! is left as tract has it.
//!
//! Invariant: a model that cannot be rewritten runs as tract alone would run it.

mod border;
mod buffers;
mod chain;
mod constant;
mod conv;
mod geometry;
mod pool;
mod rewrite;
mod sum;
mod weights;

use std::sync::Arc;

use rayon::ThreadPool;
use tract_linalg::multithread::{Executor, current_tract_executor};
use tract_onnx::{
    prelude::{TypedModel, TypedNode},
    tract_core::{ops::cnn::Conv, optim::Optimizer},
};

pub(crate) use weights::Weights;

/// The model in blocked layout, as simple as tract can make it; `None` where
/// there is nothing to gain.
pub(crate) fn blocked(model: &TypedModel, weights: &Weights) -> Option<TypedModel> {
    if !model.nodes().iter().any(|node| node.op_is::<Conv>()) {
        return None;
    }
    let attempt = || {
        let mut model = model.clone();
        // Weights and bounds may be computed from constants.
        Optimizer::prop_consts().optimize(&mut model)?;
        let rewritten = rewrite::rewrite(&model, weights)?;
        rewritten.map(TypedModel::into_decluttered).transpose()
    };
    match crate::without_panic(attempt) {
        Ok(Ok(rewritten)) => rewritten,
        Ok(Err(error)) => {
            tracing::debug!(error = %format!("{error:#}"), "model left in plain layout");
            None
        }
        Err(error) => {
            tracing::debug!(error, "model left in plain layout");
            None
        }
    }
}

/// How many convolutions of a model were rewritten, for a person; `None` for a
/// model without any.
pub(crate) fn told(model: &TypedModel) -> Option<String> {
    let count = |is: fn(&TypedNode) -> bool| model.nodes().iter().filter(|node| is(node)).count();
    let rewritten = count(|node| node.op_is::<conv::BlockedConv>());
    let all = rewritten + count(|node| node.op_is::<Conv>());
    (all > 0).then(|| format!("{rewritten} of {all} convolutions in blocked layout"))
}

/// Whether a model was rewritten.
pub(crate) fn is_in(model: &TypedModel) -> bool {
    model
        .nodes()
        .iter()
        .any(|node| node.op_is::<conv::BlockedConv>())
}

/// Whether a node computes in blocked layout, or comes from it or goes to it;
/// it does so image by image.
pub(crate) fn is_blocked(node: &TypedNode) -> bool {
    node.op_is::<conv::BlockedConv>()
        || node.op_is::<pool::BlockedPool>()
        || node.op_is::<sum::BlockedSum>()
        || node.op_is::<border::Block>()
        || node.op_is::<border::Unblock>()
}

/// The threads that share the work of this call, if it has more than one.
fn crew() -> Option<Arc<ThreadPool>> {
    match current_tract_executor() {
        Executor::MultiThread(pool) => Some(pool),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
