//! The blocked layout: `[N, ceil(C / 16), H, W, 16]`.
//!
//! Sixteen channels of one pixel lie together, so one vector of the widest
//! machine holds them and a kernel never crosses a row to find the next channel.
//! Lanes past the last channel are zeros when written here.

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// Pixels that are taken apart together.
const TOGETHER: usize = 128;

/// Fewest numbers worth waking other threads for, about 50 µs of copying.
const PARALLEL: usize = 1 << 17;

/// Channels that lie together.
pub const BLOCK: usize = 16;

/// Numbers in a blocked image of these extents; `None` where that does not fit in memory.
pub fn blocked_len(batch: usize, channels: usize, size: [usize; 2]) -> Option<usize> {
    let area = size[0].checked_mul(size[1])?;
    let blocks = channels.div_ceil(BLOCK);
    let len = batch
        .checked_mul(blocks)?
        .checked_mul(area)?
        .checked_mul(BLOCK)?;
    (len <= isize::MAX as usize / size_of::<f32>()).then_some(len)
}

/// Numbers in a plain image of these extents; `None` where that does not fit in memory.
pub(crate) fn plain_len(batch: usize, channels: usize, size: [usize; 2]) -> Option<usize> {
    let len = batch
        .checked_mul(channels)?
        .checked_mul(size[0])?
        .checked_mul(size[1])?;
    (len <= isize::MAX as usize / size_of::<f32>()).then_some(len)
}

/// Copies `[N, C, area]` into the blocked layout.
///
/// # Panics
/// Where a slice is not as long as the extents say.
pub fn block(
    plain: &[f32],
    batch: usize,
    channels: usize,
    area: usize,
    output: &mut [f32],
    pool: Option<&ThreadPool>,
) {
    check(plain, output, batch, channels, area);
    if output.is_empty() {
        return;
    }
    let blocks = channels.div_ceil(BLOCK);
    let gather = |(at, pixels): (usize, &mut [f32])| {
        let first = at % blocks * BLOCK;
        let start = (at / blocks * channels + first) * area;
        together(
            &plain[start..][..BLOCK.min(channels - first) * area],
            area,
            pixels,
        );
    };
    match wide(pool, output.len()) {
        Some(pool) => pool.install(|| {
            let pixels = output.par_chunks_exact_mut(BLOCK * area);
            pixels.enumerate().for_each(gather);
        }),
        None => output
            .chunks_exact_mut(BLOCK * area)
            .enumerate()
            .for_each(gather),
    }
}

/// Lays planes of one block together.
fn together(planes: &[f32], area: usize, pixels: &mut [f32]) {
    if area == 1 {
        pixels[..planes.len()].copy_from_slice(planes);
        pixels[planes.len()..].fill(0.0);
        return;
    }
    let rows: [&[f32]; BLOCK] = std::array::from_fn(|lane| {
        let plane = planes.get(lane * area..(lane + 1) * area);
        plane.unwrap_or(&[])
    });
    for (at, pixel) in pixels.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        for lane in 0..BLOCK {
            pixel[lane] = if at < rows[lane].len() {
                rows[lane][at]
            } else {
                0.0
            };
        }
    }
}

/// Copies the blocked layout back into `[N, C, area]`.
///
/// # Panics
/// Where a slice is not as long as the extents say.
pub fn unblock(
    blocked: &[f32],
    batch: usize,
    channels: usize,
    area: usize,
    output: &mut [f32],
    pool: Option<&ThreadPool>,
) {
    check(output, blocked, batch, channels, area);
    if output.is_empty() {
        return;
    }
    let large = wide(pool, output.len());
    let images = output.chunks_exact_mut(channels * area);
    for (image, pixels) in images.zip(blocked.chunks_exact(blocked.len() / batch)) {
        let apart = |(planes, pixels): (&mut [f32], &[f32])| apart(pixels, area, planes);
        match large {
            Some(pool) => pool.install(|| {
                let planes = image.par_chunks_mut(BLOCK * area);
                planes
                    .zip(pixels.par_chunks_exact(BLOCK * area))
                    .for_each(apart);
            }),
            None => {
                let planes = image.chunks_mut(BLOCK * area);
                planes
                    .zip(pixels.chunks_exact(BLOCK * area))
                    .for_each(apart);
            }
        }
    }
}

/// Takes one block apart into planes.
fn apart(pixels: &[f32], area: usize, planes: &mut [f32]) {
    if area == 1 {
        planes.copy_from_slice(&pixels[..planes.len()]);
        return;
    }
    // A few pixels at a time, which stay in the first-level cache for all lanes.
    for (at, pixels) in pixels.as_chunks::<BLOCK>().0.chunks(TOGETHER).enumerate() {
        for (lane, plane) in planes.chunks_exact_mut(area).enumerate() {
            for (value, pixel) in plane[at * TOGETHER..].iter_mut().zip(pixels) {
                *value = pixel[lane];
            }
        }
    }
}

/// The pool, if it has threads to share and there are enough numbers to wake them for.
fn wide(pool: Option<&ThreadPool>, numbers: usize) -> Option<&ThreadPool> {
    pool.filter(|pool| pool.current_num_threads() > 1 && numbers >= PARALLEL)
}

fn check(plain: &[f32], blocked: &[f32], batch: usize, channels: usize, area: usize) {
    let expected = batch
        .checked_mul(channels)
        .and_then(|n| n.checked_mul(area));
    assert_eq!(Some(plain.len()), expected, "length of the plain image");
    let expected = blocked_len(batch, channels, [area, 1]);
    assert_eq!(Some(blocked.len()), expected, "length of the blocked image");
}
