//! `direct` as guests see it: all tensors of a computation in one call.
//!
//! What the guest packed is charged to the replica's account as long as it is computed
//! on, what it gets back while it is made. A packing that is wrong is an error value of
//! the interface.

use bytes::{Buf as _, Bytes};
use lusk_contract::{BackendError, Keys, Signature, Tensor, TensorType};
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;

use crate::{
    bindings::{lusk::scoring::direct, wasi::nn::errors::ErrorCode},
    context::Context,
    nn::{Execution, NnError, as_wanted},
};

impl direct::Host for Context {
    fn maps(
        &mut self,
        context: Resource<Execution>,
    ) -> wasmtime::Result<Vec<(String, direct::Keys)>> {
        let session = self.wasi.ctx().table.get(&context)?.session();
        let signature = session.signature();
        let specs = signature.inputs.iter().chain(&signature.outputs);
        let maps = specs.filter_map(|spec| {
            let keys = match &spec.maps.as_ref()?.keys {
                Keys::Texts(keys) => direct::Keys::Texts(keys.clone()),
                Keys::Integers(keys) => direct::Keys::Integers(keys.clone()),
            };
            Some((spec.name.clone(), keys))
        });
        Ok(maps.collect())
    }

    async fn compute(
        &mut self,
        context: Resource<Execution>,
        inputs: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, direct::Failure>> {
        let session = self.wasi.ctx().table.get(&context)?.session();
        let charge = match self.charge(inputs.len()) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error.into())),
        };
        let inputs = match unpack(session.signature(), inputs.into()) {
            Ok(inputs) => inputs,
            Err(text) => return Ok(Err(NnError::new(ErrorCode::InvalidArgument, text).into())),
        };
        let outputs = match session.infer(inputs, charge).await {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Err(NnError::from(error).into())),
        };
        let size = outputs.iter().map(packed_size).sum();
        match self.charge(size) {
            Ok(_charge) => Ok(pack(&outputs, size).map_err(|error| NnError::from(error).into())),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl From<NnError> for direct::Failure {
    fn from(error: NnError) -> Self {
        let (code, text) = error.into_parts();
        Self { code, text }
    }
}

/// The tensors of a signature's inputs.
fn unpack(signature: &Signature, mut packed: Bytes) -> Result<Vec<Tensor>, String> {
    let wanted = &signature.inputs;
    let mut tensors = Vec::with_capacity(wanted.len());
    for spec in wanted {
        let tensor = next(&mut packed).map_err(|why| format!("input `{}`: {why}", spec.name))?;
        tensors.push(as_wanted(&tensor, spec.kind));
    }
    match packed.len() {
        0 => Ok(tensors),
        more => Err(format!(
            "{more} bytes follow the {} inputs of the model",
            wanted.len()
        )),
    }
}

fn next(packed: &mut Bytes) -> Result<Tensor, String> {
    let head: [u8; 4] = take(packed, 4)?[..].try_into().map_err(|_| ends_early())?;
    let [code, rank, 0, 0] = head else {
        return Err(format!(
            "its head is {head:?}, the last two bytes must be 0"
        ));
    };
    let kind = kind_of(code).ok_or_else(|| format!("{code} is no type, 1 to 13 are"))?;
    let mut extents = take(packed, 4 * usize::from(rank))?;
    let shape: Vec<usize> = (0..rank).map(|_| extents.get_u32_le() as usize).collect();
    let elements = shape
        .iter()
        .try_fold(1usize, |elements, extent| elements.checked_mul(*extent));
    let data = elements
        .and_then(|elements| Some((elements, elements.checked_mul(kind.min_size())?)))
        .ok_or_else(|| format!("no memory holds the shape {shape:?}"))
        .and_then(|(elements, least)| match kind {
            TensorType::Text => take_texts(packed, elements),
            _ => take(packed, least),
        })?;
    Tensor::new(kind, shape, data).map_err(|error| error.to_string())
}

fn take(packed: &mut Bytes, bytes: usize) -> Result<Bytes, String> {
    match bytes <= packed.len() {
        true => Ok(packed.split_to(bytes)),
        false => Err(ends_early()),
    }
}

/// The bytes of so many texts with their lengths.
fn take_texts(packed: &mut Bytes, elements: usize) -> Result<Bytes, String> {
    let mut rest = &packed[..];
    for _ in 0..elements {
        let (length, more) = rest.split_first_chunk().ok_or_else(ends_early)?;
        let length = u32::from_le_bytes(*length) as usize;
        rest = more.get(length..).ok_or_else(ends_early)?;
    }
    let bytes = packed.len() - rest.len();
    Ok(packed.split_to(bytes))
}

fn ends_early() -> String {
    "the bytes end before the tensor does".to_owned()
}

fn packed_size(tensor: &Tensor) -> usize {
    4 + 4 * tensor.shape().len() + tensor.data().len()
}

fn pack(tensors: &[Tensor], size: usize) -> Result<Vec<u8>, BackendError> {
    let mut packed = Vec::with_capacity(size);
    for tensor in tensors {
        let too_large = |what: &str| BackendError::Failed {
            model: String::new(),
            reason: format!("an output's {what} does not fit: {:?}", tensor.shape()),
        };
        let rank = u8::try_from(tensor.shape().len()).map_err(|_| too_large("rank"))?;
        packed.extend([code_of(tensor.kind()), rank, 0, 0]);
        for extent in tensor.shape() {
            let extent = u32::try_from(*extent).map_err(|_| too_large("extent"))?;
            packed.extend(extent.to_le_bytes());
        }
        packed.extend(&tensor.data()[..]);
    }
    Ok(packed)
}

fn kind_of(code: u8) -> Option<TensorType> {
    Some(match code {
        1 => TensorType::F32,
        2 => TensorType::F64,
        3 => TensorType::I32,
        4 => TensorType::I64,
        5 => TensorType::U8,
        6 => TensorType::Bool,
        7 => TensorType::F16,
        8 => TensorType::I8,
        9 => TensorType::I16,
        10 => TensorType::U16,
        11 => TensorType::U32,
        12 => TensorType::U64,
        13 => TensorType::Text,
        _ => return None,
    })
}

fn code_of(kind: TensorType) -> u8 {
    match kind {
        TensorType::F32 => 1,
        TensorType::F64 => 2,
        TensorType::I32 => 3,
        TensorType::I64 => 4,
        TensorType::U8 => 5,
        TensorType::Bool => 6,
        TensorType::F16 => 7,
        TensorType::I8 => 8,
        TensorType::I16 => 9,
        TensorType::U16 => 10,
        TensorType::U32 => 11,
        TensorType::U64 => 12,
        TensorType::Text => 13,
    }
}

#[cfg(test)]
mod tests {
    use lusk_contract::TensorSpec;

    use super::*;
    use crate::testing::signature;

    fn of(kinds: &[TensorType]) -> Signature {
        let mut found = signature();
        let spec = found.inputs[0].clone();
        let inputs = kinds.iter().map(|kind| TensorSpec {
            kind: *kind,
            ..spec.clone()
        });
        found.inputs = inputs.collect();
        found
    }

    #[test]
    fn every_type_and_rank_survives() {
        let shapes = [
            vec![],
            vec![0],
            vec![3],
            vec![1, 2],
            vec![2, 0, 5],
            vec![2, 3, 1],
        ];
        for kind in TensorType::ALL {
            let tensors: Vec<_> = shapes
                .iter()
                .map(|shape| {
                    let elements = shape.iter().product::<usize>();
                    if kind == TensorType::Text {
                        let words = ["", "ab", "č"].into_iter().cycle().take(elements);
                        return Tensor::of_texts(shape.clone(), words).unwrap();
                    }
                    let bytes = elements * kind.min_size();
                    let data: Vec<u8> = (0..bytes).map(|at| (at % 2) as u8).collect();
                    Tensor::new(kind, shape.clone(), data.into()).unwrap()
                })
                .collect();
            let size = tensors.iter().map(packed_size).sum();
            let packed = pack(&tensors, size).unwrap();
            assert_eq!(packed.len(), size);
            assert_eq!(unpack(&of(&[kind; 6]), packed.into()).unwrap(), tensors);
        }
    }

    #[test]
    fn a_wrong_packing_is_refused_in_words() {
        let float = of(&[TensorType::F32]);
        let huge = [&[1, 4, 0, 0][..], &[255; 16]].concat();
        let cases: [(&[u8], &str); 11] = [
            (&[], "the bytes end before the tensor does"),
            (&[1, 1, 0], "the bytes end before the tensor does"),
            (
                &[1, 1, 0, 0, 1, 0, 0],
                "the bytes end before the tensor does",
            ),
            (
                &[1, 1, 0, 0, 1, 0, 0, 0, 9, 9, 9],
                "the bytes end before the tensor does",
            ),
            (&[14, 0, 0, 0], "14 is no type, 1 to 13 are"),
            (&[13, 0, 0, 0, 1, 0], "the bytes end before the tensor does"),
            (
                &[13, 0, 0, 0, 2, 0, 0, 0, b'a'],
                "the bytes end before the tensor does",
            ),
            (&[13, 0, 0, 0, 1, 0, 0, 0, 0xff], "do not make a tensor"),
            (&[1, 0, 1, 0], "the last two bytes must be 0"),
            (&[1, 0, 0, 0, 1, 2, 3, 4, 5], "1 bytes follow the 1 inputs"),
            (&huge, "no memory holds the shape"),
        ];
        for (packed, words) in cases {
            let error = unpack(&float, Bytes::copy_from_slice(packed)).unwrap_err();
            assert!(error.contains(words), "{packed:?}: {error}");
        }
    }
}
