//! Every function against plain loops over `[N, C, H, W]`, on shapes that chance draws.

mod convolution;
mod pooling;
mod reference;

use proptest::prelude::*;
use pulp::Arch;

use crate::{block, blocked_len, unblock};

/// The vectors that this machine has, the widest first.
fn archs() -> Vec<Arch> {
    let mut archs = vec![Arch::new(), Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
    archs
}

/// Numbers between -1 and 1, without a pattern that could hide a swapped index.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn blocked(plain: &[f32], batch: usize, channels: usize, size: [usize; 2]) -> Vec<f32> {
    // Old contents must not shine through.
    let mut output = vec![f32::NAN; blocked_len(batch, channels, size).unwrap()];
    block(plain, batch, channels, size[0] * size[1], &mut output, None);
    output
}

fn plain(blocked: &[f32], batch: usize, channels: usize, size: [usize; 2]) -> Vec<f32> {
    let area = size[0] * size[1];
    let mut output = vec![f32::NAN; batch * channels * area];
    unblock(blocked, batch, channels, area, &mut output, None);
    output
}

fn assert_close(ours: &[f32], expected: &[f32], what: &dyn std::fmt::Debug) {
    assert_eq!(ours.len(), expected.len());
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let bound = 1e-5 + 1e-5 * expected.abs();
        assert!(
            ours == expected || (ours - expected).abs() <= bound,
            "{what:?} at {at}: {ours} is not {expected}"
        );
    }
}

proptest! {
    #[test]
    fn blocks_hold_sixteen_channels_of_a_pixel(
        batch in 0_usize..3, channels in 1_usize..40, size in [1_usize..9, 1_usize..9],
    ) {
        let image = noise(batch * channels * size[0] * size[1], 1);
        let blocks = blocked(&image, batch, channels, size);
        let area = size[0] * size[1];
        for (at, value) in blocks.iter().enumerate() {
            let (block, pixel, lane) = (at / 16 / area, at / 16 % area, at % 16);
            let (n, c) = (block / channels.div_ceil(16), block % channels.div_ceil(16) * 16 + lane);
            let expected = if c < channels { image[(n * channels + c) * area + pixel] } else { 0.0 };
            prop_assert_eq!(*value, expected);
        }
        prop_assert_eq!(plain(&blocks, batch, channels, size), image);
    }
}

#[test]
fn extents_that_do_not_fit_in_memory_are_refused() {
    assert_eq!(blocked_len(usize::MAX, 2, [1, 1]), None);
    assert_eq!(blocked_len(1, usize::MAX, [1, 1]), None);
    assert_eq!(blocked_len(1, 1, [usize::MAX, usize::MAX]), None);
    assert_eq!(blocked_len(0, 7, [3, 3]), Some(0));
}

#[test]
fn threads_lay_an_image_out_as_one_does() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let (channels, area) = (50, 3000);
    let image = noise(2 * channels * area, 7);
    let expected = blocked(&image, 2, channels, [area, 1]);
    let mut blocks = vec![f32::NAN; expected.len()];
    block(&image, 2, channels, area, &mut blocks, Some(&pool));
    assert_eq!(blocks, expected);
    let mut back = vec![f32::NAN; image.len()];
    unblock(&blocks, 2, channels, area, &mut back, Some(&pool));
    assert_eq!(back, image);
}
