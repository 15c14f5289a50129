//! One JSON value that is no list, as an element of a tensor.

use std::fmt;

use half::f16;
use lusk_contract::{TensorType, append_text};

/// A JSON scalar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'t> {
    Float(f64),
    Unsigned(u64),
    Signed(i64),
    Bool(bool),
    Null,
    Text(&'t str),
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

impl Scalar<'_> {
    /// Bytes of the element.
    pub(super) fn size(self, kind: TensorType) -> usize {
        match self {
            Self::Text(text) => kind.min_size() + text.len(),
            _ => kind.min_size(),
        }
    }

    /// Appends the element; false if the type cannot hold it.
    pub(super) fn append(self, kind: TensorType, data: &mut Vec<u8>) -> bool {
        match kind {
            TensorType::F16 => extend(data, self.float().map(|v| f16::from_f64(v).to_le_bytes())),
            TensorType::F32 => extend(data, self.float().map(|v| (v as f32).to_le_bytes())),
            TensorType::F64 => extend(data, self.float().map(f64::to_le_bytes)),
            TensorType::I8 => extend(data, self.integer().map(i8::to_le_bytes)),
            TensorType::I16 => extend(data, self.integer().map(i16::to_le_bytes)),
            TensorType::I32 => extend(data, self.integer().map(i32::to_le_bytes)),
            TensorType::I64 => extend(data, self.integer().map(i64::to_le_bytes)),
            TensorType::U8 => extend(data, self.integer().map(u8::to_le_bytes)),
            TensorType::U16 => extend(data, self.integer().map(u16::to_le_bytes)),
            TensorType::U32 => extend(data, self.integer().map(u32::to_le_bytes)),
            TensorType::U64 => extend(data, self.integer().map(u64::to_le_bytes)),
            TensorType::Bool => extend(data, self.boolean().map(|v| [u8::from(v)])),
            TensorType::Text => match self {
                Self::Text(text) => {
                    append_text(data, text);
                    true
                }
                _ => false,
            },
        }
    }

    fn float(self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(value),
            Self::Unsigned(value) => Some(value as f64),
            Self::Signed(value) => Some(value as f64),
            Self::Null => Some(f64::NAN),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    fn integer<T: TryFrom<u64> + TryFrom<i64>>(self) -> Option<T> {
        match self {
            Self::Unsigned(value) => value.try_into().ok(),
            Self::Signed(value) => value.try_into().ok(),
            Self::Float(_) | Self::Bool(_) | Self::Null | Self::Text(_) => None,
        }
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Unsigned(0) => Some(false),
            Self::Unsigned(1) => Some(true),
            _ => None,
        }
    }
}

fn extend<const N: usize>(data: &mut Vec<u8>, bytes: Option<[u8; N]>) -> bool {
    match bytes {
        Some(bytes) => {
            data.extend_from_slice(&bytes);
            true
        }
        None => false,
    }
}
