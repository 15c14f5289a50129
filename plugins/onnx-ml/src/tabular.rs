//! Operators that change each number of a table on its own or by its row.

mod binarizer;
mod imputer;
mod normalizer;
mod scaler;

pub(crate) use binarizer::Binarizer;
pub(crate) use imputer::Imputer;
pub(crate) use normalizer::Normalizer;
pub(crate) use scaler::Scaler;
