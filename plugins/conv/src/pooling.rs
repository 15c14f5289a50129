//! Pooling in the blocked layout.

use rayon::ThreadPool;

use crate::geometry::Window;
use crate::layout::{BLOCK, blocked_len};

/// The greatest value under each window.
///
/// # Panics
/// Where the window does not fit the input or a slice is not as long as the extents say.
pub fn max_pool(
    input: &[f32],
    batch: usize,
    channels: usize,
    size: [usize; 2],
    window: &Window,
    output: &mut [f32],
    pool: Option<&ThreadPool>,
) {
    each_window(
        input,
        batch,
        channels,
        size,
        window,
        output,
        pool,
        |pixels, _| {
            pixels.fold([f32::NEG_INFINITY; BLOCK], |best, pixel| {
                std::array::from_fn(|lane| best[lane].max(pixel[lane]))
            })
        },
    );
}

/// The mean of the values under each window; padding counts as zeros with `include_padding`.
///
/// # Panics
/// Where the window does not fit the input or a slice is not as long as the extents say.
#[expect(
    clippy::too_many_arguments,
    reason = "the extents of one call, nothing to group"
)]
pub fn average_pool(
    input: &[f32],
    batch: usize,
    channels: usize,
    size: [usize; 2],
    window: &Window,
    include_padding: bool,
    output: &mut [f32],
    pool: Option<&ThreadPool>,
) {
    each_window(
        input,
        batch,
        channels,
        size,
        window,
        output,
        pool,
        |pixels, padded| {
            let mut count = 0;
            let sum = pixels.fold([0.0; BLOCK], |sum: [f32; BLOCK], pixel| {
                count += 1;
                std::array::from_fn(|lane| sum[lane] + pixel[lane])
            });
            let divisor = if include_padding { padded } else { count };
            sum.map(|value| value / divisor as f32)
        },
    );
}

/// The mean of every channel, as a blocked image of one pixel.
///
/// # Panics
/// Where a slice is not as long as the extents say.
pub fn global_average_pool(
    input: &[f32],
    batch: usize,
    channels: usize,
    area: usize,
    output: &mut [f32],
    _pool: Option<&ThreadPool>,
) {
    assert_eq!(
        Some(input.len()),
        blocked_len(batch, channels, [area, 1]),
        "length of the input"
    );
    assert_eq!(
        Some(output.len()),
        blocked_len(batch, channels, [1, 1]),
        "length of the output"
    );
    if input.is_empty() {
        output.fill(f32::NAN);
        return;
    }
    let means = output.as_chunks_mut::<BLOCK>().0;
    for (image, mean) in input.chunks_exact(area * BLOCK).zip(means) {
        let sum = image
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .fold([0.0; BLOCK], |sum: [f32; BLOCK], pixel| {
                std::array::from_fn(|lane| sum[lane] + pixel[lane])
            });
        *mean = sum.map(|value| value / area as f32);
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the extents of one call, nothing to group"
)]
fn each_window(
    input: &[f32],
    batch: usize,
    channels: usize,
    size: [usize; 2],
    window: &Window,
    output: &mut [f32],
    _pool: Option<&ThreadPool>,
    reduce: impl Fn(&mut dyn Iterator<Item = &[f32; BLOCK]>, usize) -> [f32; BLOCK],
) {
    let [height, width] = window.output(size).expect("the window fits the input");
    assert_eq!(
        Some(input.len()),
        blocked_len(batch, channels, size),
        "length of the input"
    );
    let expected = blocked_len(batch, channels, [height, width]);
    assert_eq!(Some(output.len()), expected, "length of the output");
    let images = input.chunks_exact(size[0] * size[1] * BLOCK);
    for (image, plane) in images.zip(output.chunks_exact_mut(height * width * BLOCK)) {
        let image = image.as_chunks::<BLOCK>().0;
        for (at, pixel) in plane.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let (rows, padded_rows) = reach(window, 0, at / width, size[0]);
            let (columns, padded_columns) = reach(window, 1, at % width, size[1]);
            let mut pixels = rows.flat_map(|row| {
                columns
                    .clone()
                    .map(move |column| &image[row * size[1] + column])
            });
            *pixel = reduce(&mut pixels, padded_rows * padded_columns);
        }
    }
}

/// The input positions under a window along one axis, and how many of its elements lie
/// on the input or its padding.
fn reach(
    window: &Window,
    axis: usize,
    at: usize,
    extent: usize,
) -> (impl Iterator<Item = usize> + Clone, usize) {
    let (stride, dilation) = (window.strides[axis], window.dilations[axis]);
    let (before, after) = (window.pads[axis], window.pads[axis + 2]);
    let start = at * stride;
    let end = (start + (window.kernel[axis] - 1) * dilation + 1).min(before + extent + after);
    let padded = (end - start).div_ceil(dilation);
    // Elements in the padding before the input are skipped in one step.
    let skipped = before.saturating_sub(start).div_ceil(dilation);
    let first = start + skipped * dilation;
    let inside = (first..end.min(before + extent))
        .step_by(dilation)
        .map(move |at| at - before);
    (inside, padded)
}
