//! Plain loops, for forms whose padding or dilation dwarfs the image.
//!
//! Such a form would need a copy of the image far larger than the image. Nobody
//! deploys one, but a file may hold it, and must not make the service run out of memory.

use crate::dense::Call;
use crate::layout::BLOCK;
use crate::packing::Bundle;

/// Computes the output; `LANES` numbers make a pixel of an input plane.
pub(crate) fn run<const LANES: usize>(call: &Call, output: &mut [f32]) {
    let area = call.out[0] * call.out[1];
    let blocks = output.len() / BLOCK / (call.batch * area).max(1);
    for (at, pixel) in output.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let (image, block) = (at / area / blocks, at / area % blocks);
        let holds =
            |bundle: &&Bundle| (bundle.block..bundle.block + bundle.blocks).contains(&block);
        let bundle = call
            .packed
            .bundles
            .iter()
            .find(holds)
            .expect("every block is in a bundle");
        pixel.copy_from_slice(&call.packed.bias[block * BLOCK..][..BLOCK]);
        sum::<LANES>(call, bundle, block - bundle.block, image, at % area, pixel);
        if let Some(addend) = call.addend {
            for (sum, addend) in pixel.iter_mut().zip(&addend[at * BLOCK..]) {
                *sum += addend;
            }
        }
    }
    call.activation.apply_all(call.packed.arch, output);
}

fn sum<const LANES: usize>(
    call: &Call,
    bundle: &Bundle,
    block: usize,
    image: usize,
    at: usize,
    pixel: &mut [f32; BLOCK],
) {
    let kernel = call.geometry.kernel;
    let taps = kernel[0] * kernel[1];
    let packed = call.packed;
    let area = call.size[0] * call.size[1];
    let planes = call.input.len() / LANES / (call.batch * area);
    let weights = &packed.weights.get()[bundle.weights..];
    for tap in 0..taps {
        let row = call.under(0, at / call.out[1], tap / kernel[1]);
        let column = call.under(1, at % call.out[1], tap % kernel[1]);
        let (Some(row), Some(column)) = (row, column) else {
            continue;
        };
        for plane in 0..packed.planes {
            let from = (image * planes + bundle.plane + plane) * area + row * call.size[1] + column;
            let lanes = packed.lanes[usize::from(plane + 1 == packed.planes)];
            for lane in 0..lanes {
                let value = call.input[from * LANES + lane];
                let row = plane * packed.lanes[0] * taps + tap * lanes + lane;
                let weights = &weights[(row * bundle.blocks + block) * BLOCK..];
                for (sum, weight) in pixel.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
    }
}
