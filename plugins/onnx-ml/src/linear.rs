//! Linear models: `LinearClassifier` and `LinearRegressor`.

mod classifier;
mod model;
mod regressor;

pub(crate) use classifier::LinearClassifier;
pub(crate) use model::{dot, folded};
pub(crate) use regressor::LinearRegressor;
