//! Micro-batches: the images of a request, computed one by one.
//!
//! What a convolutional network makes of one image fits the caches of a core;
//! what it makes of many has to come from memory again and again. And threads
//! that take whole images wait for each other once, not in every layer. Dense
//! layers after the convolutions read their weights once for all images, so they
//! get them all together. Whether all that pays is timed on the first requests of
//! each size, and the faster way stays.

mod independence;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rayon::prelude::*;
use tract_linalg::multithread::{Executor, current_tract_executor, multithread_tract_scope};
use tract_onnx::prelude::{OutletId, TDim, TValue, TVec, Tensor, TractResult, TypedModel};

use crate::{fitted::MAX_WEIGHTS, paces::Paces, runner::Runner};
use independence::Independence;

/// The two ways to compute a batch, and how long each took for one row.
#[derive(Debug)]
pub(crate) struct MicroBatches {
    /// The model in two parts; without them, all of it runs row by row.
    parts: Option<Parts>,
    /// In the caller's thread.
    alone: Timed,
    /// On a crew.
    shared: Timed,
}

/// A model cut where its last image is done.
#[derive(Debug)]
struct Parts {
    /// What is computed of each image; it shares the weights of the whole model.
    images: Runner,
    /// What is computed of all that comes out of it.
    rest: Runner,
}

#[derive(Debug)]
struct Timed {
    together: Paces,
    apart: Paces,
}

impl Parts {
    /// `None` if nothing remains after the images, or the second copy of its
    /// weights that another plan makes would be large.
    fn new(model: &TypedModel, cut: OutletId) -> TractResult<Option<Self>> {
        if model.outputs.iter().all(|output| *output == cut) {
            return Ok(None);
        }
        let mut rest = model.clone();
        rest.set_input_outlets(&[cut])?;
        let rest = rest.into_decluttered()?;
        if numbers(&rest) > MAX_WEIGHTS {
            return Ok(None);
        }
        let mut images = model.clone();
        images.select_output_outlets(&[cut])?;
        let batches = images.input_fact(0)?.shape[0].symbols().into_iter();
        let one = batches.map(|batch| (batch, TDim::from(1)));
        let images = images.set_symbols(&one.collect::<HashMap<_, _>>())?;
        Ok(Some(Self {
            images: Runner::new(images.into_decluttered()?)?,
            rest: Runner::new(rest)?,
        }))
    }
}

/// How many numbers the constants of a model hold.
fn numbers(model: &TypedModel) -> i64 {
    let outlets = model.nodes().iter().flat_map(|node| &node.outputs);
    let constants = outlets.filter_map(|outlet| outlet.fact.konst.as_ref());
    let sizes = constants.map(|constant| i64::try_from(constant.len()).unwrap_or(i64::MAX));
    sizes.fold(0, i64::saturating_add)
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
    /// `None` where images depend on each other, or nothing is to be gained.
    pub(crate) fn of(model: &TypedModel) -> Option<Self> {
        if !crate::blocked::is_in(model) {
            return None;
        }
        let independence = Independence::of(model).ok()?;
        let parts = independence
            .after_images
            .and_then(|cut| Parts::new(model, cut).ok().flatten());
        (parts.is_some() || independence.to_the_end).then(|| Self {
            parts,
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
        let compute_apart = || match &self.parts {
            Some(Parts { images, rest }) => {
                let images = |row| images.run(row);
                rest.run(apart_from_each_other(&inputs, rows, is_shared, images)?)
            }
            None => apart_from_each_other(&inputs, rows, is_shared, row),
        };
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
