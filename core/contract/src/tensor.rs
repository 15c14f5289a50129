//! Tensors as they cross a backend's border: type, shape, little-endian bytes.

use bytes::Bytes;

/// Element types that cross the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
    /// One byte each, 0 or 1.
    Bool,
}

impl TensorType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// ONNX's name of the type as onnxruntime prints it, e.g. `tensor(float)`.
    pub fn onnx_name(self) -> &'static str {
        match self {
            Self::F32 => "tensor(float)",
            Self::F64 => "tensor(double)",
            Self::I32 => "tensor(int32)",
            Self::I64 => "tensor(int64)",
            Self::U8 => "tensor(uint8)",
            Self::Bool => "tensor(bool)",
        }
    }
}

/// A tensor: `data` holds the elements row by row, little endian.
///
/// Invariant: `data.len()` is the product of `shape` times the element size.
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
    /// The length does not fit type and shape, or the shape overflows.
    pub fn new(kind: TensorType, shape: Vec<usize>, data: Bytes) -> Result<Self, TensorError> {
        let wanted = shape
            .iter()
            .try_fold(kind.size(), |product, extent| product.checked_mul(*extent));
        if wanted == Some(data.len()) {
            Ok(Self { kind, shape, data })
        } else {
            Err(TensorError {
                kind,
                shape,
                actual: data.len(),
            })
        }
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
}
