//! Packed weights, shared by the plans of one model.

use std::sync::{Arc, Mutex, PoisonError};

use lusk_conv::{Conv, Geometry};
use tract_onnx::prelude::{Tensor, TractResult};

use super::{buffers::Buffers, chain::Affine};

/// What the plans of one model have in common.
///
/// A plan for one row and one for any number of rows hold the same weights.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    packed: Mutex<Vec<Packed>>,
    buffers: Arc<Buffers>,
}

#[derive(Debug)]
struct Packed {
    geometry: Geometry,
    kernel: Arc<Tensor>,
    affine: Affine,
    conv: Option<Arc<Conv>>,
}

impl Weights {
    /// The convolution with this kernel followed by `affine`; `None` where
    /// `lusk-conv` has no kernel for it.
    pub(super) fn conv(
        &self,
        geometry: Geometry,
        kernel: &Arc<Tensor>,
        affine: &Affine,
    ) -> TractResult<Option<Arc<Conv>>> {
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = packed.iter().find(|known| {
            known.geometry == geometry
                && known.affine == *affine
                && (Arc::ptr_eq(&known.kernel, kernel) || known.kernel == *kernel)
        });
        if let Some(known) = known {
            return Ok(known.conv.clone());
        }
        let scaled = scaled(kernel, &affine.scale)?;
        let conv = Conv::new(geometry, &scaled, Some(&affine.shift)).map(Arc::new);
        packed.push(Packed {
            geometry,
            kernel: kernel.clone(),
            affine: affine.clone(),
            conv: conv.clone(),
        });
        Ok(conv)
    }

    /// Memory for the values between operators.
    pub(super) fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }
}

/// The kernel with every output channel multiplied.
fn scaled(kernel: &Tensor, scale: &[f32]) -> TractResult<Vec<f32>> {
    let view = kernel.try_as_plain_ram()?;
    let kernel = view.as_slice::<f32>()?;
    let per_channel = (kernel.len() / scale.len()).max(1);
    let channels = kernel.chunks(per_channel).zip(scale);
    Ok(channels
        .flat_map(|(channel, scale)| channel.iter().map(move |weight| weight * scale))
        .collect())
}
