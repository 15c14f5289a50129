//! A model made runnable: translated, optimised, with states kept for reuse.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use lusk_contract::{Signature, TensorSpec, TensorType};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension::Value as Dim},
    prelude::{
        DatumType, InferenceModel, InferenceModelExt, IntoRunnable, Symbol, SymbolValues, TDim,
        TValue, TVec, Tensor, TractResult, TypedModel, TypedRunnableModel, TypedSimpleState,
    },
    tract_hir::{
        infer::Factoid,
        internal::{DimLike, GenericFactoid, ensure, format_err},
    },
};

use crate::{
    file::{ModelFile, dimensions, element_type, initializer_names},
    late::LatePlans,
    ops::extremum,
    structural::{Structural, structural_inputs},
    tensor::tensor_type,
};

/// With more weights than this a model gets no second plan for one row: each
/// plan packs its own copy of them, and the gain is a few microseconds.
const MAX_WEIGHTS_FOR_TWO_PLANS: i64 = 4 << 20;

/// What the extent is called that unnamed batches share.
const SHARED_BATCH: &str = "batch";

/// A dimension of an input as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputDim {
    /// Exactly this extent.
    Fixed(usize),
    /// Any extent, the same wherever the name stands.
    Named(String),
    /// Any extent.
    Free,
}

/// A translated model.
#[derive(Debug)]
pub(crate) struct Plans {
    /// What goes in and comes out.
    pub(crate) signature: Signature,
    /// Dimensions of each input.
    pub(crate) dims: Vec<Vec<InputDim>>,
    engine: Engine,
}

/// What runs a model.
#[derive(Debug)]
enum Engine {
    /// Made when the model was loaded.
    Early {
        /// Runs any extents.
        any: Runner,
        /// Runs the model with every open extent being 1: about a fifth faster,
        /// and what most requests are.
        one: Option<Runner>,
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
        let small = weights(graph) <= MAX_WEIGHTS_FOR_TWO_PLANS;
        let structural = structural_inputs(graph);
        let typed = match open(&parsed.model, &mut dims) {
            Ok(typed) if structural.is_empty() || !makes_extents(&typed)? => typed,
            Ok(_) if small => return Self::late(graph, dims, parsed.model, structural),
            Err(error) if small && !structural.is_empty() => {
                // What does not fit together now will not with values either.
                let analysed = named(&parsed.model, own_symbol)?.analyse(false);
                analysed.map_err(|_| error)?;
                return Self::late(graph, dims, parsed.model, structural);
            }
            result => result?,
        };
        let signature = signature(graph, &dims, &typed)?;
        let is_open = dims
            .iter()
            .flatten()
            .any(|dim| !matches!(dim, InputDim::Fixed(_)));
        // Some models cannot be fixed to one row; the open plan serves them.
        let one = (is_open && small)
            .then(|| single(parsed.model).and_then(Runner::new).ok())
            .flatten();
        let any = Runner::new(typed)?;
        Ok(Self {
            signature,
            dims,
            engine: Engine::Early { any, one },
        })
    }

    fn late(
        graph: &GraphProto,
        dims: Vec<Vec<InputDim>>,
        model: InferenceModel,
        structural: Vec<Structural>,
    ) -> TractResult<Self> {
        Ok(Self {
            signature: declared_signature(graph, &dims)?,
            dims,
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

    /// Computes.
    pub(crate) fn run(
        &self,
        inputs: TVec<TValue>,
        all_open_are_one: bool,
    ) -> TractResult<TVec<TValue>> {
        match &self.engine {
            Engine::Early { one: Some(one), .. } if all_open_are_one => one.run(inputs),
            Engine::Early { any, .. } => any.run(inputs),
            Engine::Late(plans) => plans.run(inputs),
        }
    }
}

/// A runnable plan and the states that wait for the next call.
#[derive(Debug)]
pub(crate) struct Runner {
    plan: Arc<TypedRunnableModel>,
    /// Which input and axis tells the extent that a symbol stands for.
    symbols: Vec<(usize, usize, Symbol)>,
    idle: Mutex<Vec<TypedSimpleState>>,
    max_idle: usize,
}

impl Runner {
    pub(crate) fn new(model: TypedModel) -> TractResult<Self> {
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
            idle: Mutex::new(Vec::new()),
            max_idle: thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// Computes. The state of a call that failed is not used again.
    pub(crate) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut known = SymbolValues::default();
        for (input, axis, symbol) in &self.symbols {
            known.set(symbol, i64::try_from(inputs[*input].shape()[*axis])?);
        }
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
        let outputs = state.run(inputs)?;
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
fn open(model: &InferenceModel, dims: &mut [Vec<InputDim>]) -> TractResult<TypedModel> {
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
fn single(model: InferenceModel) -> TractResult<TypedModel> {
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
    translated(model)
}

/// The model with all types known, as simple as tract can make it.
pub(crate) fn translated(model: InferenceModel) -> TractResult<TypedModel> {
    let mut typed = model.into_typed()?;
    extremum::replace(&mut typed);
    typed.into_decluttered()
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

/// The dimensions of each input that is no initializer.
fn input_dims(graph: &GraphProto) -> TractResult<Vec<Vec<InputDim>>> {
    open_inputs(graph)
        .into_iter()
        .map(|input| {
            let dims = dimensions(input)
                .ok_or_else(|| format_err!("input `{}` does not say its rank", input.name))?;
            Ok(dims.map(input_dim).collect())
        })
        .collect()
}

/// The inputs that are no initializers.
fn open_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: HashSet<&str> = initializer_names(graph).collect();
    let inputs = graph.input.iter();
    inputs
        .filter(|input| !weights.contains(input.name.as_str()))
        .collect()
}

fn input_dim(dim: Option<&Dim>) -> InputDim {
    let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    match dim {
        Some(Dim::DimValue(extent)) => match usize::try_from(*extent) {
            Ok(extent) => InputDim::Fixed(extent),
            Err(_) => InputDim::Free,
        },
        Some(Dim::DimParam(name)) if !name.is_empty() && is_name(name) => {
            InputDim::Named(name.clone())
        }
        _ => InputDim::Free,
    }
}

fn signature(
    graph: &GraphProto,
    dims: &[Vec<InputDim>],
    typed: &TypedModel,
) -> TractResult<Signature> {
    let mut signature = Signature::default();
    for (position, (input, dims)) in open_inputs(graph).into_iter().zip(dims).enumerate() {
        let kind = carried(&input.name, typed.input_fact(position)?.datum_type)?;
        signature.inputs.push(value_spec(input, kind, dims));
    }
    for (position, output) in graph.output.iter().enumerate() {
        let fact = typed.output_fact(position)?;
        signature.outputs.push(TensorSpec {
            name: output.name.clone(),
            kind: match declared_kind(output) {
                Some(kind) => kind,
                None => carried(&output.name, fact.datum_type)?,
            },
            shape: fact.shape.iter().map(|dim| dim.to_usize().ok()).collect(),
        });
    }
    Ok(signature)
}

/// The signature as the model's file declares it.
fn declared_signature(graph: &GraphProto, dims: &[Vec<InputDim>]) -> TractResult<Signature> {
    let kind = |value| {
        declared_kind(value).ok_or_else(|| format_err!("`{}` does not say its type", value.name))
    };
    let mut signature = Signature::default();
    for (input, dims) in open_inputs(graph).into_iter().zip(dims) {
        signature.inputs.push(value_spec(input, kind(input)?, dims));
    }
    for output in &graph.output {
        let dims = dimensions(output)
            .ok_or_else(|| format_err!("output `{}` does not say its rank", output.name))?;
        let dims: Vec<InputDim> = dims.map(input_dim).collect();
        signature
            .outputs
            .push(value_spec(output, kind(output)?, &dims));
    }
    Ok(signature)
}

fn declared_kind(value: &ValueInfoProto) -> Option<TensorType> {
    tensor_type(DatumType::try_from(element_type(value)?).ok()?)
}

fn value_spec(value: &ValueInfoProto, kind: TensorType, dims: &[InputDim]) -> TensorSpec {
    let extent = |dim: &InputDim| match dim {
        InputDim::Fixed(extent) => Some(*extent),
        InputDim::Named(_) | InputDim::Free => None,
    };
    TensorSpec {
        name: value.name.clone(),
        kind,
        shape: dims.iter().map(extent).collect(),
    }
}

fn carried(name: &str, datum: DatumType) -> TractResult<TensorType> {
    tensor_type(datum).ok_or_else(|| format_err!("`{name}` has the type {datum:?}"))
}
