//! Memory of tensors that nobody reads any more, for those that come next.
//!
//! The pages are there already and often still in cache, and nothing needs to be
//! cleared: who takes a tensor writes all of it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tract_onnx::{
    prelude::{DatumType, TValue, Tensor, TractResult},
    tract_hir::internal::IntoTensor,
};

/// The most bytes that wait for use.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// Where tensors begin: vectors that reach into two cache lines cost a quarter
/// of the speed of depthwise convolution and pooling.
const CACHE_LINE: usize = 64;

/// Tensors to be written over, the latest last.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<VecDeque<Tensor>>);

impl Buffers {
    /// A tensor of floats that holds anything.
    pub(super) fn take(&self, shape: &[usize]) -> TractResult<Tensor> {
        let len = shape
            .iter()
            .try_fold(1usize, |len, extent| len.checked_mul(*extent));
        let kept = {
            let mut kept = self.kept();
            let fitting = kept.iter().rposition(|tensor| Some(tensor.len()) == len);
            fitting.and_then(|position| kept.remove(position))
        };
        match kept {
            Some(tensor) => tensor.into_shape(shape),
            None => Tensor::zero_aligned::<f32>(shape, CACHE_LINE),
        }
    }

    /// Keeps a value's memory, if nobody else reads it.
    pub(super) fn give(&self, value: TValue) {
        if !value.is_exclusive() || value.datum_type() != DatumType::F32 || value.len() == 0 {
            return;
        }
        let tensor = value.into_tensor();
        let mut kept = self.kept();
        kept.push_back(tensor);
        let mut bytes: usize = kept.iter().map(bytes).sum();
        while bytes > MAX_KEPT_BYTES {
            let Some(oldest) = kept.pop_front() else {
                break;
            };
            bytes -= self::bytes(&oldest);
        }
    }

    /// Nothing can panic while the lock is held, so its content is whole.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Tensor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.len().saturating_mul(size_of::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_in_any_shape_of_its_size() {
        let buffers = Buffers::default();
        let tensor = buffers.take(&[2, 6]).unwrap();
        let address = tensor.as_ptr::<f32>().unwrap();
        buffers.give(tensor.into());
        assert_ne!(buffers.take(&[2, 5]).unwrap().shape(), [3, 4]);
        let again = buffers.take(&[3, 4]).unwrap();
        assert_eq!(again.shape(), [3, 4]);
        assert_eq!(again.as_ptr::<f32>().unwrap(), address);
    }

    #[test]
    fn what_others_read_is_left_to_them() {
        let buffers = Buffers::default();
        let value = TValue::from(buffers.take(&[4]).unwrap());
        buffers.give(value.clone());
        assert!(buffers.kept().is_empty());
        buffers.give(value);
        assert_eq!(buffers.kept().len(), 1);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let buffers = Buffers::default();
        for _ in 0..3 {
            let tensor = Tensor::zero::<f32>(&[MAX_KEPT_BYTES / 8]).unwrap();
            buffers.give(tensor.into());
        }
        assert_eq!(buffers.kept().len(), 2);
    }

    #[test]
    fn extents_beyond_memory_are_an_error() {
        assert!(Buffers::default().take(&[usize::MAX, 2]).is_err());
    }
}
