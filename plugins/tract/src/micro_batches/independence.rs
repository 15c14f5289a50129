//! How far each row is computed by itself.

use std::collections::HashMap;

use tract_onnx::{
    prelude::{Datum, OutletId, Symbol, TDim, TractResult, TypedFact, TypedModel, TypedNode},
    tract_core::ops::{
        array::{Pad, Slice, TypedConcat},
        binary::TypedBinOp,
        cast::Cast,
        change_axes::{AxisOp, InOut},
        cnn::Conv,
        einsum::EinSum,
        element_wise::ElementWiseOp,
        nn::{Reduce, Softmax},
    },
};

use crate::blocked::is_blocked;

/// What a value has to do with the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// It is the same for any batch.
    None,
    /// This axis counts the rows, and each row is made of its own inputs.
    Rows(usize),
}

/// How far each row of the values is made of one row of the inputs alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Independence {
    /// The one value that the rest is computed from when the last operator in
    /// blocked layout is done; its first axis counts the rows.
    pub(super) after_images: Option<OutletId>,
    /// Whether all outputs are made row by row.
    pub(super) to_the_end: bool,
}

impl Independence {
    /// Nothing can be computed row by row.
    pub(super) const NONE: Self = Self {
        after_images: None,
        to_the_end: false,
    };

    /// Goes through the operators until one brings rows together. Those that are
    /// not known to keep them apart count as bringing them together.
    pub(super) fn of(model: &TypedModel) -> TractResult<Self> {
        let Some(batch) = batch_of(model)? else {
            return Ok(Self::NONE);
        };
        let order = model.eval_order()?;
        let last_image = order.iter().rposition(|id| is_blocked(model.node(*id)));
        let mut relations: Vec<Vec<Relation>> = vec![Vec::new(); model.nodes().len()];
        let mut waiting = Waiting::new(model);
        let mut found = Self::NONE;
        for (position, id) in order.into_iter().enumerate() {
            let node = model.node(id);
            let inputs: Vec<Relation> = node
                .inputs
                .iter()
                .map(|outlet| relations[outlet.node][outlet.slot])
                .collect();
            let facts = || node.outputs.iter().map(|output| &output.fact);
            let Some(relation) = relation(model, node, &inputs)?
                .filter(|relation| facts().all(|fact| suits(fact, *relation, &batch)))
            else {
                return Ok(found);
            };
            relations[id] = vec![relation; node.outputs.len()];
            waiting.pass(node, relation);
            if found.after_images.is_none()
                && relation == Relation::Rows(0)
                && last_image.is_some_and(|last| position >= last)
            {
                found.after_images = waiting.only();
            }
        }
        let mut outputs = model.outputs.iter();
        found.to_the_end =
            outputs.all(|outlet| relations[outlet.node][outlet.slot] == Relation::Rows(0));
        Ok(found)
    }
}

/// Values made of the inputs that some operator, or the caller, has yet to read.
struct Waiting<'a> {
    model: &'a TypedModel,
    readers: HashMap<OutletId, usize>,
}

impl<'a> Waiting<'a> {
    fn new(model: &'a TypedModel) -> Self {
        Self {
            model,
            readers: HashMap::new(),
        }
    }

    /// An operator read its inputs and made its outputs.
    fn pass(&mut self, node: &TypedNode, relation: Relation) {
        for input in &node.inputs {
            if let Some(readers) = self.readers.get_mut(input) {
                *readers -= 1;
                if *readers == 0 {
                    self.readers.remove(input);
                }
            }
        }
        if relation == Relation::None {
            return;
        }
        for (slot, output) in node.outputs.iter().enumerate() {
            let outlet = OutletId::new(node.id, slot);
            let is_output = self.model.outputs.contains(&outlet);
            let readers = output.successors.len() + usize::from(is_output);
            if readers > 0 {
                self.readers.insert(outlet, readers);
            }
        }
    }

    /// The value that waits, if it is one.
    fn only(&self) -> Option<OutletId> {
        let mut outlets = self.readers.keys();
        let only = outlets.next().copied();
        only.filter(|_| outlets.next().is_none())
    }
}

/// What all inputs have as first extent, if it is one that is open.
fn batch_of(model: &TypedModel) -> TractResult<Option<Symbol>> {
    let mut batch = None;
    for input in 0..model.inputs.len() {
        match model.input_fact(input)?.shape.first() {
            Some(TDim::Sym(symbol)) if batch.as_ref().is_none_or(|known| known == symbol) => {
                batch = Some(symbol.clone());
            }
            _ => return Ok(None),
        }
    }
    Ok(batch)
}

/// How the outputs of an operator are related to the batch; `None` if rows are,
/// or may be, brought together.
fn relation(
    model: &TypedModel,
    node: &TypedNode,
    inputs: &[Relation],
) -> TractResult<Option<Relation>> {
    if model.inputs.iter().any(|outlet| outlet.node == node.id) {
        return Ok(Some(Relation::Rows(0)));
    }
    if inputs.iter().all(|input| *input == Relation::None) {
        return Ok(Some(Relation::None));
    }
    if is_blocked(node) {
        let keeps = inputs.iter().all(|input| *input == Relation::Rows(0));
        return Ok(keeps.then_some(Relation::Rows(0)));
    }
    if !keeps_rows_apart(node, inputs) {
        return Ok(None);
    }
    let (in_facts, out_facts) = model.node_facts(node.id)?;
    let mapping = node.op.axes_mapping(&in_facts, &out_facts)?;
    let mut related = None;
    for (input, relation) in inputs.iter().enumerate() {
        let Relation::Rows(axis) = *relation else {
            continue;
        };
        let leads_to = mapping.track_axis((InOut::In(input), axis), InOut::Out(0))?;
        match leads_to.map(Relation::Rows) {
            None => return Ok(None),
            to if related.is_none() || related == to => related = to,
            Some(_) => return Ok(None),
        }
    }
    Ok(related)
}

/// Whether an operator computes along no axis but those that its mapping of axes
/// shows as used up.
fn keeps_rows_apart(node: &TypedNode, inputs: &[Relation]) -> bool {
    if let Some(softmax) = node.op_as::<Softmax>() {
        return matches!(inputs, [Relation::Rows(axis)] if !softmax.axes.contains(axis));
    }
    node.outputs.len() == 1
        && (node.op_is::<ElementWiseOp>()
            || node.op_is::<TypedBinOp>()
            || node.op_is::<Cast>()
            || node.op_is::<AxisOp>()
            || node.op_is::<EinSum>()
            || node.op_is::<Reduce>()
            || node.op_is::<TypedConcat>()
            || node.op_is::<Slice>()
            || node.op_is::<Pad>()
            || node.op_is::<Conv>())
}

/// Whether the batch counts rows on the one axis, and nothing else depends on it.
fn suits(fact: &TypedFact, relation: Relation, batch: &Symbol) -> bool {
    let is_batch = |dim: &TDim| matches!(dim, TDim::Sym(symbol) if symbol == batch);
    let has_batch = |dim: &TDim| dim.symbols().contains(batch);
    fact.datum_type != TDim::datum_type()
        && fact.shape.iter().enumerate().all(|(axis, dim)| {
            if relation == Relation::Rows(axis) {
                is_batch(dim)
            } else {
                !has_batch(dim)
            }
        })
}
