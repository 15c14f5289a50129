//! Tensors as JSON: nested lists straight into a tensor's buffer and back.
//!
//! A body is `{"<input>": …}` for each input, `{"inputs": {…}}` with the same
//! inside, or `{"data": …}` when the model has one input. A reply is
//! `{"<output>": nested lists}`. JSON has no NaN and no infinity: they are
//! written as `null`, and `null` in a float tensor is read as NaN. What ONNX has
//! as maps is an object here, or a list of objects.

mod maps;
mod scalar;
mod write;

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use lusk_contract::{Signature, Tensor, TensorSpec};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wording;
use maps::{MapInput, table};
use scalar::Scalar;
pub(crate) use write::{JsonName, write_outputs};

/// Deepest nesting of lists that is read.
const MAX_RANK: usize = 16;

/// Reads the inputs of a model, in the order of its signature. `room` is the
/// most bytes that they may have together.
///
/// # Errors
/// A sentence that names the input, what was expected and what was given.
pub(crate) fn read_inputs(
    body: &[u8],
    signature: &Signature,
    room: u64,
) -> Result<Vec<Tensor>, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let inputs = Inputs {
        specs: &signature.inputs,
        room: usize::try_from(room).unwrap_or(usize::MAX),
        hint: body.len(),
        nested: false,
    };
    let tensors = inputs
        .deserialize(&mut json)
        .map_err(|error| explained(&error))?;
    json.end().map_err(|error| explained(&error))?;
    Ok(tensors)
}

fn explained(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("the body is not JSON: {error}"),
    }
}

/// The object that holds the inputs.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    specs: &'a [TensorSpec],
    room: usize,
    hint: usize,
    /// Whether this is the object under `inputs`.
    nested: bool,
}

impl Inputs<'_> {
    fn index_of(&self, key: &str) -> Option<usize> {
        let alone = self.specs.len() == 1 && key == "data";
        self.specs
            .iter()
            .position(|spec| spec.name == key)
            .or(alone.then_some(0))
    }

    fn names(&self) -> String {
        let quoted: Vec<String> = self.specs.iter().map(describe).collect();
        quoted.join(", ")
    }
}

impl<'de> DeserializeSeed<'de> for Inputs<'_> {
    type Value = Vec<Tensor>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Inputs<'_> {
    type Value = Vec<Tensor>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the model's inputs: {}", self.names())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut read: Vec<Option<Tensor>> = vec![None; self.specs.len()];
        let mut room = self.room;
        while let Some(Key(key)) = map.next_key()? {
            if let Some(index) = self.index_of(&key) {
                if read[index].is_some() {
                    return Err(M::Error::custom(format_args!("`{key}` is given twice")));
                }
                let tensor = map.next_value_seed(OneInput {
                    spec: &self.specs[index],
                    room,
                    hint: self.hint,
                })?;
                room -= tensor.data().len().min(room);
                read[index] = Some(tensor);
            } else if key == "inputs" && !self.nested && read.iter().all(Option::is_none) {
                let tensors = map.next_value_seed(Inputs {
                    nested: true,
                    ..self
                })?;
                read = tensors.into_iter().map(Some).collect();
            } else {
                return Err(M::Error::custom(format_args!(
                    "the model has no input `{key}`; its inputs: {}",
                    self.names()
                )));
            }
        }
        let missing = |spec: &TensorSpec| {
            M::Error::custom(format_args!("input {} is missing", describe(spec)))
        };
        read.into_iter()
            .zip(self.specs)
            .map(|(tensor, spec)| tensor.ok_or_else(|| missing(spec)))
            .collect()
    }
}

/// A key, borrowed from the body unless it holds escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// One input.
struct OneInput<'a> {
    spec: &'a TensorSpec,
    room: usize,
    hint: usize,
}

impl<'de> DeserializeSeed<'de> for OneInput<'_> {
    type Value = Tensor;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Tensor, D::Error> {
        if let Some(maps) = &self.spec.maps {
            let rows = json.deserialize_any(MapInput {
                spec: self.spec,
                maps,
                room: self.room,
            })?;
            return table(self.spec, maps, &rows).map_err(D::Error::custom);
        }
        let mut builder = Builder {
            spec: self.spec,
            room: self.room,
            data: Vec::with_capacity(usual_bytes(self.spec).min(self.hint.saturating_mul(4))),
            extents: Vec::new(),
            leaf_depth: None,
        };
        Node {
            builder: &mut builder,
            depth: 0,
        }
        .deserialize(json)?;
        builder.finish().map_err(D::Error::custom)
    }
}

/// Bytes of one row of a tensor, or of the tensor when its shape is fixed.
fn usual_bytes(spec: &TensorSpec) -> usize {
    spec.shape
        .iter()
        .map(|extent| extent.unwrap_or(1))
        .fold(spec.kind.min_size(), usize::saturating_mul)
}

/// A tensor in the making.
struct Builder<'a> {
    spec: &'a TensorSpec,
    room: usize,
    data: Vec<u8>,
    /// Length of the lists at each depth, as soon as one has ended.
    extents: Vec<Option<usize>>,
    /// Depth at which numbers stand.
    leaf_depth: Option<usize>,
}

impl Builder<'_> {
    fn begin_list(&mut self, depth: usize) -> Result<(), String> {
        if depth == MAX_RANK {
            return Err(format!(
                "input {}: lists are nested deeper than {MAX_RANK}",
                describe(self.spec)
            ));
        }
        if self.leaf_depth == Some(depth) {
            return Err(self.ragged("a list stands beside numbers"));
        }
        if self.extents.len() == depth {
            self.extents.push(None);
        }
        Ok(())
    }

    fn end_list(&mut self, depth: usize, length: usize) -> Result<(), String> {
        match self.extents[depth] {
            None => {
                self.extents[depth] = Some(length);
                Ok(())
            }
            Some(other) if other == length => Ok(()),
            Some(other) => Err(self.ragged(&format!(
                "a list of {length} stands beside a list of {other}"
            ))),
        }
    }

    fn ragged(&self, what: &str) -> String {
        format!("input {}: {what}", describe(self.spec))
    }

    fn leaf(&mut self, depth: usize, scalar: Scalar<'_>) -> Result<(), String> {
        if self.leaf_depth.unwrap_or(depth) != depth || self.extents.len() != depth {
            return Err(self.ragged("a number stands beside lists"));
        }
        self.leaf_depth = Some(depth);
        if self.data.len() + scalar.size(self.spec.kind) > self.room {
            return Err(too_large(self.spec, self.room));
        }
        if scalar.append(self.spec.kind, &mut self.data) {
            Ok(())
        } else {
            Err(cannot_hold(self.spec, scalar))
        }
    }

    fn finish(self) -> Result<Tensor, String> {
        let shape: Vec<usize> = self
            .extents
            .iter()
            .map(|extent| extent.unwrap_or(0))
            .collect();
        let fits = shape.len() == self.spec.shape.len()
            && shape
                .iter()
                .zip(&self.spec.shape)
                .all(|(given, wanted)| wanted.is_none_or(|wanted| wanted == *given));
        if !fits {
            return Err(format!(
                "input {} was given with the shape {shape:?}",
                describe(self.spec)
            ));
        }
        Tensor::new(self.spec.kind, shape, Bytes::from(self.data))
            .map_err(|error| error.to_string())
    }
}

/// A value in the lists.
struct Node<'b, 'a> {
    builder: &'b mut Builder<'a>,
    depth: usize,
}

impl Node<'_, '_> {
    fn leaf<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        self.builder.leaf(self.depth, scalar).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "elements for input {}", describe(self.builder.spec))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let Self { builder, depth } = self;
        builder.begin_list(depth).map_err(S::Error::custom)?;
        let mut length = 0;
        while list
            .next_element_seed(Node {
                builder: &mut *builder,
                depth: depth + 1,
            })?
            .is_some()
        {
            length += 1;
        }
        builder.end_list(depth, length).map_err(S::Error::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.leaf(Scalar::Float(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.leaf(Scalar::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.leaf(Scalar::Signed(value))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.leaf(Scalar::Bool(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.leaf(Scalar::Text(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf(Scalar::Null)
    }
}

fn too_large(spec: &TensorSpec, room: usize) -> String {
    format!(
        "input {} needs more than the replica's memory limit allows ({})",
        describe(spec),
        wording::bytes(room as u64)
    )
}

fn cannot_hold(spec: &TensorSpec, scalar: Scalar<'_>) -> String {
    format!("input {} cannot hold {scalar}", describe(spec))
}

/// `` `pixels` (tensor(float), shape [?, 64]) ``
fn describe(spec: &TensorSpec) -> String {
    let extents: Vec<String> = spec
        .shape
        .iter()
        .map(|extent| extent.map_or("?".to_owned(), |extent| extent.to_string()))
        .collect();
    format!(
        "`{}` ({}, shape [{}])",
        spec.name,
        spec.onnx_name(),
        extents.join(", ")
    )
}

#[cfg(test)]
mod tests;
