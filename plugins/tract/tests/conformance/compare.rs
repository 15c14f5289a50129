//! Whether an answer is the expected one, as the suite's own runner sees it.

use half::f16;
use lusk_contract::{Tensor, TensorType};

/// Of the expected value.
const RELATIVE: f64 = 1e-3;

/// The same for floats of 16 bits: two of the steps between them, for which
/// the order of a sum is enough.
const RELATIVE_HALF: f64 = 2. / 1024.;

const ABSOLUTE: f64 = 1e-7;

/// The noise of operators that add what cancels out, in 32 bits where the
/// expected value was computed in 64.
pub(crate) const NOISE: f64 = 1e-5;

/// What is wrong with `answer`, if anything. `noise` is allowed beside the
/// suite's own tolerance.
pub(crate) fn difference(expected: &Tensor, answer: &Tensor, noise: f64) -> Option<String> {
    shape_difference(expected, answer).or_else(|| {
        if expected.kind() == TensorType::Text {
            let mut pairs = expected.texts().zip(answer.texts());
            let (expected, answer) = pairs.find(|(expected, answer)| expected != answer)?;
            return Some(format!("an element is {answer:?}, expected {expected:?}"));
        }
        let relative = match expected.kind() {
            TensorType::F16 => RELATIVE_HALF,
            _ => RELATIVE,
        };
        let pairs = numbers(expected).into_iter().zip(numbers(answer));
        let (at, (expected, answer)) = pairs
            .enumerate()
            .find(|(_, (expected, answer))| !is_close(*expected, *answer, relative, noise))?;
        Some(format!("element {at} is {answer}, expected {expected}"))
    })
}

/// What is wrong with type and shape of `answer`, if anything.
pub(crate) fn shape_difference(expected: &Tensor, answer: &Tensor) -> Option<String> {
    let head = |tensor: &Tensor| (tensor.kind(), tensor.shape().to_vec());
    let (expected, answer) = (head(expected), head(answer));
    (expected != answer).then(|| format!("got {answer:?}, expected {expected:?}"))
}

fn is_close(expected: f64, answer: f64, relative: f64, noise: f64) -> bool {
    if expected.is_nan() || expected.is_infinite() {
        return expected == answer || expected.is_nan() && answer.is_nan();
    }
    (answer - expected).abs() <= noise + ABSOLUTE + relative * expected.abs()
}

/// Integers beyond 2^53 lose what the tolerance would forgive anyway.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    let data = tensor.data().as_ref();
    match tensor.kind() {
        TensorType::F32 => each(data, |word| f32::from_le_bytes(word).into()),
        TensorType::F64 => each(data, f64::from_le_bytes),
        TensorType::I32 => each(data, |word| i32::from_le_bytes(word).into()),
        TensorType::I64 => each(data, |word| i64::from_le_bytes(word) as f64),
        TensorType::F16 => each(data, |word| f16::from_le_bytes(word).into()),
        TensorType::I8 => each(data, |word| i8::from_le_bytes(word).into()),
        TensorType::I16 => each(data, |word| i16::from_le_bytes(word).into()),
        TensorType::U16 => each(data, |word| u16::from_le_bytes(word).into()),
        TensorType::U32 => each(data, |word| u32::from_le_bytes(word).into()),
        TensorType::U64 => each(data, |word| u64::from_le_bytes(word) as f64),
        TensorType::Text => Vec::new(),
        TensorType::U8 | TensorType::Bool => data.iter().map(|byte| f64::from(*byte)).collect(),
    }
}

fn each<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (words, _) = data.as_chunks::<N>();
    words.iter().map(|word| number(*word)).collect()
}
