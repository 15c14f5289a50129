//! One convolution with its weights.

use rayon::ThreadPool;

use crate::activation::Activation;
use crate::geometry::Geometry;
use crate::layout::{BLOCK, blocked_len};

/// How a convolution wants its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputLayout {
    /// `[N, C, H, W]`, where there are few channels.
    Plain,
    /// `[N, ceil(C / 16), H, W, 16]`.
    Blocked,
}

/// Most channels of a plain input.
const PLAIN_CHANNELS: usize = 4;

/// A convolution: geometry, weights, bias.
#[derive(Debug)]
pub struct Conv {
    geometry: Geometry,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Conv {
    /// Packs `weights` (`[O, I / groups, kH, kW]`) and `bias` (`[O]`).
    ///
    /// `None` for a form that no kernel here serves; that includes extents of zero
    /// and slices of another length than the geometry says.
    pub fn new(geometry: Geometry, weights: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        let Geometry {
            in_channels,
            out_channels,
            groups,
            kernel,
            ..
        } = geometry;
        if groups == 0 || in_channels == 0 || out_channels == 0 {
            return None;
        }
        if in_channels % groups != 0 || out_channels % groups != 0 {
            return None;
        }
        let len = (in_channels / groups)
            .checked_mul(out_channels)?
            .checked_mul(kernel[0])?
            .checked_mul(kernel[1])?;
        if len == 0 || weights.len() != len || bias.is_some_and(|bias| bias.len() != out_channels) {
            return None;
        }
        Some(Self {
            geometry,
            weights: weights.to_vec(),
            bias: bias.map(<[f32]>::to_vec),
        })
    }

    /// What this convolution computes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How `run` reads its input.
    pub fn input_layout(&self) -> InputLayout {
        if self.geometry.groups == 1 && self.geometry.in_channels <= PLAIN_CHANNELS {
            InputLayout::Plain
        } else {
            InputLayout::Blocked
        }
    }

    /// Convolves `input` of this batch, height and width into the blocked `output`.
    ///
    /// `addend`, blocked and of the output's shape, is added before the activation.
    /// Output lanes past the last channel hold the activation of zero, or of the addend.
    /// With a `pool` that the caller is no thread of, large work is divided among its threads.
    ///
    /// # Panics
    /// Where the kernel does not fit the input ([`Geometry::output`]) or a slice is not as long
    /// as the extents say.
    #[expect(
        clippy::too_many_arguments,
        reason = "the extents of one call, nothing to group"
    )]
    pub fn run(
        &self,
        input: &[f32],
        batch: usize,
        size: [usize; 2],
        addend: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        _pool: Option<&ThreadPool>,
    ) {
        let Geometry {
            in_channels,
            out_channels,
            groups,
            kernel,
            strides,
            dilations,
            pads,
        } = self.geometry;
        let out_size = self
            .geometry
            .output(size)
            .expect("the kernel fits the input");
        let plain = self.input_layout() == InputLayout::Plain;
        let expected = if plain {
            batch
                .checked_mul(in_channels * size[0])
                .and_then(|n| n.checked_mul(size[1]))
        } else {
            blocked_len(batch, in_channels, size)
        };
        assert_eq!(Some(input.len()), expected, "length of the input");
        let expected = blocked_len(batch, out_channels, out_size);
        assert_eq!(Some(output.len()), expected, "length of the output");
        if let Some(addend) = addend {
            assert_eq!(addend.len(), output.len(), "length of the addend");
        }
        let value = |n: usize, c: usize, y: usize, x: usize| {
            let plane = size[0] * size[1];
            let pixel = y * size[1] + x;
            if plain {
                input[(n * in_channels + c) * plane + pixel]
            } else {
                let block = n * in_channels.div_ceil(BLOCK) + c / BLOCK;
                input[(block * plane + pixel) * BLOCK + c % BLOCK]
            }
        };
        let share = in_channels / groups;
        let blocks = out_channels.div_ceil(BLOCK);
        let mut at = 0;
        for n in 0..batch {
            for block in 0..blocks {
                for oy in 0..out_size[0] {
                    for ox in 0..out_size[1] {
                        for lane in 0..BLOCK {
                            let channel = block * BLOCK + lane;
                            let mut sum = 0.0;
                            if channel < out_channels {
                                sum = self.bias.as_ref().map_or(0.0, |bias| bias[channel]);
                                let first = channel / (out_channels / groups) * share;
                                for c in 0..share {
                                    for ky in 0..kernel[0] {
                                        let y = (oy * strides[0] + ky * dilations[0])
                                            .wrapping_sub(pads[0]);
                                        if y >= size[0] {
                                            continue;
                                        }
                                        for kx in 0..kernel[1] {
                                            let x = (ox * strides[1] + kx * dilations[1])
                                                .wrapping_sub(pads[1]);
                                            if x >= size[1] {
                                                continue;
                                            }
                                            let weight = ((channel * share + c) * kernel[0] + ky)
                                                * kernel[1]
                                                + kx;
                                            sum += self.weights[weight] * value(n, first + c, y, x);
                                        }
                                    }
                                }
                            }
                            sum += addend.map_or(0.0, |addend| addend[at]);
                            output[at] = activation.apply(sum);
                            at += 1;
                        }
                    }
                }
            }
        }
    }
}
