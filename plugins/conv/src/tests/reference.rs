//! Plain loops, in double precision.

use crate::{Activation, Geometry, Window};

/// The input position under an element of a window, where there is one.
fn under(
    at: usize,
    stride: usize,
    element: usize,
    dilation: usize,
    pad: usize,
    extent: usize,
) -> Option<usize> {
    (at * stride + element * dilation)
        .checked_sub(pad)
        .filter(|position| *position < extent)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the extents of one call, nothing to group"
)]
pub(crate) fn convolve(
    geometry: &Geometry,
    input: &[f32],
    batch: usize,
    size: [usize; 2],
    weights: &[f32],
    bias: Option<&[f32]>,
    addend: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    let g = geometry;
    let out = g.output(size).unwrap();
    let share = g.in_channels / g.groups;
    let mut output = Vec::new();
    for n in 0..batch {
        for o in 0..g.out_channels {
            let first = o / (g.out_channels / g.groups) * share;
            for at in 0..out[0] * out[1] {
                let mut sum = bias.map_or(0.0, |bias| f64::from(bias[o]));
                for c in 0..share {
                    for element in 0..g.kernel[0] * g.kernel[1] {
                        let (ky, kx) = (element / g.kernel[1], element % g.kernel[1]);
                        let y = under(
                            at / out[1],
                            g.strides[0],
                            ky,
                            g.dilations[0],
                            g.pads[0],
                            size[0],
                        );
                        let x = under(
                            at % out[1],
                            g.strides[1],
                            kx,
                            g.dilations[1],
                            g.pads[1],
                            size[1],
                        );
                        if let (Some(y), Some(x)) = (y, x) {
                            let value = input
                                [((n * g.in_channels + first + c) * size[0] + y) * size[1] + x];
                            let weight =
                                weights[(o * share + c) * g.kernel[0] * g.kernel[1] + element];
                            sum += f64::from(value) * f64::from(weight);
                        }
                    }
                }
                sum += addend.map_or(0.0, |addend| f64::from(addend[output.len()]));
                output.push(activate(activation, sum) as f32);
            }
        }
    }
    output
}

fn activate(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clamp { low, high } => x.clamp(low.into(), high.into()),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid { alpha, beta } => {
            (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0)
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Silu => x * sigmoid(x),
        Activation::LeakyRelu(slope) => {
            if x < 0.0 {
                x * f64::from(slope)
            } else {
                x
            }
        }
    }
}

/// The values under each window, and how many elements lie on the input or its padding.
pub(crate) fn windows(
    window: &Window,
    input: &[f32],
    planes: usize,
    size: [usize; 2],
    reduce: impl Fn(&[f32], usize) -> f32,
) -> Vec<f32> {
    let w = window;
    let out = w.output(size).unwrap();
    let mut output = Vec::new();
    for plane in 0..planes {
        for at in 0..out[0] * out[1] {
            let (mut values, mut padded) = (Vec::new(), 0);
            for element in 0..w.kernel[0] * w.kernel[1] {
                let (ky, kx) = (element / w.kernel[1], element % w.kernel[1]);
                let y = under(
                    at / out[1],
                    w.strides[0],
                    ky,
                    w.dilations[0],
                    w.pads[0],
                    size[0],
                );
                let x = under(
                    at % out[1],
                    w.strides[1],
                    kx,
                    w.dilations[1],
                    w.pads[1],
                    size[1],
                );
                if let (Some(y), Some(x)) = (y, x) {
                    values.push(input[(plane * size[0] + y) * size[1] + x]);
                }
                let row = at / out[1] * w.strides[0] + ky * w.dilations[0];
                let column = at % out[1] * w.strides[1] + kx * w.dilations[1];
                if row < w.pads[0] + size[0] + w.pads[2] && column < w.pads[1] + size[1] + w.pads[3]
                {
                    padded += 1;
                }
            }
            output.push(reduce(&values, padded));
        }
    }
    output
}
