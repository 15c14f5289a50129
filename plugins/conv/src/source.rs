//! The input as a kernel wants it: every tap a fixed distance from its pixel.
//!
//! A kernel computes neighbouring pixels of a row together. Where padding or a
//! stride would make their inputs irregular, the image is first copied: rows and
//! columns that one kernel element sees become neighbours, and padding becomes zeros. The copy
//! costs about a hundredth of the convolution and spares it every branch.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::geometry::Geometry;

/// Positions along one axis of a copied image.
#[derive(Debug)]
struct Axis {
    /// The input position held by each copied one; `None` is padding.
    sources: Vec<Option<usize>>,
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
        let (mut sources, mut taps) = (Vec::new(), vec![0; kernel]);
        for elements in elements.chunk_by(|a, b| phase(a) == phase(b)) {
            let [first, last] = [elements[0], elements[elements.len() - 1]];
            for element in elements {
                taps[*element] = sources.len() + (element - first) * dilation / stride;
            }
            let extent = output + (last - first) * dilation / stride;
            if extent > limit.saturating_sub(sources.len()) {
                return None;
            }
            sources.extend((0..extent).map(|at| {
                let position = (at * stride + first * dilation).checked_sub(pad)?;
                (position < input).then_some(position)
            }));
        }
        Some(Self { sources, taps })
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
        let columns = Axis::new(geometry, 1, size[1], out[1], limit / rows.sources.len())?;
        let extents = [rows.sources.len(), columns.sources.len()];
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
            let runs = Runs(&columns.sources);
            for (source, target) in rows
                .sources
                .iter()
                .zip(targets.chunks_exact_mut(columns.sources.len()))
            {
                match source {
                    Some(row) => runs.copy(&image[row * size[1]..][..size[1]], target),
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

/// The sources of a row.
struct Runs<'a>(&'a [Option<usize>]);

impl Runs<'_> {
    fn copy<T: Copy + Default, const LANES: usize>(
        &self,
        from: &[[T; LANES]],
        to: &mut [[T; LANES]],
    ) where
        [T; LANES]: Copy,
    {
        for (source, target) in self.0.iter().zip(to) {
            *target = match source {
                Some(column) => from[*column],
                None => [T::default(); LANES],
            };
        }
    }
}

/// Cuts `0..extent` into ranges of about `size`, of nearly equal length.
pub(crate) fn cut(extent: usize, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let pieces = extent.div_ceil(size.max(1));
    (0..pieces).map(move |at| at * extent / pieces..(at + 1) * extent / pieces)
}
