//! Constants of a model, as numbers.

use tract_onnx::prelude::{DatumType, OutletId, Tensor, TypedModel};

/// The number that a value always is.
pub(super) fn number(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    let constant = floats(model, outlet)?;
    match constant.try_as_plain_ram().ok()?.as_slice::<f32>().ok()? {
        [number] => Some(*number),
        _ => None,
    }
}

/// The numbers, one for each channel, that a value always is. The value is
/// broadcast over an image of this rank.
pub(super) fn per_channel(
    model: &TypedModel,
    outlet: OutletId,
    rank: usize,
    channels: usize,
) -> Option<Vec<f32>> {
    if let Some(number) = number(model, outlet) {
        return Some(vec![number; channels]);
    }
    let constant = floats(model, outlet)?;
    let mut extents = constant.shape().iter().enumerate();
    let along_channels = constant.rank() == rank
        && extents.all(|(axis, extent)| *extent == if axis == 1 { channels } else { 1 });
    if !along_channels {
        return None;
    }
    let numbers = constant.try_as_plain_ram().ok()?;
    Some(numbers.as_slice::<f32>().ok()?.to_vec())
}

fn floats(model: &TypedModel, outlet: OutletId) -> Option<&Tensor> {
    let constant = model.outlet_fact(outlet).ok()?.konst.as_deref()?;
    (constant.datum_type() == DatumType::F32).then_some(constant)
}
