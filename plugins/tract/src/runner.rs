//! A plan that runs, and its states.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tract_onnx::{
    prelude::{
        DatumType, IntoRunnable, Symbol, SymbolValues, TDim, TValue, TVec, Tensor, TractResult,
        TypedModel, TypedRunnableModel, TypedSimpleState,
    },
    tract_core::plan::eval,
};

use crate::{
    memory::{Extents, check_output},
    ops,
};

/// A runnable plan and the states that wait for the next call.
#[derive(Debug)]
pub(crate) struct Runner {
    plan: Arc<TypedRunnableModel>,
    /// Which input and axis tells the extent that a symbol stands for.
    symbols: Vec<(usize, usize, Symbol)>,
    extents: Extents,
    idle: Mutex<Vec<TypedSimpleState>>,
    max_idle: usize,
}

impl Runner {
    pub(crate) fn new(mut model: TypedModel) -> TractResult<Self> {
        let extents = Extents::of(&model)?;
        ops::bound(&mut model)?;
        let plan = model.into_optimized()?.into_runnable()?;
        let mut symbols = Vec::new();
        for input in 0..plan.model().inputs.len() {
            for (axis, dim) in plan.model().input_fact(input)?.shape.iter().enumerate() {
                if let TDim::Sym(symbol) = dim {
                    symbols.push((input, axis, symbol.clone()));
                }
            }
        }
        Ok(Self {
            plan,
            symbols,
            extents,
            idle: Mutex::new(Vec::new()),
            max_idle: thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// Which input and axis tells the extent that a symbol stands for.
    pub(crate) fn symbols(&self) -> &[(usize, usize, Symbol)] {
        &self.symbols
    }

    /// Whether no extents are open but the first ones.
    pub(crate) fn is_open_in_batch_alone(&self) -> bool {
        self.symbols.iter().all(|(_, axis, _)| *axis == 0)
    }

    /// Computes. The state of a call that failed is not used again.
    pub(crate) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut known = SymbolValues::default();
        let mut extents = Vec::with_capacity(self.symbols.len());
        for (input, axis, symbol) in &self.symbols {
            let extent = i64::try_from(inputs[*input].shape()[*axis])?;
            known.set(symbol, extent);
            extents.push(extent);
        }
        self.extents.check(extents, &known, &inputs)?;
        let mut outputs = self.compute(inputs)?;
        for output in &mut outputs {
            if output.datum_type() == DatumType::TDim {
                *output = evaluated(output, &known)?.into();
            }
        }
        Ok(outputs)
    }

    fn compute(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let idle = self.idle().pop();
        let mut state = match idle {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        let outputs = if self.extents.made_by_values() {
            let allowed = self.extents.allowed(&inputs);
            state.run_plan_with_eval(inputs, |context, remembered, node, inputs| {
                for output in &node.outputs {
                    check_output(&output.fact, context.symbols, allowed)?;
                }
                eval(context, remembered, node, inputs)
            })?
        } else {
            state.run(inputs)?
        };
        // A recurrent operator would go on where the last request left it.
        let remembers = state.op_states.iter().any(Option::is_some);
        if !remembers {
            let mut idle = self.idle();
            if idle.len() < self.max_idle {
                idle.push(state);
            }
        }
        Ok(outputs)
    }

    /// Nothing can panic while the lock is held, so its content is whole.
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<TypedSimpleState>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Extents as numbers: tract hands out `Shape` of an open input as symbols.
fn evaluated(extents: &Tensor, known: &SymbolValues) -> TractResult<Tensor> {
    let view = extents.try_as_plain_ram()?;
    let dims = view.as_slice::<TDim>()?.iter();
    let numbers: Vec<i64> = dims
        .map(|dim| dim.eval(known).to_i64())
        .collect::<Result<_, _>>()?;
    Tensor::from_shape(extents.shape(), &numbers)
}
