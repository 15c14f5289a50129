//! Whether an answer is the trainer's own.

use std::fmt;

use lusk_contract::Tensor;

use crate::table::{Table, Values, numbers_of, texts_of};

/// Of the number, or of the largest in its column.
const TOLERANCE: f64 = 1e-5;

/// How many values were compared, and how near they came.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    labels: usize,
    /// Within the tolerance of the number itself.
    close: usize,
    /// Within the tolerance of the largest number in the column.
    close_in_column: usize,
}

impl Agreement {
    pub(crate) fn add(&mut self, other: &Self) {
        self.labels += other.labels;
        self.close += other.close;
        self.close_in_column += other.close_in_column;
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} labels equal, {} numbers within {TOLERANCE:e} of their value and {} of their column's",
            self.labels, self.close, self.close_in_column
        )
    }
}

/// Compares an answer with one row of what is expected, or with all rows. Extents
/// of 1 do not count: a column of numbers is a list of them.
pub(crate) fn compare(
    expected: &Table,
    row: Option<usize>,
    answer: &Tensor,
) -> Result<Agreement, String> {
    let wanted = expected.shape(row);
    let extents = |shape: &[usize]| -> Vec<usize> {
        let long = shape.iter().copied().filter(|extent| *extent != 1);
        long.collect()
    };
    if extents(&wanted) != extents(answer.shape()) {
        let (kind, shape) = (answer.kind(), answer.shape());
        return Err(format!(
            "got {kind:?} of shape {shape:?}, expected {wanted:?}"
        ));
    }
    let range = expected.range(row);
    match &expected.values {
        Values::Texts(texts) => same_labels(&texts[range], &texts_of(answer)?),
        Values::Integers(labels) => {
            let labels: Vec<f64> = labels[range].iter().map(|label| *label as f64).collect();
            same_labels(&labels, &numbers_of(answer)?)
        }
        Values::Numbers(numbers) => {
            close_numbers(&numbers[range], &numbers_of(answer)?, &expected.largest())
        }
    }
}

fn same_labels<T: PartialEq + fmt::Debug>(
    expected: &[T],
    answer: &[T],
) -> Result<Agreement, String> {
    let mut pairs = expected.iter().zip(answer).enumerate();
    match pairs.find(|(_, (expected, answer))| expected != answer) {
        Some((at, (expected, answer))) => {
            Err(format!("label {at} is {answer:?}, expected {expected:?}"))
        }
        None => Ok(Agreement {
            labels: expected.len(),
            ..Agreement::default()
        }),
    }
}

fn close_numbers(expected: &[f64], answer: &[f64], largest: &[f64]) -> Result<Agreement, String> {
    let mut agreement = Agreement::default();
    let pairs = expected.iter().zip(answer).zip(largest.iter().cycle());
    for (at, ((expected, answer), largest)) in pairs.enumerate() {
        let error = (expected - answer).abs();
        let same = expected == answer || expected.is_nan() && answer.is_nan();
        if same || error <= TOLERANCE * expected.abs() {
            agreement.close += 1;
        } else if error <= TOLERANCE * largest {
            agreement.close_in_column += 1;
        } else {
            return Err(format!("number {at} is {answer}, expected {expected}"));
        }
    }
    Ok(agreement)
}
