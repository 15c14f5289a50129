//! How much memory a model may ask for.
//!
//! A few bytes of a file can ask for terabytes: as an extent of `Expand`, as
//! padding, as a declared input. Every operator is [`guarded`]: while tract
//! finds out types and extents, it also computes what depends on constants
//! alone, and the guard looks at the extents before that. What extents a
//! request brings is looked at by [`Extents`] before anything is computed.
//!
//! Invariant: constants made while a model is loaded stay within [`Made`], and
//! no tensor of a call is larger than [`largest_tensor`] says.

use std::{
    cell::Cell,
    collections::HashSet,
    ops::Range,
    sync::{Mutex, OnceLock, PoisonError},
};

use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::NodeProto,
    tract_core::{ops::konst::Const, optim::CONST_FOLD_MEM_BUDGET},
    tract_hir::{infer::Factoid, internal::*},
};

use crate::{attributes::MAX_RANK, ops, session::Unfit};

/// Constants of a model may take so many bytes beyond its weights, and
const MADE_BASE: u64 = 24 << 20;

/// so many times the bytes of its weights.
const MADE_FACTOR: u64 = 12;

/// A tensor of a call may take so many bytes, and
const TENSOR_BASE: u64 = 256 << 20;

/// so many times the bytes of weights and inputs: a convolution makes hundreds
/// of channels of one.
const TENSOR_FACTOR: u64 = 256;

/// The most elements of any tensor: 4 GiB of floats.
pub(crate) const MAX_ELEMENTS: u64 = 1 << 30;

/// The most copies that a tensor is tiled from: a mask of 4096 × 4096.
const MAX_COPIES: u64 = 1 << 24;

/// The most bytes that a tensor of a call may take.
pub(crate) fn largest_tensor(weights: u64, inputs: u64) -> u64 {
    let fed = weights.saturating_add(inputs);
    TENSOR_BASE.saturating_add(fed.saturating_mul(TENSOR_FACTOR))
}

/// What one translation, on one thread, may still ask for.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Bytes of constants that are made.
    made: u64,
    /// Bytes of any one tensor.
    tensor: u64,
}

thread_local! {
    static ALLOWED: Cell<Allowance> = const {
        Cell::new(Allowance { made: TENSOR_BASE, tensor: TENSOR_BASE })
    };
}

/// The allowance of a translation, as long as this lives.
pub(crate) struct Made(Allowance);

impl Made {
    /// While a model is loaded: constants are made of its weights.
    pub(crate) fn loading(model: &InferenceModel) -> Self {
        let weights = weights_of(model);
        Self::allow(
            model,
            MADE_BASE.saturating_add(weights.saturating_mul(MADE_FACTOR)),
        )
    }

    /// While a request waits: constants are made of its values, too.
    pub(crate) fn answering(model: &InferenceModel) -> Self {
        Self::allow(model, u64::MAX)
    }

    fn allow(model: &InferenceModel, made: u64) -> Self {
        let inputs = model.inputs.iter();
        let facts = inputs.filter_map(|input| model.outlet_fact(*input).ok());
        let fed = facts.filter_map(known_size).fold(0, u64::saturating_add);
        let tensor = largest_tensor(weights_of(model), fed);
        let made = made.min(tensor);
        Self(ALLOWED.replace(Allowance { made, tensor }))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        ALLOWED.set(self.0);
    }
}

fn weights_of(model: &InferenceModel) -> u64 {
    let bytes = |node: &InferenceNode| node.op_as::<Const>().map_or(0, |c| size(c.val()));
    model.nodes().iter().map(bytes).fold(0, u64::saturating_add)
}

/// Takes `made` bytes of constants off the allowance.
fn make(made: u64) -> TractResult<()> {
    let mut allowed = ALLOWED.get();
    ensure!(
        made <= allowed.made,
        "constants of {made} bytes are made, at most {} are allowed: \
         its extents ask for far more than the file holds",
        allowed.made
    );
    allowed.made -= made;
    ALLOWED.set(allowed);
    Ok(())
}

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
        match (self.name.as_str(), inputs) {
            ("EyeLike" | "ConstantLike", [like, ..]) => {
                let like = InferenceFact::clone(like).with_datum_type(i64::datum_type());
                let made = known_size(&like);
                let allowed = ALLOWED.get().made;
                ensure!(
                    made.is_none_or(|made| made <= allowed),
                    "a constant of {made:?} bytes is asked for, at most {allowed} are allowed"
                );
            }
            ("Tile", [_, repeats]) => check_repeats(repeats)?,
            _ => {}
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

/// Refuses more copies than there is room for: copies of nothing take time.
fn check_repeats(repeats: &InferenceFact) -> TractResult<()> {
    let Some(repeats) = repeats.value.concretize() else {
        return Ok(());
    };
    if repeats.datum_type() == i64::datum_type() {
        let repeats = repeats.try_as_plain_ram()?;
        let repeats = repeats.as_slice::<i64>()?.iter();
        let copies = repeats.fold(1u64, |copies, n| {
            copies.saturating_mul(n.unsigned_abs().max(1))
        });
        ensure!(
            copies <= MAX_COPIES,
            "{copies} copies of a tensor are asked for, there can be at most {MAX_COPIES}"
        );
    }
    Ok(())
}

/// Refuses extents that there is no room for, whatever the unknown ones are.
pub(crate) fn check_known(fact: &InferenceFact) -> TractResult<()> {
    let known = fact.shape.dims().filter_map(|dim| dim.concretize());
    let kind = fact.datum_type.concretize();
    check_extents(known, kind.map_or(1, |kind| kind.size_of() as u64))
}

fn check_extents(dims: impl Iterator<Item = TDim>, size: u64) -> TractResult<()> {
    let none = SymbolValues::default();
    let mut elements = 1u64;
    for extent in dims.filter_map(|dim| dim.eval(&none).to_i64().ok()) {
        let extent = u64::try_from(extent).context("an extent is negative")?;
        // No elements at all are few, whatever the other extents are.
        elements = elements.saturating_mul(extent.max(1));
    }
    let asked = elements.saturating_mul(size);
    let allowed = ALLOWED.get().tensor;
    ensure!(
        asked <= allowed && elements <= MAX_ELEMENTS,
        "a tensor of {elements} elements is asked for, it would take {asked} bytes; \
         at most {MAX_ELEMENTS} elements and {allowed} bytes are allowed"
    );
    Ok(())
}

fn known_value(fact: &InferenceFact) -> Option<u64> {
    fact.value.concretize().map(|value| size(&value))
}

fn known_size(fact: &InferenceFact) -> Option<u64> {
    let size = fact.datum_type.concretize()?.size_of() as u64;
    let shape = fact.shape.concretize()?;
    let none = SymbolValues::default();
    shape.iter().try_fold(size, |product, dim| {
        let extent = dim.eval(&none).to_i64().ok()?;
        Some(product.saturating_mul(u64::try_from(extent).ok()?))
    })
}

fn size(tensor: &Tensor) -> u64 {
    (tensor.len() as u64).saturating_mul(tensor.datum_type().size_of() as u64)
}

/// The extents of a model's tensors as far as they depend on those of inputs.
#[derive(Debug)]
pub(crate) struct Extents {
    /// Shapes that are not alike, with the size of an element.
    shapes: Vec<(u64, TVec<TDim>)>,
    weights: u64,
    made_by_values: bool,
    /// Extents of the latest call, which fitted.
    fitted: Mutex<Vec<i64>>,
}

impl Extents {
    /// Those of a translated model.
    pub(crate) fn of(model: &TypedModel) -> TractResult<Self> {
        let mut shapes: Vec<(u64, TVec<TDim>)> = Vec::new();
        let mut weights = 0u64;
        for node in model.nodes() {
            if let Some(constant) = node.op_as::<Const>() {
                weights = weights.saturating_add(size(constant.val()));
                continue;
            }
            for output in &node.outputs {
                let shape = shape_of(&output.fact);
                if !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
        }
        let none = SymbolValues::default();
        let mut inputs = 0u64;
        let mut symbols = HashSet::new();
        for input in &model.inputs {
            let (size, shape) = shape_of(model.outlet_fact(*input)?);
            inputs = inputs.saturating_add(bytes(size, &shape, &none));
            symbols.extend(shape.iter().flat_map(TDim::symbols));
        }
        let mut dims = shapes.iter().flat_map(|(_, shape)| shape);
        let found = Self {
            weights,
            made_by_values: dims.any(|dim| !dim.symbols().is_subset(&symbols)),
            shapes,
            fitted: Mutex::default(),
        };
        found.check_all(&none, largest_tensor(weights, inputs))?;
        Ok(found)
    }

    /// Whether some extents are known but when the values are.
    pub(crate) fn made_by_values(&self) -> bool {
        self.made_by_values
    }

    /// The most bytes that a tensor of a call with these inputs may take.
    pub(crate) fn allowed(&self, inputs: &[TValue]) -> u64 {
        let inputs = inputs.iter().map(|input| size(input));
        largest_tensor(self.weights, inputs.fold(0, u64::saturating_add))
    }

    /// Refuses extents of inputs that would fill the memory.
    pub(crate) fn check(
        &self,
        extents: Vec<i64>,
        known: &SymbolValues,
        inputs: &[TValue],
    ) -> TractResult<()> {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if *fitted == extents {
            return Ok(());
        }
        self.check_all(known, self.allowed(inputs))
            .map_err(|error| Unfit(error.to_string()))?;
        *fitted = extents;
        Ok(())
    }

    fn check_all(&self, known: &SymbolValues, allowed: u64) -> TractResult<()> {
        self.shapes
            .iter()
            .try_for_each(|shape| check_shape(shape, known, allowed))
    }
}

/// Refuses a tensor that is too large as soon as its extents are known.
pub(crate) fn check_output(
    fact: &TypedFact,
    known: &SymbolValues,
    allowed: u64,
) -> TractResult<()> {
    check_shape(&shape_of(fact), known, allowed)
}

fn shape_of(fact: &TypedFact) -> (u64, TVec<TDim>) {
    (fact.datum_type.size_of() as u64, fact.shape.to_tvec())
}

fn check_shape(
    (size, shape): &(u64, TVec<TDim>),
    known: &SymbolValues,
    allowed: u64,
) -> TractResult<()> {
    let asked = bytes(*size, shape, known);
    ensure!(
        asked <= allowed && asked / size <= MAX_ELEMENTS,
        "a tensor of shape {shape:?} would take {asked} bytes, at most {allowed} are allowed"
    );
    Ok(())
}

/// What a tensor takes; extents that nobody knows yet count as one.
fn bytes(size: u64, shape: &[TDim], known: &SymbolValues) -> u64 {
    let extent = |dim: &TDim| dim.eval(known).to_i64().unwrap_or(1);
    shape.iter().map(extent).fold(size, |product, extent| {
        product.saturating_mul(u64::try_from(extent).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_count_for_what_they_are() -> TractResult<()> {
        let mut model = TypedModel::default();
        let n = model.sym("n");
        let x = model.add_source("x", f32::fact([n.to_dim(), 1000.to_dim()]))?;
        let square = tract_onnx::tract_core::ops::einsum::EinSum::new(
            "nk,mk->nm".parse()?,
            f32::datum_type(),
        );
        let y = model.wire_node("y", square, &[x, x])?;
        model.select_output_outlets(&y)?;
        let extents = Extents::of(&model)?;
        let ask = |rows: i64| {
            let known = SymbolValues::default().with(&n, rows);
            extents.check(vec![rows], &known, &[])
        };
        assert!(ask(8000).is_ok());
        assert!(ask(8200).is_err());
        assert!(ask(8000).is_ok());
        Ok(())
    }
}
