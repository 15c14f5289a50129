//! The parts of `Attention` that depend on types and extents: which keys a
//! query sees, and heads that share theirs.

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// Name of the operator that repeats heads.
pub(crate) const REPEAT_HEADS: &str = "lusk.RepeatHeads";

/// Name of the operator that hides keys.
pub(crate) const HIDE_KEYS: &str = "lusk.HideKeys";

/// Name of the operator that makes probabilities.
pub(crate) const WEIGHTS: &str = "lusk.AttentionWeights";

/// Keys or values `[batch, heads, ...]` with as many heads as the queries.
pub(crate) fn repeat_heads(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok(operator(RepeatHeads))
}

/// Scores `[batch, heads, queries, keys]` less those of the keys not seen.
pub(crate) fn hide_keys(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let bound = |name| -> TractResult<i64> { Ok(node.get_attr_opt(name)?.unwrap_or(-1)) };
    let is_there = |name| -> TractResult<bool> { Ok(node.get_attr_opt::<i64>(name)? == Some(1)) };
    let causal = is_there("is_causal")?;
    let right = bound("right_window_size")?;
    Ok(operator(HideKeys {
        left: bound("left_window_size")?,
        right: if causal { 0 } else { right },
        has_mask: is_there("has_mask")?,
        has_past: is_there("has_past")?,
        has_lengths: is_there("has_lengths")?,
    }))
}

/// Softmax along the last axis, zero for a query that sees no key.
pub(crate) fn weights(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok(operator(Weights))
}

#[derive(Debug)]
struct RepeatHeads;

impl Kernel for RepeatHeads {
    fn name(&self) -> &'static str {
        REPEAT_HEADS
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [shared, queries] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        ensure!(
            shared.shape.len() == 4 && queries.shape.len() == 4,
            "attention needs batches of heads"
        );
        let mut shape = shared.shape.clone();
        shape[1] = queries.shape[1].clone();
        Ok(Port::new(shared.kind, shape))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let (shared, wanted) = (inputs[0], inputs[1].shape()[1]);
        let heads = shared.shape()[1];
        if heads == wanted {
            return Ok(shared.clone());
        }
        ensure!(
            heads > 0 && wanted.is_multiple_of(heads),
            "{wanted} heads cannot share {heads}"
        );
        let times = wanted / heads;
        let repeated = (0..wanted).map(|head| shared.slice(1, head / times, head / times + 1));
        let repeated: Vec<Tensor> = repeated.collect::<TractResult<_>>()?;
        Tensor::stack_tensors(1, &repeated)
    }
}

#[derive(Debug)]
struct HideKeys {
    /// How far back a query sees; everything if negative.
    left: i64,
    /// How far ahead a query sees; everything if negative.
    right: i64,
    has_mask: bool,
    has_past: bool,
    has_lengths: bool,
}

impl Kernel for HideKeys {
    fn name(&self) -> &'static str {
        HIDE_KEYS
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let wanted = [self.has_mask, self.has_past, self.has_lengths];
        let wanted = 1 + wanted.iter().filter(|wanted| **wanted).count();
        ensure!(
            inputs.len() == wanted,
            "expected {wanted} inputs, got {}",
            inputs.len()
        );
        let scores = &inputs[0];
        ensure!(scores.shape.len() == 4, "attention needs batches of heads");
        check_kind(scores)?;
        if self.has_mask {
            let mask = &inputs[1];
            ensure!(
                (mask.kind == scores.kind || mask.kind == bool::datum_type())
                    && (1..=4).contains(&mask.shape.len()),
                "a mask of {:?} and rank {} does not fit",
                mask.kind,
                mask.shape.len()
            );
        }
        Ok(Port::new(scores.kind, scores.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let mut rest = inputs[1..].iter();
        let mask = if self.has_mask { rest.next() } else { None };
        let past = if self.has_past { rest.next() } else { None };
        let lengths = if self.has_lengths { rest.next() } else { None };
        let mut scores = inputs[0].cast_to::<f64>()?.into_owned();
        if let Some(mask) = mask {
            add_mask(&mut scores, mask)?;
        }
        let shape: TVec<usize> = scores.shape().into();
        let (queries, keys) = (shape[2] as i64, shape[3] as i64);
        let past = past.map_or(0, |past| past.shape()[2] as i64);
        let lengths = lengths
            .map(|lengths| lengths.cast_to::<i64>())
            .transpose()?;
        let lengths = lengths
            .as_ref()
            .map(|lengths| lengths.to_plain_array_view::<i64>());
        let lengths: Option<Vec<i64>> = lengths.transpose()?.map(|l| l.iter().copied().collect());
        let mut view = scores.to_plain_array_view_mut::<f64>()?;
        for (place, score) in view.indexed_iter_mut() {
            let length = match &lengths {
                Some(lengths) => *lengths.get(place[0]).context("a length is missing")?,
                None => keys,
            };
            let before = if lengths.is_some() {
                length - queries
            } else {
                past
            };
            let (query, key) = (before + place[2] as i64, place[3] as i64);
            if !self.sees(query, key) || key >= length {
                *score = f64::NEG_INFINITY;
            }
        }
        Ok(scores.cast_to_dt(inputs[0].datum_type())?.into_owned())
    }
}

impl HideKeys {
    fn sees(&self, query: i64, key: i64) -> bool {
        let behind = self.left < 0 || query - key <= self.left;
        let ahead = self.right < 0 || key - query <= self.right;
        behind && ahead
    }
}

/// Adds a mask, whose last axes are the scores'. Keys beyond it are not seen.
fn add_mask(scores: &mut Tensor, mask: &Tensor) -> TractResult<()> {
    let is_truth = mask.datum_type() == bool::datum_type();
    let mask = mask.cast_to::<f64>()?;
    let mask = mask.to_plain_array_view::<f64>()?;
    let mut scores = scores.to_plain_array_view_mut::<f64>()?;
    let first = scores.ndim() - mask.ndim();
    let last = mask.ndim() - 1;
    for axis in 0..last {
        let extent = mask.shape()[axis];
        ensure!(
            extent == 1 || extent == scores.shape()[first + axis],
            "a mask of {:?} does not fit scores of {:?}",
            mask.shape(),
            scores.shape()
        );
    }
    for (place, score) in scores.indexed_iter_mut() {
        let mut at: TVec<usize> = (0..mask.ndim()).map(|axis| place[first + axis]).collect();
        for (axis, index) in at.iter_mut().enumerate() {
            if mask.shape()[axis] == 1 {
                *index = 0;
            }
        }
        *score += match mask.get(&*at) {
            Some(seen) if is_truth && *seen != 0. => 0.,
            Some(added) if !is_truth => *added,
            _ => f64::NEG_INFINITY,
        };
    }
    Ok(())
}

#[derive(Debug)]
struct Weights;

impl Kernel for Weights {
    fn name(&self) -> &'static str {
        WEIGHTS
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [scores] = inputs else {
            bail!("expected 1 input, got {}", inputs.len());
        };
        check_kind(scores)?;
        ensure!(!scores.shape.is_empty(), "there is no axis");
        Ok(Port::new(scores.kind, scores.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let mut weights = inputs[0].cast_to::<f64>()?.into_owned();
        let keys = weights.shape().last().copied().unwrap_or_default();
        let mut view = weights.to_plain_array_view_mut::<f64>()?;
        let all = view.as_slice_mut().context("the scores are scattered")?;
        for row in all.chunks_mut(keys.max(1)) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if largest == f64::NEG_INFINITY {
                row.fill(0.);
                continue;
            }
            row.iter_mut()
                .for_each(|score| *score = (*score - largest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|score| *score /= sum);
        }
        Ok(weights.cast_to_dt(inputs[0].datum_type())?.into_owned())
    }
}

fn check_kind(scores: &Port) -> TractResult<()> {
    ensure!(
        scores.kind.is_float(),
        "scores of {:?} are not supported",
        scores.kind
    );
    Ok(())
}
