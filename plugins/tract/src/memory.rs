//! How much memory a model may ask for.
//!
//! A few bytes of a file can ask for terabytes: as an extent of `Expand`, as
//! padding, as a declared input. Every operator has a [`guard`]: while tract
//! finds out types and extents, it also computes what depends on constants
//! alone, and the guard looks at the extents before that. What extents a
//! request brings is looked at by [`Extents`] before anything is computed.
//!
//! Invariant: constants made while a model is loaded stay within [`Made`], and
//! no tensor of a call is larger than [`largest_tensor`] says.

mod allowance;
mod extents;
mod guard;

use tract_onnx::prelude::Tensor;

pub(crate) use allowance::{Made, check_known};
pub(crate) use extents::{Extents, check_output};
pub(crate) use guard::guard;

/// A tensor of a call may take so many bytes, and
const TENSOR_BASE: u64 = 256 << 20;

/// so many times the bytes of weights and inputs: a convolution makes hundreds
/// of channels of one.
const TENSOR_FACTOR: u64 = 256;

/// The most elements of any tensor: 4 GiB of floats.
const MAX_ELEMENTS: u64 = 1 << 30;

/// The most bytes that a tensor of a call may take.
fn largest_tensor(weights: u64, inputs: u64) -> u64 {
    let fed = weights.saturating_add(inputs);
    TENSOR_BASE.saturating_add(fed.saturating_mul(TENSOR_FACTOR))
}

fn size(tensor: &Tensor) -> u64 {
    (tensor.len() as u64).saturating_mul(tensor.datum_type().size_of() as u64)
}
