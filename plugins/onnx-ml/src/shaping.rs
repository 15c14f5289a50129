//! Operators that select, join or spread the columns of tables.

mod feature_extractor;
mod feature_vectorizer;
mod one_hot;

pub(crate) use feature_extractor::FeatureExtractor;
pub(crate) use feature_vectorizer::FeatureVectorizer;
pub(crate) use one_hot::OneHotEncoder;
