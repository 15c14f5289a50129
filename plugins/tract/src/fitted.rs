//! Plans for extents that come often, beside the one for any.
//!
//! With known extents tract chooses other kernels, which may be a quarter faster,
//! or slower: it goes by rules of thumb. So when calls of one size are common, a
//! plan for them is made beside the calls, and kept if it is the faster one in a
//! race. When they are no longer common, it is dropped.
//!
//! Each plan packs its own copy of the weights. All of one model hold together at
//! most [`MAX_WEIGHTS`] numbers, and those that they are made of as many.

mod counts;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tract_onnx::{
    prelude::{Symbol, TDim, TValue, TVec, Tensor, TractResult, TypedModel},
    tract_hir::internal::Approximation,
};

use crate::{runner::Runner, without_panic};
use counts::{Counts, Extents};

/// Most numbers in all plans of one model for certain extents; 16 MiB.
pub(crate) const MAX_WEIGHTS: i64 = 4 << 20;

/// Most plans of one model.
const MAX_PLANS: usize = 4;

/// Runs of each plan in a race.
const RUNS: usize = 9;

/// A plan must take at most this part of the other's time.
const GAIN: f64 = 0.95;

/// What is known of extents that are common.
#[derive(Debug, Clone)]
enum Verdict {
    /// The race is on.
    Open,
    /// A plan of their own does not pay.
    NotFaster,
    /// They have a plan of their own.
    Faster(Arc<Runner>),
}

/// A model and its plans for certain extents.
#[derive(Debug)]
pub(crate) struct Fitted {
    model: TypedModel,
    symbols: Vec<(usize, usize, Symbol)>,
    max_plans: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    verdicts: HashMap<Extents, Verdict>,
}

impl Fitted {
    /// Plans of a translated model of so many weights, none made yet. `None` if
    /// no extent is open, or each plan would be too large.
    pub(crate) fn new(model: TypedModel, any: &Runner, weights: i64) -> Option<Arc<Self>> {
        let symbols = any.symbols().to_vec();
        let affordable = usize::try_from(MAX_WEIGHTS / weights.max(1)).unwrap_or(0);
        let max_plans = affordable.min(MAX_PLANS);
        (!symbols.is_empty() && max_plans > 0).then(|| {
            Arc::new(Self {
                model,
                symbols,
                max_plans,
                state: Mutex::default(),
            })
        })
    }

    /// The plan for the extents of `inputs`, if there is one; else the calls are
    /// counted, and a plan may be made beside them, to race `any`.
    pub(crate) fn find(
        self: &Arc<Self>,
        inputs: &[TValue],
        any: &Arc<Runner>,
    ) -> Option<Arc<Runner>> {
        let extents = self.extents(inputs);
        let (found, wanted) = {
            let mut state = self.state();
            let wanted = state.count(&extents, self.max_plans);
            (state.verdicts.get(&extents).cloned(), wanted)
        };
        // The inputs at hand are a sample of just those that are wanted.
        if wanted {
            let sample: Vec<Tensor> = inputs.iter().map(|it| Tensor::clone(it)).collect();
            let (fitted, any) = (Arc::clone(self), Arc::clone(any));
            let thread = thread::Builder::new().name("plan".to_owned());
            let started = thread.spawn(move || fitted.judge(&any, &sample));
            if let Err(error) = started {
                tracing::debug!(%error, "no thread to make a plan in");
                self.state().verdicts.remove(&self.extents(inputs));
            }
        }
        match found {
            Some(Verdict::Faster(plan)) => Some(plan),
            _ => None,
        }
    }

    /// Makes a plan for the extents of a sample and keeps it if it is faster.
    fn judge(&self, any: &Runner, sample: &[Tensor]) {
        let inputs = || {
            sample
                .iter()
                .cloned()
                .map(TValue::from)
                .collect::<TVec<_>>()
        };
        let extents = self.extents(&inputs());
        let judged = without_panic(|| {
            let plan = self.make(&extents)?;
            let answers = (any.run(inputs())?, plan.run(inputs())?);
            for (expected, seen) in answers.0.iter().zip(&answers.1) {
                expected.close_enough(seen, Approximation::Approximate)?;
            }
            let paces = race(|| timed(any, inputs()), || timed(&plan, inputs()))?;
            TractResult::Ok((plan, paces))
        });
        let verdict = match judged {
            Ok(Ok((plan, (slow, fast)))) if fast < slow.mul_f64(GAIN) => {
                tracing::debug!(?extents, ?slow, ?fast, "a plan for these extents");
                Verdict::Faster(Arc::new(plan))
            }
            Ok(Ok((_, (any, own)))) => {
                tracing::debug!(
                    ?extents,
                    ?any,
                    ?own,
                    "no plan for these extents: not faster"
                );
                Verdict::NotFaster
            }
            Ok(Err(error)) => {
                tracing::debug!(?extents, %error, "no plan for these extents");
                Verdict::NotFaster
            }
            Err(panic) => {
                tracing::debug!(?extents, panic, "no plan for these extents");
                Verdict::NotFaster
            }
        };
        // They may no longer be common.
        if let Some(known) = self.state().verdicts.get_mut(&extents) {
            *known = verdict;
        }
    }

    fn make(&self, extents: &Extents) -> TractResult<Runner> {
        let symbols = self.symbols.iter().map(|(_, _, symbol)| symbol.clone());
        let values: HashMap<Symbol, TDim> = symbols
            .zip(extents.iter().map(|extent| TDim::from(*extent)))
            .collect();
        Runner::new(self.model.set_symbols(&values)?.into_decluttered()?)
    }

    fn extents(&self, inputs: &[TValue]) -> Extents {
        let extent = |(input, axis, _): &(usize, usize, Symbol)| inputs[*input].shape()[*axis];
        self.symbols.iter().map(extent).collect()
    }

    /// Nothing can panic while the lock is held, so its content is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a call; tells whether a plan for its extents is to be made.
    fn count(&mut self, extents: &Extents, max_plans: usize) -> bool {
        let Some(common) = self.counts.count(extents) else {
            return false;
        };
        self.verdicts.retain(|extents, _| common.contains(extents));
        let wanted = self.verdicts.len() < max_plans
            && common.contains(extents)
            && !self.verdicts.contains_key(extents);
        if wanted {
            self.verdicts.insert(extents.clone(), Verdict::Open);
        }
        wanted
    }
}

fn timed(plan: &Runner, inputs: TVec<TValue>) -> TractResult<Duration> {
    let started = Instant::now();
    plan.run(inputs)?;
    Ok(started.elapsed())
}

/// The median times of two that take turns.
fn race(
    mut one: impl FnMut() -> TractResult<Duration>,
    mut other: impl FnMut() -> TractResult<Duration>,
) -> TractResult<(Duration, Duration)> {
    let (mut first, mut second) = ([Duration::ZERO; RUNS], [Duration::ZERO; RUNS]);
    for run in 0..RUNS {
        first[run] = one()?;
        second[run] = other()?;
    }
    first.sort_unstable();
    second.sort_unstable();
    Ok((first[RUNS / 2], second[RUNS / 2]))
}

#[cfg(test)]
mod tests;
