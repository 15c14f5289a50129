//! Whether each row of the outputs is made of one row of the inputs.

use tract_onnx::{
    prelude::{Datum, Symbol, TDim, TractResult, TypedFact, TypedModel, TypedNode},
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

/// What a value has to do with the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// It is the same for any batch.
    None,
    /// This axis counts the rows, and each row is made of its own inputs.
    Rows(usize),
}

/// Whether all inputs and outputs have one and the same open extent on their
/// first axis, and no operator brings rows together.
///
/// Operators that are not known to keep rows apart count as bringing them
/// together.
pub(super) fn is_independent(model: &TypedModel) -> bool {
    attempt(model).unwrap_or(false)
}

fn attempt(model: &TypedModel) -> TractResult<bool> {
    let Some(batch) = batch_of(model)? else {
        return Ok(false);
    };
    let mut relations: Vec<Vec<Relation>> = vec![Vec::new(); model.nodes().len()];
    for id in model.eval_order()? {
        let node = model.node(id);
        let inputs: Vec<Relation> = node
            .inputs
            .iter()
            .map(|outlet| relations[outlet.node][outlet.slot])
            .collect();
        let Some(relation) = relation(model, node, &inputs)? else {
            return Ok(false);
        };
        let facts = || node.outputs.iter().map(|output| &output.fact);
        if !facts().all(|fact| suits(fact, relation, &batch)) {
            return Ok(false);
        }
        relations[id] = vec![relation; node.outputs.len()];
    }
    let mut outputs = model.outputs.iter();
    Ok(outputs.all(|outlet| relations[outlet.node][outlet.slot] == Relation::Rows(0)))
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
    if crate::blocked::is_blocked(node) {
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
