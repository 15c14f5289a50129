//! Probabilities of classes out of those of all pairs of classes.

/// How near to certain a pair may be.
const MARGIN: f64 = 1e-7;

/// Rounds after which the search ends in any case.
const MAX_ROUNDS: usize = 100;

/// The probability that the first class of a pair wins, by Platt's sigmoid.
pub(crate) fn pair(score: f32, a: f32, b: f32) -> f64 {
    let exponent = f64::from(score) * f64::from(a) + f64::from(b);
    let probability = 1.0 / (1.0 + exponent.exp());
    probability.clamp(MARGIN, 1.0 - MARGIN)
}

/// Couples the probabilities of pairs: `pairs[i * classes + j]` is how likely
/// class `i` wins against `j`. This is the second method of Wu, Lin and Weng
/// (2004), as libsvm and all runtimes of ONNX have it.
pub(crate) fn couple(pairs: &[f64], classes: usize) -> Vec<f64> {
    let against = |i: usize, j: usize| pairs[i * classes + j];
    let mut quadratic = vec![0.0; classes * classes];
    for i in 0..classes {
        for j in (0..classes).filter(|j| *j != i) {
            quadratic[i * classes + i] += against(j, i).powi(2);
            quadratic[i * classes + j] = -against(j, i) * against(i, j);
        }
    }
    let mut found = vec![1.0 / classes as f64; classes];
    let mut slopes = vec![0.0; classes];
    let enough = 0.005 / classes as f64;
    for _ in 0..MAX_ROUNDS {
        let rows = quadratic.chunks_exact(classes);
        for (slope, row) in slopes.iter_mut().zip(rows) {
            *slope = row.iter().zip(&found).map(|(q, p)| q * p).sum();
        }
        let mut mean: f64 = slopes.iter().zip(&found).map(|(s, p)| s * p).sum();
        if slopes.iter().all(|slope| (slope - mean).abs() < enough) {
            break;
        }
        for class in 0..classes {
            let own = quadratic[class * classes + class];
            let step = (mean - slopes[class]) / own;
            found[class] += step;
            let scale = 1.0 + step;
            mean = (mean + step * (step * own + 2.0 * slopes[class])) / (scale * scale);
            let row = &quadratic[class * classes..][..classes];
            for ((slope, found), q) in slopes.iter_mut().zip(&mut found).zip(row) {
                *slope = (*slope + step * q) / scale;
                *found /= scale;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_keep_the_probability_of_their_pair() {
        let found = couple(&[0.0, 0.8, 0.2, 0.0], 2);
        assert!((found[0] - 0.8).abs() < 2e-2, "{found:?}");
        assert!((found[0] + found[1] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_class_that_wins_all_pairs_is_the_likeliest() {
        let pairs = [0.0, 0.9, 0.8, 0.1, 0.0, 0.6, 0.2, 0.4, 0.0];
        let found = couple(&pairs, 3);
        assert!(found[0] > found[1] + found[2], "{found:?}");
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
