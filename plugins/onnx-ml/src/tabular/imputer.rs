//! `Imputer`: puts something in the place of missing values.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, elements, filled, numeric},
};

/// The operator, by the type of values it was written for.
#[derive(Debug)]
pub(crate) enum Imputer {
    Floats { replaced: f32, imputed: Vec<f32> },
    Ints { replaced: i64, imputed: Vec<i64> },
}

impl Operator for Imputer {
    const NAME: &'static str = "Imputer";
    const ATTRIBUTES: &'static [&'static str] = &[
        "imputed_value_floats",
        "imputed_value_int64s",
        "replaced_value_float",
        "replaced_value_int64",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let floats = attributes.floats("imputed_value_floats")?;
        let ints = attributes.ints("imputed_value_int64s")?;
        Ok(Arc::new(match (floats.is_empty(), ints.is_empty()) {
            (false, true) => Self::Floats {
                replaced: attributes.float("replaced_value_float")?.unwrap_or(0.0),
                imputed: floats.to_vec(),
            },
            (true, false) => Self::Ints {
                replaced: attributes.int("replaced_value_int64")?.unwrap_or(0),
                imputed: ints.to_vec(),
            },
            (true, true) => {
                bail!("neither `imputed_value_floats` nor `imputed_value_int64s` is given")
            }
            (false, false) => {
                bail!("both `imputed_value_floats` and `imputed_value_int64s` are given")
            }
        }))
    }
}

impl Imputer {
    fn check_width(&self, columns: usize) -> TractResult<()> {
        let (name, width) = match self {
            Self::Floats { imputed, .. } => ("imputed_value_floats", imputed.len()),
            Self::Ints { imputed, .. } => ("imputed_value_int64s", imputed.len()),
        };
        ensure!(
            width == 1 || width == columns,
            "`{name}` has {width} values, the input has {columns} features"
        );
        Ok(())
    }

    fn check_kind(&self, kind: DatumType) -> TractResult<()> {
        let fits = match self {
            Self::Floats { .. } => matches!(kind, DatumType::F32 | DatumType::F64),
            Self::Ints { .. } => matches!(kind, DatumType::I32 | DatumType::I64),
        };
        ensure!(fits, "the imputed values do not fit an input of {kind:?}");
        if let (Self::Ints { replaced, imputed }, DatumType::I32) = (self, kind) {
            let mut values = imputed.iter().chain([replaced]);
            if let Some(value) = values.find(|value| i32::try_from(**value).is_err()) {
                bail!("the value {value} does not fit an input of {kind:?}");
            }
        }
        Ok(())
    }
}

/// Puts `imputed` in the place of what `is_missing`.
fn impute<T: Datum + Copy>(
    input: &Tensor,
    imputed: &[T],
    is_missing: impl Fn(T) -> bool,
) -> TractResult<Tensor> {
    let from = elements::<T>(input)?;
    filled(input.shape(), |to: &mut [T]| {
        let values = imputed.iter().cycle();
        for ((to, from), value) in to.iter_mut().zip(from).zip(values) {
            *to = if is_missing(*from) { *value } else { *from };
        }
        Ok(())
    })
}

impl Kernel for Imputer {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = numeric(inputs)?;
        self.check_kind(input.kind)?;
        let columns = input.shape.last().context("a scalar has no features")?;
        check_columns(columns, |columns| self.check_width(columns))?;
        Ok(tvec![input.clone()])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let input = inputs[0];
        self.check_width(input.shape().last().copied().unwrap_or(1))?;
        let output = match (self, input.datum_type()) {
            (Self::Floats { replaced, imputed }, DatumType::F32) => {
                let both_nan = |value: f32| value.is_nan() && replaced.is_nan();
                impute(input, imputed, |value| {
                    value == *replaced || both_nan(value)
                })?
            }
            (Self::Floats { replaced, imputed }, DatumType::F64) => {
                let replaced = f64::from(*replaced);
                let both_nan = |value: f64| value.is_nan() && replaced.is_nan();
                let imputed: Vec<f64> = imputed.iter().map(|value| f64::from(*value)).collect();
                impute(input, &imputed, |value| {
                    value == replaced || both_nan(value)
                })?
            }
            (Self::Ints { replaced, imputed }, DatumType::I64) => {
                impute(input, imputed, |value| value == *replaced)?
            }
            (Self::Ints { replaced, imputed }, DatumType::I32) => {
                let imputed: Vec<i32> = imputed.iter().map(|value| *value as i32).collect();
                impute(input, &imputed, |value| i64::from(value) == *replaced)?
            }
            (_, kind) => bail!("the imputed values do not fit an input of {kind:?}"),
        };
        Ok(tvec![output])
    }
}
