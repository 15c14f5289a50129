//! Times convolutions.
//!
//! `time_conv [threads=N] [batch=N] FORM…` prints for each form the least and the median
//! time of a call and the billions of operations in a second; first those of a loop of
//! multiply-adds in registers. Forms, on square images padded by half the kernel:
//! `in,out,size,kernel,stride[,groups]`, `max:channels,size,kernel,stride` and
//! `reorder:channels,area`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers"
)]

use std::time::{Duration, Instant};

use lusk_conv::{
    Activation, Conv, Geometry, InputLayout, Window, block, blocked_len, max_pool, unblock,
};
use pulp::{Arch, Simd, WithSimd};

fn main() {
    let (mut threads, mut batch) = (1, 1);
    println!("{:>30} {:>9.1} GFLOPS", "multiply-adds alone", peak());
    for argument in std::env::args().skip(1) {
        if let Some(count) = argument.strip_prefix("threads=") {
            threads = count.parse().unwrap();
        } else if let Some(count) = argument.strip_prefix("batch=") {
            batch = count.parse().unwrap();
        } else if let Some(numbers) = argument.strip_prefix("max:") {
            print(&argument, time_pool(&numbers_of(numbers), batch, threads));
        } else if let Some(numbers) = argument.strip_prefix("reorder:") {
            for (what, times) in ["block", "unblock"]
                .into_iter()
                .zip(time_reorders(&numbers_of(numbers), batch))
            {
                print(&format!("{what} {numbers}"), times);
            }
        } else {
            print(&argument, time(&numbers_of(&argument), batch, threads));
        }
    }
}

fn numbers_of(text: &str) -> Vec<usize> {
    text.split(',').map(|part| part.parse().unwrap()).collect()
}

fn print(what: &str, (least, median, operations): (Duration, Duration, usize)) {
    let speed = operations as f64 / least.as_secs_f64() / 1e9;
    println!(
        "{what:>30} {:>9} ns {:>9} ns {speed:>7.1} GFLOPS",
        least.as_nanos(),
        median.as_nanos()
    );
}

/// Least and median time of a call, in about 0.2 s.
fn repeat(mut call: impl FnMut()) -> (Duration, Duration) {
    let mut once = || {
        let start = Instant::now();
        call();
        start.elapsed()
    };
    let rounds = 200_000_000 / once().as_nanos().max(1) as usize;
    let mut times: Vec<Duration> = (0..rounds.clamp(9, 20_000)).map(|_| once()).collect();
    times.sort_unstable();
    (times[0], times[times.len() / 2])
}

fn time_pool(numbers: &[usize], batch: usize, threads: usize) -> (Duration, Duration, usize) {
    let [channels, size, kernel, stride] = numbers.try_into().unwrap();
    let window = Window {
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilations: [1; 2],
        pads: [kernel / 2; 4].map(|pad| if kernel % 2 == 1 { pad } else { 0 }),
        ceil: false,
    };
    let out = window.output([size; 2]).unwrap();
    let (input, start) = aligned(&vec![0.5; blocked_len(batch, channels, [size; 2]).unwrap()]);
    let input = &input[start..][..input.len() - 16];
    let (mut output, start) = aligned(&vec![0.0; blocked_len(batch, channels, out).unwrap()]);
    let len = output.len() - 16;
    let output = &mut output[start..][..len];
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    let pool = (threads > 1).then_some(&pool);
    let (least, median) =
        repeat(|| max_pool(input, batch, channels, [size; 2], &window, output, pool));
    (least, median, len * kernel * kernel)
}

fn time_reorders(numbers: &[usize], batch: usize) -> [(Duration, Duration, usize); 2] {
    let [channels, area] = numbers.try_into().unwrap();
    let mut plain = vec![0.5; batch * channels * area];
    let mut blocked = vec![0.0; blocked_len(batch, channels, [area, 1]).unwrap()];
    let len = plain.len();
    let there = repeat(|| block(&plain, batch, channels, area, &mut blocked, None));
    let back = repeat(|| unblock(&blocked, batch, channels, area, &mut plain, None));
    [there, back].map(|(least, median)| (least, median, len))
}

fn time(numbers: &[usize], batch: usize, threads: usize) -> (Duration, Duration, usize) {
    let [in_channels, out_channels, size, kernel, stride] = numbers[..5].try_into().unwrap();
    let groups = numbers.get(5).copied().unwrap_or(1);
    let geometry = Geometry {
        in_channels,
        out_channels,
        groups,
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilations: [1; 2],
        pads: [kernel / 2; 4],
    };
    let out = geometry.output([size; 2]).unwrap();
    let count = out_channels * in_channels / groups * kernel * kernel;
    let weights: Vec<f32> = (0..count).map(|at| (at % 17) as f32 / 17.0 - 0.5).collect();
    let conv = Conv::new(geometry, &weights, Some(&vec![0.1; out_channels])).unwrap();
    let len = match conv.input_layout() {
        InputLayout::Plain => batch * in_channels * size * size,
        _ => blocked_len(batch, in_channels, [size; 2]).unwrap(),
    };
    let input: Vec<f32> = (0..len).map(|at| (at % 13) as f32 / 13.0).collect();
    let (input, start) = aligned(&input);
    let input = &input[start..][..len];
    let (mut output, start) = aligned(&vec![0.0; blocked_len(batch, out_channels, out).unwrap()]);
    let len = output.len() - 16;
    let output = &mut output[start..][..len];
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    let pool = (threads > 1).then_some(&pool);
    let (least, median) = repeat(|| {
        conv.run(
            input,
            batch,
            [size; 2],
            None,
            Activation::Relu,
            output,
            pool,
        );
    });
    (least, median, 2 * batch * count * out[0] * out[1])
}

/// A copy of `numbers` that begins on a cache line from the returned place on.
fn aligned(numbers: &[f32]) -> (Vec<f32>, usize) {
    let mut copy = vec![0.0_f32; numbers.len() + 16];
    let start = copy.as_ptr().align_offset(64);
    copy[start..][..numbers.len()].copy_from_slice(numbers);
    (copy, start)
}

fn peak() -> f64 {
    struct Loop;
    impl WithSimd for Loop {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            const ROUNDS: usize = 2_000_000;
            let factor = simd.splat_f32s(std::hint::black_box(0.5));
            let mut sums = [factor; 12];
            let start = Instant::now();
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, factor, factor);
                }
            }
            let elapsed = start.elapsed().as_secs_f64();
            std::hint::black_box(sums);
            (2 * S::F32_LANES * sums.len() * ROUNDS) as f64 / elapsed / 1e9
        }
    }
    (0..9)
        .map(|_| Arch::new().dispatch(Loop))
        .fold(0.0, f64::max)
}
