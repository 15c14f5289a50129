//! Convolutions whose sums run over many channels: dense, pointwise, grouped by blocks.
//!
//! The output is cut into cells whose input fits the second-level cache; within a cell
//! one bundle of output channels after the other passes over it. The sums of very
//! many channels are taken in several rounds, so that a round's weights stay there too.

use std::cell::Cell;
use std::ops::Range;

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::activation::Activation;
use crate::geometry::Geometry;
use crate::layout::BLOCK;
use crate::loops;
use crate::packing::{Bundle, Packed};
use crate::source::{Plan, cut};
use crate::strip::Unit;

/// Numbers of input that a cell reads: half of a usual second-level cache.
const CELL: usize = 128 << 10;

/// Numbers of weights that one round reads.
const ROUND: usize = 160 << 10;

/// Pixels of a cell are a multiple of this, the widest tile, where they are cut from a row.
const TILE: usize = 14;

/// Fewest multiplications worth waking other threads for, about 50 µs of work.
const PARALLEL: usize = 2 << 20;

thread_local! {
    /// The copy of an image, kept from call to call.
    static COPY: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Numbers of a copy worth keeping.
const KEPT: usize = 4 << 20;

/// How many times the numbers that go in and out a copy may hold, and what is always allowed.
const COPIES: usize = 4;
const FREE: usize = 1 << 16;

/// One call, checked.
pub(crate) struct Call<'a> {
    pub(crate) geometry: &'a Geometry,
    pub(crate) packed: &'a Packed,
    pub(crate) size: [usize; 2],
    pub(crate) out: [usize; 2],
    pub(crate) input: &'a [f32],
    pub(crate) batch: usize,
    pub(crate) addend: Option<&'a [f32]>,
    pub(crate) activation: Activation,
}

impl Call<'_> {
    /// Computes the output; `LANES` numbers make a pixel of an input plane.
    pub(crate) fn run<const LANES: usize>(&self, output: &mut [f32], pool: Option<&ThreadPool>) {
        if output.is_empty() {
            return;
        }
        let pixels = (self.input.len() + output.len()) / self.batch / LANES;
        let limit = COPIES * pixels / self.packed.planes.max(1) + FREE;
        let Some(plan) = &Plan::new(self.geometry, self.size, self.out, LANES, limit) else {
            return loops::run::<LANES>(self, output);
        };
        let pixels = self.batch.saturating_mul(self.out[0] * self.out[1]);
        let work = pixels.saturating_mul(self.packed.weights.get().len());
        match pool {
            Some(pool) if pool.current_num_threads() > 1 && work >= PARALLEL => {
                pool.install(|| self.images::<LANES>(plan, output, pool.current_num_threads()));
            }
            _ => self.images::<LANES>(plan, output, 1),
        }
    }

    /// The input position along `axis` under an element of the kernel; `None` in the padding.
    pub(crate) fn under(&self, axis: usize, at: usize, element: usize) -> Option<usize> {
        let geometry = self.geometry;
        let position = at * geometry.strides[axis] + element * geometry.dilations[axis];
        position
            .checked_sub(geometry.pads[axis])
            .filter(|at| *at < self.size[axis])
    }

    fn images<const LANES: usize>(&self, plan: &Plan, output: &mut [f32], threads: usize) {
        let inputs = self.input.chunks_exact(self.input.len() / self.batch);
        let len = output.len() / self.batch;
        for (at, (input, output)) in inputs.zip(output.chunks_exact_mut(len)).enumerate() {
            let addend = self.addend.map(|addend| &addend[at * len..][..len]);
            if !plan.copies() {
                self.image::<LANES>(plan, input, addend, output, threads);
                continue;
            }
            let mut copy = COPY.take();
            let needed = input.len() / (self.size[0] * self.size[1] * LANES) * plan.plane;
            if copy.len() < needed {
                copy.resize(needed, 0.0);
            }
            plan.fill::<LANES>(input, self.size, &mut copy[..needed], threads > 1);
            self.image::<LANES>(plan, &copy[..needed], addend, output, threads);
            if copy.len() <= KEPT {
                COPY.set(copy);
            }
        }
    }

    fn image<const LANES: usize>(
        &self,
        plan: &Plan,
        source: &[f32],
        addend: Option<&[f32]>,
        output: &mut [f32],
        threads: usize,
    ) {
        let mut parts = self.parts(plan, addend, output, threads);
        if threads > 1 {
            parts
                .into_par_iter()
                .for_each(|mut part| self.part::<LANES>(plan, source, &mut part));
        } else {
            for part in &mut parts {
                self.part::<LANES>(plan, source, part);
            }
        }
    }

    /// The output of one image cut into cells and bundles, cell after cell.
    fn parts<'a>(
        &'a self,
        plan: &Plan,
        addend: Option<&'a [f32]>,
        output: &'a mut [f32],
        threads: usize,
    ) -> Vec<Part<'a>> {
        let [height, width] = self.out;
        let bundles = &self.packed.bundles;
        // Pointwise and unpadded, an image is one long row.
        let row = height == 1 || (plan.taps.len() == 1 && !plan.copies());
        let (extent, pixels) = if row {
            (height * width, 1)
        } else {
            (height, width)
        };
        let per_step = pixels * self.packed.planes * self.packed.lanes[0];
        let mut steps = (CELL / per_step.max(1)).max(1);
        if threads > 1 {
            // Enough parts for every thread to get a fair share.
            let cells = (4 * threads).div_ceil(bundles.len());
            steps = steps.min(extent.div_ceil(cells));
        }
        if row {
            steps = steps.next_multiple_of(TILE);
        }
        let area = height * width;
        let mut parts = Vec::with_capacity(cut(extent, steps).count() * bundles.len());
        let mut rest = output;
        let mut addend = addend;
        for bundle in bundles {
            let now;
            (now, rest) = rest.split_at_mut(bundle.blocks * area * BLOCK);
            let (mut first, mut second) = now.split_at_mut(area * BLOCK);
            let mut addends = addend.map(|all| {
                let (now, rest) = all.split_at(bundle.blocks * area * BLOCK);
                addend = Some(rest);
                now.split_at(area * BLOCK)
            });
            for steps in cut(extent, steps) {
                let len = steps.len() * pixels * BLOCK;
                let output;
                (output, first) = first.split_at_mut(len);
                let also;
                (also, second) = second.split_at_mut(len.min(second.len()));
                let addend = addends.map(|(first, second)| {
                    let (now, first) = first.split_at(len);
                    let (also, second) = second.split_at(len.min(second.len()));
                    addends = Some((first, second));
                    [now, also]
                });
                let (rows, columns) = if row {
                    (0..1, steps)
                } else {
                    (steps, 0..width)
                };
                parts.push(Part {
                    bundle,
                    rows,
                    columns,
                    output: [output, also],
                    addend,
                });
            }
        }
        parts.sort_by_key(|part| (part.rows.start, part.columns.start));
        parts
    }

    fn part<const LANES: usize>(&self, plan: &Plan, source: &[f32], part: &mut Part) {
        let bundle = part.bundle;
        let packed = self.packed;
        let width = bundle.blocks * BLOCK;
        let plane = packed.lanes[0] * plan.taps.len() * width;
        let planes = (ROUND / plane).max(1);
        let all = (packed.planes - 1) * plane + packed.lanes[1] * plan.taps.len() * width;
        let weights = &packed.weights.get()[bundle.weights..][..all];
        let unbound = [f32::NEG_INFINITY, f32::INFINITY];
        for planes in cut(packed.planes, planes) {
            let (first, last) = (planes.start == 0, planes.end == packed.planes);
            let [output, also] = &mut part.output;
            let mut unit = Unit {
                source,
                origin: bundle.plane * plan.plane
                    + part.rows.start * plan.row
                    + part.columns.start * LANES,
                row: plan.row,
                plane: plan.plane,
                lanes: packed.lanes,
                all_planes: packed.planes,
                taps: &plan.taps,
                weights: &weights[planes.start * plane..all.min(planes.end * plane)],
                bias: first.then(|| &packed.bias[bundle.block * BLOCK..][..width]),
                addend: part.addend.filter(|_| last),
                bounds: if last {
                    self.activation.bounds().unwrap_or(unbound)
                } else {
                    unbound
                },
                output: [output, also],
                blocks: bundle.blocks,
                rows: part.rows.len(),
                columns: part.columns.len(),
                planes,
            };
            unit.run::<LANES>(self.packed.arch);
        }
        if self.activation.bounds().is_none() {
            for output in &mut part.output {
                self.activation.apply_all(self.packed.arch, output);
            }
        }
    }
}

/// Some rows, or a part of the only row, of one bundle's output.
struct Part<'a> {
    bundle: &'a Bundle,
    rows: Range<usize>,
    columns: Range<usize>,
    output: [&'a mut [f32]; 2],
    addend: Option<[&'a [f32]; 2]>,
}
