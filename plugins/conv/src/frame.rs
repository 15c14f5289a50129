//! Windows that stay in the image: which elements of a kernel lie on the input.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::geometry::{Geometry, Window};
use crate::layout::BLOCK;

/// Fewest numbers read under windows that are worth waking other threads for.
const PARALLEL: usize = 1 << 20;

/// A kernel, an image and what they make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    pub(crate) pads: [usize; 4],
    pub(crate) size: [usize; 2],
    pub(crate) out: [usize; 2],
}

impl Frame {
    pub(crate) fn of(geometry: &Geometry, size: [usize; 2], out: [usize; 2]) -> Self {
        let Geometry {
            kernel,
            strides,
            dilations,
            pads,
            ..
        } = *geometry;
        Self {
            kernel,
            strides,
            dilations,
            pads,
            size,
            out,
        }
    }

    pub(crate) fn of_window(window: &Window, size: [usize; 2], out: [usize; 2]) -> Self {
        let Window {
            kernel,
            strides,
            dilations,
            pads,
            ..
        } = *window;
        Self {
            kernel,
            strides,
            dilations,
            pads,
            size,
            out,
        }
    }

    /// The elements of the kernel that lie on the input at output `at`, and where the first of them lies.
    #[inline(always)]
    pub(crate) fn inside(&self, axis: usize, at: usize) -> (Range<usize>, usize) {
        let (dilation, pad) = (self.dilations[axis], self.pads[axis]);
        let start = at * self.strides[axis];
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let reach = (pad + self.size[axis])
            .saturating_sub(start)
            .div_ceil(dilation);
        let last = reach.min(self.kernel[axis]);
        (
            first.min(last)..last,
            (start + first * dilation).saturating_sub(pad),
        )
    }

    /// How many elements of the kernel lie on the input or its padding at output `at`.
    #[inline(always)]
    pub(crate) fn padded(&self, axis: usize, at: usize) -> usize {
        let padded = self.pads[axis] + self.size[axis] + self.pads[axis + 2];
        let reach = padded.saturating_sub(at * self.strides[axis]);
        reach.div_ceil(self.dilations[axis]).min(self.kernel[axis])
    }

    /// The outputs along `axis` whose whole kernel lies on the input.
    pub(crate) fn whole(&self, axis: usize) -> Range<usize> {
        let (stride, pad, out) = (self.strides[axis], self.pads[axis], self.out[axis]);
        let reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
        let first = pad.div_ceil(stride).min(out);
        let end = (pad + self.size[axis])
            .checked_sub(reach)
            .map_or(0, |last| (last / stride + 1).min(out));
        first..end.max(first)
    }

    /// Calls `compute` for rows of every plane of `output`: plane, first row, the rows.
    pub(crate) fn each_rows(
        &self,
        output: &mut [f32],
        pool: Option<&ThreadPool>,
        compute: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) {
        let [height, width] = self.out;
        if output.is_empty() {
            return;
        }
        let area = height * width * BLOCK;
        let work = output.len().saturating_mul(self.kernel[0] * self.kernel[1]);
        match pool {
            Some(pool) if pool.current_num_threads() > 1 && work >= PARALLEL => {
                let pieces = (4 * pool.current_num_threads()).div_ceil(output.len() / area);
                let rows = height.div_ceil(pieces);
                pool.install(|| {
                    output
                        .par_chunks_exact_mut(area)
                        .enumerate()
                        .for_each(|(plane, output)| {
                            let parts = output.par_chunks_mut(rows * width * BLOCK).enumerate();
                            parts.for_each(|(at, output)| compute(plane, at * rows, output));
                        });
                });
            }
            _ => {
                for (plane, output) in output.chunks_exact_mut(area).enumerate() {
                    compute(plane, 0, output);
                }
            }
        }
    }
}
