use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::reference::convolve;
use super::{archs, assert_close, blocked, noise, plain};
use crate::{Activation, Conv, Geometry, InputLayout, blocked_len};

/// One call of a convolution.
#[derive(Clone, Copy, Debug)]
struct Call {
    geometry: Geometry,
    batch: usize,
    size: [usize; 2],
    bias: bool,
    addend: bool,
    activation: Activation,
    threads: usize,
}

impl Call {
    fn check(self) {
        let Some(out) = self.geometry.output(self.size) else {
            return;
        };
        let g = self.geometry;
        let share = g.in_channels / g.groups;
        let scale = ((share * g.kernel[0] * g.kernel[1]) as f32).sqrt();
        let weights: Vec<f32> = noise(g.out_channels * share * g.kernel[0] * g.kernel[1], 1)
            .iter()
            .map(|weight| weight / scale)
            .collect();
        let bias = self.bias.then(|| noise(g.out_channels, 2));
        let image = noise(self.batch * g.in_channels * self.size[0] * self.size[1], 3);
        let addend = self
            .addend
            .then(|| noise(self.batch * g.out_channels * out[0] * out[1], 4));
        let expected = convolve(
            &g,
            &image,
            self.batch,
            self.size,
            &weights,
            bias.as_deref(),
            addend.as_deref(),
            self.activation,
        );

        let addend = addend.map(|addend| blocked(&addend, self.batch, g.out_channels, out));
        let pool = (self.threads > 0).then(|| pool(self.threads));
        for arch in archs() {
            let conv =
                Conv::on(arch, g, &weights, bias.as_deref()).expect("a kernel for this form");
            let input = match conv.input_layout() {
                InputLayout::Plain => image.clone(),
                InputLayout::Blocked => blocked(&image, self.batch, g.in_channels, self.size),
            };
            let mut output = vec![f32::NAN; blocked_len(self.batch, g.out_channels, out).unwrap()];
            conv.run(
                &input,
                self.batch,
                self.size,
                addend.as_deref(),
                self.activation,
                &mut output,
                pool.as_ref(),
            );
            assert_close(
                &plain(&output, self.batch, g.out_channels, out),
                &expected,
                &(arch, self),
            );
            assert!(
                output.iter().all(|value| value.is_finite()),
                "{arch:?} {self:?}: unset lanes"
            );
        }
    }
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Clamp {
            low: -0.25,
            high: 0.5
        }),
        Just(Activation::Sigmoid),
        Just(Activation::Tanh),
        Just(Activation::HardSigmoid {
            alpha: 0.3,
            beta: 0.4
        }),
        Just(Activation::HardSwish),
        Just(Activation::Silu),
        Just(Activation::LeakyRelu(0.1)),
    ]
}

prop_compose! {
    /// A form whose groups have these channels in and out.
    fn call(groups: std::ops::Range<usize>, channels_in: std::ops::Range<usize>, channels_out: std::ops::Range<usize>)(
        groups in groups, channels_in in channels_in, channels_out in channels_out,
        kernel in [1_usize..5, 1_usize..5],
        strides in [1_usize..4, 1_usize..4],
        dilations in [1_usize..3, 1_usize..3],
        pads in [0_usize..4, 0_usize..4, 0_usize..4, 0_usize..4],
        batch in 0_usize..3,
        size in [1_usize..12, 1_usize..34],
        bias in any::<bool>(), addend in any::<bool>(), activation in activation(), threads in 0_usize..4,
    ) -> Call {
        let geometry = Geometry {
            in_channels: groups * channels_in,
            out_channels: groups * channels_out,
            groups, kernel, strides, dilations, pads,
        };
        Call { geometry, batch, size, bias, addend, activation, threads }
    }
}

proptest! {
    #[test]
    fn dense_forms_agree_with_plain_loops(call in call(1..2, 1..70, 1..70)) {
        call.check();
    }

    #[test]
    fn images_of_few_channels_agree_with_plain_loops(call in call(1..2, 1..5, 1..70)) {
        call.check();
    }

    #[test]
    fn depthwise_forms_agree_with_plain_loops(call in call(2..70, 1..2, 1..2)) {
        call.check();
    }

    #[test]
    fn wide_groups_agree_with_plain_loops(mut call in call(2..4, 1..4, 1..4)) {
        call.geometry.in_channels *= 16;
        call.geometry.out_channels *= 16;
        call.check();
    }

    #[test]
    fn pointwise_forms_agree_with_plain_loops(mut call in call(1..2, 1..130, 1..130)) {
        call.geometry.kernel = [1, 1];
        call.geometry.pads = [0; 4];
        call.check();
    }
}

#[test]
fn kernels_far_larger_than_the_image_see_its_padding() {
    let geometry = Geometry {
        in_channels: 20,
        out_channels: 20,
        groups: 1,
        kernel: [9, 11],
        strides: [3, 2],
        dilations: [2, 3],
        pads: [9, 20, 8, 13],
    };
    let call = Call {
        geometry,
        batch: 1,
        size: [2, 3],
        bias: true,
        addend: false,
        activation: Activation::None,
        threads: 0,
    };
    call.check();
    call_in(
        Geometry {
            in_channels: 3,
            ..geometry
        },
        call,
    )
    .check();
    call_in(
        Geometry {
            groups: 20,
            ..geometry
        },
        call,
    )
    .check();
}

fn call_in(geometry: Geometry, call: Call) -> Call {
    Call { geometry, ..call }
}

#[test]
fn forms_without_a_meaning_have_no_kernel() {
    let geometry = Geometry {
        in_channels: 4,
        out_channels: 4,
        groups: 1,
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
    };
    let refused = |geometry: Geometry, weights: &[f32], bias: Option<&[f32]>| {
        assert!(Conv::new(geometry, weights, bias).is_none(), "{geometry:?}");
    };
    assert!(Conv::new(geometry, &[0.0; 16], Some(&[0.0; 4])).is_some());
    refused(geometry, &[0.0; 15], None);
    refused(geometry, &[0.0; 16], Some(&[0.0; 3]));
    refused(
        Geometry {
            groups: 0,
            ..geometry
        },
        &[0.0; 16],
        None,
    );
    refused(
        Geometry {
            groups: 3,
            ..geometry
        },
        &[0.0; 16],
        None,
    );
    refused(
        Geometry {
            in_channels: 0,
            ..geometry
        },
        &[],
        None,
    );
    refused(
        Geometry {
            out_channels: 0,
            ..geometry
        },
        &[],
        None,
    );
    refused(
        Geometry {
            kernel: [0, 1],
            ..geometry
        },
        &[],
        None,
    );
    refused(
        Geometry {
            kernel: [usize::MAX, 1],
            ..geometry
        },
        &[0.0; 16],
        None,
    );
}

#[test]
fn padding_that_dwarfs_the_image_needs_no_copy() {
    let geometry = Geometry {
        in_channels: 20,
        out_channels: 20,
        groups: 1,
        kernel: [2, 1],
        strides: [usize::MAX / 8, 1],
        dilations: [1 << 30, 1],
        pads: [1 << 30, 0, 1 << 30, 0],
    };
    let call = Call {
        geometry,
        batch: 2,
        size: [3, 2],
        bias: true,
        addend: true,
        activation: Activation::Relu,
        threads: 0,
    };
    call.check();
    call_in(
        Geometry {
            in_channels: 3,
            ..geometry
        },
        call,
    )
    .check();
    call_in(
        Geometry {
            groups: 20,
            ..geometry
        },
        call,
    )
    .check();
    call_in(
        Geometry {
            groups: 2,
            in_channels: 64,
            out_channels: 32,
            ..geometry
        },
        call,
    )
    .check();
}

#[test]
fn small_groups_are_joined_to_blocks() {
    let geometry = Geometry {
        in_channels: 32,
        out_channels: 64,
        groups: 8,
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [1; 4],
    };
    let call = Call {
        geometry,
        batch: 1,
        size: [5, 6],
        bias: true,
        addend: true,
        activation: Activation::HardSwish,
        threads: 0,
    };
    call.check();
    call_in(
        Geometry {
            groups: 32,
            ..geometry
        },
        call,
    )
    .check();
    let odd = Geometry {
        in_channels: 30,
        out_channels: 30,
        groups: 3,
        ..geometry
    };
    assert!(Conv::new(odd, &vec![0.0; 30 * 10 * 9], None).is_none());
}

#[test]
fn what_is_no_number_stays_none() {
    let geometry = Geometry {
        in_channels: 5,
        out_channels: 5,
        groups: 1,
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
    };
    let size = [1, 3];
    let mut image = vec![1.0; 15];
    image[1] = f32::NAN;
    for arch in archs() {
        for geometry in [
            geometry,
            Geometry {
                groups: 5,
                ..geometry
            },
        ] {
            for activation in [Activation::None, Activation::Relu, Activation::HardSwish] {
                let weights = vec![1.0; 25 / geometry.groups];
                let conv = Conv::on(arch, geometry, &weights, None).unwrap();
                let input = blocked(&image, 1, 5, size);
                let mut output = vec![0.0; 48];
                conv.run(&input, 1, size, None, activation, &mut output, None);
                let output = plain(&output, 1, 5, size);
                assert!(output[1].is_nan(), "{arch:?} {activation:?}: {output:?}");
                assert!(output[0].is_finite(), "{arch:?} {activation:?}: {output:?}");
            }
        }
    }
}

#[test]
fn threads_convolve_as_one_does() {
    let geometry = Geometry {
        in_channels: 48,
        out_channels: 80,
        groups: 1,
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [1; 4],
    };
    let call = Call {
        geometry,
        batch: 2,
        size: [23, 31],
        bias: true,
        addend: true,
        activation: Activation::Silu,
        threads: 3,
    };
    call.check();
    call_in(
        Geometry {
            kernel: [1, 1],
            pads: [0; 4],
            in_channels: 160,
            ..geometry
        },
        call,
    )
    .check();
    call_in(
        Geometry {
            in_channels: 3,
            kernel: [7, 7],
            strides: [2, 2],
            ..geometry
        },
        call,
    )
    .check();
    let signal = Geometry {
        kernel: [1, 5],
        pads: [0, 2, 0, 2],
        strides: [1, 2],
        ..geometry
    };
    Call {
        size: [1, 1500],
        ..call_in(signal, call)
    }
    .check();
    call_in(
        Geometry {
            in_channels: 80,
            groups: 80,
            ..geometry
        },
        call,
    )
    .check();
}
