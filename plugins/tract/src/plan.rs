//! A model made runnable: translated, optimised, with states kept for reuse.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lusk_contract::Signature;
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto},
    prelude::{
        InferenceFact, InferenceModel, InferenceModelExt, Symbol, TDim, TValue, TVec, TractResult,
        TypedModel,
    },
    tract_hir::{
        infer::Factoid,
        internal::{GenericFactoid, ensure, format_err},
    },
};

use crate::{
    blocked::{Weights, blocked, told},
    file::ModelFile,
    fitted::{Fitted, MAX_WEIGHTS},
    late::LatePlans,
    memory::{Made, check_known},
    micro_batches::MicroBatches,
    ops,
    paces::Paces,
    runner::Runner,
    signature::{InputDim, declared_signature, input_dims, signature},
    structural::structural_inputs,
};

/// What the extent is called that unnamed batches share.
const SHARED_BATCH: &str = "batch";

/// A translated model.
#[derive(Debug)]
pub(crate) struct Plans {
    /// What goes in and comes out.
    pub(crate) signature: Signature,
    /// Dimensions of each input.
    pub(crate) dims: Vec<Vec<InputDim>>,
    /// How long calls take, whoever's they are.
    pub(crate) paces: Paces,
    /// What was chosen for this model, for a person.
    pub(crate) choices: Vec<String>,
    engine: Engine,
}

/// What runs a model.
#[derive(Debug)]
enum Engine {
    /// Made when the model was loaded.
    Early {
        /// Runs any extents.
        any: Arc<Runner>,
        /// Runs the model with every open extent being 1: about a fifth faster,
        /// and what most requests are.
        one: Option<Runner>,
        /// Runs the model with other extents that come often.
        fitted: Option<Arc<Fitted>>,
        /// Runs large batches row by row.
        micro_batches: Option<Box<MicroBatches>>,
    },
    /// Made when the values are there that the graph depends on.
    Late(LatePlans),
}

impl Plans {
    /// Translates a checked model.
    pub(crate) fn translate(onnx: &Onnx, file: &ModelFile) -> TractResult<Self> {
        let folder = file.folder.to_str();
        let parsed = onnx.parse(&file.proto, folder)?;
        ensure!(
            parsed.unresolved_inputs.is_empty(),
            "nothing makes the value(s) {}",
            parsed.unresolved_inputs.join(", ")
        );
        let graph = graph_of(&file.proto)?;
        let mut dims = input_dims(graph)?;
        let weights = weights(graph);
        let small = weights <= MAX_WEIGHTS;
        let structural = structural_inputs(graph);
        let packed = Weights::default();
        let typed = match open(&parsed.model, &mut dims, &packed) {
            Ok(typed) if structural.is_empty() || !makes_extents(&typed)? => typed,
            Ok(_) if small => return Self::late(file, dims, parsed.model, structural),
            Err(error) if small && !structural.is_empty() => {
                check_fit(&parsed.model, &structural).map_err(|_| error)?;
                return Self::late(file, dims, parsed.model, structural);
            }
            result => result?,
        };
        let signature = signature(graph, &dims, &file.maps, &typed)?;
        let is_open = dims
            .iter()
            .flatten()
            .any(|dim| !matches!(dim, InputDim::Fixed(_)));
        // Some models cannot be fixed to one row; the open plan serves them.
        let one = (is_open && small)
            .then(|| single(parsed.model, &packed).and_then(Runner::new).ok())
            .flatten();
        let choices = told(&typed).into_iter().collect();
        let micro_batches = MicroBatches::of(&typed).map(Box::new);
        let kept = (is_open && small).then(|| typed.clone());
        let any = Arc::new(Runner::new(typed)?);
        let fitted = kept.and_then(|model| Fitted::new(model, &any, weights));
        Ok(Self {
            signature,
            dims,
            paces: Paces::new(),
            choices,
            engine: Engine::Early {
                any,
                one,
                fitted,
                micro_batches,
            },
        })
    }

    fn late(
        file: &ModelFile,
        dims: Vec<Vec<InputDim>>,
        model: InferenceModel,
        structural: Vec<usize>,
    ) -> TractResult<Self> {
        Ok(Self {
            signature: declared_signature(graph_of(&file.proto)?, &dims, &file.maps)?,
            dims,
            paces: Paces::new(),
            choices: vec!["planned for each request's values".to_owned()],
            engine: Engine::Late(LatePlans::new(model, structural)),
        })
    }

    /// The plans made on request, if that is how this model runs.
    #[cfg(test)]
    pub(crate) fn late_plans(&self) -> Option<&LatePlans> {
        match &self.engine {
            Engine::Late(plans) => Some(plans),
            Engine::Early { .. } => None,
        }
    }

    /// What makes plans for common extents, and the plan for any.
    #[cfg(test)]
    pub(crate) fn fitted(&self) -> Option<(&Arc<Fitted>, &Arc<Runner>)> {
        match &self.engine {
            Engine::Early { any, fitted, .. } => fitted.as_ref().map(|fitted| (fitted, any)),
            Engine::Late(_) => None,
        }
    }

    /// Computes.
    pub(crate) fn run(
        &self,
        inputs: TVec<TValue>,
        all_open_are_one: bool,
    ) -> TractResult<TVec<TValue>> {
        match &self.engine {
            Engine::Early { one: Some(one), .. } if all_open_are_one => one.run(inputs),
            Engine::Early {
                any,
                one,
                fitted,
                micro_batches,
            } => {
                let together = |inputs: TVec<TValue>| {
                    let fitted = fitted.as_ref();
                    let plan = fitted.and_then(|fitted| fitted.find(&inputs, any));
                    plan.as_ref().unwrap_or(any).run(inputs)
                };
                match micro_batches {
                    Some(ways) => {
                        // With other open extents, `one` is not for every row.
                        let one = one.as_ref().filter(|_| any.is_open_in_batch_alone());
                        ways.run(inputs, together, |row| one.unwrap_or(any).run(row))
                    }
                    None => together(inputs),
                }
            }
            Engine::Late(plans) => plans.run(inputs),
        }
    }
}

fn graph_of(proto: &ModelProto) -> TractResult<&GraphProto> {
    proto
        .graph
        .as_ref()
        .ok_or_else(|| format_err!("it holds no graph"))
}

/// The translated model with open extents.
///
/// tract wants a symbol for every extent. Unnamed ones get one each; if the
/// model then does not fit together, the first extents share one, as tables
/// exported with one input per column mean it: they become a named batch.
fn open(
    model: &InferenceModel,
    dims: &mut [Vec<InputDim>],
    weights: &Weights,
) -> TractResult<TypedModel> {
    let translated = |model| translated(model, weights);
    let apart = named(model, own_symbol).and_then(translated);
    apart.or_else(|error| {
        let together = |input, axis| match axis {
            0 => SHARED_BATCH.to_owned(),
            axis => own_symbol(input, axis),
        };
        let typed = named(model, together)
            .and_then(translated)
            .map_err(|_| error)?;
        for batch in dims.iter_mut().filter_map(|dims| dims.first_mut()) {
            if *batch == InputDim::Free {
                *batch = InputDim::Named(SHARED_BATCH.to_owned());
            }
        }
        Ok(typed)
    })
}

/// Refuses what does not fit together, whatever the deciding values are.
fn check_fit(model: &InferenceModel, structural: &[usize]) -> TractResult<()> {
    let mut model = named(model, own_symbol)?;
    for position in structural {
        let fact = model.input_fact(*position)?;
        let fact = InferenceFact::default().with_datum_type(
            fact.datum_type
                .concretize()
                .ok_or_else(|| format_err!("an input has no type"))?,
        );
        model.set_input_fact(*position, fact)?;
    }
    let _made = Made::loading(&model);
    model.analyse(false).map(|_| ())
}

/// Whether the outputs have extents that depend on values.
fn makes_extents(model: &TypedModel) -> TractResult<bool> {
    let mut known: HashSet<Symbol> = HashSet::new();
    for input in 0..model.inputs.len() {
        for dim in model.input_fact(input)?.shape.iter() {
            known.extend(dim.symbols());
        }
    }
    for output in 0..model.outputs.len() {
        for dim in model.output_fact(output)?.shape.iter() {
            if !dim.symbols().is_subset(&known) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn own_symbol(input: usize, axis: usize) -> String {
    format!("lusk_{input}_{axis}")
}

/// The model with a symbol for each extent of an input that has none.
fn named(
    model: &InferenceModel,
    name: impl Fn(usize, usize) -> String,
) -> TractResult<InferenceModel> {
    let mut model = model.clone();
    for input in 0..model.inputs.len() {
        let mut fact = model.input_fact(input)?.clone();
        let axes: Vec<_> = fact.shape.dims().cloned().collect();
        for (axis, dim) in axes.into_iter().enumerate() {
            if !dim.is_concrete() {
                let symbol = model.sym(&name(input, axis));
                fact.shape.set_dim(axis, TDim::from(symbol));
            }
        }
        model.set_input_fact(input, fact)?;
    }
    Ok(model)
}

/// The translated model with every open extent being 1.
fn single(model: InferenceModel, weights: &Weights) -> TractResult<TypedModel> {
    let mut model = named(&model, own_symbol)?;
    let mut symbols: HashSet<Symbol> = HashSet::new();
    for input in 0..model.inputs.len() {
        for dim in model.input_fact(input)?.shape.dims() {
            if let GenericFactoid::Only(dim) = dim {
                symbols.extend(dim.symbols());
            }
        }
    }
    let ones: HashMap<Symbol, TDim> = symbols
        .into_iter()
        .map(|symbol| (symbol, TDim::from(1)))
        .collect();
    model.set_symbols(&ones)?;
    translated(model, weights)
}

/// The model with all types known, as simple as tract can make it.
pub(crate) fn translated(model: InferenceModel, weights: &Weights) -> TractResult<TypedModel> {
    let _made = Made::loading(&model);
    simplified(model, weights)
}

/// The model of one request, as simple as tract can make it.
pub(crate) fn translated_late(model: InferenceModel) -> TractResult<TypedModel> {
    let _made = Made::answering(&model);
    simplified(model, &Weights::default())
}

fn simplified(model: InferenceModel, weights: &Weights) -> TractResult<TypedModel> {
    for output in model.nodes().iter().flat_map(|node| &node.outputs) {
        check_known(&output.fact)?;
    }
    let mut typed = model.into_typed()?;
    ops::correct(&mut typed);
    blocked(&typed, weights).map_or_else(|| typed.into_decluttered(), Ok)
}

/// How many numbers the initializers hold.
fn weights(graph: &GraphProto) -> i64 {
    let sizes = graph.initializer.iter().map(|tensor| {
        tensor
            .dims
            .iter()
            .fold(1i64, |product, dim| product.saturating_mul(*dim))
    });
    sizes.fold(0, i64::saturating_add)
}
