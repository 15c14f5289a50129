//! Operators that look each element up: `LabelEncoder` and `CategoryMapper`.

mod category_mapper;
mod label_encoder;
mod table;

pub(crate) use category_mapper::CategoryMapper;
pub(crate) use label_encoder::LabelEncoder;
