//! `TfIdfVectorizer` of numbers or words: how often each of some sequences occurs.

use std::collections::HashMap;

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// The most columns of an output: a model may ask for them in a few bytes.
const MAX_COLUMNS: usize = 1 << 24;

/// Builds the operator.
pub(crate) fn tf_idf_vectorizer(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let number = |name| -> TractResult<usize> { Ok(usize::try_from(node.get_attr::<i64>(name)?)?) };
    let lengths = number("min_gram_length")?..=number("max_gram_length")?;
    let mut words = None;
    let pool: Vec<i64> = match node.get_attr_opt_vec::<&str>("pool_strings")? {
        Some(pool) => {
            let (numbered, pool) = numbered(&pool);
            words = Some(numbered);
            pool
        }
        None => node.get_attr_vec("pool_int64s")?,
    };
    let starts: Vec<usize> = node
        .get_attr_vec::<i64>("ngram_counts")?
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<_, _>>()?;
    let columns: Vec<usize> = node
        .get_attr_vec::<i64>("ngram_indexes")?
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<_, _>>()?;
    let weights = node.get_attr_opt_vec::<f32>("weights")?;
    ensure!(
        *lengths.start() > 0 && !lengths.is_empty(),
        "sequences of {lengths:?} do not exist"
    );
    ensure!(
        starts.len() >= *lengths.end(),
        "some lengths of sequences have no pool"
    );
    ensure!(
        weights
            .as_ref()
            .is_none_or(|weights| weights.len() == columns.len()),
        "as many weights as sequences are needed"
    );
    let mode = match node.get_attr::<&str>("mode")? {
        "TF" => Mode::Count,
        "IDF" => Mode::Weight,
        "TFIDF" => Mode::WeightedCount,
        other => bail!("the mode `{other}` does not exist"),
    };
    let width = columns
        .iter()
        .max()
        .map_or(0, |last| last.saturating_add(1));
    ensure!(
        width <= MAX_COLUMNS,
        "{width} columns are too many, at most {MAX_COLUMNS} are allowed"
    );
    let grams = grams(&pool, &starts, &columns, &lengths)?;
    Ok(operator(TfIdf {
        width,
        max_skip: number("max_skip_count")?,
        words,
        grams,
        lengths,
        weights: weighed(&columns, weights),
        mode,
    }))
}

/// Words by number, and the pool in those numbers.
fn numbered(pool: &[&str]) -> (HashMap<String, i64>, Vec<i64>) {
    let mut words = HashMap::new();
    let mut number = |word: &&str| {
        let next = words.len() as i64;
        *words.entry((*word).to_owned()).or_insert(next)
    };
    let pool = pool.iter().map(&mut number).collect();
    (words, pool)
}

/// The weight of each column, if there are any.
fn weighed(columns: &[usize], weights: Option<Vec<f32>>) -> HashMap<usize, f32> {
    let weights = weights.unwrap_or_default();
    columns.iter().copied().zip(weights).collect()
}

/// The column of each sequence.
fn grams(
    pool: &[i64],
    starts: &[usize],
    columns: &[usize],
    lengths: &std::ops::RangeInclusive<usize>,
) -> TractResult<HashMap<Vec<i64>, usize>> {
    let mut grams = HashMap::new();
    let mut columns = columns.iter();
    for (index, start) in starts.iter().enumerate() {
        let (length, end) = (
            index + 1,
            starts.get(index + 1).copied().unwrap_or(pool.len()),
        );
        let part = pool.get(*start..end).context("the pool is too short")?;
        for gram in part.chunks(length) {
            let column = *columns.next().context("a sequence has no column")?;
            if lengths.contains(&length) {
                grams.insert(gram.to_vec(), column);
            }
        }
    }
    Ok(grams)
}

#[derive(Debug)]
enum Mode {
    Count,
    Weight,
    WeightedCount,
}

#[derive(Debug)]
struct TfIdf {
    width: usize,
    max_skip: usize,
    /// The words of the pool, by the number that stands for each.
    words: Option<HashMap<String, i64>>,
    grams: HashMap<Vec<i64>, usize>,
    lengths: std::ops::RangeInclusive<usize>,
    weights: HashMap<usize, f32>,
    mode: Mode,
}

impl Kernel for TfIdf {
    fn name(&self) -> &'static str {
        "TfIdfVectorizer"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [input] = inputs else {
            bail!("expected 1 input, got {}", inputs.len());
        };
        let fits = match self.words {
            Some(_) => input.kind == DatumType::String,
            None => matches!(input.kind, DatumType::I32 | DatumType::I64),
        };
        ensure!(fits, "sequences of {:?} are not supported", input.kind);
        let mut shape = input.shape.clone();
        ensure!(
            matches!(shape.len(), 1 | 2),
            "an input of rank {} does not fit",
            shape.len()
        );
        let last = shape.len() - 1;
        shape[last] = self.width.to_dim();
        Ok(Port::new(f32::datum_type(), shape))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let numbers = self.numbers(inputs[0])?;
        let mut shape: TVec<usize> = inputs[0].shape().into();
        let last = shape.len() - 1;
        let extent = std::mem::replace(&mut shape[last], self.width);
        let rows: usize = shape[..last].iter().product();
        let mut scores = vec![0f32; rows * self.width];
        for row in 0..rows {
            let counts = &mut scores[row * self.width..][..self.width];
            self.count(&numbers[row * extent..][..extent], counts);
            self.weigh(counts);
        }
        Tensor::from_shape(&shape, &scores)
    }
}

impl TfIdf {
    /// The input as numbers; none of the pool stands for another word.
    fn numbers(&self, input: &Tensor) -> TractResult<Vec<i64>> {
        if let Some(words) = &self.words {
            let texts = input.try_as_plain_ram()?;
            let texts = texts.as_slice::<String>()?.iter();
            return Ok(texts
                .map(|text| words.get(text).copied().unwrap_or(-1))
                .collect());
        }
        let numbers = input.cast_to::<i64>()?;
        Ok(numbers.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
    }

    /// Sequences of one number are not counted again for each distance.
    fn count(&self, row: &[i64], counts: &mut [f32]) {
        for length in self.lengths.clone() {
            let distances = if length == 1 {
                1..=1
            } else {
                // Numbers further apart than the row is long make no gram.
                1..=self.max_skip.saturating_add(1).min(row.len())
            };
            for distance in distances {
                let reach = (length - 1) * distance;
                for start in 0..row.len().saturating_sub(reach) {
                    let places = row[start..].iter().step_by(distance).take(length);
                    let gram: Vec<i64> = places.copied().collect();
                    if let Some(column) = self.grams.get(&gram) {
                        counts[*column] += 1.;
                    }
                }
            }
        }
    }

    fn weigh(&self, counts: &mut [f32]) {
        for (column, count) in counts.iter_mut().enumerate() {
            let weight = self.weights.get(&column).copied().unwrap_or(1.);
            match self.mode {
                Mode::Count => {}
                Mode::Weight if *count > 0. => *count = weight,
                Mode::Weight => {}
                Mode::WeightedCount => *count *= weight,
            }
        }
    }
}
