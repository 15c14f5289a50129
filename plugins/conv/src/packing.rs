//! Weights in the order in which a kernel reads them.
//!
//! Output channels go in bundles of as many blocks as a kernel's registers hold;
//! inside a bundle weights lie `[plane][tap][lane][output channel]`, so a kernel
//! reads them front to back, once for each tile of pixels.

use pulp::{Arch, Simd, WithSimd};

use crate::geometry::Geometry;
use crate::layout::BLOCK;

/// Numbers whose first lies on a cache line, so that no vector of them crosses two.
#[derive(Debug)]
pub(crate) struct Aligned {
    numbers: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let numbers = vec![0.0_f32; len + BLOCK];
        let start = numbers.as_ptr().align_offset(64).min(BLOCK);
        Self {
            numbers,
            start,
            len,
        }
    }

    pub(crate) fn get(&self) -> &[f32] {
        &self.numbers[self.start..][..self.len]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..][..self.len]
    }
}

/// Output blocks that one pass over the input computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bundle {
    /// The first of them.
    pub(crate) block: usize,
    /// How many: 1 or 2.
    pub(crate) blocks: usize,
    /// The first input plane that they see.
    pub(crate) plane: usize,
    /// Where their weights begin.
    pub(crate) weights: usize,
}

/// Packed weights of a convolution whose sums run over several channels.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Whose registers decided about the bundles.
    pub(crate) arch: Arch,
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) weights: Aligned,
    /// Padded to whole blocks; zeros where the model has none.
    pub(crate) bias: Vec<f32>,
    /// Input planes that each bundle sees.
    pub(crate) planes: usize,
    /// Channels in every plane but the last, and in the last.
    pub(crate) lanes: [usize; 2],
}

impl Packed {
    /// `lanes` is how many input channels lie together: 16, or 1 for a plain image.
    ///
    /// Groups are whole blocks, in and out, unless there is one group.
    pub(crate) fn new(
        arch: Arch,
        geometry: &Geometry,
        weights: &[f32],
        bias: Option<&[f32]>,
        lanes: usize,
    ) -> Option<Self> {
        let share = geometry.in_channels / geometry.groups;
        let group_blocks = (geometry.out_channels / geometry.groups).div_ceil(BLOCK);
        let planes = share.div_ceil(lanes);
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let row = share.checked_mul(taps)?.checked_mul(BLOCK)?;
        let blocks = group_blocks.checked_mul(geometry.groups)?;
        let len = row.checked_mul(blocks)?;
        if len > isize::MAX as usize / 8 {
            return None;
        }
        let mut bundles = Vec::new();
        let mut packed = Aligned::zeros(len);
        let mut rest = packed.get_mut();
        for group in 0..geometry.groups {
            for first in (0..group_blocks).step_by(blocks_together(arch)) {
                let bundle = Bundle {
                    block: group * group_blocks + first,
                    blocks: blocks_together(arch).min(group_blocks - first),
                    plane: group * planes,
                    weights: len - rest.len(),
                };
                let place;
                (place, rest) = rest.split_at_mut(row * bundle.blocks);
                pack(place, &bundle, geometry, weights, lanes);
                bundles.push(bundle);
            }
        }
        let mut padded = vec![0.0; blocks * BLOCK];
        if let Some(bias) = bias {
            padded[..bias.len()].copy_from_slice(bias);
        }
        let last = share - (planes - 1) * lanes;
        Some(Self {
            arch,
            bundles,
            weights: packed,
            bias: padded,
            planes,
            lanes: [lanes, last],
        })
    }
}

fn pack(place: &mut [f32], bundle: &Bundle, geometry: &Geometry, weights: &[f32], lanes: usize) {
    let share = geometry.in_channels / geometry.groups;
    let taps = geometry.kernel[0] * geometry.kernel[1];
    let width = bundle.blocks * BLOCK;
    let first = bundle.block * BLOCK;
    for channel in 0..width.min(geometry.out_channels - first) {
        let filter = &weights[(first + channel) * share * taps..][..share * taps];
        for (at, weight) in filter.iter().enumerate() {
            let (c, tap) = (at / taps, at % taps);
            let plane = c / lanes;
            let together = lanes.min(share - plane * lanes);
            let row = plane * lanes * taps + tap * together + c % lanes;
            place[row * width + channel] = *weight;
        }
    }
}

/// Output blocks whose sums fit the registers beside those of enough pixels.
fn blocks_together(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    if arch.dispatch(Lanes) == BLOCK { 2 } else { 1 }
}
