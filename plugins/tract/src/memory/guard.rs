//! A guard before every operator.

use std::{ops::Range, sync::OnceLock};

use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::NodeProto,
    tract_core::optim::CONST_FOLD_MEM_BUDGET,
    tract_hir::{infer::Factoid, internal::*},
};

use super::allowance::{check_known, known_size, known_value, left, make};
use crate::{attributes::MAX_RANK, ops};

/// Operators, and which of their inputs are extents.
const EXTENTS: [(&str, Range<usize>); 9] = [
    ("ConstantOfShape", 0..1),
    ("Expand", 1..2),
    ("OneHot", 1..2),
    ("Pad", 1..2),
    ("Range", 0..3),
    ("Reshape", 1..2),
    ("Resize", 1..4),
    ("Tile", 1..2),
    ("TopK", 1..2),
];

/// Puts a guard before every operator of the registry.
pub(crate) fn guard(registry: &mut OnnxOpRegister) {
    for builder in registry.0.values_mut() {
        *builder = guarded;
    }
}

/// Builds the operator of a node, with its guard.
fn guarded(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let builder = all_operators()
        .0
        .get(&node.op_type)
        .with_context(|| format!("no operator {}", node.op_type))?;
    let (operator, closures) = builder(context, node)?;
    let guard = Guard {
        operator,
        name: node.op_type.clone(),
        extents: EXTENTS
            .iter()
            .find(|(name, _)| *name == node.op_type)
            .map_or(0..0, |(_, inputs)| inputs.clone()),
    };
    Ok((Box::new(guard), closures))
}

/// The operators themselves: a builder is a plain function and can hold none.
fn all_operators() -> &'static OnnxOpRegister {
    static ALL: OnceLock<OnnxOpRegister> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut registry = tract_onnx::onnx().op_register;
        lusk_onnx_ml::register(&mut registry);
        ops::register(&mut registry);
        registry
    })
}

/// An operator whose extents are looked at before it computes.
#[derive(Debug, Clone)]
struct Guard {
    operator: Box<dyn InferenceOp>,
    /// What the standard calls it.
    name: String,
    /// Which inputs are extents.
    extents: Range<usize>,
}

impl PartialEq for Guard {
    fn eq(&self, _other: &Self) -> bool {
        false
    }
}

impl Eq for Guard {}

impl Op for Guard {
    fn name(&self) -> StaticName {
        self.operator.name()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        self.operator.info()
    }

    fn validation(&self) -> Validation {
        self.operator.validation()
    }

    not_a_typed_op!();
}

impl EvalOp for Guard {
    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.operator.eval(context, inputs)
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.operator.eval_out_of_plan(inputs)
    }

    fn state(&self, context: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        self.operator.state(context)
    }
}

type Facts = TVec<InferenceFact>;

impl Guard {
    /// Looks at what an operator would make while it only infers.
    fn check_before(&self, inputs: &[&InferenceFact]) -> TractResult<()> {
        for input in self.extents.clone() {
            inputs
                .get(input)
                .map_or(Ok(()), |fact| check_extents_fit(fact))?;
        }
        if let ("EyeLike" | "ConstantLike", [like, ..]) = (self.name.as_str(), inputs) {
            let like = InferenceFact::clone(like).with_datum_type(i64::datum_type());
            let made = known_size(&like);
            let allowed = left();
            ensure!(
                made.is_none_or(|made| made <= allowed),
                "a constant of {made:?} bytes is asked for, at most {allowed} are allowed"
            );
        }
        Ok(())
    }
}

impl InferenceOp for Guard {
    fn infer(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        self.check_before(&inputs)?;
        let is_known = |fact: &&InferenceFact| fact.value.is_concrete();
        if inputs.is_empty() || !inputs.iter().all(is_known) {
            let facts = self.operator.infer(inputs, outputs, observed)?;
            facts.1.iter().try_for_each(check_known)?;
            return Ok(facts);
        }
        let facts = self
            .operator
            .infer_facts(inputs.clone(), outputs.clone(), observed.clone())?;
        facts.1.iter().try_for_each(check_known)?;
        let taken: u64 = inputs.iter().filter_map(|fact| known_value(fact)).sum();
        let mut sizes = facts.1.iter().map(known_size);
        let made = sizes.try_fold(0, |sum: u64, size| Some(sum.saturating_add(size?)));
        // tract would compute this and throw it away.
        if made.is_some_and(|made| made > taken.max(CONST_FOLD_MEM_BUDGET)) {
            return Ok(facts);
        }
        let is_new = !outputs.iter().all(is_known);
        let facts = self.operator.infer(inputs, outputs, observed)?;
        if is_new {
            make(facts.1.iter().filter_map(known_value).sum())?;
        }
        Ok(facts)
    }

    fn observe_outlets(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Vec<OutletId>> {
        self.operator.observe_outlets(model, node)
    }

    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        self.operator.infer_facts(inputs, outputs, observed)
    }

    fn incorporate(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Option<InferenceModelPatch>> {
        self.operator.incorporate(model, node)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.operator.nboutputs()
    }

    fn as_op(&self) -> &dyn Op {
        self.operator.as_op()
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self.operator.as_op_mut()
    }

    fn to_typed(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        // With few numbers for inputs, tract computes while it wires.
        let inputs = source.node_input_facts(node.id)?;
        if !inputs.is_empty() && inputs.iter().all(|fact| fact.value.is_concrete()) {
            let outputs = source.node_output_facts(node.id)?;
            make(outputs.iter().filter_map(|fact| known_size(fact)).sum())?;
        }
        let outputs = self.operator.to_typed(source, node, target, mapping)?;
        let inputs = node.inputs.iter().filter_map(|input| mapping.get(input));
        let inputs: TVec<OutletId> = inputs.copied().collect();
        ops::of_nothing(&self.name, node, target, &inputs, outputs)
    }
}

/// Refuses numbers that tract would cut down to 32 bits, and so to other extents.
fn check_extents_fit(fact: &InferenceFact) -> TractResult<()> {
    let mut dims = fact.shape.dims().filter_map(|dim| dim.concretize());
    let count = dims.next().and_then(|count| count.to_usize().ok());
    // `Pad` has two for each axis.
    ensure!(
        count.is_none_or(|count| count <= 2 * MAX_RANK),
        "extents of {count:?} axes are asked for, there can be at most {MAX_RANK}"
    );
    let Some(value) = fact.value.concretize() else {
        return Ok(());
    };
    if value.datum_type() == i64::datum_type() {
        let numbers = value.try_as_plain_ram()?;
        for number in numbers.as_slice::<i64>()? {
            ensure!(
                i32::try_from(*number).is_ok(),
                "{number} elements along an axis are asked for, there can be at most {}",
                i32::MAX
            );
        }
    }
    Ok(())
}
