//! A forest for inputs of any number type.
//!
//! Floats are compared as floats. Doubles need thresholds of their own width:
//! a double just above a threshold could become the threshold as a float.

use std::sync::OnceLock;

use tract_onnx::tract_hir::internal::*;

use super::{
    draft::Draft,
    forest::{Aggregate, Forest},
};
use crate::{
    operator::Port,
    rows::{check_columns, doubles, extents, floats, numeric, table},
};

/// Trees and, where inputs are doubles, the same trees in doubles.
#[derive(Debug)]
pub(crate) enum Engine {
    Single {
        forest: Forest<f32>,
        wide: OnceLock<Forest<f64>>,
    },
    Double(Forest<f64>),
}

impl Engine {
    /// An engine for `draft`, whose numbers are doubles if `is_double`.
    pub(crate) fn new(draft: &Draft, is_double: bool) -> TractResult<Self> {
        Ok(if is_double {
            Self::Double(Forest::grow(draft)?)
        } else {
            Self::Single {
                forest: Forest::grow(draft)?,
                wide: OnceLock::new(),
            }
        })
    }

    pub(crate) fn targets(&self) -> usize {
        match self {
            Self::Single { forest, .. } => forest.targets(),
            Self::Double(forest) => forest.targets(),
        }
    }

    fn check(&self, columns: usize) -> TractResult<()> {
        let wanted = match self {
            Self::Single { forest, .. } => forest.columns(),
            Self::Double(forest) => forest.columns(),
        };
        ensure!(
            wanted <= columns,
            "the trees look at {wanted} features, the input has {columns}"
        );
        Ok(())
    }

    /// The number of rows of the input, which must be wide enough.
    pub(crate) fn rows(&self, inputs: &[Port]) -> TractResult<TDim> {
        let (rows, columns) = table(&numeric(inputs)?.shape)?;
        check_columns(&columns, |columns| self.check(columns))?;
        Ok(rows)
    }

    /// The scores of each row, and how many rows there are.
    pub(crate) fn predict(
        &self,
        input: &Tensor,
        aggregate: Aggregate,
    ) -> TractResult<(usize, Vec<f64>)> {
        let (rows, columns) = extents(input)?;
        self.check(columns)?;
        let scores = match self {
            Self::Single { forest, wide } => {
                if input.datum_type() == f64::datum_type() {
                    let wide = wide.get_or_init(|| forest.widened());
                    wide.predict(&doubles(input)?, columns, aggregate)
                } else {
                    forest.predict(&floats(input)?, columns, aggregate)
                }
            }
            Self::Double(forest) => forest.predict(&doubles(input)?, columns, aggregate),
        };
        Ok((rows, scores))
    }
}
