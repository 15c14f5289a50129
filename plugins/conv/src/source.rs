//! The input as a kernel wants it: every tap a fixed distance from its pixel.
//!
//! A kernel computes neighbouring pixels of a row together. Where padding or a
//! stride would make their inputs irregular, the image is first copied: rows and
//! columns that one kernel element sees become neighbours, and padding becomes zeros. The copy
//! costs about a hundredth of the convolution and spares it every branch.

use std::iter::repeat_n;
use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::geometry::Geometry;

/// Neighbours in a copied image: padding, input positions a stride apart, padding.
#[derive(Debug)]
struct Run {
    before: usize,
    /// The first input position.
    source: usize,
    len: usize,
    after: usize,
}

/// Positions along one axis of a copied image.
#[derive(Debug)]
struct Axis {
    runs: Vec<Run>,
    extent: usize,
    stride: usize,
    /// Where each kernel element finds the input of output 0; output 1 is next to it.
    taps: Vec<usize>,
}

impl Axis {
    /// `None` if the axis would hold more than `limit` positions.
    fn new(
        geometry: &Geometry,
        axis: usize,
        input: usize,
        output: usize,
        limit: usize,
    ) -> Option<Self> {
        let (kernel, stride) = (geometry.kernel[axis], geometry.strides[axis]);
        let (dilation, pad) = (geometry.dilations[axis], geometry.pads[axis]);
        // Elements whose distances differ by a multiple of the stride share positions.
        let phase = |element: &usize| element * dilation % stride;
        let mut elements: Vec<usize> = (0..kernel).collect();
        elements.sort_by_key(phase);
        let (mut runs, mut extent, mut taps) = (Vec::new(), 0, vec![0; kernel]);
        for elements in elements.chunk_by(|a, b| phase(a) == phase(b)) {
            let [first, last] = [elements[0], elements[elements.len() - 1]];
            for element in elements {
                taps[*element] = extent + (element - first) * dilation / stride;
            }
            let positions = output + (last - first) * dilation / stride;
            let start = first * dilation;
            let before = pad.saturating_sub(start).div_ceil(stride).min(positions);
            let end = (pad + input).saturating_sub(start).div_ceil(stride);
            let end = end.clamp(before, positions);
            extent += positions;
            if extent > limit {
                return None;
            }
            runs.push(Run {
                before,
                source: (start + before * stride).saturating_sub(pad),
                len: end - before,
                after: positions - end,
            });
        }
        Some(Self {
            runs,
            extent,
            stride,
            taps,
        })
    }

    /// The input position held by each copied one; `None` is padding.
    fn sources(&self) -> impl Iterator<Item = Option<usize>> {
        self.runs.iter().flat_map(|run| {
            let inside = (0..run.len).map(|at| Some(run.source + at * self.stride));
            let (before, after) = (repeat_n(None, run.before), repeat_n(None, run.after));
            before.chain(inside).chain(after)
        })
    }

    /// Copies a row along this axis.
    fn copy<const LANES: usize>(&self, from: &[[f32; LANES]], to: &mut [[f32; LANES]]) {
        let mut to = to;
        for run in &self.runs {
            let (before, rest) = to.split_at_mut(run.before);
            let (inside, rest) = rest.split_at_mut(run.len);
            let (after, rest) = rest.split_at_mut(run.after);
            before.fill([0.0; LANES]);
            after.fill([0.0; LANES]);
            to = rest;
            if run.len == 0 {
                continue;
            }
            let from = &from[run.source..=run.source + (run.len - 1) * self.stride];
            match self.stride {
                1 => inside.copy_from_slice(from),
                // Numbers that lie two apart are gathered by shuffles.
                2 => {
                    let (pairs, last) = from.as_chunks::<2>();
                    for (to, [from, _]) in inside.iter_mut().zip(pairs) {
                        *to = *from;
                    }
                    inside[pairs.len()..].copy_from_slice(last);
                }
                stride => {
                    for (to, from) in inside.iter_mut().zip(from.iter().step_by(stride)) {
                        *to = *from;
                    }
                }
            }
        }
    }
}

/// How an image is read by a kernel.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The axes of a copy; `None` where the image serves as it is.
    copy: Option<[Axis; 2]>,
    /// Numbers in a plane.
    pub(crate) plane: usize,
    /// Numbers from one output row's inputs to the next one's.
    pub(crate) row: usize,
    /// Where each kernel element finds its input, in numbers.
    pub(crate) taps: Vec<usize>,
}

impl Plan {
    /// `lanes` numbers make a pixel of a plane. `None` where a copy would need more than `limit` pixels.
    pub(crate) fn new(
        geometry: &Geometry,
        size: [usize; 2],
        out: [usize; 2],
        lanes: usize,
        limit: usize,
    ) -> Option<Self> {
        if geometry.pads == [0; 4] && geometry.strides == [1, 1] {
            let dilations = geometry.dilations;
            let taps = [0, 1].map(|axis| {
                (0..geometry.kernel[axis])
                    .map(|at| at * dilations[axis])
                    .collect()
            });
            return Some(Self::of(None, size, &taps, lanes));
        }
        let rows = Axis::new(geometry, 0, size[0], out[0], limit)?;
        let columns = Axis::new(geometry, 1, size[1], out[1], limit / rows.extent)?;
        let extents = [rows.extent, columns.extent];
        let taps = [rows.taps.clone(), columns.taps.clone()];
        Some(Self::of(Some([rows, columns]), extents, &taps, lanes))
    }

    fn of(
        copy: Option<[Axis; 2]>,
        [height, width]: [usize; 2],
        taps: &[Vec<usize>; 2],
        lanes: usize,
    ) -> Self {
        let each = |y: &usize| {
            let row = y * width;
            taps[1].iter().map(move |x| (row + x) * lanes)
        };
        Self {
            copy,
            plane: height * width * lanes,
            row: width * lanes,
            taps: taps[0].iter().flat_map(each).collect(),
        }
    }

    /// Whether `fill` has to be called, and `planes * self.plane` numbers are needed for it.
    pub(crate) fn copies(&self) -> bool {
        self.copy.is_some()
    }

    /// Copies one image's planes of `size` pixels.
    pub(crate) fn fill<const LANES: usize>(
        &self,
        input: &[f32],
        size: [usize; 2],
        copy: &mut [f32],
        parallel: bool,
    ) {
        let Some([rows, columns]) = &self.copy else {
            return;
        };
        let each = |(plane, target): (usize, &mut [f32])| {
            let pixels = size[0] * size[1] * LANES;
            let image = input[plane * pixels..][..pixels].as_chunks::<LANES>().0;
            let targets = target.as_chunks_mut::<LANES>().0;
            let targets = targets.chunks_exact_mut(columns.extent);
            for (source, target) in rows.sources().zip(targets) {
                match source {
                    Some(row) => columns.copy(&image[row * size[1]..][..size[1]], target),
                    None => target.fill([0.0; LANES]),
                }
            }
        };
        if parallel {
            copy.par_chunks_exact_mut(self.plane)
                .enumerate()
                .for_each(each);
        } else {
            copy.chunks_exact_mut(self.plane).enumerate().for_each(each);
        }
    }
}

/// Cuts `0..extent` into ranges of about `size`, of nearly equal length.
pub(crate) fn cut(extent: usize, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let pieces = extent.div_ceil(size.max(1));
    (0..pieces).map(move |at| at * extent / pieces..(at + 1) * extent / pieces)
}
