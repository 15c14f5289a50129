//! What is done to a convolution's sums before they are stored.

use pulp::{Arch, Simd, WithSimd};

use crate::strip::bound;

/// A function of one number, applied to every output.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// The sum as it is.
    None,
    /// Nothing below 0.
    Relu,
    /// Nothing below `low`, nothing above `high`.
    Clamp {
        /// Least value.
        low: f32,
        /// Greatest value.
        high: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `clamp(alpha * x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x * clamp(x / 6 + 0.5, 0, 1)`.
    HardSwish,
    /// `x * sigmoid(x)`.
    Silu,
    /// `x` above 0, `slope * x` below.
    LeakyRelu(
        /// Slope below 0.
        f32,
    ),
}

impl Activation {
    /// Least and greatest value of a function that only bounds.
    pub(crate) fn bounds(self) -> Option<[f32; 2]> {
        match self {
            Self::None => Some([f32::NEG_INFINITY, f32::INFINITY]),
            Self::Relu => Some([0.0, f32::INFINITY]),
            Self::Clamp { low, high } => Some([low, high]),
            _ => None,
        }
    }

    /// Applies the function to each of `values`, whose number is a multiple of sixteen.
    pub(crate) fn apply_all(self, arch: Arch, values: &mut [f32]) {
        arch.dispatch(Apply {
            activation: self,
            values,
        });
    }
}

struct Apply<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let values = S::as_mut_simd_f32s(self.values).0;
        let splat = |value| simd.splat_f32s(value);
        let unit = |x| bound(simd, x, [splat(0.0), splat(1.0)]);
        match self.activation {
            Activation::None => {}
            Activation::Relu => each(values, |x| {
                bound(simd, x, [splat(0.0), splat(f32::INFINITY)])
            }),
            Activation::Clamp { low, high } => {
                each(values, |x| bound(simd, x, [splat(low), splat(high)]));
            }
            Activation::Sigmoid => each(values, |x| sigmoid(simd, x)),
            Activation::Tanh => each(values, |x| tanh(simd, x)),
            Activation::HardSigmoid { alpha, beta } => {
                each(values, |x| {
                    unit(simd.mul_add_e_f32s(x, splat(alpha), splat(beta)))
                });
            }
            Activation::HardSwish => each(values, |x| {
                simd.mul_f32s(
                    x,
                    unit(simd.mul_add_e_f32s(x, splat(1.0 / 6.0), splat(0.5))),
                )
            }),
            Activation::Silu => each(values, |x| simd.mul_f32s(x, sigmoid(simd, x))),
            Activation::LeakyRelu(slope) => each(values, |x| {
                let negative = simd.less_than_f32s(x, splat(0.0));
                simd.select_f32s(negative, simd.mul_f32s(x, splat(slope)), x)
            }),
        }
    }
}

#[inline(always)]
fn each<V: Copy>(values: &mut [V], function: impl Fn(V) -> V) {
    for value in values {
        *value = function(*value);
    }
}

/// A quotient of polynomials in `x²`, the upper one times `x`; coefficients from the highest power.
#[inline(always)]
fn rational<S: Simd>(simd: S, x: S::f32s, upper: &[f32], lower: &[f32]) -> S::f32s {
    let square = simd.mul_f32s(x, x);
    let polynomial = |coefficients: &[f32]| {
        coefficients
            .iter()
            .fold(simd.splat_f32s(0.0), |sum, coefficient| {
                simd.mul_add_e_f32s(sum, square, simd.splat_f32s(*coefficient))
            })
    };
    simd.div_f32s(simd.mul_f32s(polynomial(upper), x), polynomial(lower))
}

/// Within 1e-6; the fit that Eigen and onnxruntime use.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value| simd.splat_f32s(value);
    let x = bound(simd, x, [splat(-18.0), splat(18.0)]);
    let upper = [
        4.370_31e-11,
        1.156_273_2e-7,
        6.085_748_6e-5,
        8.513_771e-3,
        2.482_879_5e-1,
    ];
    let lower = [
        6.102_474e-13,
        5.761_022e-9,
        6.291_068e-6,
        1.701_988_2e-3,
        1.168_176_6e-1,
        9.931_519e-1,
    ];
    let centred = rational(simd, x, &upper, &lower);
    bound(
        simd,
        simd.add_f32s(centred, splat(0.5)),
        [splat(0.0), splat(1.0)],
    )
}

/// Within 1e-6; the fit that Eigen and onnxruntime use.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value| simd.splat_f32s(value);
    let x = bound(simd, x, [splat(-9.0), splat(9.0)]);
    let upper = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619e-4,
        4.893_524_6e-3,
    ];
    let lower = [1.198_258_4e-6, 1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3];
    bound(
        simd,
        rational(simd, x, &upper, &lower),
        [splat(-1.0), splat(1.0)],
    )
}
