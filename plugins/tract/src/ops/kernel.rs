//! An operator with one output as tract sees it.

use std::{fmt::Debug, sync::Arc};

use tract_onnx::tract_hir::{infer::Factoid, internal::*};

/// What an operator does, its attributes being known.
pub(crate) trait Kernel: Debug + Send + Sync + 'static {
    /// The operator's name.
    fn name(&self) -> &'static str;

    /// Type and extents of the output. An error refuses the model.
    fn output(&self, inputs: &[Port]) -> TractResult<Port>;

    /// Whether an extent of the output is known but when it is computed.
    fn makes_extents(&self) -> bool {
        false
    }

    /// Computes; the inputs have types that `output` accepted.
    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor>;
}

/// What is known of a value before it is there.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    /// Element type.
    pub(crate) kind: DatumType,
    /// Extents.
    pub(crate) shape: TVec<TDim>,
    /// The value itself, if it is a constant.
    pub(crate) value: Option<Arc<Tensor>>,
}

impl Port {
    /// Of this type and these extents.
    pub(crate) fn new(kind: DatumType, shape: TVec<TDim>) -> Self {
        Self {
            kind,
            shape,
            value: None,
        }
    }
}

/// A kernel for tract's registry.
pub(crate) fn operator(kernel: impl Kernel) -> (Box<dyn InferenceOp>, Vec<String>) {
    (Box::new(KernelOp(Arc::new(kernel))), vec![])
}

#[derive(Debug, Clone)]
struct KernelOp(Arc<dyn Kernel>);

impl PartialEq for KernelOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for KernelOp {}

impl Op for KernelOp {
    fn name(&self) -> StaticName {
        self.0.name().into()
    }

    fn mints_runtime_symbols(&self) -> bool {
        self.0.makes_extents()
    }

    op_as_typed_op!();
}

impl EvalOp for KernelOp {
    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let inputs: TVec<&Tensor> = inputs.iter().map(|input| &**input).collect();
        Ok(tvec![self.0.run(&inputs)?.into()])
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        let is_extent = |input: &TValue| input.datum_type() == TDim::datum_type();
        if inputs.iter().any(is_extent) {
            return Ok(None);
        }
        self.eval(&EvalContext::out_of_plan(), inputs).map(Some)
    }
}

impl TypedOp for KernelOp {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let port = |fact: &&TypedFact| Port {
            kind: fact.datum_type,
            shape: fact.shape.to_tvec(),
            value: fact.konst.clone(),
        };
        let output = self
            .0
            .output(&inputs.iter().map(port).collect::<Vec<_>>())?;
        Ok(tvec![output.kind.fact(output.shape)])
    }

    as_op!();
}

impl InferenceOp for KernelOp {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(
        TVec<InferenceFact>,
        TVec<InferenceFact>,
        TVec<InferenceFact>,
    )> {
        let mut inferred: TVec<InferenceFact> = outputs.into_iter().cloned().collect();
        let known: Option<Vec<Port>> = inputs.iter().map(|fact| port(fact)).collect();
        // What is missing may yet be found; `to_typed` says if it is not.
        if let Some(output) = known.and_then(|known| self.0.output(&known).ok()) {
            let fact = InferenceFact::dt_shape(output.kind, output.shape);
            inferred[0] = inferred[0].unify(&fact)?;
        }
        Ok((
            inputs.into_iter().cloned().collect(),
            inferred,
            observed.into_iter().cloned().collect(),
        ))
    }

    fn to_typed(
        &self,
        _source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs = node.inputs.iter().map(|input| mapping.get(input).copied());
        let inputs: Option<TVec<OutletId>> = inputs.collect();
        let inputs = inputs.context("an input is not translated")?;
        target.wire_node(&node.name, self.clone(), &inputs)
    }

    as_op!();
}

fn port(fact: &InferenceFact) -> Option<Port> {
    Some(Port {
        kind: fact.datum_type.concretize()?,
        shape: fact.shape.concretize()?,
        value: fact.value.concretize(),
    })
}
