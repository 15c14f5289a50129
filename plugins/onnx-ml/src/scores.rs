//! What becomes of raw scores: the post transforms, and the top class.

use std::f64::consts::{PI, SQRT_2};

use tract_onnx::tract_hir::{internal::*, tract_num_traits::Float};

use crate::attributes::Attributes;

/// Scores nearer to zero than this are left out of `SOFTMAX_ZERO`.
const NEARLY_ZERO: f64 = 1e-7;

/// The transform of a row of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    /// The attribute `post_transform` of the operators that spell it.
    pub(crate) fn read(attributes: &Attributes) -> TractResult<Self> {
        match attributes.text("post_transform")? {
            None | Some("NONE") => Ok(Self::None),
            Some("SOFTMAX") => Ok(Self::Softmax),
            Some("LOGISTIC") => Ok(Self::Logistic),
            Some("SOFTMAX_ZERO") => Ok(Self::SoftmaxZero),
            Some("PROBIT") => Ok(Self::Probit),
            Some(other) => bail!("`post_transform` is `{other}`, which does not exist"),
        }
    }

    /// The transform of a number, as `TreeEnsemble` has it.
    pub(crate) fn numbered(number: i64) -> TractResult<Self> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Softmax),
            2 => Ok(Self::Logistic),
            3 => Ok(Self::SoftmaxZero),
            4 => Ok(Self::Probit),
            other => bail!("`post_transform` is {other}, 0 to 4 exist"),
        }
    }

    /// Transforms each row of `width` scores.
    pub(crate) fn apply<F: Float>(self, scores: &mut [F], width: usize) {
        match self {
            Self::None => {}
            Self::Logistic => scores
                .iter_mut()
                .for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => scores.chunks_mut(width.max(1)).for_each(softmax),
            Self::SoftmaxZero => scores.chunks_mut(width.max(1)).for_each(softmax_zero),
        }
    }
}

/// `1 / (1 + exp(-x))`, exact at both ends.
pub(crate) fn logistic<F: Float>(score: F) -> F {
    let upper = F::one() / (F::one() + (-score.abs()).exp());
    if score < F::zero() {
        F::one() - upper
    } else {
        upper
    }
}

fn softmax<F: Float>(row: &mut [F]) {
    let top = largest(row);
    let mut sum = F::zero();
    for score in row.iter_mut() {
        *score = (*score - top).exp();
        sum = sum + *score;
    }
    row.iter_mut().for_each(|score| *score = *score / sum);
}

/// The softmax of the scores that are not zero; zeros stay what they are.
fn softmax_zero<F: Float>(row: &mut [F]) {
    let top = largest(row);
    let scale = (-top).exp();
    let mut sum = F::zero();
    for score in row.iter_mut() {
        if score.abs() > number(NEARLY_ZERO) {
            *score = (*score - top).exp();
            sum = sum + *score;
        } else {
            *score = *score * scale;
        }
    }
    if sum != F::zero() {
        row.iter_mut().for_each(|score| *score = *score / sum);
    }
}

/// The quantile function of the normal distribution, by the approximation of
/// the inverse error function that all runtimes of ONNX use.
fn probit<F: Float>(score: F) -> F {
    let a: F = number(0.147);
    let x = score + score - F::one();
    let log = ((F::one() - x) * (F::one() + x)).ln();
    let v = number::<F>(2.0 / PI) / a + log / number(2.0);
    let root = ((v * v - log / a).sqrt() - v).sqrt();
    let root = root * number(SQRT_2);
    if x < F::zero() { -root } else { root }
}

fn largest<F: Float>(row: &[F]) -> F {
    row.iter().copied().fold(F::min_value(), F::max)
}

/// A constant, which every type of floats can hold.
fn number<F: Float>(value: f64) -> F {
    F::from(value).unwrap_or_else(F::nan)
}

/// The position of the largest score, the first one of several.
pub(crate) fn top(row: &[f32]) -> usize {
    let mut best = 0;
    for (position, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = position;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transformed(transform: PostTransform, row: &[f32]) -> Vec<f32> {
        let mut scores = row.to_vec();
        transform.apply(&mut scores, row.len());
        scores
    }

    fn close(seen: f32, expected: f64) -> bool {
        (f64::from(seen) - expected).abs() <= 1e-6 + 1e-5 * expected.abs()
    }

    #[test]
    fn a_probit_is_the_quantile_of_the_normal_distribution() {
        for (probability, quantile) in [(0.5, 0.0), (0.975, 1.959_96), (0.1, -1.281_55)] {
            let seen = probit(probability);
            assert!((seen - quantile).abs() < 5e-3, "{seen} is not {quantile}");
        }
    }

    #[test]
    fn zeros_stay_zero_in_the_softmax_that_leaves_them_out() {
        let seen = transformed(PostTransform::SoftmaxZero, &[0.0, 1.0, 1.0]);
        assert_eq!(seen, [0.0, 0.5, 0.5]);
        assert_eq!(
            transformed(PostTransform::SoftmaxZero, &[0.0, 0.0]),
            [0.0; 2]
        );
    }

    #[test]
    fn huge_scores_make_no_nan() {
        for transform in [PostTransform::Softmax, PostTransform::Logistic] {
            let seen = transformed(transform, &[1000.0, -1000.0]);
            assert_eq!(seen, [1.0, 0.0]);
        }
    }

    #[test]
    fn the_first_of_equal_scores_is_the_top() {
        assert_eq!(top(&[1.0, 2.0, 2.0]), 1);
        assert_eq!(top(&[]), 0);
    }

    proptest! {
        #[test]
        fn softmax_is_its_formula(row in prop::collection::vec(-30f32..30.0, 1..8)) {
            let sum: f64 = row.iter().map(|score| f64::from(*score).exp()).sum();
            let seen = transformed(PostTransform::Softmax, &row);
            for (seen, score) in seen.iter().zip(&row) {
                prop_assert!(close(*seen, f64::from(*score).exp() / sum));
            }
        }

        #[test]
        fn logistic_is_its_formula(score in -50f32..50.0) {
            let expected = 1.0 / (1.0 + (-f64::from(score)).exp());
            prop_assert!(close(logistic(score), expected));
        }
    }
}
