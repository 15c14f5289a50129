//! The operators of `ai.onnx.ml`, versions 1 to 5, for tract.
//!
//! [`register`] puts them into tract's own registry, over the few that tract
//! brings itself. `operator` is the one place that meets tract: everything else
//! reads checked [`attributes`], says which types and extents come out, and
//! computes on slices.
//!
//! Operators whose input is a map (`CastMap`, `DictVectorizer`) are not
//! registered, as no graph of tract carries maps. The backend takes a
//! `DictVectorizer` of an input out beforehand; a model with another one is
//! refused by the operator's name.
//!
//! The text of the specification decides. Where it is silent, the operators do
//! what onnxruntime does; where both differ, they do what the text says:
//!
//! - a post transform changes the score of a single target, and both scores of
//!   a classifier that has one column for two classes;
//! - base values count for targets without votes, too;
//! - the top class is the one with the highest score, whichever classes have
//!   votes, and its label is one of those given;
//! - a missing value follows `nodes_missing_value_tracks_true` in every mode;
//! - `TreeEnsemble` numbers its post transforms as the text does;
//! - `LabelEncoder` finds keys that are no number and, since version 4, takes
//!   the last one of equal keys;
//! - without a transform, one set of coefficients for two classes gives the
//!   margins `-s` and `s`.
//!
//! Invariant: what a model may say wrongly is found when it is loaded; what a
//! request may say wrongly is an error of that request. Neither is a panic.

mod attributes;
mod label_map;
mod labels;
mod linear;
mod operator;
mod rows;
mod scores;
mod shaping;
mod shares;
mod svm;
mod tabular;
mod tree;
mod zip_map;

use tract_onnx::model::OnnxOpRegister;

use operator::build;

/// Adds the operators of `ai.onnx.ml`, replacing those of the same name.
pub fn register(registry: &mut OnnxOpRegister) {
    registry.insert("ArrayFeatureExtractor", build::<shaping::FeatureExtractor>);
    registry.insert("Binarizer", build::<tabular::Binarizer>);
    registry.insert("CategoryMapper", build::<label_map::CategoryMapper>);
    registry.insert("FeatureVectorizer", build::<shaping::FeatureVectorizer>);
    registry.insert("Imputer", build::<tabular::Imputer>);
    registry.insert("LabelEncoder", build::<label_map::LabelEncoder>);
    registry.insert("LinearClassifier", build::<linear::LinearClassifier>);
    registry.insert("LinearRegressor", build::<linear::LinearRegressor>);
    registry.insert("Normalizer", build::<tabular::Normalizer>);
    registry.insert("OneHotEncoder", build::<shaping::OneHotEncoder>);
    registry.insert("SVMClassifier", build::<svm::SvmClassifier>);
    registry.insert("SVMRegressor", build::<svm::SvmRegressor>);
    registry.insert("Scaler", build::<tabular::Scaler>);
    registry.insert("TreeEnsemble", build::<tree::TreeEnsemble>);
    registry.insert(
        "TreeEnsembleClassifier",
        build::<tree::TreeEnsembleClassifier>,
    );
    registry.insert(
        "TreeEnsembleRegressor",
        build::<tree::TreeEnsembleRegressor>,
    );
    registry.insert("ZipMap", build::<zip_map::ZipMap>);
}
