//! The innermost kernel: the sums of a few neighbouring pixels in registers.
//!
//! For every input channel of every tap, a tile multiplies one number of each of its
//! pixels by a row of weights, one for each output channel. With sixteen lanes a tile is
//! 14 pixels by two blocks, 28 sums for 16 loads, and needs 31 of the 32 registers.
//!
//! Loops count: adapters of iterators are calls unless the linker optimises, and
//! a call in here empties the registers.

#![expect(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "see above"
)]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::layout::BLOCK;

/// A part of the output of one bundle: some rows, or a part of one row.
pub(crate) struct Unit<'a> {
    /// One image, or its copy.
    pub(crate) source: &'a [f32],
    /// Where the input of the first pixel's first tap lies.
    pub(crate) origin: usize,
    /// Numbers from one row's input to the next one's.
    pub(crate) row: usize,
    /// Numbers in an input plane.
    pub(crate) plane: usize,
    /// Input planes to sum over.
    pub(crate) planes: Range<usize>,
    /// Channels in every input plane but the last, and in the last.
    pub(crate) lanes: [usize; 2],
    /// All input planes of the bundle.
    pub(crate) all_planes: usize,
    pub(crate) taps: &'a [usize],
    /// Weights of `planes`.
    pub(crate) weights: &'a [f32],
    /// What sums begin with; without it they begin with what `output` holds.
    pub(crate) bias: Option<&'a [f32]>,
    /// Blocked pixels of each output block; the second is empty where there is one block.
    pub(crate) output: [&'a mut [f32]; 2],
    /// What is added at the end, laid out as `output`.
    pub(crate) addend: Option<[&'a [f32]; 2]>,
    /// Bounds of what is stored.
    pub(crate) bounds: [f32; 2],
    pub(crate) blocks: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Unit<'_> {
    /// Computes the unit; `STEP` numbers make a pixel of an input plane.
    pub(crate) fn run<const STEP: usize>(&mut self, arch: Arch) {
        arch.dispatch(Tiles::<STEP>(self));
    }
}

struct Tiles<'a, 'b, const STEP: usize>(&'a mut Unit<'b>);

impl<const STEP: usize> WithSimd for Tiles<'_, '_, STEP> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let unit = self.0;
        let most = match S::F32_LANES {
            16 => 14,
            4 | 8 => 6,
            _ => 1,
        };
        // Tiles of nearly equal width: 15 pixels are 8 and 7, not 14 and 1.
        let tiles = unit.columns.div_ceil(most);
        let (width, wider) = (unit.columns / tiles, unit.columns % tiles);
        strip::<S, STEP>(simd, unit, 0, wider, width + 1);
        strip::<S, STEP>(simd, unit, wider * (width + 1), tiles - wider, width);
    }
}

/// `count` tiles of `width` pixels in every row, from column `first` on.
#[inline(always)]
fn strip<S: Simd, const STEP: usize>(
    simd: S,
    unit: &mut Unit,
    first: usize,
    count: usize,
    width: usize,
) {
    if count == 0 {
        return;
    }
    macro_rules! of_width {
        ($($pixels:literal)*) => {
            match width {
                $($pixels => simd.vectorize(Strip::<$pixels, STEP> { unit, first, count }),)*
                _ => unreachable!("a tile of {width} pixels"),
            }
        };
    }
    match S::F32_LANES {
        16 => of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        4 | 8 => of_width!(1 2 3 4 5 6),
        _ => of_width!(1),
    }
}

struct Strip<'a, 'b, const PIXELS: usize, const STEP: usize> {
    unit: &'a mut Unit<'b>,
    first: usize,
    count: usize,
}

impl<const PIXELS: usize, const STEP: usize> WithSimd for Strip<'_, '_, PIXELS, STEP> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, self.unit.blocks) {
            (16, 2) => self.tiles::<S, 2>(simd),
            (16, _) => self.tiles::<S, 1>(simd),
            (8, _) => self.tiles::<S, 2>(simd),
            (4, _) => self.tiles::<S, 4>(simd),
            _ => self.tiles::<S, 16>(simd),
        }
    }
}

impl<const PIXELS: usize, const STEP: usize> Strip<'_, '_, PIXELS, STEP> {
    #[inline(always)]
    fn tiles<S: Simd, const VECTORS: usize>(self, simd: S) {
        let unit = self.unit;
        for row in 0..unit.rows {
            for tile in 0..self.count {
                let column = self.first + tile * PIXELS;
                let base = unit.origin + row * unit.row + column * STEP;
                let pixel = row * unit.columns + column;
                let mut sums = begin::<S, PIXELS, VECTORS>(simd, unit, pixel);
                accumulate::<S, PIXELS, VECTORS, STEP>(simd, unit, base, &mut sums);
                finish::<S, PIXELS, VECTORS>(simd, unit, pixel, sums);
            }
        }
    }
}

#[inline(always)]
fn begin<S: Simd, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    unit: &Unit,
    pixel: usize,
) -> [[S::f32s; VECTORS]; PIXELS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PIXELS];
    let together = BLOCK / S::F32_LANES;
    if let Some(bias) = unit.bias {
        let bias = &S::as_simd_f32s(bias).0[..VECTORS];
        for pixel in 0..PIXELS {
            for vector in 0..VECTORS {
                sums[pixel][vector] = bias[vector];
            }
        }
    } else {
        for block in 0..VECTORS.div_ceil(together) {
            let old = &unit.output[block][pixel * BLOCK..][..PIXELS * BLOCK];
            let old = &S::as_simd_f32s(old).0[..PIXELS * together];
            for pixel in 0..PIXELS {
                for at in 0..together {
                    sums[pixel][block * together + at] = old[pixel * together + at];
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn accumulate<S: Simd, const PIXELS: usize, const VECTORS: usize, const STEP: usize>(
    simd: S,
    unit: &Unit,
    base: usize,
    sums: &mut [[S::f32s; VECTORS]; PIXELS],
) {
    let mut local = *sums;
    let mut weights = S::as_simd_f32s(unit.weights).0.as_chunks::<VECTORS>().0;
    for plane in unit.planes.start..unit.planes.end {
        let lanes = unit.lanes[usize::from(plane + 1 == unit.all_planes)].min(STEP);
        let plane = base + plane * unit.plane;
        for tap in unit.taps {
            let pixels = &unit.source[plane + tap..][..PIXELS * STEP];
            let now = &weights[..lanes];
            weights = &weights[lanes..];
            for lane in 0..lanes {
                for pixel in 0..PIXELS {
                    let value = simd.splat_f32s(pixels[pixel * STEP + lane]);
                    for vector in 0..VECTORS {
                        let sum = local[pixel][vector];
                        local[pixel][vector] = simd.mul_add_e_f32s(value, now[lane][vector], sum);
                    }
                }
            }
        }
    }
    *sums = local;
}

#[inline(always)]
fn finish<S: Simd, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    unit: &mut Unit,
    pixel: usize,
    mut sums: [[S::f32s; VECTORS]; PIXELS],
) {
    let together = BLOCK / S::F32_LANES;
    let bounds = splat_both(simd, unit.bounds);
    for block in 0..VECTORS.div_ceil(together) {
        if let Some(addend) = unit.addend {
            let addend = &addend[block][pixel * BLOCK..][..PIXELS * BLOCK];
            let addend = &S::as_simd_f32s(addend).0[..PIXELS * together];
            for pixel in 0..PIXELS {
                for at in 0..together {
                    let sum = &mut sums[pixel][block * together + at];
                    *sum = simd.add_f32s(*sum, addend[pixel * together + at]);
                }
            }
        }
        let output = &mut unit.output[block][pixel * BLOCK..][..PIXELS * BLOCK];
        let output = &mut S::as_mut_simd_f32s(output).0[..PIXELS * together];
        for pixel in 0..PIXELS {
            for at in 0..together {
                let sum = sums[pixel][block * together + at];
                output[pixel * together + at] = bound(simd, sum, bounds);
            }
        }
    }
}

/// Two numbers as vectors. Not `map`, which is a call where the machine is not the least of its family.
#[inline(always)]
pub(crate) fn splat_both<S: Simd>(simd: S, [a, b]: [f32; 2]) -> [S::f32s; 2] {
    [simd.splat_f32s(a), simd.splat_f32s(b)]
}

/// Keeps `x` within bounds; what is no number stays none.
#[inline(always)]
pub(crate) fn bound<S: Simd>(simd: S, x: S::f32s, [low, high]: [S::f32s; 2]) -> S::f32s {
    if S::F32_LANES == 1 {
        let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
        return simd.select_f32s(simd.greater_than_f32s(x, high), high, x);
    }
    // The second operand comes back where the two cannot be compared.
    simd.min_f32s(high, simd.max_f32s(low, x))
}
