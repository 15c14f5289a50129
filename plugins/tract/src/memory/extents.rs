//! Extents of a call, looked at before it is computed.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use tract_onnx::{tract_core::ops::konst::Const, tract_hir::internal::*};

use super::{MAX_ELEMENTS, largest_tensor, size};
use crate::session::Unfit;

/// The extents of a model's tensors as far as they depend on those of inputs.
#[derive(Debug)]
pub(crate) struct Extents {
    /// Shapes that are not alike, with the size of an element.
    shapes: Vec<(u64, TVec<TDim>)>,
    weights: u64,
    made_by_values: bool,
    /// Extents of the latest call, which fitted.
    fitted: Mutex<Vec<i64>>,
}

impl Extents {
    /// Those of a translated model.
    pub(crate) fn of(model: &TypedModel) -> TractResult<Self> {
        let mut shapes: Vec<(u64, TVec<TDim>)> = Vec::new();
        let mut weights = 0u64;
        for node in model.nodes() {
            if let Some(constant) = node.op_as::<Const>() {
                weights = weights.saturating_add(size(constant.val()));
                continue;
            }
            for output in &node.outputs {
                let shape = shape_of(&output.fact);
                if !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
        }
        let none = SymbolValues::default();
        let mut inputs = 0u64;
        let mut symbols = HashSet::new();
        for input in &model.inputs {
            let (size, shape) = shape_of(model.outlet_fact(*input)?);
            inputs = inputs.saturating_add(bytes(size, &shape, &none));
            symbols.extend(shape.iter().flat_map(TDim::symbols));
        }
        let mut dims = shapes.iter().flat_map(|(_, shape)| shape);
        let found = Self {
            weights,
            made_by_values: dims.any(|dim| !dim.symbols().is_subset(&symbols)),
            shapes,
            fitted: Mutex::default(),
        };
        found.check_all(&none, largest_tensor(weights, inputs))?;
        Ok(found)
    }

    /// Whether some extents are known but when the values are.
    pub(crate) fn made_by_values(&self) -> bool {
        self.made_by_values
    }

    /// The most bytes that a tensor of a call with these inputs may take.
    pub(crate) fn allowed(&self, inputs: &[TValue]) -> u64 {
        let inputs = inputs.iter().map(|input| size(input));
        largest_tensor(self.weights, inputs.fold(0, u64::saturating_add))
    }

    /// Refuses extents of inputs that would fill the memory.
    pub(crate) fn check(
        &self,
        extents: Vec<i64>,
        known: &SymbolValues,
        inputs: &[TValue],
    ) -> TractResult<()> {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if *fitted == extents {
            return Ok(());
        }
        self.check_all(known, self.allowed(inputs))
            .map_err(|error| Unfit(error.to_string()))?;
        *fitted = extents;
        Ok(())
    }

    fn check_all(&self, known: &SymbolValues, allowed: u64) -> TractResult<()> {
        self.shapes
            .iter()
            .try_for_each(|shape| check_shape(shape, known, allowed))
    }
}

/// Refuses a tensor that is too large as soon as its extents are known.
pub(crate) fn check_output(
    fact: &TypedFact,
    known: &SymbolValues,
    allowed: u64,
) -> TractResult<()> {
    check_shape(&shape_of(fact), known, allowed)
}

fn shape_of(fact: &TypedFact) -> (u64, TVec<TDim>) {
    (fact.datum_type.size_of() as u64, fact.shape.to_tvec())
}

fn check_shape(
    (size, shape): &(u64, TVec<TDim>),
    known: &SymbolValues,
    allowed: u64,
) -> TractResult<()> {
    let asked = bytes(*size, shape, known);
    ensure!(
        asked <= allowed && asked / size <= MAX_ELEMENTS,
        "a tensor of shape {shape:?} would take {asked} bytes, at most {allowed} are allowed"
    );
    Ok(())
}

/// What a tensor takes; extents that nobody knows yet count as one. So does 0: many
/// steps over nothing take time.
fn bytes(size: u64, shape: &[TDim], known: &SymbolValues) -> u64 {
    let extent = |dim: &TDim| dim.eval(known).to_i64().unwrap_or(1);
    shape.iter().map(extent).fold(size, |product, extent| {
        product.saturating_mul(u64::try_from(extent).unwrap_or_default().max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_count_for_what_they_are() -> TractResult<()> {
        let mut model = TypedModel::default();
        let n = model.sym("n");
        let x = model.add_source("x", f32::fact([n.to_dim(), 1000.to_dim()]))?;
        let square = tract_onnx::tract_core::ops::einsum::EinSum::new(
            "nk,mk->nm".parse()?,
            f32::datum_type(),
        );
        let y = model.wire_node("y", square, &[x, x])?;
        model.select_output_outlets(&y)?;
        let extents = Extents::of(&model)?;
        let ask = |rows: i64| {
            let known = SymbolValues::default().with(&n, rows);
            extents.check(vec![rows], &known, &[])
        };
        assert!(ask(8000).is_ok());
        assert!(ask(8200).is_err());
        assert!(ask(8000).is_ok());

        let mut model = TypedModel::default();
        let n = model.sym("n");
        let x = model.add_source("x", f32::fact([n.to_dim(), 0.to_dim()]))?;
        model.select_output_outlets(&[x])?;
        let extents = Extents::of(&model)?;
        let known = |steps| SymbolValues::default().with(&n, steps);
        assert!(extents.check(vec![5], &known(5), &[]).is_ok());
        let many = i64::from(i32::MAX);
        assert!(extents.check(vec![many], &known(many), &[]).is_err());
        Ok(())
    }
}
