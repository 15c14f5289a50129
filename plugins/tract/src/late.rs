//! Plans made when a request brings the values that the graph depends on.
//!
//! The values become constants of a plan of their own, with all extents known.
//! The plans of the latest few requests are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tract_onnx::{
    prelude::{InferenceFact, InferenceModel, IntoArcTensor, TValue, TVec, Tensor, TractResult},
    tract_hir::{internal::ensure, ops::konst::Const},
};

use crate::{plan::translated_late, runner::Runner, session::Unfit, without_panic};

/// How many plans are kept. Callers tend to send the same axes and sizes.
const KEPT: usize = 8;

/// The most numbers that such an input may hold.
const MAX_VALUES: usize = 4096;

/// A model and the plans of its latest requests.
#[derive(Debug)]
pub(crate) struct LatePlans {
    model: InferenceModel,
    structural: Vec<usize>,
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
    pub(crate) fn new(model: InferenceModel, structural: Vec<usize>) -> Self {
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
        let decides = |position| self.structural.contains(&position);
        let rest = inputs.into_iter().enumerate();
        runner.run(
            rest.filter(|(position, _)| !decides(*position))
                .map(|(_, input)| input)
                .collect(),
        )
    }

    /// Refuses what no list of axes or extents is as long as.
    fn check(&self, inputs: &[TValue]) -> TractResult<()> {
        for position in &self.structural {
            let values = inputs[*position].len();
            ensure!(
                values <= MAX_VALUES,
                Unfit(format!(
                    "input {position} holds {values} values, at most {MAX_VALUES} are allowed"
                ))
            );
        }
        Ok(())
    }

    fn key(&self, inputs: &[TValue]) -> Key {
        let structural = self.structural.iter();
        Key {
            shapes: inputs.iter().map(|input| input.shape().to_vec()).collect(),
            values: structural
                .map(|position| inputs[*position].clone().into_arc_tensor())
                .collect(),
        }
    }

    fn find(&self, key: &Key) -> Option<Arc<Runner>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, runner) = recent.iter().find(|(known, _)| known == key)?;
        Some(Arc::clone(runner))
    }

    fn make(&self, key: Key) -> TractResult<Arc<Runner>> {
        // The model was loaded: what does not fit now came with the request.
        let made = without_panic(|| {
            let typed = translated_late(self.specialised(&key)?)?;
            Runner::new(typed)
        });
        let runner = made
            .map_err(Unfit)?
            .map_err(|error| Unfit(format!("{error:#}")))?;
        let runner = Arc::new(runner);
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
        for (position, value) in self.structural.iter().zip(&key.values) {
            let outlet = model.inputs[*position];
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
