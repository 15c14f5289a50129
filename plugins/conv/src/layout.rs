//! The blocked layout: `[N, ceil(C / 16), H, W, 16]`.
//!
//! Sixteen channels of one pixel lie together, so one vector of the widest
//! machine holds them and a kernel never crosses a row to find the next channel.
//! Lanes past the last channel are zeros when written here.

use rayon::ThreadPool;

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
    _pool: Option<&ThreadPool>,
) {
    check(plain, output, batch, channels, area);
    if output.is_empty() {
        return;
    }
    let images = plain.chunks_exact(channels * area);
    for (image, blocked) in images.zip(output.chunks_exact_mut(blocks_len(channels, area))) {
        let groups = image.chunks(BLOCK * area);
        for (group, pixels) in groups.zip(blocked.chunks_exact_mut(BLOCK * area)) {
            let planes = group.len() / area;
            for (at, pixel) in pixels.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                *pixel = std::array::from_fn(|lane| {
                    if lane < planes {
                        group[lane * area + at]
                    } else {
                        0.0
                    }
                });
            }
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
    _pool: Option<&ThreadPool>,
) {
    check(output, blocked, batch, channels, area);
    if output.is_empty() {
        return;
    }
    let images = output.chunks_exact_mut(channels * area);
    for (image, blocked) in images.zip(blocked.chunks_exact(blocks_len(channels, area))) {
        let groups = image.chunks_mut(BLOCK * area);
        for (group, pixels) in groups.zip(blocked.chunks_exact(BLOCK * area)) {
            let pixels = pixels.as_chunks::<BLOCK>().0;
            for (lane, plane) in group.chunks_exact_mut(area).enumerate() {
                for (value, pixel) in plane.iter_mut().zip(pixels) {
                    *value = pixel[lane];
                }
            }
        }
    }
}

fn blocks_len(channels: usize, area: usize) -> usize {
    channels.div_ceil(BLOCK) * BLOCK * area
}

fn check(plain: &[f32], blocked: &[f32], batch: usize, channels: usize, area: usize) {
    let expected = batch
        .checked_mul(channels)
        .and_then(|n| n.checked_mul(area));
    assert_eq!(Some(plain.len()), expected, "length of the plain image");
    let expected = blocked_len(batch, channels, [area, 1]);
    assert_eq!(Some(blocked.len()), expected, "length of the blocked image");
}
