//! `SVMRegressor`: the weighted likeness to all support vectors.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::function::{Function, Vectors};
use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, extents, filled, floats, numeric, table},
    scores::PostTransform,
    shares::Rows,
};

/// The operator.
#[derive(Debug)]
pub(crate) struct SvmRegressor {
    function: Function,
    vectors: Vectors,
    /// One for each vector.
    weights: Vec<f32>,
    rho: f32,
    /// Whether only the side of the border is told, as 1 or -1.
    one_class: bool,
    transform: PostTransform,
}

impl Operator for SvmRegressor {
    const NAME: &'static str = "SVMRegressor";
    const ATTRIBUTES: &'static [&'static str] = &[
        "coefficients",
        "kernel_params",
        "kernel_type",
        "n_supports",
        "one_class",
        "post_transform",
        "rho",
        "support_vectors",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let coefficients = attributes.floats("coefficients")?;
        let supports = attributes.int("n_supports")?.unwrap_or(0);
        let function = Function::read(attributes)?;
        let (function, vectors, weights) = if supports == 0 {
            // A linear model: its weights are the one vector.
            let vectors = Vectors::new("coefficients", coefficients, 1)?;
            (function.linear(), vectors, vec![1.0])
        } else {
            let count = usize::try_from(supports).unwrap_or(0);
            ensure!(
                coefficients.len() == count,
                "`coefficients` has {} values, `n_supports` is {supports}",
                coefficients.len()
            );
            let values = attributes.floats("support_vectors")?;
            let vectors = Vectors::new("support_vectors", values, count)?;
            (function, vectors, coefficients.to_vec())
        };
        let [rho] = attributes.floats("rho")? else {
            bail!("`rho` must have one value");
        };
        Ok(Arc::new(Self {
            function,
            vectors,
            weights,
            rho: *rho,
            one_class: attributes.int("one_class")?.unwrap_or(0) != 0,
            transform: PostTransform::read(attributes)?,
        }))
    }
}

impl SvmRegressor {
    fn score(&self, row: &[f32]) -> f32 {
        let likeness = self
            .vectors
            .iter()
            .map(|vector| self.function.of(row, vector));
        let sum: f64 = likeness
            .zip(&self.weights)
            .map(|(likeness, weight)| f64::from(likeness) * f64::from(*weight))
            .sum();
        let score = (sum + f64::from(self.rho)) as f32;
        match self.one_class {
            true if score > 0.0 => 1.0,
            true => -1.0,
            false => score,
        }
    }
}

impl Kernel for SvmRegressor {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let (rows, columns) = table(&numeric(inputs)?.shape)?;
        check_columns(&columns, |columns| self.vectors.check(columns))?;
        Ok(tvec![Port::new(f32::datum_type(), [rows, 1.into()])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, columns) = extents(inputs[0])?;
        self.vectors.check(columns)?;
        let values = floats(inputs[0])?;
        let output = filled(&[rows, 1], |scores: &mut [f32]| {
            let table = Rows {
                values: &values,
                columns,
            };
            table.share(scores, 1, self.vectors.nanoseconds(), |rows, scores| {
                for (score, row) in scores.iter_mut().zip(rows.chunks_exact(columns)) {
                    *score = self.score(row);
                }
            });
            self.transform.apply(scores, 1);
            Ok(())
        })?;
        Ok(tvec![output])
    }
}
