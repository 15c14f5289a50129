//! Tree ensembles.
//!
//! `nodes` and `ensemble` read the two encodings that the domain has into a
//! [`draft`]; [`forest`] lays a draft out flat and computes; the operators say
//! what becomes of the scores.

mod classifier;
mod draft;
mod engine;
mod ensemble;
mod forest;
mod nodes;
mod regressor;

pub(crate) use classifier::TreeEnsembleClassifier;
pub(crate) use ensemble::TreeEnsemble;
pub(crate) use regressor::TreeEnsembleRegressor;

#[cfg(test)]
mod tests;
