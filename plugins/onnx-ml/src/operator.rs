//! An operator as tract sees it.
//!
//! A [`Kernel`] says what comes out of what goes in, and computes it. The one
//! operator type here serves as tract's operator before and after types are
//! known, so a kernel, and the weights in it, exists once however many plans
//! are made of a model.

use std::{fmt::Debug, sync::Arc};

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::ops::cast::cast,
    tract_hir::{infer::Factoid, internal::*},
};

use crate::attributes::{Attributes, DOMAIN};

/// The newest version of the domain whose operators are known here.
const NEWEST_VERSION: i64 = 5;

/// Element type and extents of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) kind: DatumType,
    pub(crate) shape: TVec<TDim>,
}

impl Port {
    pub(crate) fn new(kind: DatumType, shape: impl IntoIterator<Item = TDim>) -> Self {
        Self {
            kind,
            shape: shape.into_iter().collect(),
        }
    }
}

/// What an operator does, its attributes being known.
pub(crate) trait Kernel: Debug + Send + Sync + 'static {
    /// What comes out. An error refuses the model.
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>>;

    /// Computes; the inputs have types that `outputs` accepted.
    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>>;
}

/// An operator of the domain: how a node of it is read.
pub(crate) trait Operator {
    /// The name without the domain.
    const NAME: &'static str;
    /// The attributes of all versions.
    const ATTRIBUTES: &'static [&'static str];
    /// How many values come out.
    const OUTPUTS: usize = 1;

    /// Reads and checks a node's attributes.
    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>>;
}

/// Builds the operator of a node; the signature is that of tract's registry.
pub(crate) fn build<O: Operator>(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    ensure!(
        node.domain == DOMAIN,
        "no operator {} exists in the domain `{}`",
        O::NAME,
        node.domain
    );
    let version = domain_version(context)?;
    ensure!(
        !node.input.is_empty() && node.input.iter().all(|name| !name.is_empty()),
        "{} lacks an input",
        O::NAME
    );
    let named = |(_, name): &(usize, &String)| !name.is_empty();
    let kept: TVec<usize> = node
        .output
        .iter()
        .enumerate()
        .filter(named)
        .map(|(position, _)| position)
        .collect();
    ensure!(
        kept.iter().all(|position| *position < O::OUTPUTS),
        "{} has {} outputs, at most {} exist",
        O::NAME,
        node.output.len(),
        O::OUTPUTS
    );
    let kernel = O::read(&Attributes::new(context, node, version, O::ATTRIBUTES)?)?;
    let op = MlOp {
        name: O::NAME,
        kernel,
        kept,
    };
    Ok((Box::new(op), vec![]))
}

/// The version of the domain that a model imports.
fn domain_version(context: &ParsingContext) -> TractResult<i64> {
    let imports = &context.model.opset_import;
    let version = imports
        .iter()
        .find(|import| import.domain == DOMAIN)
        .map_or(1, |import| import.version);
    ensure!(
        (1..=NEWEST_VERSION).contains(&version),
        "the model imports version {version} of {DOMAIN}, versions 1 to {NEWEST_VERSION} are known"
    );
    Ok(version)
}

/// A kernel in a graph of tract.
#[derive(Debug, Clone)]
struct MlOp {
    name: &'static str,
    kernel: Arc<dyn Kernel>,
    /// Which of the outputs the node names; the others are left away.
    kept: TVec<usize>,
}

impl PartialEq for MlOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel) && self.kept == other.kept
    }
}

impl Eq for MlOp {}

impl MlOp {
    fn ports(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let outputs = self.kernel.outputs(inputs)?;
        let kept = self.kept.iter().map(|position| outputs.get(*position));
        kept.map(|port| port.cloned().context("an output is missing"))
            .collect()
    }
}

impl Op for MlOp {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    op_as_typed_op!();
}

impl EvalOp for MlOp {
    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let inputs: TVec<&Tensor> = inputs.iter().map(|input| &**input).collect();
        let outputs = self.kernel.run(&inputs)?;
        let kept = outputs.into_iter().enumerate();
        Ok(kept
            .filter(|(position, _)| self.kept.contains(position))
            .map(|(_, output)| output.into())
            .collect())
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        // Extents become numbers only where `to_typed` has put a cast.
        if inputs.iter().any(|input| is_extent(input.datum_type())) {
            return Ok(None);
        }
        self.eval(&EvalContext::out_of_plan(), inputs).map(Some)
    }
}

impl TypedOp for MlOp {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let inputs: Vec<Port> = inputs
            .iter()
            .map(|fact| Port::new(fact.datum_type, fact.shape.iter().cloned()))
            .collect();
        let ports = self.ports(&inputs)?.into_iter();
        Ok(ports
            .map(|port| TypedFact::dt_shape(port.kind, port.shape))
            .collect())
    }

    as_op!();
}

impl InferenceOp for MlOp {
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
        if let Some(known) = known {
            let ports = self.ports(&known)?;
            for (fact, port) in inferred.iter_mut().zip(ports) {
                *fact = fact.unify(&InferenceFact::dt_shape(port.kind, port.shape))?;
            }
        }
        Ok((
            inputs.into_iter().cloned().collect(),
            inferred,
            observed.into_iter().cloned().collect(),
        ))
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.kept.len())
    }

    fn to_typed(
        &self,
        _source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let mut inputs: TVec<OutletId> = tvec![];
        for (position, input) in node.inputs.iter().enumerate() {
            let outlet = *mapping.get(input).context("an input is not translated")?;
            if is_extent(target.outlet_fact(outlet)?.datum_type) {
                let name = format!("{}.input_{position}", node.name);
                inputs.extend(target.wire_node(name, cast(i64::datum_type()), &[outlet])?);
            } else {
                inputs.push(outlet);
            }
        }
        target.wire_node(&node.name, self.clone(), &inputs)
    }

    as_op!();
}

/// A fact as a port, once its type, rank and extents are known.
fn port(fact: &InferenceFact) -> Option<Port> {
    let kind = fact.datum_type.concretize()?;
    let kind = if is_extent(kind) {
        i64::datum_type()
    } else {
        kind
    };
    Some(Port::new(kind, fact.shape.concretize()?))
}

/// tract's type of symbolic extents, a 64-bit integer to ONNX.
fn is_extent(kind: DatumType) -> bool {
    kind == TDim::datum_type()
}
