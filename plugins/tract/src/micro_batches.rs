//! Micro-batches: the images of a request, computed one by one.
//!
//! What a convolutional network makes of one image fits the caches of a core;
//! what it makes of many has to come from memory again and again. And threads
//! that take whole images wait for each other once, not in every layer. On the
//! other side, a dense layer reads its weights once for all images. So both ways
//! are timed on the first requests of each size, and the faster one stays.

mod independence;

use std::time::{Duration, Instant};

use rayon::prelude::*;
use tract_linalg::multithread::{Executor, current_tract_executor, multithread_tract_scope};
use tract_onnx::prelude::{TValue, TVec, Tensor, TractResult, TypedModel};

use crate::paces::Paces;
use independence::is_independent;

/// The two ways to compute a batch, and how long each took for one row.
#[derive(Debug)]
pub(crate) struct MicroBatches {
    /// In the caller's thread.
    alone: Timed,
    /// On a crew.
    shared: Timed,
}

#[derive(Debug)]
struct Timed {
    together: Paces,
    apart: Paces,
}

impl Timed {
    fn new() -> Self {
        Self {
            together: Paces::new(),
            apart: Paces::new(),
        }
    }
}

impl MicroBatches {
    /// `None` where rows depend on each other, or nothing is to be gained.
    pub(crate) fn of(model: &TypedModel) -> Option<Self> {
        (crate::blocked::is_in(model) && is_independent(model)).then(|| Self {
            alone: Timed::new(),
            shared: Timed::new(),
        })
    }

    /// Computes a batch by the faster one of `together`, for all of it, and
    /// `row`, for its rows; on the threads that the caller has.
    pub(crate) fn run(
        &self,
        inputs: TVec<TValue>,
        together: impl FnOnce(TVec<TValue>) -> TractResult<TVec<TValue>>,
        row: impl Fn(TVec<TValue>) -> TractResult<TVec<TValue>> + Sync,
    ) -> TractResult<TVec<TValue>> {
        let rows = inputs[0].shape()[0];
        if rows < 2 {
            return together(inputs);
        }
        let is_shared = matches!(current_tract_executor(), Executor::MultiThread(_));
        let timed = if is_shared { &self.shared } else { &self.alone };
        let (apart, whole) = (timed.apart.shortest(rows), timed.together.shortest(rows));
        let is_apart = match (apart, whole) {
            (None, _) => true,
            (_, None) => false,
            (Some(apart), Some(whole)) => apart <= whole,
        };
        let compute_apart = || apart_from_each_other(&inputs, rows, is_shared, row);
        let started = Instant::now();
        if is_apart {
            let outputs = compute_apart()?;
            learn(&timed.apart, rows, started.elapsed());
            return Ok(outputs);
        }
        // Too many rows may be too much for the memory that a call may take, but
        // the answer must not depend on which way is tried now.
        let Ok(outputs) = together(inputs.clone()) else {
            learn(&timed.together, rows, Duration::MAX);
            return compute_apart();
        };
        learn(&timed.together, rows, started.elapsed());
        Ok(outputs)
    }
}

/// Sizes of a magnitude share an entry of [`Paces`], so it holds times of a row.
fn learn(paces: &Paces, rows: usize, took: Duration) {
    if paces.shortest(rows).is_none() {
        let rows_in_time = u32::try_from(rows).unwrap_or(u32::MAX);
        paces.learn(rows, took / rows_in_time);
    }
}

fn apart_from_each_other(
    inputs: &[TValue],
    rows: usize,
    is_shared: bool,
    row: impl Fn(TVec<TValue>) -> TractResult<TVec<TValue>> + Sync,
) -> TractResult<TVec<TValue>> {
    let compute = |at: usize| {
        let of_row = inputs
            .iter()
            .map(|input| Ok(input.slice(0, at, at + 1)?.into()))
            .collect::<TractResult<_>>()?;
        // Each thread has a row of its own, and shares none of its operators.
        let own = multithread_tract_scope(Executor::SingleThread, || row(of_row))?;
        Ok(own.into_iter().collect())
    };
    let answers: Vec<Vec<TValue>> = if is_shared {
        let rows = (0..rows).into_par_iter().with_max_len(1);
        rows.map(compute).collect::<TractResult<_>>()?
    } else {
        (0..rows).map(compute).collect::<TractResult<_>>()?
    };
    let outputs = answers.first().map_or(0, Vec::len);
    (0..outputs)
        .map(|output| {
            let rows: Vec<&Tensor> = answers.iter().map(|answer| &*answer[output]).collect();
            Ok(Tensor::stack_tensors(0, &rows)?.into())
        })
        .collect()
}

#[cfg(test)]
mod tests;
