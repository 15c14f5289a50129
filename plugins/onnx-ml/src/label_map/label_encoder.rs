//! `LabelEncoder`: any element to any other, by two parallel lists.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::{
    CategoryMapper,
    table::{FloatKeys, Key, LookUp},
};
use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator},
    rows::elements,
};

/// The version of the domain from which float keys are compared by value.
const BY_VALUE_SINCE: i64 = 4;

/// The operator, whose kernel depends on the types of its lists.
pub(crate) struct LabelEncoder;

impl Operator for LabelEncoder {
    const NAME: &'static str = "LabelEncoder";
    const ATTRIBUTES: &'static [&'static str] = &[
        "classes_strings",
        "default_float",
        "default_int64",
        "default_string",
        "default_tensor",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "keys_tensor",
        "values_floats",
        "values_int64s",
        "values_strings",
        "values_tensor",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        if attributes.has("classes_strings") {
            return indexed(attributes);
        }
        let keys = list(attributes, "keys")?;
        let values = list(attributes, "values")?;
        ensure!(
            keys.len() == values.len(),
            "there are {} keys and {} values",
            keys.len(),
            values.len()
        );
        let default = default(attributes, values.datum_type())?;
        let floats = if attributes.version < BY_VALUE_SINCE {
            FloatKeys::ByBits
        } else {
            FloatKeys::ByValue
        };
        match keys.datum_type() {
            DatumType::I16 => with_keys::<i16>(&keys, &values, &default, floats),
            DatumType::I32 => with_keys::<i32>(&keys, &values, &default, floats),
            DatumType::I64 => with_keys::<i64>(&keys, &values, &default, floats),
            DatumType::F32 => with_keys::<f32>(&keys, &values, &default, floats),
            DatumType::F64 => with_keys::<f64>(&keys, &values, &default, floats),
            DatumType::String => with_keys::<String>(&keys, &values, &default, floats),
            kind => bail!("keys of {kind:?} do not fit"),
        }
    }
}

/// The first version: a text stands for its place in the list.
fn indexed(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
    let classes = attributes.texts("classes_strings")?;
    let places: Vec<i64> = (0i64..).take(classes.len()).collect();
    Ok(Arc::new(CategoryMapper::new(
        attributes, &places, &classes,
    )?))
}

/// The one list of keys, or of values, that is given.
fn list(attributes: &Attributes, role: &str) -> TractResult<Tensor> {
    let mut lists = vec![];
    for kind in ["floats", "int64s", "strings", "tensor"] {
        let name = format!("{role}_{kind}");
        if !attributes.has(&name) {
            continue;
        }
        let list = match kind {
            "floats" => tensor1(attributes.floats(&name)?),
            "int64s" => tensor1(attributes.ints(&name)?),
            "strings" => {
                let texts = attributes.texts(&name)?.into_iter();
                tensor1(&texts.map(String::from).collect::<Vec<_>>())
            }
            _ => attributes.tensor(&name)?.context("a tensor is missing")?,
        };
        // Some exporters write all lists and leave the unused ones empty.
        if list.len() > 0 {
            lists.push(list);
        }
    }
    ensure!(
        lists.len() == 1,
        "{} lists `{role}_*` are given, exactly one must be",
        lists.len()
    );
    lists.pop().context("no list is given")
}

/// What stands for elements that are no key, as a tensor of one element.
fn default(attributes: &Attributes, kind: DatumType) -> TractResult<Tensor> {
    if let Some(tensor) = attributes.tensor("default_tensor")? {
        ensure!(
            tensor.len() == 1 && tensor.datum_type() == kind,
            "`default_tensor` has {} elements of {:?}, the values are of {kind:?}",
            tensor.len(),
            tensor.datum_type()
        );
        return Ok(tensor);
    }
    let float = attributes.float("default_float")?.unwrap_or(-0.0);
    let int = attributes.int("default_int64")?.unwrap_or(-1);
    Ok(match kind {
        DatumType::F32 => tensor0(float),
        DatumType::F64 => tensor0(f64::from(float)),
        DatumType::I16 => tensor0(i16::try_from(int)?),
        DatumType::I32 => tensor0(i32::try_from(int)?),
        DatumType::I64 => tensor0(int),
        _ => tensor0(String::from(
            attributes.text("default_string")?.unwrap_or("_Unused"),
        )),
    })
}

fn with_keys<K: Key>(
    keys: &Tensor,
    values: &Tensor,
    default: &Tensor,
    floats: FloatKeys,
) -> TractResult<Arc<dyn Kernel>> {
    match values.datum_type() {
        DatumType::I16 => with_values::<K, i16>(keys, values, default, floats),
        DatumType::I32 => with_values::<K, i32>(keys, values, default, floats),
        DatumType::I64 => with_values::<K, i64>(keys, values, default, floats),
        DatumType::F32 => with_values::<K, f32>(keys, values, default, floats),
        DatumType::F64 => with_values::<K, f64>(keys, values, default, floats),
        DatumType::String => with_values::<K, String>(keys, values, default, floats),
        kind => bail!("values of {kind:?} do not fit"),
    }
}

fn with_values<K: Key, V: Datum>(
    keys: &Tensor,
    values: &Tensor,
    default: &Tensor,
    floats: FloatKeys,
) -> TractResult<Arc<dyn Kernel>> {
    let keys = elements::<K>(keys)?.iter().cloned();
    let values = elements::<V>(values)?.iter().cloned();
    let default = elements::<V>(default)?.first();
    let default = default.context("the default is missing")?.clone();
    Ok(Arc::new(LookUp::new(keys, values, default, floats)))
}
