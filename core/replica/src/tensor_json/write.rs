//! Outputs as JSON.

use half::f16;
use lusk_contract::{Keys, Tensor, TensorSpec, TensorType};
use serde_json::Value;

/// What an output is called in JSON; quoted and escaped once for all replies.
#[derive(Debug)]
pub(crate) struct JsonName {
    name: String,
    /// The keys of the columns, if the rows are maps.
    keys: Option<Vec<String>>,
}

impl JsonName {
    pub(crate) fn new(spec: &TensorSpec) -> Self {
        let keys = spec.maps.as_ref().map(|maps| match &maps.keys {
            Keys::Texts(keys) => keys.iter().map(|key| quoted(key)).collect(),
            Keys::Integers(keys) => keys.iter().map(|key| format!("\"{key}\"")).collect(),
        });
        Self {
            name: quoted(&spec.name),
            keys,
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes a reply.
pub(crate) fn write_outputs(names: &[JsonName], outputs: &[Tensor]) -> Vec<u8> {
    let bytes: usize = outputs.iter().map(|tensor| tensor.data().len()).sum();
    let mut json = Vec::with_capacity(64 + bytes * 3);
    json.push(b'{');
    for (index, (output, tensor)) in names.iter().zip(outputs).enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(output.name.as_bytes());
        json.push(b':');
        match &output.keys {
            Some(keys) => write_maps(&mut json, keys, tensor),
            None => write_tensor(&mut json, tensor),
        }
    }
    json.push(b'}');
    json
}

/// Writes a table as a list of objects.
fn write_maps(json: &mut Vec<u8>, keys: &[String], table: &Tensor) {
    let stride = keys.len() * table.kind().min_size();
    json.push(b'[');
    for (index, row) in table.data().chunks_exact(stride.max(1)).enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.push(b'{');
        let values = row.chunks_exact(table.kind().min_size());
        for (index, (key, value)) in keys.iter().zip(values).enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(key.as_bytes());
            json.push(b':');
            write_numbers(json, table.kind(), &[], value);
        }
        json.push(b'}');
    }
    json.push(b']');
}

fn write_tensor(json: &mut Vec<u8>, tensor: &Tensor) {
    match tensor.kind() {
        TensorType::Text => texts(json, tensor.shape(), &mut tensor.texts()),
        kind => write_numbers(json, kind, tensor.shape(), tensor.data()),
    }
}

/// Writes `texts` as lists nested by `shape`.
fn texts<'a>(json: &mut Vec<u8>, shape: &[usize], elements: &mut impl Iterator<Item = &'a str>) {
    let Some((&length, inner)) = shape.split_first() else {
        if let Some(text) = elements.next() {
            json.extend_from_slice(quoted(text).as_bytes());
        }
        return;
    };
    json.push(b'[');
    for index in 0..length {
        if index > 0 {
            json.push(b',');
        }
        texts(json, inner, elements);
    }
    json.push(b']');
}

fn write_numbers(json: &mut Vec<u8>, kind: TensorType, shape: &[usize], data: &[u8]) {
    let mut float = zmij::Buffer::new();
    let mut integer = itoa::Buffer::new();
    match kind {
        TensorType::F16 => lists(json, shape, data, &mut |json, bytes: [u8; 2]| {
            let value = f16::from_le_bytes(bytes).to_f32();
            let text = if value.is_finite() {
                float.format_finite(value)
            } else {
                "null"
            };
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::F32 => lists(json, shape, data, &mut |json, bytes: [u8; 4]| {
            let value = f32::from_le_bytes(bytes);
            let text = if value.is_finite() {
                float.format_finite(value)
            } else {
                "null"
            };
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::F64 => lists(json, shape, data, &mut |json, bytes: [u8; 8]| {
            let value = f64::from_le_bytes(bytes);
            let text = if value.is_finite() {
                float.format_finite(value)
            } else {
                "null"
            };
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::I8 => lists(json, shape, data, &mut |json, bytes: [u8; 1]| {
            let text = integer.format(i8::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::I16 => lists(json, shape, data, &mut |json, bytes: [u8; 2]| {
            let text = integer.format(i16::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::I32 => lists(json, shape, data, &mut |json, bytes: [u8; 4]| {
            let text = integer.format(i32::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::I64 => lists(json, shape, data, &mut |json, bytes: [u8; 8]| {
            let text = integer.format(i64::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::U8 => lists(json, shape, data, &mut |json, bytes: [u8; 1]| {
            let text = integer.format(u8::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::U16 => lists(json, shape, data, &mut |json, bytes: [u8; 2]| {
            let text = integer.format(u16::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::U32 => lists(json, shape, data, &mut |json, bytes: [u8; 4]| {
            let text = integer.format(u32::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::U64 => lists(json, shape, data, &mut |json, bytes: [u8; 8]| {
            let text = integer.format(u64::from_le_bytes(bytes));
            json.extend_from_slice(text.as_bytes());
        }),
        TensorType::Bool => lists(json, shape, data, &mut |json, [byte]: [u8; 1]| {
            json.extend_from_slice(if byte == 0 { b"false" } else { b"true" });
        }),
        TensorType::Text => {}
    }
}

/// Writes `data` as lists nested by `shape`.
fn lists<const N: usize>(
    json: &mut Vec<u8>,
    shape: &[usize],
    data: &[u8],
    leaf: &mut impl FnMut(&mut Vec<u8>, [u8; N]),
) {
    let Some((&length, inner)) = shape.split_first() else {
        if let Some(bytes) = data.first_chunk() {
            leaf(json, *bytes);
        }
        return;
    };
    json.push(b'[');
    let stride = data.len().checked_div(length).unwrap_or(0);
    for index in 0..length {
        if index > 0 {
            json.push(b',');
        }
        lists(
            json,
            inner,
            &data[index * stride..(index + 1) * stride],
            leaf,
        );
    }
    json.push(b']');
}
