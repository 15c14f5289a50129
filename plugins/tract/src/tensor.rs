//! Tensors across the border: checked bytes on our side, tract's own on the other.

use bytes::Bytes;
use lusk_contract::{Tensor, TensorType};
use tract_onnx::prelude::{DatumType, Tensor as Inner, TractResult, tensor1};

#[cfg(target_endian = "big")]
compile_error!("tensors are copied as little-endian bytes");

/// tract's name of an element type.
pub(crate) fn datum_type(kind: TensorType) -> DatumType {
    match kind {
        TensorType::F16 => DatumType::F16,
        TensorType::F32 => DatumType::F32,
        TensorType::F64 => DatumType::F64,
        TensorType::I8 => DatumType::I8,
        TensorType::I16 => DatumType::I16,
        TensorType::I32 => DatumType::I32,
        TensorType::I64 => DatumType::I64,
        TensorType::U8 => DatumType::U8,
        TensorType::U16 => DatumType::U16,
        TensorType::U32 => DatumType::U32,
        TensorType::U64 => DatumType::U64,
        TensorType::Bool => DatumType::Bool,
        TensorType::Text => DatumType::String,
    }
}

/// Our name of an element type. tract's symbolic extents leave as 64-bit integers.
pub(crate) fn tensor_type(datum: DatumType) -> Option<TensorType> {
    Some(match datum {
        DatumType::F16 => TensorType::F16,
        DatumType::F32 => TensorType::F32,
        DatumType::F64 => TensorType::F64,
        DatumType::I8 => TensorType::I8,
        DatumType::I16 => TensorType::I16,
        DatumType::I32 => TensorType::I32,
        DatumType::I64 | DatumType::TDim => TensorType::I64,
        DatumType::U8 => TensorType::U8,
        DatumType::U16 => TensorType::U16,
        DatumType::U32 => TensorType::U32,
        DatumType::U64 => TensorType::U64,
        DatumType::Bool => TensorType::Bool,
        DatumType::String => TensorType::Text,
        _ => return None,
    })
}

/// Copies a tensor into tract's memory.
pub(crate) fn enter(tensor: &Tensor) -> TractResult<Inner> {
    if tensor.kind() == TensorType::Text {
        let texts: Vec<String> = tensor.texts().map(str::to_owned).collect();
        return tensor1(&texts).into_shape(tensor.shape());
    }
    let mut inner = Inner::zero_dt(datum_type(tensor.kind()), tensor.shape())?;
    let mut view = inner.try_as_plain_ram_mut()?;
    if tensor.kind() == TensorType::Bool {
        // Any other byte than 0 and 1 would not be a bool of Rust.
        for (to, from) in view.as_slice_mut::<bool>()?.iter_mut().zip(tensor.data()) {
            *to = *from != 0;
        }
    } else {
        view.as_bytes_mut().copy_from_slice(tensor.data());
    }
    Ok(inner)
}

/// Copies a tensor out of tract's memory, as elements of `kind`.
pub(crate) fn leave(inner: &Inner, kind: TensorType) -> TractResult<Tensor> {
    let cast = inner.cast_to_dt(datum_type(kind))?;
    if kind == TensorType::Text {
        let view = cast.try_as_plain_ram()?;
        let texts = view.as_slice::<String>()?.iter().map(String::as_str);
        return Ok(Tensor::of_texts(inner.shape().to_vec(), texts)?);
    }
    let data = Bytes::copy_from_slice(cast.try_as_plain_ram()?.as_bytes());
    Ok(Tensor::new(kind, inner.shape().to_vec(), data)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_hir::internal::ToDim;

    use super::*;

    #[test]
    fn symbolic_extents_leave_as_integers() {
        let extents = tensor1(&[3.to_dim(), 4.to_dim()]);
        let tensor = leave(&extents, TensorType::I64).unwrap();
        assert_eq!(tensor.shape(), [2]);
        assert_eq!(
            tensor.data().as_ref(),
            [3i64.to_le_bytes(), 4i64.to_le_bytes()].concat()
        );
    }

    proptest! {
        #[test]
        fn a_tensor_comes_back_as_it_went(values: Vec<i64>, floats: Vec<f32>) {
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = Tensor::new(TensorType::I64, vec![values.len()], raw.into()).unwrap();
            prop_assert_eq!(&leave(&enter(&tensor).unwrap(), TensorType::I64).unwrap(), &tensor);

            let raw: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = Tensor::new(TensorType::F32, vec![1, floats.len()], raw.into()).unwrap();
            prop_assert_eq!(&leave(&enter(&tensor).unwrap(), TensorType::F32).unwrap(), &tensor);
        }

        #[test]
        fn texts_come_back_as_they_went(texts: Vec<String>) {
            let words = texts.iter().map(String::as_str);
            let tensor = Tensor::of_texts(vec![texts.len(), 1], words).unwrap();
            prop_assert_eq!(&leave(&enter(&tensor).unwrap(), TensorType::Text).unwrap(), &tensor);
        }

        #[test]
        fn any_byte_makes_a_bool(bytes: Vec<u8>) {
            let truth: Vec<u8> = bytes.iter().map(|byte| u8::from(*byte != 0)).collect();
            let tensor = Tensor::new(TensorType::Bool, vec![bytes.len()], bytes.into()).unwrap();
            let back = leave(&enter(&tensor).unwrap(), TensorType::Bool).unwrap();
            prop_assert_eq!(back.data().as_ref(), truth.as_slice());
        }
    }
}
