//! Support vector machines: `SVMClassifier` and `SVMRegressor`.

mod classifier;
mod function;
mod pairwise;
mod regressor;

pub(crate) use classifier::SvmClassifier;
pub(crate) use regressor::SvmRegressor;
