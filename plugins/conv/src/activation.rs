//! What is done to a convolution's sums before they are stored.

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
    /// The function's value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        let unit = |x: f32| x.clamp(0.0, 1.0);
        match self {
            Self::None => x,
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Clamp { low, high } => {
                let x = if x < low { low } else { x };
                if x > high { high } else { x }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::HardSigmoid { alpha, beta } => unit(alpha * x + beta),
            Self::HardSwish => x * unit(x / 6.0 + 0.5),
            Self::Silu => x * sigmoid(x),
            Self::LeakyRelu(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
