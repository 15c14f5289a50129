//! Convolutions in which every channel meets itself alone.
//!
//! A block of channels is a vector and its weights are vectors, so nothing is
//! copied: a tile of neighbouring pixels runs through the taps of a row. Pixels whose kernel
//! reaches into the padding are computed one by one.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::ThreadPool;

use crate::activation::Activation;
use crate::frame::Frame;
use crate::geometry::Geometry;
use crate::layout::BLOCK;
use crate::packing::Aligned;
use crate::strip::{bound, splat_both};

/// Weights of a depthwise convolution, `[block][tap][16]`, and the bias.
#[derive(Debug)]
pub(crate) struct Depthwise {
    arch: Arch,
    weights: Aligned,
    bias: Vec<f32>,
}

impl Depthwise {
    pub(crate) fn new(
        arch: Arch,
        geometry: &Geometry,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Self {
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
            arch,
            weights: packed,
            bias: padded,
        }
    }

    pub(crate) fn run(
        &self,
        frame: &Frame,
        input: &[f32],
        addend: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        pool: Option<&ThreadPool>,
    ) {
        let taps = frame.kernel[0] * frame.kernel[1];
        let plane_in = frame.size[0] * frame.size[1] * BLOCK;
        let row_out = frame.out[1] * BLOCK;
        let blocks = self.bias.len() / BLOCK;
        let late = activation.bounds().is_none();
        frame.each_rows(output, pool, |plane, row, output| {
            let block = plane % blocks;
            let start = (plane * frame.out[0] + row) * row_out;
            self.arch.dispatch(Rows {
                frame,
                input: &input[plane * plane_in..][..plane_in],
                weights: &self.weights.get()[block * taps * BLOCK..][..taps * BLOCK],
                bias: &self.bias[block * BLOCK..][..BLOCK],
                addend: addend.map(|addend| &addend[start..][..output.len()]),
                bounds: activation
                    .bounds()
                    .unwrap_or([f32::NEG_INFINITY, f32::INFINITY]),
                row,
                output,
            });
            if late {
                activation.apply_all(self.arch, output);
            }
        });
    }
}

/// Rows of one plane of the output.
struct Rows<'a> {
    frame: &'a Frame,
    /// The whole plane of the input.
    input: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    /// Laid out as `output`.
    addend: Option<&'a [f32]>,
    bounds: [f32; 2],
    /// The first row of `output`.
    row: usize,
    output: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.of_form::<S, 1>(simd),
            8 => self.of_form::<S, 2>(simd),
            4 => self.of_form::<S, 4>(simd),
            _ => self.of_form::<S, 16>(simd),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn of_form<S: Simd, const VECTORS: usize>(self, simd: S) {
        let Frame {
            kernel,
            strides,
            dilations,
            ..
        } = *self.frame;
        match (kernel[1], strides[1], dilations[1]) {
            (3, 1, 1) => simd.vectorize(Form::<VECTORS, 3, 1>(self)),
            (3, 2, 1) => simd.vectorize(Form::<VECTORS, 3, 2>(self)),
            (5, 1, 1) => simd.vectorize(Form::<VECTORS, 5, 1>(self)),
            (5, 2, 1) => simd.vectorize(Form::<VECTORS, 5, 2>(self)),
            (7, 1, 1) => simd.vectorize(Form::<VECTORS, 7, 1>(self)),
            _ => simd.vectorize(Form::<VECTORS, 0, 0>(self)),
        }
    }

    /// One pixel, wherever its kernel reaches; `under` are its elements on input rows, and the first of those.
    #[inline(always)]
    fn pixel<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        under: (Range<usize>, usize),
    ) {
        let frame = self.frame;
        let (rows, top) = under;
        let (columns, left) = frame.inside(1, column);
        let mut sums: [S::f32s; VECTORS] = vectors::<S, VECTORS>(self.bias);
        let rows = if columns.is_empty() { 0..0 } else { rows };
        for (y, ky) in rows.enumerate() {
            let line = (top + y * frame.dilations[0]) * frame.size[1] + left;
            let input = S::as_simd_f32s(&self.input[line * BLOCK..]).0;
            let input = input.as_chunks::<VECTORS>().0;
            let weights = &self.weights[(ky * frame.kernel[1] + columns.start) * BLOCK..];
            let weights = S::as_simd_f32s(&weights[..columns.len() * BLOCK]).0;
            for (x, weights) in weights.as_chunks::<VECTORS>().0.iter().enumerate() {
                let input = &input[x * frame.dilations[1]];
                for at in 0..VECTORS {
                    sums[at] = simd.mul_add_e_f32s(input[at], weights[at], sums[at]);
                }
            }
        }
        self.store::<S, VECTORS>(simd, row, column, sums);
    }

    /// `PIXELS` neighbours from `column` on, none of whose kernels reaches past a side; `under` as for `pixel`.
    #[inline(always)]
    fn tile<
        S: Simd,
        const VECTORS: usize,
        const PIXELS: usize,
        const KERNEL: usize,
        const STRIDE: usize,
    >(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        under: (Range<usize>, usize),
    ) {
        let frame = self.frame;
        let (rows, top) = under;
        let left = column * STRIDE - frame.pads[1];
        let mut sums = [vectors::<S, VECTORS>(self.bias); PIXELS];
        for (y, ky) in rows.enumerate() {
            let y = top + y * frame.dilations[0];
            let input = &self.input[(y * frame.size[1] + left) * BLOCK..];
            let input = &input[..((PIXELS - 1) * STRIDE + KERNEL) * BLOCK];
            let weights = &self.weights[ky * KERNEL * BLOCK..][..KERNEL * BLOCK];
            for kx in 0..KERNEL {
                let weights = vectors::<S, VECTORS>(&weights[kx * BLOCK..]);
                for pixel in 0..PIXELS {
                    let input = vectors::<S, VECTORS>(&input[(pixel * STRIDE + kx) * BLOCK..]);
                    for at in 0..VECTORS {
                        sums[pixel][at] =
                            simd.mul_add_e_f32s(input[at], weights[at], sums[pixel][at]);
                    }
                }
            }
        }
        for (pixel, sums) in sums.into_iter().enumerate() {
            self.store::<S, VECTORS>(simd, row, column + pixel, sums);
        }
    }

    #[inline(always)]
    fn store<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        mut sums: [S::f32s; VECTORS],
    ) {
        let place = ((row - self.row) * self.frame.out[1] + column) * BLOCK;
        if let Some(addend) = self.addend {
            let addend = vectors::<S, VECTORS>(&addend[place..]);
            for at in 0..VECTORS {
                sums[at] = simd.add_f32s(sums[at], addend[at]);
            }
        }
        let bounds = splat_both(simd, self.bounds);
        let output = S::as_mut_simd_f32s(&mut self.output[place..][..BLOCK]).0;
        for at in 0..VECTORS {
            output[at] = bound(simd, sums[at], bounds);
        }
    }
}

/// A kernel of this width and stride; 0 for any.
struct Form<'a, const VECTORS: usize, const KERNEL: usize, const STRIDE: usize>(Rows<'a>);

impl<const VECTORS: usize, const KERNEL: usize, const STRIDE: usize> WithSimd
    for Form<'_, VECTORS, KERNEL, STRIDE>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut rows = self.0;
        let width = rows.frame.out[1];
        let whole = if KERNEL == 0 {
            0..0
        } else {
            rows.frame.whole(1)
        };
        let count = rows.output.len() / BLOCK / width;
        for row in rows.row..rows.row + count {
            let under = rows.frame.inside(0, row);
            for column in (0..whole.start).chain(whole.end..width) {
                rows.pixel::<S, VECTORS>(simd, row, column, under.clone());
            }
            let mut column = whole.start;
            if VECTORS == 1 {
                while column + 8 <= whole.end {
                    rows.tile::<S, VECTORS, 8, KERNEL, STRIDE>(simd, row, column, under.clone());
                    column += 8;
                }
            }
            if VECTORS <= 4 {
                while column + 4 <= whole.end {
                    rows.tile::<S, VECTORS, 4, KERNEL, STRIDE>(simd, row, column, under.clone());
                    column += 4;
                }
            }
            for column in column..whole.end {
                rows.tile::<S, VECTORS, 1, KERNEL, STRIDE>(simd, row, column, under.clone());
            }
        }
    }
}

/// A pixel of one block, as vectors.
#[inline(always)]
pub(crate) fn vectors<S: Simd, const VECTORS: usize>(numbers: &[f32]) -> [S::f32s; VECTORS] {
    S::as_simd_f32s(&numbers[..BLOCK])
        .0
        .as_chunks::<VECTORS>()
        .0[0]
}
