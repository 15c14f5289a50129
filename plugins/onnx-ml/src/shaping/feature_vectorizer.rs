//! `FeatureVectorizer`: puts tables side by side.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{NUMERIC, check_columns, extents, filled, floats, table},
};

/// The most columns of one input.
const MAX_COLUMNS: usize = 1 << 24;

/// The most columns that padding may add to an input: they cost memory with
/// every row.
const MAX_PADDING: usize = 1024;

/// The operator.
#[derive(Debug)]
pub(crate) struct FeatureVectorizer {
    /// How many columns each input gives: it is cut or padded with zeros.
    widths: Vec<usize>,
}

impl Operator for FeatureVectorizer {
    const NAME: &'static str = "FeatureVectorizer";
    const ATTRIBUTES: &'static [&'static str] = &["inputdimensions"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let given = attributes.ints("inputdimensions")?;
        ensure!(
            given.len() == attributes.inputs(),
            "`inputdimensions` has {} values, there are {} inputs",
            given.len(),
            attributes.inputs()
        );
        let width = |width: &i64| {
            let known = usize::try_from(*width).ok();
            known
                .filter(|width| *width <= MAX_COLUMNS)
                .with_context(|| {
                    format!("`inputdimensions` holds {width}, 0 to {MAX_COLUMNS} are possible")
                })
        };
        let widths: Vec<usize> = given.iter().map(width).collect::<TractResult<_>>()?;
        Ok(Arc::new(Self { widths }))
    }
}

/// Checks how far an input of `columns` is padded.
fn check_padding(width: usize, columns: usize) -> TractResult<()> {
    ensure!(
        width <= columns.saturating_add(MAX_PADDING),
        "`inputdimensions` pads {columns} columns to {width}, at most {MAX_PADDING} may be added"
    );
    Ok(())
}

impl Kernel for FeatureVectorizer {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let mut rows: Option<TDim> = None;
        for (input, width) in inputs.iter().zip(&self.widths) {
            ensure!(
                NUMERIC.contains(&input.kind),
                "an input of {:?} does not fit, {NUMERIC:?} do",
                input.kind
            );
            let (own, columns) = table(&input.shape)?;
            check_columns(&columns, |columns| check_padding(*width, columns))?;
            let first = rows.get_or_insert_with(|| own.clone());
            ensure!(
                *first == own,
                "the inputs have {first} and {own} rows, they must have the same"
            );
        }
        let rows = rows.context("there is no input")?;
        let total: usize = self.widths.iter().sum();
        Ok(tvec![Port::new(f32::datum_type(), [rows, total.into()])])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let first = inputs.first().context("there is no input")?;
        let (rows, _) = extents(first)?;
        let total: usize = self.widths.iter().sum();
        for (input, width) in inputs.iter().zip(&self.widths) {
            check_padding(*width, extents(input)?.1)?;
        }
        let output = filled(&[rows, total], |to: &mut [f32]| {
            let mut start = 0;
            for (input, width) in inputs.iter().zip(&self.widths) {
                let (own, columns) = extents(input)?;
                ensure!(own == rows, "the inputs have {rows} and {own} rows");
                let used = columns.min(*width);
                let values = floats(input)?;
                for row in 0..rows {
                    let from = &values[row * columns..][..used];
                    to[row * total + start..][..used].copy_from_slice(from);
                }
                start += width;
            }
            Ok(())
        })?;
        Ok(tvec![output])
    }
}
