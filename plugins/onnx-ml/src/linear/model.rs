//! Rows of weights, one for each score.

use tract_onnx::tract_hir::internal::*;

use crate::rows::{extents, floats};

/// How many sums are kept apart while a product is summed up, so that the
/// compiler may keep them in one register.
const LANES: usize = 8;

/// Weights, score by score, and what is added to each score.
#[derive(Debug)]
pub(crate) struct Model {
    weights: Vec<f32>,
    /// As many as there are scores.
    intercepts: Vec<f32>,
    columns: usize,
}

impl Model {
    /// A model of `scores` scores.
    pub(crate) fn new(weights: &[f32], intercepts: &[f32], scores: usize) -> TractResult<Self> {
        ensure!(
            scores > 0 && !weights.is_empty() && weights.len().is_multiple_of(scores),
            "`coefficients` has {} values, they cannot be shared by {scores} scores",
            weights.len()
        );
        ensure!(
            intercepts.is_empty() || intercepts.len() == scores,
            "`intercepts` has {} values, there are {scores} scores",
            intercepts.len()
        );
        let mut intercepts = intercepts.to_vec();
        intercepts.resize(scores, 0.0);
        Ok(Self {
            weights: weights.to_vec(),
            intercepts,
            columns: weights.len() / scores,
        })
    }

    pub(crate) fn scores(&self) -> usize {
        self.intercepts.len()
    }

    /// Checks the width of an input.
    pub(crate) fn check(&self, columns: usize) -> TractResult<()> {
        ensure!(
            columns == self.columns,
            "the model has {} features, the input has {columns}",
            self.columns
        );
        Ok(())
    }

    /// The scores of every row, one row after the other.
    pub(crate) fn apply(&self, input: &Tensor, scores: &mut [f32]) -> TractResult<()> {
        let (_, columns) = extents(input)?;
        self.check(columns)?;
        let values = floats(input)?;
        let rows = values.chunks_exact(columns);
        for (row, scores) in rows.zip(scores.chunks_exact_mut(self.scores())) {
            let weights = self.weights.chunks_exact(columns);
            for ((score, weights), intercept) in
                scores.iter_mut().zip(weights).zip(&self.intercepts)
            {
                *score = dot(row, weights) + intercept;
            }
        }
        Ok(())
    }
}

/// The sum of products.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    folded(left, right, |left, right| left * right)
}

/// The sum of what `each` makes of every pair.
pub(crate) fn folded(left: &[f32], right: &[f32], each: impl Fn(f32, f32) -> f32) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += each(left[lane], right[lane]);
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    let rest: f32 = rest.map(|(left, right)| each(*left, *right)).sum();
    sums.iter().sum::<f32>() + rest
}
