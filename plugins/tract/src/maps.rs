//! Maps, which no graph of tract carries: tables stand for them.
//!
//! `ZipMap` makes a map of each row of scores: its operator passes the scores on,
//! and the labels become [`Maps`] of the output. `DictVectorizer` makes a row of a
//! map: the row itself becomes the input, a column for each word of the vocabulary.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use lusk_contract::{Keys, Maps};
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto,
};

use crate::file::element_type;

/// The inputs and outputs of a graph that are maps, by their names.
pub(crate) type MapValues = HashMap<String, Arc<Maps>>;

/// Finds the maps and turns each `DictVectorizer` of an input into a table input.
pub(crate) fn write_out(graph: &mut GraphProto) -> Result<MapValues, String> {
    let mut maps = zipped(graph);
    for at in 0..graph.node.len() {
        let node = &graph.node[at];
        if is(node, "DictVectorizer") {
            let (name, keys) = vocabulary(node)?;
            let kind = kind_of(graph, node.output.first());
            let input = graph.input.iter_mut().find(|input| input.name == name);
            let input = input.ok_or_else(|| {
                format!("`{name}`, which DictVectorizer takes, is no input of the model")
            })?;
            if maps.contains_key(&name) {
                return Err(format!("two DictVectorizer take the input `{name}`"));
            }
            make_table(input, kind, keys.len());
            let are_many = false;
            maps.insert(name, Arc::new(Maps { keys, are_many }));
            let node = &mut graph.node[at];
            "Identity".clone_into(&mut node.op_type);
            node.domain.clear();
            node.attribute.clear();
        }
    }
    Ok(maps)
}

/// The outputs that `ZipMap` makes. What its attributes say is checked by its
/// operator.
fn zipped(graph: &GraphProto) -> MapValues {
    let makers = graph.node.iter().filter(|node| is(node, "ZipMap"));
    let outputs = makers.filter_map(|node| {
        let name = node.output.first()?;
        let keys = keys(node, "classlabels_strings", "classlabels_int64s");
        graph.output.iter().find(|output| output.name == *name)?;
        let are_many = true;
        Some((name.clone(), Arc::new(Maps { keys, are_many })))
    });
    outputs.collect()
}

fn is(node: &NodeProto, operator: &str) -> bool {
    node.domain == "ai.onnx.ml" && node.op_type == operator
}

/// What a `DictVectorizer` takes, and its words.
fn vocabulary(node: &NodeProto) -> Result<(String, Keys), String> {
    let keys = keys(node, "string_vocabulary", "int64_vocabulary");
    let repeats = match &keys {
        Keys::Texts(keys) => repeats(keys),
        Keys::Integers(keys) => repeats(keys),
    };
    if keys.is_empty() || repeats {
        let what = if repeats { "a word twice" } else { "no word" };
        return Err(format!("node `{}` has a vocabulary with {what}", node.name));
    }
    let input = node.input.first().cloned();
    Ok((input.unwrap_or_default(), keys))
}

fn repeats(keys: &[impl Eq + Hash]) -> bool {
    let mut known = HashSet::new();
    !keys.iter().all(|key| known.insert(key))
}

fn keys(node: &NodeProto, texts: &str, integers: &str) -> Keys {
    let attribute = |name: &str| node.attribute.iter().find(|known| known.name == name);
    match attribute(texts).filter(|texts| !texts.strings.is_empty()) {
        Some(texts) => Keys::Texts(
            texts
                .strings
                .iter()
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect(),
        ),
        None => Keys::Integers(attribute(integers).map_or_else(Vec::new, |it| it.ints.clone())),
    }
}

/// The element type that a value is declared with; floats if it is not.
fn kind_of(graph: &GraphProto, name: Option<&String>) -> DataType {
    let mut values = graph.value_info.iter().chain(&graph.output);
    let declared = values.find(|value| Some(&value.name) == name);
    let kind = declared.and_then(element_type);
    kind.filter(|kind| *kind != DataType::Undefined)
        .unwrap_or(DataType::Float)
}

fn make_table(input: &mut ValueInfoProto, kind: DataType, columns: usize) {
    let extent = |extent: usize| Dimension {
        value: Some(Dim::DimValue(extent as i64)),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: vec![extent(1), extent(columns)],
    };
    input.r#type = Some(TypeProto {
        value: Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: kind.into(),
            shape: Some(shape),
        })),
        ..TypeProto::default()
    });
}
