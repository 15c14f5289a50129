//! One convolution with its weights.

use pulp::Arch;
use rayon::ThreadPool;

use crate::activation::Activation;
use crate::dense::Call;
use crate::depthwise::Depthwise;
use crate::frame::Frame;
use crate::geometry::Geometry;
use crate::layout::{BLOCK, blocked_len, plain_len};
use crate::packing::Packed;

/// How a convolution wants its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputLayout {
    /// `[N, C, H, W]`, where there are few channels.
    Plain,
    /// `[N, ceil(C / 16), H, W, 16]`.
    Blocked,
}

/// Most channels of a plain input.
const PLAIN_CHANNELS: usize = 4;

/// A convolution: geometry, weights, bias.
#[derive(Debug)]
pub struct Conv {
    geometry: Geometry,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kernel {
    Dense(Packed),
    Depthwise(Depthwise),
}

impl Conv {
    /// Packs `weights` (`[O, I / groups, kH, kW]`) and `bias` (`[O]`).
    ///
    /// `None` for a form that no kernel here serves; that includes extents of zero
    /// and slices of another length than the geometry says.
    pub fn new(geometry: Geometry, weights: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        Self::on(Arch::new(), geometry, weights, bias)
    }

    /// As `new`, for vectors that need not be the machine's widest.
    pub(crate) fn on(
        arch: Arch,
        geometry: Geometry,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let Geometry {
            in_channels,
            out_channels,
            groups,
            kernel,
            ..
        } = geometry;
        if groups == 0 || in_channels == 0 || out_channels == 0 {
            return None;
        }
        if in_channels % groups != 0 || out_channels % groups != 0 {
            return None;
        }
        let len = (in_channels / groups)
            .checked_mul(out_channels)?
            .checked_mul(kernel[0])?
            .checked_mul(kernel[1])?;
        if len == 0 || weights.len() != len || bias.is_some_and(|bias| bias.len() != out_channels) {
            return None;
        }
        let kernel = if groups > 1 && in_channels == groups && out_channels == groups {
            Kernel::Depthwise(Depthwise::new(arch, &geometry, weights, bias))
        } else if groups == 1 {
            let lanes = if in_channels <= PLAIN_CHANNELS {
                1
            } else {
                BLOCK
            };
            Kernel::Dense(Packed::new(arch, &geometry, weights, bias, lanes)?)
        } else {
            let (merged, weights) = whole_blocks(&geometry, weights)?;
            Kernel::Dense(Packed::new(arch, &merged, &weights, bias, BLOCK)?)
        };
        Some(Self { geometry, kernel })
    }

    /// What this convolution computes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How `run` reads its input.
    pub fn input_layout(&self) -> InputLayout {
        match &self.kernel {
            Kernel::Dense(packed) if packed.lanes[0] == 1 => InputLayout::Plain,
            _ => InputLayout::Blocked,
        }
    }

    /// Convolves `input` of this batch, height and width into the blocked `output`.
    ///
    /// `addend`, blocked and of the output's shape, is added before the activation.
    /// Output lanes past the last channel hold the activation of zero, or of the addend.
    /// With a `pool`, large work is divided among its threads.
    ///
    /// # Panics
    /// Where the kernel does not fit the input ([`Geometry::output`]) or a slice is not as long
    /// as the extents say.
    #[expect(
        clippy::too_many_arguments,
        reason = "the extents of one call, nothing to group"
    )]
    pub fn run(
        &self,
        input: &[f32],
        batch: usize,
        size: [usize; 2],
        addend: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        pool: Option<&ThreadPool>,
    ) {
        let Geometry {
            in_channels,
            out_channels,
            ..
        } = self.geometry;
        let out = self
            .geometry
            .output(size)
            .expect("the kernel fits the input");
        let expected = match self.input_layout() {
            InputLayout::Plain => plain_len(batch, in_channels, size),
            InputLayout::Blocked => blocked_len(batch, in_channels, size),
        };
        assert_eq!(Some(input.len()), expected, "length of the input");
        let expected = blocked_len(batch, out_channels, out);
        assert_eq!(Some(output.len()), expected, "length of the output");
        if let Some(addend) = addend {
            assert_eq!(addend.len(), output.len(), "length of the addend");
        }
        let geometry = &self.geometry;
        match &self.kernel {
            Kernel::Dense(packed) => {
                let call = Call {
                    geometry,
                    packed,
                    size,
                    out,
                    input,
                    batch,
                    addend,
                    activation,
                };
                match self.input_layout() {
                    InputLayout::Plain => call.run::<1>(output, pool),
                    InputLayout::Blocked => call.run::<BLOCK>(output, pool),
                }
            }
            Kernel::Depthwise(depthwise) => {
                let frame = Frame::of(geometry, size, out);
                depthwise.run(&frame, input, addend, activation, output, pool);
            }
        }
    }
}

/// Joins groups until they are whole blocks, with zeros between channels that do not meet.
fn whole_blocks(geometry: &Geometry, weights: &[f32]) -> Option<(Geometry, Vec<f32>)> {
    let Geometry {
        in_channels,
        out_channels,
        groups,
        kernel,
        ..
    } = *geometry;
    let (share, outputs) = (in_channels / groups, out_channels / groups);
    let whole = |joined: &usize| {
        groups % joined == 0
            && (joined * share).is_multiple_of(BLOCK)
            && (joined * outputs).is_multiple_of(BLOCK)
    };
    let joined = (1..=BLOCK).find(whole)?;
    let taps = kernel[0] * kernel[1];
    let row = joined * share * taps;
    let mut spread = vec![0.0; row.checked_mul(out_channels)?];
    for (channel, filter) in weights.chunks_exact(share * taps).enumerate() {
        let group = channel / outputs % joined;
        spread[channel * row + group * share * taps..][..share * taps].copy_from_slice(filter);
    }
    Some((
        Geometry {
            groups: groups / joined,
            ..*geometry
        },
        spread,
    ))
}
