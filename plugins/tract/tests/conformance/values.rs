//! Tensors of data sets as tensors of the contract.

use std::{fs, path::Path};

use bytes::Bytes;
use lusk_contract::{Tensor, TensorType};
use tract_onnx::{data_resolver, pb::tensor_proto::DataType, tensor};

/// The contract's name of an element type.
pub(crate) fn carried(kind: i32) -> Result<TensorType, String> {
    Ok(match DataType::try_from(kind) {
        Ok(DataType::Float16) => TensorType::F16,
        Ok(DataType::Float) => TensorType::F32,
        Ok(DataType::Double) => TensorType::F64,
        Ok(DataType::Int8) => TensorType::I8,
        Ok(DataType::Int16) => TensorType::I16,
        Ok(DataType::Int32) => TensorType::I32,
        Ok(DataType::Int64) => TensorType::I64,
        Ok(DataType::Uint8) => TensorType::U8,
        Ok(DataType::Uint16) => TensorType::U16,
        Ok(DataType::Uint32) => TensorType::U32,
        Ok(DataType::Uint64) => TensorType::U64,
        Ok(DataType::String) => TensorType::Text,
        Ok(DataType::Bool) => TensorType::Bool,
        Ok(other) => return Err(format!("{other:?}").to_lowercase()),
        Err(_) => return Err(format!("type {kind}")),
    })
}

/// The tensor in a file, or the name of its type if that is not carried.
pub(crate) fn read(path: &Path) -> Result<Tensor, String> {
    let file = fs::File::open(path).unwrap();
    let proto = tensor::proto_from_reader(file).map_err(|error| error.to_string())?;
    let kind = carried(proto.data_type)?;
    let provider = data_resolver::default();
    let inner = tensor::load_tensor(provider.as_ref(), &proto, None).unwrap();
    if kind == TensorType::Text {
        let texts = inner.try_as_plain_ram().unwrap();
        let texts = texts.as_slice::<String>().unwrap().iter();
        return Ok(Tensor::of_texts(inner.shape().to_vec(), texts.map(String::as_str)).unwrap());
    }
    let data = Bytes::copy_from_slice(inner.try_as_plain_ram().unwrap().as_bytes());
    Ok(Tensor::new(kind, inner.shape().to_vec(), data).unwrap())
}
