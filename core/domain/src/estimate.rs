//! What samples tell of the numbers behind them: estimates with 95 % intervals.
//!
//! Sources, by the short names used below:
//! - Newcombe 1998a: R. G. Newcombe, "Two-sided confidence intervals for the single
//!   proportion: comparison of seven methods", Statistics in Medicine 17, 857–872.
//! - Newcombe 1998b: the same, "Interval estimation for the difference between
//!   independent proportions: comparison of eleven methods", 17, 873–890.
//! - Zou & Donner 2008: "Construction of confidence limits about effect measures: a
//!   general approach", Statistics in Medicine 27, 1693–1702 (the method is MOVER).
//! - Welch 1947: "The generalization of 'Student's' problem when several different
//!   population variances are involved", Biometrika 34, 28–35.
//! - Abramowitz & Stegun 1964: "Handbook of Mathematical Functions", 26.7.5
//!   and table 26.10.
//! - Conover 1999: "Practical Nonparametric Statistics", 3rd ed., section 3.2.

/// How sure intervals are: of 20 of them, 19 hold the number they are about.
pub const CONFIDENCE: f64 = 0.95;

/// The normal distribution's quantile for 0.975: two-sided 95 %.
const TWO_SIDED: f64 = 1.959_963_984_540_054;

/// Above this sample size ranks come from the normal approximation of the binomial.
const EXACT_UP_TO: u64 = 10_000;

/// A number, and the interval that holds it with [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// The least it may be.
    pub low: f64,
    /// The most it may be.
    pub high: f64,
}

impl Estimate {
    /// Whether it is sure that the number is not 0.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The part `hits` of `of`, which is not 0, with Wilson's score interval (Newcombe
/// 1998a, method 3).
pub(crate) fn proportion(hits: u64, of: u64) -> Estimate {
    let (value, n, z) = (hits as f64 / of as f64, of as f64, TWO_SIDED);
    let scale = 1.0 + z * z / n;
    let centre = (value + z * z / (2.0 * n)) / scale;
    let half = z * (value * (1.0 - value) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Estimate {
        value,
        // Rounding could put an end on the wrong side of the value, or of 0 and 1.
        low: if hits == 0 {
            0.0
        } else {
            (centre - half).max(0.0)
        },
        high: if hits == of {
            1.0
        } else {
            (centre + half).min(1.0)
        },
    }
}

/// `one` less `other`, by the squares of the distances to their ends (Zou & Donner
/// 2008). For two proportions with Wilson's intervals it is Newcombe's score interval
/// (Newcombe 1998b, method 10).
pub(crate) fn difference(one: Estimate, other: Estimate) -> Estimate {
    let value = one.value - other.value;
    Estimate {
        value,
        low: value - (one.value - one.low).hypot(other.high - other.value),
        high: value + (one.high - one.value).hypot(other.value - other.low),
    }
}

/// The moments of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// Its size, at least 2.
    pub count: u64,
    /// Its mean.
    pub mean: f64,
    /// Its variance, by `count - 1`.
    pub variance: f64,
}

impl Moments {
    /// From sums; none of fewer than two.
    pub(crate) fn of_sums(count: u64, sum: f64, sum_of_squares: f64) -> Option<Self> {
        if count < 2 {
            return None;
        }
        let n = count as f64;
        let mean = sum / n;
        // What rounding took away must not make it negative.
        let variance = ((sum_of_squares - sum * mean) / (n - 1.0)).max(0.0);
        Some(Self {
            count,
            mean,
            variance,
        })
    }

    /// The square of the mean's standard error.
    fn error(&self) -> f64 {
        self.variance / self.count as f64
    }

    /// The mean behind it, by Student's t.
    pub(crate) fn mean(&self) -> Estimate {
        let half = t_quantile(self.count as f64 - 1.0) * self.error().sqrt();
        Estimate {
            value: self.mean,
            low: (self.mean - half).max(0.0),
            high: self.mean + half,
        }
    }

    /// Its mean less the other's, variances unequal (Welch 1947, degrees of freedom by
    /// Welch and Satterthwaite).
    pub(crate) fn less(&self, other: &Self) -> Estimate {
        let value = self.mean - other.mean;
        let (a, b) = (self.error(), other.error());
        let square = (a + b).powi(2);
        let parts = a * a / (self.count as f64 - 1.0) + b * b / (other.count as f64 - 1.0);
        // No scatter at all: any number of degrees of freedom gives the same.
        let degrees = if parts > 0.0 {
            square / parts
        } else {
            f64::MAX
        };
        let half = t_quantile(degrees) * (a + b).sqrt();
        Estimate {
            value,
            low: value - half,
            high: value + half,
        }
    }
}

/// Student's t for 0.975 and 1 to 4 degrees of freedom (Abramowitz & Stegun 1964, table
/// 26.10), where the expansion falls short.
const T_OF_FEW: [f64; 4] = [12.706, 4.303, 3.182, 2.776];

/// Student's t for 0.975 and at least 1 degree of freedom: the expansion about the normal
/// quantile (Abramowitz & Stegun 1964, 26.7.5), good to 0.001 from 5 on; below, that of
/// the next whole number down, which is larger.
fn t_quantile(degrees: f64) -> f64 {
    if degrees < 5.0 {
        return T_OF_FEW[(degrees as usize).clamp(1, 4) - 1];
    }
    let z = TWO_SIDED;
    let (z3, z5, z7, z9) = (z.powi(3), z.powi(5), z.powi(7), z.powi(9));
    z + (z3 + z) / (4.0 * degrees)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * degrees.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * degrees.powi(3))
        + (79.0 * z9 + 776.0 * z7 + 1_482.0 * z5 - 1_920.0 * z3 - 945.0 * z)
            / (92_160.0 * degrees.powi(4))
}

/// Ranks, counted from 1, of the two of `count` ordered samples that hold the quantile
/// between them with at least 95 %; none where so few samples cannot say (Conover
/// 1999). Exact by the binomial distribution up to 10,000 samples, by the normal one
/// above.
pub(crate) fn quantile_ranks(count: u64, quantile: f64) -> Option<(u64, u64)> {
    let (low, high) = if count <= EXACT_UP_TO {
        exact_ranks(count, quantile)?
    } else {
        let mean = count as f64 * quantile;
        let half = TWO_SIDED * (mean * (1.0 - quantile)).sqrt();
        ((mean - half).ceil() as u64, (mean + half).ceil() as u64)
    };
    (low >= 1 && high <= count).then_some((low, high))
}

/// The smallest sample that says something of a quantile: its extremes hold it.
pub(crate) fn fewest_for(quantile: f64) -> u64 {
    let rarer = quantile.max(1.0 - quantile);
    (((1.0 - CONFIDENCE) / 2.0).ln() / rarer.ln()).ceil() as u64
}

/// With B samples at or below the quantile, B binomial: the largest `low` that B falls
/// short of, and the smallest `high` that B reaches, in at most 2.5 % of cases each.
fn exact_ranks(count: u64, quantile: f64) -> Option<(u64, u64)> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let odds = (quantile / (1.0 - quantile)).ln();
    let n = count as f64;
    // In logarithms, as (1 - quantile)^count is far below what a number can hold.
    let mut log = n * (1.0 - quantile).ln();
    let mut below = 0.0;
    let mut low = 0;
    for b in 0..=count {
        below += log.exp();
        if below <= tail {
            low = b + 1;
        }
        if below >= 1.0 - tail {
            return Some((low, b + 1));
        }
        log += ((n - b as f64) / (b as f64 + 1.0)).ln() + odds;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(estimate: Estimate, low: f64, high: f64) {
        let near = (estimate.low - low).abs() < 6e-5 && (estimate.high - high).abs() < 6e-5;
        assert!(near, "{estimate:?} is not {low} to {high}");
        assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
    }

    #[test]
    fn proportions_are_those_of_newcombes_table() {
        // Newcombe 1998a, table I, method 3.
        is_near(proportion(81, 263), 0.2553, 0.3662);
        is_near(proportion(15, 148), 0.0624, 0.1605);
        is_near(proportion(0, 20), 0.0, 0.1611);
        is_near(proportion(1, 29), 0.0061, 0.1718);
        is_near(proportion(20, 20), 1.0 - 0.1611, 1.0);
    }

    #[test]
    fn differences_of_proportions_are_those_of_newcombes_table() {
        // Newcombe 1998b, table II, method 10.
        for (hits, of, others, of_others, low, high) in [
            (56, 70, 48, 80, 0.0524, 0.3339),
            (9, 10, 3, 10, 0.1705, 0.8090),
            (6, 7, 2, 7, 0.0582, 0.8062),
            (5, 56, 0, 29, -0.0381, 0.1926),
            (0, 10, 0, 20, -0.1611, 0.2775),
            (0, 10, 0, 10, -0.2775, 0.2775),
            (10, 10, 0, 20, 0.6791, 1.0),
        ] {
            is_near(
                difference(proportion(hits, of), proportion(others, of_others)),
                low,
                high,
            );
        }
    }

    #[test]
    fn students_t_is_that_of_the_tables() {
        for (degrees, t) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (5.0, 2.571),
            (6.0, 2.447),
            (7.0, 2.365),
            (8.0, 2.306),
            (9.0, 2.262),
            (10.0, 2.228),
            (29.0, 2.045),
            (30.0, 2.042),
            (120.0, 1.980),
        ] {
            assert!((t_quantile(degrees) - t).abs() < 1e-3, "{degrees}");
        }
        assert!((t_quantile(f64::MAX) - TWO_SIDED).abs() < 1e-12);
        // Between two of them, never less than what is right.
        assert_eq!(t_quantile(1.9), t_quantile(1.0));
        assert_eq!(t_quantile(4.9), t_quantile(4.0));
    }

    #[test]
    fn means_differ_as_by_welch() {
        // By hand: means 4 and 7, variances 2 and 8, sizes 20 and 40. Squared errors
        // 0.1 and 0.2; degrees 0.09 / (0.01 / 19 + 0.04 / 39) = 57.98, t = 2.0018;
        // half = 2.0018 * sqrt(0.3) = 1.0964.
        let one = Moments {
            count: 40,
            mean: 7.0,
            variance: 8.0,
        };
        let other = Moments {
            count: 20,
            mean: 4.0,
            variance: 2.0,
        };
        let found = one.less(&other);
        assert_eq!(found.value, 3.0);
        assert!((found.high - 4.0964).abs() < 1e-3, "{found:?}");
        assert!((found.low - 1.9036).abs() < 1e-3, "{found:?}");
        assert!(found.excludes_zero());
        assert!(!other.less(&other).excludes_zero());
        let still = Moments {
            count: 5,
            mean: 1.0,
            variance: 0.0,
        };
        assert_eq!(
            still.less(&still),
            Estimate {
                value: 0.0,
                low: 0.0,
                high: 0.0
            }
        );
    }

    #[test]
    fn moments_come_from_sums() {
        // 2, 4, 4, 4, 5, 5, 7, 9: sum 40, squares 232, variance 32 / 7.
        let moments = Moments::of_sums(8, 40.0, 232.0).unwrap();
        assert_eq!(moments.mean, 5.0);
        assert!((moments.variance - 32.0 / 7.0).abs() < 1e-12);
        assert_eq!(Moments::of_sums(1, 1.0, 1.0), None);
        assert_eq!(Moments::of_sums(3, 3.0, 2.999_999).unwrap().variance, 0.0);
    }

    #[test]
    fn ranks_are_those_of_the_binomial_tables() {
        // Two-sided 95 % for the median: tables of the sign test.
        for (count, ranks) in [
            (6, (1, 6)),
            (8, (1, 8)),
            (9, (2, 8)),
            (10, (2, 9)),
            (20, (6, 15)),
            (25, (8, 18)),
        ] {
            assert_eq!(quantile_ranks(count, 0.5), Some(ranks), "{count}");
        }
        assert_eq!(quantile_ranks(5, 0.5), None);
        assert_eq!(quantile_ranks(0, 0.5), None);
    }

    #[test]
    fn the_two_ways_to_ranks_meet() {
        for quantile in [0.5, 0.9, 0.95, 0.99] {
            let exact = quantile_ranks(EXACT_UP_TO, quantile).unwrap();
            let normal = quantile_ranks(EXACT_UP_TO + 1, quantile).unwrap();
            assert!(exact.0.abs_diff(normal.0) <= 2, "{exact:?} {normal:?}");
            assert!(exact.1.abs_diff(normal.1) <= 2, "{exact:?} {normal:?}");
        }
    }

    #[test]
    fn the_fewest_samples_are_exactly_enough() {
        for (quantile, fewest) in [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)] {
            assert_eq!(fewest_for(quantile), fewest);
            assert!(quantile_ranks(fewest, quantile).is_some());
            assert!(quantile_ranks(fewest - 1, quantile).is_none());
        }
    }
}
