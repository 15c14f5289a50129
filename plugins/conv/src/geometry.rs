//! Shapes: what a convolution or a pooling window makes of an image's size.
//!
//! All arithmetic is checked, because sizes come from models and requests that
//! nobody vouched for. What is returned here is safe to multiply by a pixel's
//! bytes only after [`crate::blocked_len`] agreed.

/// The form of a convolution, in channels and pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Groups that see only their own share of the channels; 1 is the usual convolution.
    pub groups: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and across.
    pub strides: [usize; 2],
    /// Pixels from one kernel element to the next, down and across; 1 is dense.
    pub dilations: [usize; 2],
    /// Rows and columns of zeros around the input: top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Geometry {
    /// Height and width of the output for an input of this height and width.
    ///
    /// `None` where the kernel is larger than the padded input, an extent or a stride is zero,
    /// or a number does not fit.
    pub fn output(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let window = Window {
            kernel: self.kernel,
            strides: self.strides,
            dilations: self.dilations,
            pads: self.pads,
            ceil: false,
        };
        window.output(input)
    }
}

/// The form of a pooling window, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and across.
    pub strides: [usize; 2],
    /// Pixels from one window element to the next, down and across; 1 is dense.
    pub dilations: [usize; 2],
    /// Rows and columns around the input that hold nothing: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Whether a last window that reaches past the padding counts.
    pub ceil: bool,
}

impl Window {
    /// Height and width of the output for an input of this height and width.
    ///
    /// `None` where the window is larger than the padded input, an extent or a stride is zero,
    /// or a number does not fit.
    pub fn output(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        Some([self.extent(0, input[0])?, self.extent(1, input[1])?])
    }

    fn extent(&self, axis: usize, input: usize) -> Option<usize> {
        let (before, after) = (self.pads[axis], self.pads[axis + 2]);
        let (kernel, stride, dilation) =
            (self.kernel[axis], self.strides[axis], self.dilations[axis]);
        if stride == 0 || dilation == 0 || input == 0 {
            return None;
        }
        let reach = kernel
            .checked_sub(1)?
            .checked_mul(dilation)?
            .checked_add(1)?;
        let padded = input.checked_add(before)?.checked_add(after)?;
        // Positions inside the kernels are signed.
        if padded > isize::MAX as usize / 4 || stride > isize::MAX as usize / 4 {
            return None;
        }
        let steps = padded.checked_sub(reach)?;
        let mut extent = steps / stride + 1;
        // A window that would begin in the padding behind the input is left out,
        // as onnxruntime and PyTorch do.
        if self.ceil && steps % stride != 0 && extent * stride < input + before {
            extent += 1;
        }
        Some(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry() -> Geometry {
        Geometry {
            in_channels: 1,
            out_channels: 1,
            groups: 1,
            kernel: [3, 3],
            strides: [1, 1],
            dilations: [1, 1],
            pads: [0; 4],
        }
    }

    #[test]
    fn a_window_walks_the_padded_input() {
        assert_eq!(geometry().output([5, 7]), Some([3, 5]));
        let padded = Geometry {
            pads: [1, 1, 1, 1],
            strides: [2, 2],
            ..geometry()
        };
        assert_eq!(padded.output([224, 224]), Some([112, 112]));
        let dilated = Geometry {
            dilations: [2, 1],
            ..geometry()
        };
        assert_eq!(dilated.output([5, 5]), Some([1, 3]));
    }

    #[test]
    fn sizes_that_make_no_window_are_refused() {
        assert_eq!(geometry().output([2, 9]), None);
        assert_eq!(geometry().output([0, 9]), None);
        let huge = Geometry {
            pads: [usize::MAX, 0, 1, 0],
            ..geometry()
        };
        assert_eq!(huge.output([9, 9]), None);
        let dilated = Geometry {
            dilations: [usize::MAX, 1],
            ..geometry()
        };
        assert_eq!(dilated.output([9, 9]), None);
        let still = Geometry {
            strides: [0, 1],
            ..geometry()
        };
        assert_eq!(still.output([9, 9]), None);
        let empty = Geometry {
            kernel: [0, 1],
            ..geometry()
        };
        assert_eq!(empty.output([9, 9]), None);
    }

    #[test]
    fn a_rounded_up_window_begins_inside_the_input() {
        let window = Window {
            kernel: [2, 2],
            strides: [2, 2],
            dilations: [1, 1],
            pads: [0; 4],
            ceil: true,
        };
        assert_eq!(window.output([5, 4]), Some([3, 2]));
        let padded = Window {
            pads: [0, 0, 1, 1],
            strides: [3, 3],
            ..window
        };
        assert_eq!(padded.output([3, 3]), Some([1, 1]));
    }
}
