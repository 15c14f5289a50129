//! The kernel functions, and a row's likeness to each support vector.

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    linear::{dot, folded},
};

/// A kernel function.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// A kernel function with its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function {
    shape: Shape,
    gamma: f32,
    coef0: f32,
    degree: f32,
}

impl Function {
    pub(crate) fn read(attributes: &Attributes) -> TractResult<Self> {
        let shape = match attributes.text("kernel_type")? {
            None | Some("LINEAR") => Shape::Linear,
            Some("POLY") => Shape::Poly,
            Some("RBF") => Shape::Rbf,
            Some("SIGMOID") => Shape::Sigmoid,
            Some(other) => bail!("`kernel_type` is `{other}`, which does not exist"),
        };
        let (gamma, coef0, degree) = match attributes.floats("kernel_params")? {
            [] => (0.0, 0.0, 0.0),
            [gamma, coef0, degree] => (*gamma, *coef0, *degree),
            other => bail!("`kernel_params` has {} values, 3 are wanted", other.len()),
        };
        Ok(Self {
            shape,
            gamma,
            coef0,
            degree,
        })
    }

    /// The function of plain linear models, whatever a node says.
    pub(crate) fn linear(self) -> Self {
        Self {
            shape: Shape::Linear,
            ..self
        }
    }

    pub(crate) fn of(&self, row: &[f32], vector: &[f32]) -> f32 {
        let scaled = || self.gamma * dot(row, vector) + self.coef0;
        match self.shape {
            Shape::Linear => dot(row, vector),
            Shape::Poly => scaled().powf(self.degree),
            Shape::Sigmoid => scaled().tanh(),
            Shape::Rbf => {
                let distance = folded(row, vector, |left, right| (left - right).powi(2));
                (-self.gamma * distance).exp()
            }
        }
    }
}

/// Vectors of one length.
#[derive(Debug)]
pub(crate) struct Vectors {
    values: Vec<f32>,
    columns: usize,
}

impl Vectors {
    /// `count` vectors out of the attribute `name`.
    pub(crate) fn new(name: &str, values: &[f32], count: usize) -> TractResult<Self> {
        ensure!(
            count > 0 && !values.is_empty() && values.len().is_multiple_of(count),
            "`{name}` has {} values, they cannot be shared by {count} vectors",
            values.len()
        );
        Ok(Self {
            values: values.to_vec(),
            columns: values.len() / count,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }

    /// About how long a row takes to be compared with all vectors.
    pub(crate) fn nanoseconds(&self) -> usize {
        self.values.len() / 2
    }

    /// Checks the width of an input.
    pub(crate) fn check(&self, columns: usize) -> TractResult<()> {
        ensure!(
            columns == self.columns,
            "the model has {} features, the input has {columns}",
            self.columns
        );
        Ok(())
    }
}
