//! The labels of a classifier's classes.

use tract_onnx::tract_hir::internal::*;

use crate::{attributes::Attributes, rows::filled};

/// Labels by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Labels {
    /// Labels from the one of both attributes that is given.
    pub(crate) fn read(attributes: &Attributes, ints: &str, texts: &str) -> TractResult<Self> {
        let numbers = attributes.ints(ints)?;
        let words = attributes.texts(texts)?;
        match (numbers.is_empty(), words.is_empty()) {
            (false, true) => Ok(Self::Ints(numbers.to_vec())),
            (true, false) => Ok(Self::Texts(words.into_iter().map(String::from).collect())),
            (true, true) => bail!("neither `{ints}` nor `{texts}` is given"),
            (false, false) => bail!("both `{ints}` and `{texts}` are given"),
        }
    }

    /// How many classes there are, at least one.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// The element type of a tensor of labels.
    pub(crate) fn kind(&self) -> DatumType {
        match self {
            Self::Ints(_) => i64::datum_type(),
            Self::Texts(_) => String::datum_type(),
        }
    }

    /// The labels of `classes`.
    pub(crate) fn of(&self, classes: &[usize]) -> TractResult<Tensor> {
        match self {
            Self::Ints(labels) => chosen(labels, classes),
            Self::Texts(labels) => chosen(labels, classes),
        }
    }
}

fn chosen<T: Datum>(labels: &[T], classes: &[usize]) -> TractResult<Tensor> {
    filled(&[classes.len()], |to: &mut [T]| {
        for (to, class) in to.iter_mut().zip(classes) {
            let label = labels.get(*class);
            *to = label.context("a class has no label")?.clone();
        }
        Ok(())
    })
}
