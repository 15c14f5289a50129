//! Maps as JSON objects: what `DictVectorizer` takes.
//!
//! As onnxruntime does it: a key that the model does not know is left out, one that
//! is not given is 0 or the empty text.

use std::{borrow::Cow, collections::HashMap, fmt};

use lusk_contract::{Keys, Maps, Tensor, TensorSpec};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Key, cannot_hold, describe, scalar::Scalar, too_large};

/// The elements of one map by their keys, as a tensor holds them.
pub(super) type Row<'de> = HashMap<Cow<'de, str>, Vec<u8>>;

/// Reads a map, or a list of maps.
#[derive(Clone, Copy)]
pub(super) struct MapInput<'a> {
    pub(super) spec: &'a TensorSpec,
    pub(super) maps: &'a Maps,
    pub(super) room: usize,
}

impl MapInput<'_> {
    /// Bytes of a row of the table, if no text is in it.
    fn row_size(&self) -> usize {
        let element = self.spec.kind.min_size();
        self.maps.keys.len().saturating_mul(element)
    }

    fn element<E: Error>(&self, scalar: Scalar<'_>) -> Result<Vec<u8>, E> {
        let mut element = Vec::with_capacity(scalar.size(self.spec.kind));
        match scalar.append(self.spec.kind, &mut element) {
            true => Ok(element),
            false => Err(E::custom(cannot_hold(self.spec, scalar))),
        }
    }
}

impl<'de> Visitor<'de> for MapInput<'_> {
    type Value = Vec<Row<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.maps.are_many {
            true => "a list of objects",
            false => "an object",
        };
        write!(f, "{what} for input {}", describe(self.spec))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        if self.row_size() > self.room {
            return Err(M::Error::custom(too_large(self.spec, self.room)));
        }
        Ok(vec![read_row(self, map)?])
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element_seed(OneMap(self))? {
            rows.push(row);
            if self.row_size().saturating_mul(rows.len()) > self.room {
                return Err(S::Error::custom(too_large(self.spec, self.room)));
            }
        }
        if rows.len() != 1 && !self.maps.are_many {
            return Err(S::Error::custom(format_args!(
                "input {} takes one object, the list holds {}",
                describe(self.spec),
                rows.len()
            )));
        }
        Ok(rows)
    }
}

/// One map of a list.
struct OneMap<'a>(MapInput<'a>);

impl<'de> DeserializeSeed<'de> for OneMap<'_> {
    type Value = Row<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Row<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneMap<'_> {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for input {}", describe(self.0.spec))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Row<'de>, M::Error> {
        read_row(self.0, map)
    }
}

fn read_row<'de, M: MapAccess<'de>>(input: MapInput<'_>, mut map: M) -> Result<Row<'de>, M::Error> {
    let mut row = Row::new();
    while let Some(Key(key)) = map.next_key()? {
        if matches!(input.maps.keys, Keys::Integers(_)) && key.parse::<i64>().is_err() {
            return Err(M::Error::custom(format_args!(
                "input {}: the key `{key}` is no integer",
                describe(input.spec)
            )));
        }
        let element = map.next_value_seed(Element(input))?;
        if let Some((key, _)) = row.get_key_value(&key) {
            return Err(M::Error::custom(format_args!("`{key}` is given twice")));
        }
        row.insert(key, element);
    }
    Ok(row)
}

/// A value of a map.
struct Element<'a>(MapInput<'a>);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<u8>, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Element<'_> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for input {}", describe(self.0.spec))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Float(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Signed(value))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Bool(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Text(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<u8>, E> {
        self.0.element(Scalar::Null)
    }
}

/// The table of some maps.
pub(super) fn table(spec: &TensorSpec, maps: &Maps, rows: &[Row<'_>]) -> Result<Tensor, String> {
    let mut data = Vec::new();
    // The number 0, and a text's length of 0.
    let absent = vec![0; spec.kind.min_size()];
    for row in rows {
        match &maps.keys {
            Keys::Texts(keys) => keys
                .iter()
                .for_each(|key| data.extend(row.get(key.as_str()).unwrap_or(&absent))),
            Keys::Integers(keys) => keys.iter().for_each(|key| {
                data.extend(row.get(key.to_string().as_str()).unwrap_or(&absent));
            }),
        }
    }
    let shape = vec![rows.len(), maps.keys.len()];
    Tensor::new(spec.kind, shape, data.into()).map_err(|error| error.to_string())
}
