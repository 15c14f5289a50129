//! Operators that do what the values of a request say, as far as they may.

use tract_onnx::{
    tract_core::ops::array::{Range, Topk},
    tract_hir::internal::*,
};

use crate::session::Unfit;

/// The longest range: more than any sequence, and 256 MiB of integers.
const MAX_RANGE: f64 = (1u64 << 25) as f64;

/// An operator that looks at the values before it computes.
#[derive(Debug, Clone)]
pub(crate) struct Bounded {
    inner: Box<dyn TypedOp>,
    check: fn(&[TValue], &dyn Op) -> TractResult<()>,
}

impl Bounded {
    /// The guarded form of an operator that needs one.
    pub(crate) fn of(operator: &dyn TypedOp) -> Option<Self> {
        let check = if operator.as_op().is::<Range>() {
            check_range
        } else if operator.as_op().is::<Topk>() {
            check_top_k
        } else if operator.name() == "Dropout" {
            check_dropout
        } else {
            return None;
        };
        Some(Self {
            inner: tract_onnx::tract_core::dyn_clone::clone_box(operator),
            check,
        })
    }
}

impl Bounded {
    /// Refuses values that a node always has.
    pub(crate) fn check_constants(&self, inputs: &[&TypedFact]) -> TractResult<()> {
        let known = inputs.iter().skip(1).map(|fact| fact.konst.clone());
        let Some(known) = known.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        if self.name() == "Dropout" {
            check_training(known.iter().map(AsRef::as_ref))?;
        }
        Ok(())
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Op for Bounded {
    fn name(&self) -> StaticName {
        self.inner.name()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        self.inner.info()
    }

    fn mints_runtime_symbols(&self) -> bool {
        self.inner.mints_runtime_symbols()
    }

    fn required_bound_symbols(&self, inputs: &[&TypedFact]) -> TVec<Symbol> {
        self.inner.required_bound_symbols(inputs)
    }

    op_as_typed_op!();
}

impl EvalOp for Bounded {
    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        (self.check)(&inputs, self.inner.as_op())?;
        self.inner.eval(context, inputs)
    }

    not_out_of_plan!();
}

impl TypedOp for Bounded {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.inner.output_facts(inputs)
    }

    as_op!();
}

fn check_range(inputs: &[TValue], _operator: &dyn Op) -> TractResult<()> {
    // Extents of inputs make symbols; those are of a size that fits.
    if inputs.iter().any(|input| input.datum_type().is_tdim()) {
        return Ok(());
    }
    let number = |input: &TValue| input.cast_to_scalar::<f64>();
    let (from, to, by) = (
        number(&inputs[0])?,
        number(&inputs[1])?,
        number(&inputs[2])?,
    );
    let elements = (to - from) / by;
    // NaN is none of them.
    ensure!(
        elements <= MAX_RANGE,
        Unfit(format!(
            "a range from {from} to {to} by {by} asks for more than {MAX_RANGE} elements"
        ))
    );
    Ok(())
}

fn check_top_k(inputs: &[TValue], operator: &dyn Op) -> TractResult<()> {
    let axis = operator.downcast_ref::<Topk>().map_or(0, |top| top.axis);
    let most = inputs[0].shape().get(axis).copied().unwrap_or_default();
    let wanted = inputs[1].cast_to::<i64>()?;
    let wanted = *wanted.try_as_plain_ram()?.to_scalar::<i64>()?;
    ensure!(
        (0..=most as i64).contains(&wanted),
        Unfit(format!("{wanted} of {most} elements are asked for"))
    );
    Ok(())
}

fn check_dropout(inputs: &[TValue], _operator: &dyn Op) -> TractResult<()> {
    check_training(inputs.iter().skip(1).map(|input| &**input))
}

/// Training drops elements at random, which is for training alone.
fn check_training<'a>(settings: impl Iterator<Item = &'a Tensor>) -> TractResult<()> {
    let mut trains = false;
    let mut ratio = 0.5;
    for setting in settings {
        if setting.datum_type() == bool::datum_type() {
            trains = setting.cast_to_scalar::<bool>()?;
        } else {
            ratio = setting.cast_to_scalar::<f32>()?;
        }
    }
    ensure!(
        !trains || ratio == 0.,
        Unfit("operator ai.onnx.Dropout is asked to train".into())
    );
    Ok(())
}
