//! Pooling in the blocked layout.
//!
//! Inner loops count, for the reason that the convolution's do.

#![expect(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "see above"
)]

use pulp::{Arch, Simd, WithSimd};
use rayon::ThreadPool;

use crate::depthwise::vectors;
use crate::frame::Frame;
use crate::geometry::Window;
use crate::layout::{BLOCK, blocked_len};

/// The greatest value under each window; what is no number is passed over.
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
    run(
        Arch::new(),
        input,
        [batch, channels],
        size,
        window,
        Mean::None,
        output,
        pool,
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
    let mean = if include_padding {
        Mean::WithPadding
    } else {
        Mean::OfInput
    };
    run(
        Arch::new(),
        input,
        [batch, channels],
        size,
        window,
        mean,
        output,
        pool,
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
    pool: Option<&ThreadPool>,
) {
    if area == 0 {
        let expected = blocked_len(batch, channels, [1, 1]);
        assert_eq!(Some(output.len()), expected, "length of the output");
        output.fill(f32::NAN);
        return;
    }
    let window = Window {
        kernel: [1, area],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        ceil: false,
    };
    average_pool(
        input,
        batch,
        channels,
        [1, area],
        &window,
        false,
        output,
        pool,
    );
}

/// What a sum is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mean {
    /// No sum is taken, but the greatest value.
    None,
    /// The elements on the input.
    OfInput,
    /// The elements on the input and its padding.
    WithPadding,
}

#[expect(
    clippy::too_many_arguments,
    reason = "the extents of one call, nothing to group"
)]
pub(crate) fn run(
    arch: Arch,
    input: &[f32],
    [batch, channels]: [usize; 2],
    size: [usize; 2],
    window: &Window,
    mean: Mean,
    output: &mut [f32],
    pool: Option<&ThreadPool>,
) {
    let out = window.output(size).expect("the window fits the input");
    let expected = blocked_len(batch, channels, size);
    assert_eq!(Some(input.len()), expected, "length of the input");
    let expected = blocked_len(batch, channels, out);
    assert_eq!(Some(output.len()), expected, "length of the output");
    let frame = &Frame::of_window(window, size, out);
    let plane_in = size[0] * size[1] * BLOCK;
    frame.each_rows(output, pool, |plane, row, output| {
        let input = &input[plane * plane_in..][..plane_in];
        arch.dispatch(Rows {
            frame,
            mean,
            input,
            row,
            output,
        });
    });
}

/// Rows of one plane of the output.
struct Rows<'a> {
    frame: &'a Frame,
    mean: Mean,
    /// The whole plane of the input.
    input: &'a [f32],
    /// The first row of `output`.
    row: usize,
    output: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.of_width::<S, 1>(simd),
            8 => self.of_width::<S, 2>(simd),
            4 => self.of_width::<S, 4>(simd),
            _ => self.of_width::<S, 16>(simd),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn of_width<S: Simd, const VECTORS: usize>(self, simd: S) {
        if self.mean == Mean::None {
            let least = simd.splat_f32s(f32::NEG_INFINITY);
            // The second operand comes back where the two cannot be compared.
            self.reduce::<S, VECTORS>(simd, least, |best, x| simd.max_f32s(x, best));
        } else {
            self.reduce::<S, VECTORS>(simd, simd.splat_f32s(0.0), |sum, x| simd.add_f32s(sum, x));
        }
    }

    #[inline(always)]
    fn reduce<S: Simd, const VECTORS: usize>(
        self,
        simd: S,
        start: S::f32s,
        step: impl Fn(S::f32s, S::f32s) -> S::f32s,
    ) {
        let Frame {
            kernel,
            strides,
            dilations,
            ..
        } = *self.frame;
        match (kernel[1], strides[1], dilations[1]) {
            (2, 2, 1) => self.of_form::<S, VECTORS, 2, 2>(simd, start, step),
            (3, 1, 1) => self.of_form::<S, VECTORS, 3, 1>(simd, start, step),
            (3, 2, 1) => self.of_form::<S, VECTORS, 3, 2>(simd, start, step),
            _ => self.of_form::<S, VECTORS, 0, 0>(simd, start, step),
        }
    }

    /// For windows of this width and stride; 0 for any.
    #[inline(always)]
    fn of_form<S: Simd, const VECTORS: usize, const KERNEL: usize, const STRIDE: usize>(
        mut self,
        simd: S,
        start: S::f32s,
        step: impl Fn(S::f32s, S::f32s) -> S::f32s,
    ) {
        let Frame {
            dilations,
            size,
            out,
            pads,
            ..
        } = *self.frame;
        let whole = if KERNEL == 0 {
            0..0
        } else {
            self.frame.whole(1)
        };
        let fours = whole.len() / 4 * 4;
        let rest = whole.start + fours..out[1];
        let output = std::mem::take(&mut self.output);
        for (row, output) in (self.row..).zip(output.chunks_exact_mut(out[1] * BLOCK)) {
            let (rows, top) = self.frame.inside(0, row);
            let row = Row {
                row,
                top,
                height: rows.len(),
            };
            for column in (0..whole.start).chain(rest.clone()) {
                let result = self.pixel::<S, VECTORS>(start, &step, &row, column);
                self.store::<S, VECTORS>(simd, &row, column, result, output);
            }
            for column in (whole.start..rest.start).step_by(4) {
                let mut results = [[start; VECTORS]; 4];
                for y in 0..row.height {
                    let line = (top + y * dilations[0]) * size[1] + column * STRIDE - pads[1];
                    let input = &self.input[line * BLOCK..][..(3 * STRIDE + KERNEL) * BLOCK];
                    for x in 0..KERNEL {
                        for pixel in 0..4 {
                            let input = &input[(pixel * STRIDE + x) * BLOCK..];
                            let input = vectors::<S, VECTORS>(input);
                            for at in 0..VECTORS {
                                results[pixel][at] = step(results[pixel][at], input[at]);
                            }
                        }
                    }
                }
                for pixel in 0..4 {
                    self.store::<S, VECTORS>(simd, &row, column + pixel, results[pixel], output);
                }
            }
        }
    }

    /// What lies under one window, reduced.
    #[inline(always)]
    fn pixel<S: Simd, const VECTORS: usize>(
        &self,
        start: S::f32s,
        step: &impl Fn(S::f32s, S::f32s) -> S::f32s,
        row: &Row,
        column: usize,
    ) -> [S::f32s; VECTORS] {
        let Frame {
            dilations, size, ..
        } = *self.frame;
        let (columns, left) = self.frame.inside(1, column);
        // Several results at once: one would wait for itself.
        let mut results = [[start; VECTORS]; 4];
        for y in 0..row.height {
            let line = (row.top + y * dilations[0]) * size[1] + left;
            let mut each = |x: usize, result: usize| {
                let input = &self.input[(line + x * dilations[1]) * BLOCK..];
                let input = vectors::<S, VECTORS>(input);
                for at in 0..VECTORS {
                    results[result][at] = step(results[result][at], input[at]);
                }
            };
            let fours = columns.len() / 4 * 4;
            for x in (0..fours).step_by(4) {
                for result in 0..4 {
                    each(x + result, result);
                }
            }
            for result in 0..3 {
                if fours + result < columns.len() {
                    each(fours + result, result);
                }
            }
        }
        let [mut result, b, c, d] = results;
        for at in 0..VECTORS {
            result[at] = step(step(result[at], b[at]), step(c[at], d[at]));
        }
        result
    }

    /// Stores one result, divided where a mean is asked for.
    #[inline(always)]
    fn store<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        row: &Row,
        column: usize,
        result: [S::f32s; VECTORS],
        output: &mut [f32],
    ) {
        let output = S::as_mut_simd_f32s(&mut output[column * BLOCK..][..BLOCK]).0;
        let count = match self.mean {
            Mean::None => {
                for at in 0..VECTORS {
                    output[at] = result[at];
                }
                return;
            }
            Mean::OfInput => row.height * self.frame.inside(1, column).0.len(),
            Mean::WithPadding => self.frame.padded(0, row.row) * self.frame.padded(1, column),
        };
        let count = simd.splat_f32s(count as f32);
        for at in 0..VECTORS {
            output[at] = simd.div_f32s(result[at], count);
        }
    }
}

/// A row of the output.
struct Row {
    row: usize,
    /// The first input row under it, and how many are.
    top: usize,
    height: usize,
}
