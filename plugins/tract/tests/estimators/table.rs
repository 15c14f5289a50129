//! Tensors of a case, as they are asked with and compared.

use std::{fs, ops::Range, path::Path};

use lusk_contract::{Tensor, TensorType};
use tract_onnx::{
    data_resolver,
    pb::{TensorProto, tensor_proto::DataType},
    prelude, tensor,
};

/// Rows of as many values each.
pub(crate) struct Table {
    kind: DataType,
    shape: Vec<usize>,
    pub(crate) values: Values,
}

/// What a table holds, row by row.
pub(crate) enum Values {
    Numbers(Vec<f64>),
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

impl Table {
    /// The tensor in a file.
    pub(crate) fn read(path: &Path) -> Self {
        let proto = tensor::proto_from_reader(fs::File::open(path).unwrap()).unwrap();
        let kind = DataType::try_from(proto.data_type).unwrap();
        let values = match kind {
            DataType::String => Values::Texts(texts(&proto)),
            DataType::Int64 => Values::Integers(loaded(&proto)),
            _ => Values::Numbers(loaded(&proto)),
        };
        let shape = proto.dims.iter().map(|extent| *extent as usize).collect();
        Self {
            kind,
            shape,
            values,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.shape[0]
    }

    /// The shape of one row, or of the whole.
    pub(crate) fn shape(&self, row: Option<usize>) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if row.is_some() {
            shape[0] = 1;
        }
        shape
    }

    /// Where the values of one row lie, or all of them.
    pub(crate) fn range(&self, row: Option<usize>) -> Range<usize> {
        let width: usize = self.shape[1..].iter().product();
        match row {
            Some(row) => row * width..(row + 1) * width,
            None => 0..self.rows() * width,
        }
    }

    /// The largest number of each column, the sign aside.
    pub(crate) fn largest(&self) -> Vec<f64> {
        let width = self.shape[1..].iter().product();
        let mut largest = vec![0.0f64; width];
        if let Values::Numbers(numbers) = &self.values {
            for row in numbers.chunks_exact(width) {
                for (largest, number) in largest.iter_mut().zip(row) {
                    *largest = largest.max(number.abs());
                }
            }
        }
        largest
    }

    /// One row, or all of them, as what a backend is asked with.
    pub(crate) fn tensor(&self, row: Option<usize>) -> Tensor {
        let range = self.range(row);
        let (kind, data): (_, Vec<u8>) = match (&self.values, self.kind) {
            (Values::Texts(texts), _) => {
                let texts = texts[range].iter().map(String::as_str);
                return Tensor::of_texts(self.shape(row), texts).unwrap();
            }
            (Values::Integers(numbers), _) => {
                (TensorType::I64, bytes(&numbers[range], i64::to_le_bytes))
            }
            (Values::Numbers(numbers), DataType::Double) => {
                (TensorType::F64, bytes(&numbers[range], f64::to_le_bytes))
            }
            (Values::Numbers(numbers), _) => (
                TensorType::F32,
                bytes(&numbers[range], |number| (number as f32).to_le_bytes()),
            ),
        };
        Tensor::new(kind, self.shape(row), data.into()).unwrap()
    }
}

fn bytes<T: Copy, const N: usize>(values: &[T], each: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| each(*value)).collect()
}

fn texts(proto: &TensorProto) -> Vec<String> {
    let texts = proto.string_data.iter();
    texts
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

fn loaded<T: prelude::Datum + Copy>(proto: &TensorProto) -> Vec<T> {
    let provider = data_resolver::default();
    let inner = tensor::load_tensor(provider.as_ref(), proto, None).unwrap();
    let inner = inner.cast_to::<T>().unwrap();
    let view = inner.try_as_plain_ram().unwrap();
    view.as_slice::<T>().unwrap().to_vec()
}

/// The numbers of a tensor. Labels are far below 2^53.
pub(crate) fn numbers_of(tensor: &Tensor) -> Result<Vec<f64>, String> {
    let data = tensor.data().as_ref();
    Ok(match tensor.kind() {
        TensorType::F32 => each(data, |word| f32::from_le_bytes(word).into()),
        TensorType::F64 => each(data, f64::from_le_bytes),
        TensorType::I64 => each(data, |word| i64::from_le_bytes(word) as f64),
        TensorType::I32 => each(data, |word| i32::from_le_bytes(word).into()),
        kind => return Err(format!("got {kind:?}, expected numbers")),
    })
}

/// The texts of a tensor.
pub(crate) fn texts_of(tensor: &Tensor) -> Result<Vec<String>, String> {
    match tensor.kind() {
        TensorType::Text => Ok(tensor.texts().map(str::to_owned).collect()),
        kind => Err(format!("got {kind:?}, expected texts")),
    }
}

fn each<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (words, _) = data.as_chunks::<N>();
    words.iter().map(|word| number(*word)).collect()
}
