//! What goes into a model and comes out of it.

use std::collections::HashSet;

use lusk_contract::{Signature, TensorSpec, TensorType};
use tract_onnx::{
    pb::{GraphProto, ValueInfoProto, tensor_shape_proto::dimension::Value as Dim},
    prelude::{DatumType, TractResult, TypedModel},
    tract_hir::internal::{DimLike, format_err},
};

use crate::{
    file::{dimensions, element_type, initializer_names},
    maps::MapValues,
    tensor::tensor_type,
};

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

/// The dimensions of each input that is no initializer.
pub(crate) fn input_dims(graph: &GraphProto) -> TractResult<Vec<Vec<InputDim>>> {
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

/// The signature as the file declares and the translated model has it.
pub(crate) fn signature(
    graph: &GraphProto,
    dims: &[Vec<InputDim>],
    maps: &MapValues,
    typed: &TypedModel,
) -> TractResult<Signature> {
    let mut signature = Signature::default();
    for (position, (input, dims)) in open_inputs(graph).into_iter().zip(dims).enumerate() {
        let kind = carried(&input.name, typed.input_fact(position)?.datum_type)?;
        signature.inputs.push(value_spec(input, kind, dims, maps));
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
            maps: maps.get(&output.name).cloned(),
        });
    }
    Ok(signature)
}

/// The signature as the model's file declares it.
pub(crate) fn declared_signature(
    graph: &GraphProto,
    dims: &[Vec<InputDim>],
    maps: &MapValues,
) -> TractResult<Signature> {
    let kind = |value| {
        declared_kind(value).ok_or_else(|| format_err!("`{}` does not say its type", value.name))
    };
    let mut signature = Signature::default();
    for (input, dims) in open_inputs(graph).into_iter().zip(dims) {
        signature
            .inputs
            .push(value_spec(input, kind(input)?, dims, maps));
    }
    for output in &graph.output {
        let dims = dimensions(output)
            .ok_or_else(|| format_err!("output `{}` does not say its rank", output.name))?;
        let dims: Vec<InputDim> = dims.map(input_dim).collect();
        signature
            .outputs
            .push(value_spec(output, kind(output)?, &dims, maps));
    }
    Ok(signature)
}

fn declared_kind(value: &ValueInfoProto) -> Option<TensorType> {
    tensor_type(DatumType::try_from(element_type(value)?).ok()?)
}

fn value_spec(
    value: &ValueInfoProto,
    kind: TensorType,
    dims: &[InputDim],
    maps: &MapValues,
) -> TensorSpec {
    let extent = |dim: &InputDim| match dim {
        InputDim::Fixed(extent) => Some(*extent),
        InputDim::Named(_) | InputDim::Free => None,
    };
    TensorSpec {
        name: value.name.clone(),
        kind,
        shape: dims.iter().map(extent).collect(),
        maps: maps.get(&value.name).cloned(),
    }
}

fn carried(name: &str, datum: DatumType) -> TractResult<TensorType> {
    tensor_type(datum).ok_or_else(|| format_err!("`{name}` has the type {datum:?}"))
}
