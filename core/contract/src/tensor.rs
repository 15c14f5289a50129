//! Tensors as they cross a backend's border: type, shape, little-endian bytes.

use std::ops::Range;

use bytes::Bytes;

/// Element types that cross the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorType {
    /// 16-bit float (IEEE 754 binary16).
    F16,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 8-bit signed integer.
    I8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// One byte each, 0 or 1.
    Bool,
    /// UTF-8, each after its length in bytes as 4 bytes, little endian.
    Text,
}

impl TensorType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::F16,
        Self::F32,
        Self::F64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Bool,
        Self::Text,
    ];

    /// Bytes of one element; for texts, which differ, the bytes of an empty one.
    pub fn min_size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 | Self::Text => 4,
            Self::F16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// ONNX's name of the element type, e.g. `float`.
    pub fn element_name(self) -> &'static str {
        let name = self.onnx_name();
        &name["tensor(".len()..name.len() - 1]
    }

    /// ONNX's name of the type as onnxruntime prints it, e.g. `tensor(float)`.
    pub fn onnx_name(self) -> &'static str {
        match self {
            Self::F16 => "tensor(float16)",
            Self::F32 => "tensor(float)",
            Self::F64 => "tensor(double)",
            Self::I8 => "tensor(int8)",
            Self::I16 => "tensor(int16)",
            Self::I32 => "tensor(int32)",
            Self::I64 => "tensor(int64)",
            Self::U8 => "tensor(uint8)",
            Self::U16 => "tensor(uint16)",
            Self::U32 => "tensor(uint32)",
            Self::U64 => "tensor(uint64)",
            Self::Bool => "tensor(bool)",
            Self::Text => "tensor(string)",
        }
    }
}

/// A tensor: `data` holds the elements row by row, little endian.
///
/// Invariant: `data` holds as many elements as `shape` says; texts are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    kind: TensorType,
    shape: Vec<usize>,
    data: Bytes,
}

/// Why bytes are not the tensor they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{actual} bytes do not make a tensor of shape {shape:?} and type {kind:?}")]
pub struct TensorError {
    /// The type claimed.
    pub kind: TensorType,
    /// The shape claimed.
    pub shape: Vec<usize>,
    /// Bytes given.
    pub actual: usize,
}

impl Tensor {
    /// A tensor of `data`.
    ///
    /// # Errors
    /// The length does not fit type and shape, the shape overflows, or a text is
    /// not UTF-8.
    pub fn new(kind: TensorType, shape: Vec<usize>, data: Bytes) -> Result<Self, TensorError> {
        let least = shape.iter().try_fold(kind.min_size(), |product, extent| {
            product.checked_mul(*extent)
        });
        let holds = match kind {
            TensorType::Text => least.is_some_and(|least| holds_texts(&data, least / 4)),
            _ => least == Some(data.len()),
        };
        if holds {
            Ok(Self { kind, shape, data })
        } else {
            Err(TensorError {
                kind,
                shape,
                actual: data.len(),
            })
        }
    }

    /// A tensor of texts.
    ///
    /// # Errors
    /// There are more or fewer than the shape says, or one has 4 GiB.
    pub fn of_texts<'a>(
        shape: Vec<usize>,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TensorError> {
        let mut data = Vec::new();
        for text in texts {
            append_text(&mut data, text);
        }
        Self::new(TensorType::Text, shape, data.into())
    }

    /// Element type.
    pub fn kind(&self) -> TensorType {
        self.kind
    }

    /// Extents, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements, row by row, little endian.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The elements of a tensor of texts; none of another type.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let data = match self.kind {
            TensorType::Text => &self.data[..],
            _ => &[],
        };
        Texts(data).map(|text| str::from_utf8(text).unwrap_or_default())
    }

    /// Those rows of the first dimension, copied; `None` if there are not as many.
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let (length, inner) = self.shape.split_first()?;
        if rows.start > rows.end || rows.end > *length {
            return None;
        }
        let elements = self.shape.iter().product::<usize>();
        let per_row = elements.checked_div(*length).unwrap_or(0);
        let begin = self.offset(rows.start * per_row);
        let end = self.offset(rows.end * per_row);
        let shape = [&[rows.len()], inner].concat();
        Some(Self {
            kind: self.kind,
            shape,
            data: Bytes::copy_from_slice(self.data.get(begin..end)?),
        })
    }

    /// Where in `data` an element begins.
    fn offset(&self, element: usize) -> usize {
        match self.kind {
            TensorType::Text => {
                let texts = Texts(&self.data).take(element);
                texts.map(|text| 4 + text.len()).sum()
            }
            kind => element * kind.min_size(),
        }
    }
}

/// Appends an element to the data of a tensor of texts. What is over 4 GiB is not
/// appended, so that the tensor lacks an element.
pub fn append_text(data: &mut Vec<u8>, text: &str) {
    if let Ok(length) = u32::try_from(text.len()) {
        data.extend_from_slice(&length.to_le_bytes());
        data.extend_from_slice(text.as_bytes());
    }
}

/// The texts in a tensor's data.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(text)
    }
}

/// Whether these are exactly so many texts.
fn holds_texts(data: &[u8], wanted: usize) -> bool {
    let mut texts = Texts(data);
    let mut found = 0;
    for text in texts.by_ref() {
        if str::from_utf8(text).is_err() {
            return false;
        }
        found += 1;
    }
    texts.0.is_empty() && found == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(shape: &[usize], texts: &[&str]) -> Result<Tensor, TensorError> {
        Tensor::of_texts(shape.to_vec(), texts.iter().copied())
    }

    #[test]
    fn texts_come_out_as_they_went_in() {
        let words = ["setosa", "", "čeština", "a\0b"];
        let tensor = texts(&[2, 2], &words).unwrap();
        assert_eq!(tensor.texts().collect::<Vec<_>>(), words);
        assert_eq!(tensor.data()[..4], [6, 0, 0, 0]);
        assert!(texts(&[0, 2], &[]).unwrap().texts().next().is_none());
        assert_eq!(texts(&[], &["one"]).unwrap().texts().count(), 1);
    }

    #[test]
    fn what_are_not_so_many_texts_is_refused() {
        assert!(texts(&[3], &["a", "b"]).is_err());
        assert!(texts(&[1], &["a", "b"]).is_err());
        let raw = |raw: &[u8]| Tensor::new(TensorType::Text, vec![1], Bytes::copy_from_slice(raw));
        assert!(raw(&[1, 0, 0, 0, b'a']).is_ok());
        assert!(raw(&[2, 0, 0, 0, b'a']).is_err());
        assert!(raw(&[1, 0, 0, 0, b'a', 0]).is_err());
        assert!(raw(&[1, 0, 0, 0, 0xff]).is_err());
        assert!(raw(&[255, 255, 255, 255]).is_err());
        assert!(Tensor::new(TensorType::Text, vec![usize::MAX, 9], Bytes::new()).is_err());
    }

    #[test]
    fn rows_are_taken_out_of_numbers_and_texts() {
        let words = texts(&[3, 2], &["a", "bb", "", "d", "ee", "f"]).unwrap();
        assert_eq!(words.rows(1..3), texts(&[2, 2], &["", "d", "ee", "f"]).ok());
        assert_eq!(words.rows(1..1), texts(&[0, 2], &[]).ok());
        assert_eq!(words.rows(2..4), None);
        let bytes: Vec<u8> = (0..12).collect();
        let numbers = Tensor::new(TensorType::I16, vec![3, 2], bytes.into()).unwrap();
        assert_eq!(numbers.rows(1..2).unwrap().data()[..], [4, 5, 6, 7]);
        let scalar = Tensor::new(TensorType::U8, vec![], vec![1].into()).unwrap();
        assert_eq!(scalar.rows(0..1), None);
        let nothing = Tensor::new(TensorType::F32, vec![0, 2], Bytes::new()).unwrap();
        assert_eq!(nothing.rows(0..0).unwrap(), nothing);
    }

    #[test]
    fn every_type_has_a_name_and_a_size() {
        for kind in TensorType::ALL {
            assert_eq!(kind.onnx_name(), format!("tensor({})", kind.element_name()));
            assert!(kind.min_size() > 0);
        }
    }
}
