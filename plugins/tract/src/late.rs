//! Plans made when a request brings the values that the graph depends on.
//!
//! The values become constants of a plan of their own, with all extents known.
//! The plans of the latest few requests are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tract_onnx::{
    prelude::{
        DatumType, InferenceFact, InferenceModel, IntoArcTensor, TValue, TVec, Tensor, TractResult,
    },
    tract_hir::{internal::ensure, ops::konst::Const},
};

use crate::{plan::translated, runner::Runner, structural::Structural};

/// How many plans are kept. Callers tend to send the same axes and sizes.
const KEPT: usize = 8;

/// The most numbers that such an input may hold.
const MAX_VALUES: usize = 4096;

/// The largest tensor, in elements, that values may ask for.
const MAX_ASKED_ELEMENTS: f64 = (1u64 << 28) as f64;

/// A model and the plans of its latest requests.
#[derive(Debug)]
pub(crate) struct LatePlans {
    model: InferenceModel,
    structural: Vec<Structural>,
    recent: Mutex<VecDeque<(Key, Arc<Runner>)>>,
}

/// What a plan is for: the shapes of all inputs and the values of some.
#[derive(Debug, PartialEq)]
struct Key {
    shapes: Vec<Vec<usize>>,
    values: Vec<Arc<Tensor>>,
}

impl LatePlans {
    /// Plans of a parsed model, none made yet.
    pub(crate) fn new(model: InferenceModel, structural: Vec<Structural>) -> Self {
        Self {
            model,
            structural,
            recent: Mutex::default(),
        }
    }

    /// Computes.
    pub(crate) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.check(&inputs)?;
        let key = self.key(&inputs);
        let runner = match self.find(&key) {
            Some(runner) => runner,
            None => self.make(key)?,
        };
        let decides = |position| self.structural.iter().any(|s| s.position == position);
        let rest = inputs.into_iter().enumerate();
        runner.run(
            rest.filter(|(position, _)| !decides(*position))
                .map(|(_, input)| input)
                .collect(),
        )
    }

    /// Refuses values that would fill the memory.
    fn check(&self, inputs: &[TValue]) -> TractResult<()> {
        let largest = inputs.iter().map(|input| input.len()).max().unwrap_or(1);
        for structural in &self.structural {
            let input = &inputs[structural.position];
            ensure!(
                input.len() <= MAX_VALUES,
                "input {} holds {} values, at most {MAX_VALUES} are allowed",
                structural.position,
                input.len()
            );
            if structural.makes_extents && input.datum_type() != DatumType::Bool {
                let numbers = input.cast_to::<f64>()?;
                let numbers = numbers.try_as_plain_ram()?;
                let factors = numbers.as_slice::<f64>()?.iter().map(|n| 1. + n.abs());
                let asked = factors.product::<f64>() * largest.max(1) as f64;
                ensure!(
                    asked <= MAX_ASKED_ELEMENTS,
                    "input {} asks for more than {MAX_ASKED_ELEMENTS} elements",
                    structural.position
                );
            }
        }
        Ok(())
    }

    fn key(&self, inputs: &[TValue]) -> Key {
        let structural = self.structural.iter();
        Key {
            shapes: inputs.iter().map(|input| input.shape().to_vec()).collect(),
            values: structural
                .map(|structural| inputs[structural.position].clone().into_arc_tensor())
                .collect(),
        }
    }

    fn find(&self, key: &Key) -> Option<Arc<Runner>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, runner) = recent.iter().find(|(known, _)| known == key)?;
        Some(Arc::clone(runner))
    }

    fn make(&self, key: Key) -> TractResult<Arc<Runner>> {
        let typed = translated(self.specialised(&key)?)?;
        let runner = Arc::new(Runner::new(typed)?);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT - 1);
        recent.push_front((key, Arc::clone(&runner)));
        Ok(runner)
    }

    /// The model with all extents known and the deciding inputs as constants.
    fn specialised(&self, key: &Key) -> TractResult<InferenceModel> {
        let mut model = self.model.clone();
        for (input, shape) in key.shapes.iter().enumerate() {
            let fact = model.input_fact(input)?.clone();
            model.set_input_fact(input, fact.with_shape(shape))?;
        }
        let mut decided = Vec::new();
        for (structural, value) in self.structural.iter().zip(&key.values) {
            let outlet = model.inputs[structural.position];
            let node = model.node_mut(outlet.node);
            node.op = Box::new(Const::new(Arc::clone(value))?);
            model.set_outlet_fact(outlet, InferenceFact::from(value.as_ref().clone()))?;
            decided.push(outlet);
        }
        model.inputs.retain(|outlet| !decided.contains(outlet));
        Ok(model)
    }
}

#[cfg(test)]
mod tests;
