//! A loaded model that answers calls, from any number of threads.

use std::{collections::HashMap, fmt, sync::Arc, time::Instant};

use lusk_contract::{BackendError, Loading, Session, Signature, Tensor, TensorSpec};
use tract_onnx::prelude::{TValue, TVec, TractResult};

use crate::{
    crew::Crews,
    plan::Plans,
    shortened,
    signature::InputDim,
    tensor::{enter, leave},
    without_panic,
};

/// What a call's own inputs are to blame for, be they of the right type.
#[derive(Debug)]
pub(crate) struct Unfit(pub(crate) String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// One holder's view of a loaded model: shared plans under the holder's label.
pub(crate) struct TractSession {
    label: String,
    plans: Arc<Plans>,
    loading: Loading,
    crews: Arc<Crews>,
}

impl TractSession {
    pub(crate) fn new(
        label: String,
        plans: Arc<Plans>,
        loading: Loading,
        crews: Arc<Crews>,
    ) -> Self {
        Self {
            label,
            plans,
            loading,
            crews,
        }
    }

    fn failed(&self, reason: &str) -> BackendError {
        BackendError::Failed {
            model: self.label.clone(),
            reason: shortened(reason),
        }
    }

    /// Runs a computation on the threads that it is worth.
    fn on_threads<T: Send, E: Send>(
        &self,
        inputs: &[Tensor],
        compute: impl FnOnce() -> Result<TractResult<T>, E> + Send,
    ) -> Result<TractResult<T>, E> {
        let threads = self.loading.threads.get();
        if threads == 1 {
            return compute();
        }
        let sizes = inputs.iter().map(|it| it.shape().iter().product::<usize>());
        let size = sizes.fold(0, usize::saturating_add);
        match self.plans.paces.is_long(size) {
            Some(true) => self.crews.run(threads, compute),
            Some(false) => compute(),
            None => {
                let started = Instant::now();
                let outcome = compute();
                if let Ok(Ok(_)) = outcome {
                    self.plans.paces.learn(size, started.elapsed());
                }
                outcome
            }
        }
    }

    fn compute(&self, inputs: &[Tensor], rows_are_one: bool) -> TractResult<Vec<Tensor>> {
        let entered: TVec<TValue> = inputs
            .iter()
            .map(|tensor| enter(tensor).map(TValue::from))
            .collect::<TractResult<_>>()?;
        let outputs = self.plans.run(entered, rows_are_one)?;
        let specs = &self.plans.signature.outputs;
        outputs
            .iter()
            .zip(specs)
            .map(|(output, spec)| leave(output, spec.kind))
            .collect()
    }
}

impl Session for TractSession {
    fn signature(&self) -> &Signature {
        &self.plans.signature
    }

    fn loading(&self) -> Loading {
        self.loading.clone()
    }

    fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let bad_input = |reason: &str| BackendError::BadInput {
            model: self.label.clone(),
            reason: shortened(reason),
        };
        let all_open_are_one = check(&self.plans, inputs).map_err(|reason| bad_input(&reason))?;
        let compute = || without_panic(|| self.compute(inputs, all_open_are_one));
        self.on_threads(inputs, compute)
            .map_err(|panic| self.failed(&panic))?
            .map_err(|error| match error.downcast_ref::<Unfit>() {
                Some(unfit) => bad_input(&unfit.0),
                None => self.failed(&format!("{error:#}")),
            })
    }
}

impl fmt::Debug for TractSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractSession")
            .field("label", &self.label)
            .field("signature", &self.plans.signature)
            .finish_non_exhaustive()
    }
}

/// Refuses inputs that do not fit; tells whether every open extent is 1.
fn check(plans: &Plans, inputs: &[Tensor]) -> Result<bool, String> {
    let specs = &plans.signature.inputs;
    if inputs.len() != specs.len() {
        let names: Vec<String> = specs
            .iter()
            .map(|spec| format!("`{}`", spec.name))
            .collect();
        return Err(format!(
            "expected {} input(s) ({}), got {}",
            specs.len(),
            names.join(", "),
            inputs.len()
        ));
    }
    let mut all_open_are_one = true;
    let mut extents: HashMap<&str, (&str, usize)> = HashMap::new();
    for ((spec, dims), tensor) in specs.iter().zip(&plans.dims).zip(inputs) {
        if tensor.kind() != spec.kind || tensor.shape().len() != dims.len() {
            return Err(mismatch(spec, tensor));
        }
        for (axis, (dim, extent)) in dims.iter().zip(tensor.shape().iter().copied()).enumerate() {
            match dim {
                InputDim::Fixed(wanted) if *wanted == extent => {}
                InputDim::Fixed(_) => return Err(mismatch(spec, tensor)),
                InputDim::Free => all_open_are_one &= extent == 1,
                InputDim::Named(name) => {
                    all_open_are_one &= extent == 1;
                    let (first, known) = *extents.entry(name).or_insert((&spec.name, extent));
                    if known != extent {
                        return Err(format!(
                            "input `{}`: dimension {axis} (`{name}`) is {extent}, but input `{first}` has {known} there",
                            spec.name
                        ));
                    }
                }
            }
        }
    }
    Ok(all_open_are_one)
}

fn mismatch(spec: &TensorSpec, tensor: &Tensor) -> String {
    let extents: Vec<String> = spec
        .shape
        .iter()
        .map(|extent| extent.map_or_else(|| "any".into(), |extent| extent.to_string()))
        .collect();
    format!(
        "input `{}`: expected {} of shape [{}], got {} of shape {:?}",
        spec.name,
        spec.kind.onnx_name(),
        extents.join(", "),
        tensor.kind().onnx_name(),
        tensor.shape()
    )
}

#[cfg(test)]
mod tests;
