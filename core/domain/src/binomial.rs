//! The binomial distribution's upper tail: how likely it is to be so unlucky.
//!
//! Sources:
//! - Loader 2000: C. Loader, "Fast and accurate computation of binomial probabilities",
//!   for single probabilities without large factorials.
//! - Kaas & Buhrman 1980: "Mean, median and mode in binomial distributions", Statistica
//!   Neerlandica 34, 13–18: the median is the mean, rounded down or up.

use std::f64::consts::TAU;

/// Below this many, what Stirling's formula leaves out comes from the factorial itself.
const SMALL: u64 = 16;

/// How likely at least `hits` of `of` are, where each hits with `chance`, above 0 and
/// below 1; 1 where `hits` is not more than the mean, as it is at least 1/2 there.
///
/// Within 1e-8 of itself up to 10⁸; sums up to about 10 · √`of` terms.
pub(crate) fn upper_tail(hits: u64, of: u64, chance: f64) -> f64 {
    if hits > of {
        return 0.0;
    }
    // The median is not below the mean rounded down.
    if hits as f64 <= of as f64 * chance {
        return 1.0;
    }
    let odds = chance / (1.0 - chance);
    // Terms relative to the first, which alone may be too small for a number.
    let (mut sum, mut term) = (1.0, 1.0);
    for hits in hits..of {
        // Below 1 beyond the mean, and falling: the sum ends.
        term *= (of - hits) as f64 / (hits + 1) as f64 * odds;
        sum += term;
        if term < sum * f64::EPSILON / 16.0 {
            break;
        }
    }
    (log_probability(hits, of, chance) + f64::ln(sum))
        .exp()
        .min(1.0)
}

/// The logarithm of the chance of exactly `hits`, 1 to `of` (Loader 2000).
fn log_probability(hits: u64, of: u64, chance: f64) -> f64 {
    let (k, n) = (hits as f64, of as f64);
    if hits == of {
        return n * chance.ln();
    }
    let rest = n - k;
    let deviance = k * (k / (n * chance)).ln() + rest * (rest / (n * (1.0 - chance))).ln();
    stirling_error(of) - stirling_error(hits) - stirling_error(of - hits) - deviance
        + (n / (TAU * k * rest)).ln() / 2.0
}

/// ln n! less Stirling's formula for it; `n` is not 0.
fn stirling_error(n: u64) -> f64 {
    let x = n as f64;
    if n < SMALL {
        let log: f64 = (2..=n).map(|factor| (factor as f64).ln()).sum();
        return log - (x + 0.5) * x.ln() + x - TAU.ln() / 2.0;
    }
    // Abramowitz & Stegun 1964, 6.1.41; what is left out is below 1e-13.
    let square = x * x;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1_260.0 - 1.0 / (1_680.0 * square)) / square) / square) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(hits: u64, of: u64, chance: f64, expected: f64, within: f64) {
        let found = upper_tail(hits, of, chance);
        let error = (found / expected - 1.0).abs();
        assert!(
            error < within,
            "{hits} of {of} at {chance}: {found}, {error}"
        );
    }

    #[test]
    fn small_samples_are_those_of_exact_fractions() {
        // Summed up in rational numbers.
        for (hits, of, chance, expected) in [
            (10, 10, 0.01, 1e-20),
            (1, 20, 0.01, 1.820_930_624_027_691e-1),
            (3, 20, 0.01, 1.003_576_168_100_117e-3),
            (5, 20, 0.01, 1.367_798_632_893_411e-6),
            (30, 100, 0.1, 2.445_112_239_390_966e-8),
            (12, 300, 0.01, 6.292_191_267_817_833e-5),
            (13, 300, 0.01, 1.380_120_722_614_647e-5),
            (17, 17, 0.5, 7.629_394_531_25e-6),
            (50, 1_000, 0.001, 3.726_467_079_267_585e-66),
        ] {
            is_near(hits, of, chance, expected, 1e-12);
        }
    }

    #[test]
    fn large_samples_are_those_of_sixty_decimal_digits() {
        for (hits, of, chance, expected) in [
            (1_140, 100_000, 0.01, 7.054_484_247_535e-6),
            (10_430, 1_000_000, 0.01, 9.005_723_822_350e-6),
            (30_740, 3_000_000, 0.01, 9.570_411_297_915e-6),
            (1_502_000, 3_000_000, 0.5, 1.047_667_471_679e-2),
            (20, 1_000_000, 0.000_01, 3.454_174_030_495e-3),
        ] {
            is_near(hits, of, chance, expected, 1e-8);
        }
    }

    #[test]
    fn the_ends_are_certain() {
        assert_eq!(upper_tail(0, 0, 0.1), 1.0);
        assert_eq!(upper_tail(0, 5, 0.1), 1.0);
        assert_eq!(upper_tail(6, 5, 0.1), 0.0);
        assert_eq!(upper_tail(100, 1_000, 0.1), 1.0);
        assert_eq!(upper_tail(1_000_000, 1_000_000, 0.01), 0.0);
    }

    #[test]
    fn more_hits_are_less_likely() {
        for of in [10, 16, 17, 300, 100_000] {
            let tails: Vec<_> = (0..=of.min(400))
                .map(|hits| upper_tail(hits, of, 0.05))
                .collect();
            assert!(tails.is_sorted_by(|one, next| one >= next), "{of}");
        }
    }
}
