//! `ZipMap`: says which column of a classifier's scores is whose.
//!
//! Its output is one map per row, from label to score. No graph of tract
//! carries maps, so the scores go through as the table they are; the labels
//! are checked against it.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    labels::Labels,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, extents, single, table},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct ZipMap {
    labels: Labels,
}

impl Operator for ZipMap {
    const NAME: &'static str = "ZipMap";
    const ATTRIBUTES: &'static [&'static str] = &["classlabels_int64s", "classlabels_strings"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let labels = Labels::read(attributes, "classlabels_int64s", "classlabels_strings")?;
        Ok(Arc::new(Self { labels }))
    }
}

impl ZipMap {
    fn check(&self, columns: usize) -> TractResult<()> {
        let labels = self.labels.len();
        ensure!(
            columns == labels,
            "{labels} labels are given, the input has {columns} columns"
        );
        Ok(())
    }
}

impl Kernel for ZipMap {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = single(inputs)?;
        ensure!(
            input.kind == f32::datum_type(),
            "an input of {:?} does not fit, {:?} does",
            input.kind,
            f32::datum_type()
        );
        let (rows, columns) = table(&input.shape)?;
        check_columns(&columns, |columns| self.check(columns))?;
        Ok(tvec![Port::new(input.kind, [rows, columns])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, columns) = extents(inputs[0])?;
        self.check(columns)?;
        Ok(tvec![inputs[0].clone().into_shape(&[rows, columns])?])
    }
}
