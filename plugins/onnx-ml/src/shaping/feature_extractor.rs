//! `ArrayFeatureExtractor`: selects columns by their index.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{NUMERIC, elements, filled},
};

/// The operator; its indices are its second input.
#[derive(Debug)]
pub(crate) struct FeatureExtractor;

impl Operator for FeatureExtractor {
    const NAME: &'static str = "ArrayFeatureExtractor";
    const ATTRIBUTES: &'static [&'static str] = &[];

    fn read(_attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        Ok(Arc::new(Self))
    }
}

impl Kernel for FeatureExtractor {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let [data, indices] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        ensure!(
            NUMERIC.contains(&data.kind) || data.kind == String::datum_type(),
            "an input of {:?} does not fit",
            data.kind
        );
        ensure!(
            indices.kind == i64::datum_type(),
            "indices of {:?} do not fit, 64-bit integers do",
            indices.kind
        );
        let selected: TDim = indices.shape.iter().product();
        let mut shape = data.shape.clone();
        *shape.last_mut().context("a scalar has no features")? = selected;
        if shape.len() == 1 {
            // Of one row a table is made, as all runtimes do.
            shape.insert(0, 1.into());
        }
        Ok(tvec![Port::new(data.kind, shape)])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [data, indices] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        let width = data.shape().last().copied().unwrap_or(0);
        let columns = columns(elements::<i64>(indices)?, width)?;
        let output = match data.datum_type() {
            DatumType::F32 => select::<f32>(data, &columns),
            DatumType::F64 => select::<f64>(data, &columns),
            DatumType::I32 => select::<i32>(data, &columns),
            DatumType::I64 => select::<i64>(data, &columns),
            DatumType::String => select::<String>(data, &columns),
            kind => bail!("an input of {kind:?} does not fit"),
        };
        Ok(tvec![output?])
    }
}

fn columns(indices: &[i64], width: usize) -> TractResult<Vec<usize>> {
    let column = |index: &i64| {
        usize::try_from(*index)
            .ok()
            .filter(|column| *column < width)
            .ok_or_else(|| format_err!("index {index} is outside of {width} features"))
    };
    indices.iter().map(column).collect()
}

fn select<T: Datum>(data: &Tensor, columns: &[usize]) -> TractResult<Tensor> {
    let width = data.shape().last().copied().unwrap_or(0).max(1);
    let mut shape: TVec<usize> = data.shape().into();
    if let Some(last) = shape.last_mut() {
        *last = columns.len();
    }
    if shape.len() == 1 {
        shape.insert(0, 1);
    }
    let rows = elements::<T>(data)?.chunks_exact(width);
    filled(&shape, |to: &mut [T]| {
        let from = rows.flat_map(|row| columns.iter().map(|column| &row[*column]));
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.clone();
        }
        Ok(())
    })
}
