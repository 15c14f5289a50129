//! Tensors by rows: what can be joined along the first axis, and taken apart.

use half::f16;
use lusk_contract::{Signature, Tensor, TensorSpec, TensorType};

/// What calls must have in common to be joined: type and trailing extents of
/// each input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowShape(Vec<(TensorType, Vec<usize>)>);

/// How far joined and single results may be apart: engines add in another order
/// for another number of rows.
const RELATIVE: f64 = 1e-3;

/// See [`RELATIVE`]; for results near zero.
const ABSOLUTE: f64 = 1e-4;

/// How many times farther apart results must be to count as different ones.
const APART: f64 = 10.0;

/// Rows of one call that are looked for in the others at most; bounds the time that
/// calls without any difference take.
const LOOKED_FOR: usize = 16;

/// Why a model's calls cannot be joined; `None` if its first dimensions are open.
pub(super) fn obstacle(signature: &Signature) -> Option<String> {
    let inputs = signature.inputs.iter().map(|spec| ("input", spec));
    let outputs = signature.outputs.iter().map(|spec| ("output", spec));
    let none = signature.inputs.is_empty() || signature.outputs.is_empty();
    inputs
        .chain(outputs)
        .find_map(|(what, spec)| fixed(what, spec))
        .or_else(|| none.then(|| "has no input or no output".to_owned()))
}

fn fixed(what: &str, spec: &TensorSpec) -> Option<String> {
    match spec.shape.first() {
        Some(None) => None,
        Some(Some(rows)) => Some(format!(
            "has a fixed batch of {rows} ({what} `{}`)",
            spec.name
        )),
        None => Some(format!(
            "has no batch ({what} `{}` is one value)",
            spec.name
        )),
    }
}

/// The rows of a call and what they look like; `None` if the inputs disagree.
pub(super) fn rows_of(inputs: &[Tensor]) -> Option<(RowShape, usize)> {
    let rows = *inputs.first()?.shape().first()?;
    let mut shape = Vec::with_capacity(inputs.len());
    for input in inputs {
        let (first, rest) = input.shape().split_first()?;
        if *first != rows {
            return None;
        }
        shape.push((input.kind(), rest.to_vec()));
    }
    Some((RowShape(shape), rows))
}

/// All calls' inputs in one. The calls have the same [`RowShape`].
pub(super) fn join<'a>(calls: impl Iterator<Item = &'a [Tensor]> + Clone) -> Option<Vec<Tensor>> {
    let inputs = calls.clone().next()?.len();
    (0..inputs)
        .map(|at| join_one(calls.clone().map(|call| &call[at])))
        .collect()
}

fn join_one<'a>(parts: impl Iterator<Item = &'a Tensor> + Clone) -> Option<Tensor> {
    let first = parts.clone().next()?;
    let bytes = parts.clone().map(|part| part.data().len()).sum();
    let mut data = Vec::with_capacity(bytes);
    let mut shape = first.shape().to_vec();
    shape[0] = 0;
    for part in parts {
        shape[0] += part.shape()[0];
        data.extend_from_slice(part.data());
    }
    Tensor::new(first.kind(), shape, data.into()).ok()
}

/// The outputs of each call, which have `rows`; `None` if the rows of an output
/// are not theirs. Copies, so that one call's output does not keep all alive.
pub(super) fn part(outputs: &[Tensor], rows: &[usize]) -> Option<Vec<Vec<Tensor>>> {
    let total: usize = rows.iter().sum();
    let mut parted: Vec<Vec<Tensor>> = rows.iter().map(|_| Vec::new()).collect();
    for output in outputs {
        if output.shape().first() != Some(&total) {
            return None;
        }
        let mut begin = 0;
        for (own, rows) in parted.iter_mut().zip(rows) {
            own.push(output.rows(begin..begin + rows)?);
            begin += rows;
        }
    }
    Some(parted)
}

/// Whether both are the same result, computed in another order perhaps.
pub(super) fn agree(these: &[Tensor], those: &[Tensor]) -> bool {
    agree_within(1.0, these, those)
}

/// The least and the most of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Span {
    /// Of no numbers.
    pub(super) const NOTHING: Self = Self {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    /// Of a tensor; what is not a number is left out.
    pub(super) fn of(tensor: &Tensor) -> Self {
        let data = tensor.data();
        match tensor.kind() {
            TensorType::F16 => Self::from(data.as_chunks().0, |it| f16::from_le_bytes(it).into()),
            TensorType::F32 => Self::from(data.as_chunks().0, |it| f32::from_le_bytes(it).into()),
            TensorType::F64 => Self::from(data.as_chunks().0, f64::from_le_bytes),
            TensorType::I8 => Self::from(data.as_chunks().0, |it| i8::from_le_bytes(it).into()),
            TensorType::I16 => Self::from(data.as_chunks().0, |it| i16::from_le_bytes(it).into()),
            TensorType::I32 => Self::from(data.as_chunks().0, |it| i32::from_le_bytes(it).into()),
            TensorType::I64 => Self::from(data.as_chunks().0, |it| i64::from_le_bytes(it) as f64),
            TensorType::U16 => Self::from(data.as_chunks().0, |it| u16::from_le_bytes(it).into()),
            TensorType::U32 => Self::from(data.as_chunks().0, |it| u32::from_le_bytes(it).into()),
            TensorType::U64 => Self::from(data.as_chunks().0, |it| u64::from_le_bytes(it) as f64),
            TensorType::Text => Self::NOTHING,
            TensorType::U8 | TensorType::Bool => {
                Self::from(data.as_chunks().0, |[it]: [u8; 1]| it.into())
            }
        }
    }

    fn from<const N: usize>(chunks: &[[u8; N]], read: impl Fn([u8; N]) -> f64) -> Self {
        chunks.iter().fold(Self::NOTHING, |span, chunk| {
            let number = read(*chunk);
            span.and(Self {
                least: number,
                most: number,
            })
        })
    }

    /// Of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }
}

/// Whether some call's outputs are not those of the others: a row of the first is
/// none of another's. Only then would mixed rows show.
pub(super) fn differ(calls: &[&[Tensor]]) -> bool {
    let Some((first, others)) = calls.split_first() else {
        return false;
    };
    let some: Vec<_> = single_rows(first).take(LOOKED_FOR).collect();
    let lacks = |other: &&[Tensor]| {
        let in_other =
            |row: &Vec<Tensor>| single_rows(other).any(|theirs| agree_within(APART, row, &theirs));
        !some.iter().all(in_other)
    };
    others.iter().any(lacks)
}

/// Each row of all outputs by itself.
fn single_rows(outputs: &[Tensor]) -> impl Iterator<Item = Vec<Tensor>> {
    let rows = outputs.first().and_then(|it| it.shape().first().copied());
    (0..rows.unwrap_or(0)).filter_map(|at| outputs.iter().map(|it| single_row(it, at)).collect())
}

fn single_row(output: &Tensor, at: usize) -> Option<Tensor> {
    output.rows(at..at + 1)
}

fn agree_within(times: f64, these: &[Tensor], those: &[Tensor]) -> bool {
    let pairs = || these.iter().zip(those);
    these.len() == those.len() && pairs().all(|(a, b)| agrees(times, a, b))
}

fn agrees(times: f64, this: &Tensor, that: &Tensor) -> bool {
    if (this.kind(), this.shape()) != (that.kind(), that.shape()) {
        return false;
    }
    match this.kind() {
        TensorType::F32 => {
            let floats = |tensor: &Tensor| elements(tensor, |it| f32::from_le_bytes(it).into());
            all_near(times, &floats(this), &floats(that))
        }
        TensorType::F64 => {
            let floats = |tensor: &Tensor| elements(tensor, f64::from_le_bytes);
            all_near(times, &floats(this), &floats(that))
        }
        TensorType::F16 => {
            let floats = |tensor: &Tensor| elements(tensor, |it| f16::from_le_bytes(it).into());
            all_near(times, &floats(this), &floats(that))
        }
        _ => this.data() == that.data(),
    }
}

fn elements<const N: usize>(tensor: &Tensor, read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = tensor.data().as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

fn all_near(times: f64, these: &[f64], those: &[f64]) -> bool {
    let near = |(a, b): (&f64, &f64)| {
        let least = ABSOLUTE + RELATIVE * a.abs().max(b.abs());
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= times * least
    };
    these.iter().zip(those).all(near)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(shape: &[usize], first: u8) -> Tensor {
        let count: usize = shape.iter().product();
        let data: Vec<u8> = (0..count).map(|at| first.wrapping_add(at as u8)).collect();
        Tensor::new(TensorType::U8, shape.to_vec(), data.into()).unwrap()
    }

    fn floats(values: &[f32]) -> Vec<Tensor> {
        let data: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        vec![Tensor::new(TensorType::F32, vec![values.len()], data.into()).unwrap()]
    }

    #[test]
    fn only_open_first_dimensions_can_be_joined() {
        let spec = |shape: &[Option<usize>]| TensorSpec {
            name: "x".to_owned(),
            kind: TensorType::F32,
            shape: shape.to_vec(),
            maps: None,
        };
        let signature = |input: &[Option<usize>], output: &[Option<usize>]| Signature {
            inputs: vec![spec(&[None, Some(2)]), spec(input)],
            outputs: vec![spec(output)],
        };
        let open = [None, Some(3)];
        assert_eq!(obstacle(&signature(&open, &open)), None);
        let text = obstacle(&signature(&[Some(1), Some(3)], &open)).unwrap();
        assert_eq!(text, "has a fixed batch of 1 (input `x`)");
        let text = obstacle(&signature(&open, &[])).unwrap();
        assert_eq!(text, "has no batch (output `x` is one value)");
        assert!(obstacle(&Signature::default()).is_some());
    }

    #[test]
    fn inputs_of_different_rows_are_no_rows() {
        assert!(rows_of(&[bytes(&[2, 3], 0), bytes(&[3, 3], 0)]).is_none());
        assert!(rows_of(&[bytes(&[], 0)]).is_none());
        assert!(rows_of(&[]).is_none());
        let (one, two) = (bytes(&[2, 3], 0), bytes(&[2, 4], 0));
        assert_ne!(rows_of(&[one]).unwrap(), rows_of(&[two]).unwrap());
    }

    #[test]
    fn outputs_of_another_number_of_rows_are_not_taken_apart() {
        assert!(part(&[bytes(&[3, 2], 0)], &[1, 1]).is_none());
        assert!(part(&[bytes(&[], 0)], &[1, 1]).is_none());
        assert!(part(&[bytes(&[2, 2], 0), bytes(&[1], 0)], &[1, 1]).is_none());
    }

    #[test]
    fn results_agree_within_what_another_order_of_adding_makes() {
        assert!(agree(
            &floats(&[1.0, f32::NAN, 0.0]),
            &floats(&[1.000_1, f32::NAN, 1e-5])
        ));
        assert!(!agree(&floats(&[1.0]), &floats(&[1.01])));
        assert!(!agree(&floats(&[1.0]), &floats(&[f32::NAN])));
        assert!(!agree(&floats(&[1.0]), &floats(&[1.0, 1.0])));
        assert!(!agree(&[bytes(&[2], 0)], &[bytes(&[2], 1)]));
    }

    #[test]
    fn only_outputs_with_rows_of_their_own_differ() {
        let of = |values: &[f32]| floats(values);
        let calls = |calls: &[&[f32]]| calls.iter().map(|it| of(it)).collect::<Vec<_>>();
        for (outputs, differs) in [
            (calls(&[&[0.0], &[0.0, 0.0]]), false),
            (calls(&[&[1.0, 3.0], &[1.0, 3.0]]), false),
            (calls(&[&[1.0], &[1.000_5]]), false),
            (calls(&[&[f32::NAN], &[f32::NAN]]), false),
            (calls(&[&[1.0], &[1.0], &[2.0]]), true),
            (calls(&[&[1.0, 2.0], &[1.0]]), true),
            (calls(&[&[1.0]]), false),
            (Vec::new(), false),
        ] {
            let given: Vec<_> = outputs.iter().map(Vec::as_slice).collect();
            assert_eq!(differ(&given), differs, "{outputs:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_joined_is_taken_apart_again(
            rows in proptest::collection::vec(1..5_usize, 1..6),
            width in 0..4_usize,
        ) {
            let calls: Vec<Vec<Tensor>> = rows
                .iter()
                .enumerate()
                .map(|(at, rows)| vec![bytes(&[*rows, width], at as u8), bytes(&[*rows], 9)])
                .collect();
            let joined = join(calls.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(joined[0].shape(), [rows.iter().sum(), width]);
            prop_assert_eq!(part(&joined, &rows).unwrap(), calls);
        }
    }
}
