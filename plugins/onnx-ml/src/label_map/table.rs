//! A table from keys to values, and elements looked up in it.

use std::{collections::HashMap, fmt::Debug, hash::Hash};

use tract_onnx::tract_hir::internal::*;

use crate::{
    operator::{Kernel, Port},
    rows::{mapped, single},
};

/// When two float keys are the same, and which of the same keys counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FloatKeys {
    /// When their bits are. Before version 4, which says nothing about keys
    /// that are there twice: the first one counts, as in onnxruntime.
    ByBits,
    /// When they compare equal, or both are no number; the last one counts.
    ByValue,
}

/// What can be looked up.
pub(crate) trait Key: Datum {
    /// Equal for two keys exactly if they are the same key.
    type Hashed: Hash + Eq + Debug + Send + Sync;

    fn hashed(&self, floats: FloatKeys) -> Self::Hashed;
}

macro_rules! whole_keys {
    ($($kind:ty),*) => {$(
        impl Key for $kind {
            type Hashed = $kind;

            fn hashed(&self, _floats: FloatKeys) -> $kind {
                self.clone()
            }
        }
    )*};
}

whole_keys!(i16, i32, i64, String);

impl Key for f32 {
    type Hashed = u32;

    fn hashed(&self, floats: FloatKeys) -> u32 {
        match floats {
            FloatKeys::ByBits => self.to_bits(),
            FloatKeys::ByValue if self.is_nan() => f32::NAN.to_bits(),
            // Adding zero makes the negative zero positive.
            FloatKeys::ByValue => (self + 0.0).to_bits(),
        }
    }
}

impl Key for f64 {
    type Hashed = u64;

    fn hashed(&self, floats: FloatKeys) -> u64 {
        match floats {
            FloatKeys::ByBits => self.to_bits(),
            FloatKeys::ByValue if self.is_nan() => f64::NAN.to_bits(),
            FloatKeys::ByValue => (self + 0.0).to_bits(),
        }
    }
}

/// Maps every element of a tensor.
#[derive(Debug)]
pub(crate) struct LookUp<K: Key, V: Datum> {
    values: HashMap<K::Hashed, V>,
    default: V,
    floats: FloatKeys,
}

impl<K: Key, V: Datum> LookUp<K, V> {
    pub(crate) fn new(
        keys: impl IntoIterator<Item = K>,
        values: impl IntoIterator<Item = V>,
        default: V,
        floats: FloatKeys,
    ) -> Self {
        let mut table = HashMap::new();
        for (key, value) in keys.into_iter().zip(values) {
            let entry = table.entry(key.hashed(floats));
            match floats {
                FloatKeys::ByBits => entry.or_insert(value),
                FloatKeys::ByValue => entry.insert_entry(value).into_mut(),
            };
        }
        Self {
            values: table,
            default,
            floats,
        }
    }

    fn value(&self, key: &K) -> V {
        let found = self.values.get(&key.hashed(self.floats));
        found.unwrap_or(&self.default).clone()
    }
}

impl<K: Key, V: Datum> Kernel for LookUp<K, V> {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = single(inputs)?;
        ensure!(
            input.kind == K::datum_type(),
            "the keys are of {:?}, the input is of {:?}",
            K::datum_type(),
            input.kind
        );
        Ok(tvec![Port::new(V::datum_type(), input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        Ok(tvec![mapped(inputs[0], |key: &K| self.value(key))?])
    }
}
