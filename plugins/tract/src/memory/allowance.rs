//! What the translation of a model may still ask for.

use std::cell::Cell;

use tract_onnx::{
    tract_core::ops::konst::Const,
    tract_hir::{infer::Factoid, internal::*},
};

use super::{MAX_ELEMENTS, TENSOR_BASE, largest_tensor, size};

/// Constants of a model may take so many bytes beyond its weights, and
const MADE_BASE: u64 = 24 << 20;

/// so many times the bytes of its weights.
const MADE_FACTOR: u64 = 12;

/// What one translation, on one thread, may still ask for.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Bytes of constants that are made.
    made: u64,
    /// Bytes of any one tensor.
    tensor: u64,
}

thread_local! {
    static ALLOWED: Cell<Allowance> = const {
        Cell::new(Allowance { made: TENSOR_BASE, tensor: TENSOR_BASE })
    };
}

/// The allowance of a translation, as long as this lives.
pub(crate) struct Made(Allowance);

impl Made {
    /// While a model is loaded: constants are made of its weights.
    pub(crate) fn loading(model: &InferenceModel) -> Self {
        let weights = weights_of(model);
        Self::allow(
            model,
            MADE_BASE.saturating_add(weights.saturating_mul(MADE_FACTOR)),
        )
    }

    /// While a request waits: constants are made of its values, too.
    pub(crate) fn answering(model: &InferenceModel) -> Self {
        Self::allow(model, u64::MAX)
    }

    fn allow(model: &InferenceModel, made: u64) -> Self {
        let inputs = model.inputs.iter();
        let facts = inputs.filter_map(|input| model.outlet_fact(*input).ok());
        let fed = facts.filter_map(known_size).fold(0, u64::saturating_add);
        let tensor = largest_tensor(weights_of(model), fed);
        let made = made.min(tensor);
        Self(ALLOWED.replace(Allowance { made, tensor }))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        ALLOWED.set(self.0);
    }
}

fn weights_of(model: &InferenceModel) -> u64 {
    let bytes = |node: &InferenceNode| node.op_as::<Const>().map_or(0, |c| size(c.val()));
    model.nodes().iter().map(bytes).fold(0, u64::saturating_add)
}

/// How many bytes of constants may still be made.
pub(super) fn left() -> u64 {
    ALLOWED.get().made
}

/// Takes `made` bytes of constants off the allowance.
pub(super) fn make(made: u64) -> TractResult<()> {
    let mut allowed = ALLOWED.get();
    ensure!(
        made <= allowed.made,
        "constants of {made} bytes are made, at most {} are allowed: \
         its extents ask for far more than the file holds",
        allowed.made
    );
    allowed.made -= made;
    ALLOWED.set(allowed);
    Ok(())
}

/// Refuses extents that there is no room for, whatever the unknown ones are.
pub(crate) fn check_known(fact: &InferenceFact) -> TractResult<()> {
    let known = fact.shape.dims().filter_map(|dim| dim.concretize());
    let kind = fact.datum_type.concretize();
    check_extents(known, kind.map_or(1, |kind| kind.size_of() as u64))
}

fn check_extents(dims: impl Iterator<Item = TDim>, size: u64) -> TractResult<()> {
    let none = SymbolValues::default();
    let mut elements = 1u64;
    for extent in dims.filter_map(|dim| dim.eval(&none).to_i64().ok()) {
        let extent = u64::try_from(extent).context("an extent is negative")?;
        // No elements at all are few, whatever the other extents are.
        elements = elements.saturating_mul(extent.max(1));
    }
    let asked = elements.saturating_mul(size);
    let allowed = ALLOWED.get().tensor;
    ensure!(
        asked <= allowed && elements <= MAX_ELEMENTS,
        "a tensor of {elements} elements is asked for, it would take {asked} bytes; \
         at most {MAX_ELEMENTS} elements and {allowed} bytes are allowed"
    );
    Ok(())
}

pub(super) fn known_value(fact: &InferenceFact) -> Option<u64> {
    fact.value.concretize().map(|value| size(&value))
}

pub(super) fn known_size(fact: &InferenceFact) -> Option<u64> {
    let size = fact.datum_type.concretize()?.size_of() as u64;
    let shape = fact.shape.concretize()?;
    let none = SymbolValues::default();
    shape.iter().try_fold(size, |product, dim| {
        let extent = dim.eval(&none).to_i64().ok()?;
        Some(product.saturating_mul(u64::try_from(extent).ok()?))
    })
}
