use proptest::prelude::*;

use super::reference::windows;
use super::{archs, assert_close, blocked, noise, plain};
use crate::pooling::{Mean, run};
use crate::{Window, blocked_len, global_average_pool};

fn window() -> impl Strategy<Value = Window> {
    (
        [1_usize..5, 1_usize..5],
        [1_usize..4, 1_usize..4],
        [1_usize..3, 1_usize..3],
        [0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3],
        any::<bool>(),
    )
        .prop_map(|(kernel, strides, dilations, pads, ceil)| Window {
            kernel,
            strides,
            dilations,
            // A window that sees padding alone has no greatest value.
            pads: std::array::from_fn(|side| pads[side].min(kernel[side % 2] - 1)),
            ceil,
        })
}

proptest! {
    #[test]
    fn windows_agree_with_plain_loops(
        window in window(), batch in 0_usize..3, channels in 1_usize..36,
        size in [1_usize..24, 1_usize..24], include_padding in any::<bool>(), threads in any::<bool>(),
    ) {
        let Some(out) = window.output(size) else { return Ok(()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let pool = threads.then_some(&pool);
        let image = noise(batch * channels * size[0] * size[1], 3);
        let input = blocked(&image, batch, channels, size);
        let mut output = vec![f32::NAN; blocked_len(batch, channels, out).unwrap()];

        for arch in archs() {
            let extents = [batch, channels];
            run(arch, &input, extents, size, &window, Mean::None, &mut output, pool);
            let expected = windows(&window, &image, batch * channels, size, |values, _| {
                values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            });
            assert_close(&plain(&output, batch, channels, out), &expected, &(arch, window));

            let mean = if include_padding { Mean::WithPadding } else { Mean::OfInput };
            run(arch, &input, extents, size, &window, mean, &mut output, pool);
            let expected = windows(&window, &image, batch * channels, size, |values, padded| {
                values.iter().sum::<f32>() / if include_padding { padded } else { values.len() } as f32
            });
            // A dilated window may still see nothing, and nothing has no mean.
            let ours = plain(&output, batch, channels, out);
            let both = ours.iter().zip(&expected).filter(|(_, expected)| expected.is_finite());
            let (ours, expected): (Vec<_>, Vec<_>) = both.unzip();
            assert_close(&ours, &expected, &(arch, window));
        }
    }

    #[test]
    fn the_mean_of_a_channel_agrees_with_plain_loops(
        batch in 0_usize..3, channels in 1_usize..70, area in 1_usize..60, threads in any::<bool>(),
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let image = noise(batch * channels * area, 5);
        let input = blocked(&image, batch, channels, [area, 1]);
        let mut output = vec![f32::NAN; blocked_len(batch, channels, [1, 1]).unwrap()];
        global_average_pool(&input, batch, channels, area, &mut output, threads.then_some(&pool));
        let expected: Vec<f32> =
            image.chunks(area).map(|plane| plane.iter().sum::<f32>() / area as f32).collect();
        assert_close(&plain(&output, batch, channels, [1, 1]), &expected, &channels);
    }
}
