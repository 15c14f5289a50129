//! Convolutions in which every channel meets itself alone.

use rayon::ThreadPool;

use crate::activation::Activation;
use crate::geometry::Geometry;
use crate::layout::BLOCK;
use crate::packing::Aligned;

/// Weights of a depthwise convolution, `[block][tap][16]`, and the bias.
#[derive(Debug)]
pub(crate) struct Depthwise {
    weights: Aligned,
    bias: Vec<f32>,
}

impl Depthwise {
    pub(crate) fn new(geometry: &Geometry, weights: &[f32], bias: Option<&[f32]>) -> Self {
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let blocks = geometry.out_channels.div_ceil(BLOCK);
        let mut packed = Aligned::zeros(blocks * taps * BLOCK);
        for (channel, filter) in weights.chunks_exact(taps).enumerate() {
            let (block, lane) = (channel / BLOCK, channel % BLOCK);
            for (tap, weight) in filter.iter().enumerate() {
                packed.get_mut()[(block * taps + tap) * BLOCK + lane] = *weight;
            }
        }
        let mut padded = vec![0.0; blocks * BLOCK];
        if let Some(bias) = bias {
            padded[..bias.len()].copy_from_slice(bias);
        }
        Self {
            weights: packed,
            bias: padded,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the extents of one call, nothing to group"
    )]
    pub(crate) fn run(
        &self,
        geometry: &Geometry,
        input: &[f32],
        size: [usize; 2],
        out: [usize; 2],
        addend: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        _pool: Option<&ThreadPool>,
    ) {
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let area = out[0] * out[1];
        let planes = input.as_chunks::<BLOCK>().0.chunks_exact(size[0] * size[1]);
        let outputs = output.as_chunks_mut::<BLOCK>().0.chunks_exact_mut(area);
        let blocks = self.bias.len() / BLOCK;
        for (at, (input, output)) in planes.zip(outputs).enumerate() {
            let block = at % blocks;
            let weights = &self.weights.get()[block * taps * BLOCK..]
                .as_chunks::<BLOCK>()
                .0[..taps];
            let bias = self.bias.as_chunks::<BLOCK>().0[block];
            for (pixel, sums) in output.iter_mut().enumerate() {
                *sums = bias;
                for (tap, weights) in weights.iter().enumerate() {
                    let under = |axis: usize, at: usize, element: usize| {
                        (at * geometry.strides[axis] + element * geometry.dilations[axis])
                            .checked_sub(geometry.pads[axis])
                            .filter(|at| *at < size[axis])
                    };
                    let row = under(0, pixel / out[1], tap / geometry.kernel[1]);
                    let column = under(1, pixel % out[1], tap % geometry.kernel[1]);
                    if let (Some(row), Some(column)) = (row, column) {
                        let input = &input[row * size[1] + column];
                        for lane in 0..BLOCK {
                            sums[lane] += input[lane] * weights[lane];
                        }
                    }
                }
                if let Some(addend) = addend {
                    let addend = &addend[(at * area + pixel) * BLOCK..];
                    for (sum, addend) in sums.iter_mut().zip(addend) {
                        *sum += addend;
                    }
                }
            }
        }
        activation.apply_all(output);
    }
}
