//! `SVMClassifier`: every pair of classes votes for one of both.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::{
    function::{Function, Vectors},
    pairwise::{couple, pair},
};
use crate::{
    attributes::Attributes,
    labels::Labels,
    operator::{Kernel, Operator, Port},
    rows::{check_columns, extents, filled, floats, numeric, table},
    scores::{PostTransform, top},
    shares::Rows,
};

/// The most classes: there is a score for each pair of them.
const MAX_CLASSES: usize = 4096;

/// The operator.
#[derive(Debug)]
pub(crate) struct SvmClassifier {
    function: Function,
    vectors: Vectors,
    labels: Labels,
    transform: PostTransform,
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// One vector of weights for each class, and what is added to its score.
    Linear { rho: f32 },
    /// Support vectors class by class.
    Pairs(Pairs),
}

#[derive(Debug)]
struct Pairs {
    /// Where the vectors of each class begin, and where the last ones end.
    starts: Vec<usize>,
    /// For each class but one, a weight for each vector.
    weights: Vec<f32>,
    /// One for each pair.
    rho: Vec<f32>,
    /// The sigmoid of each pair, if the scores are to be probabilities.
    sigmoids: Vec<(f32, f32)>,
}

impl Operator for SvmClassifier {
    const NAME: &'static str = "SVMClassifier";
    const OUTPUTS: usize = 2;
    const ATTRIBUTES: &'static [&'static str] = &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
        let classes = labels.len();
        ensure!(
            (2..=MAX_CLASSES).contains(&classes),
            "there are {classes} classes, 2 to {MAX_CLASSES} are possible"
        );
        let function = Function::read(attributes)?;
        let coefficients = attributes.floats("coefficients")?;
        let counts = attributes.ints("vectors_per_class")?;
        let (function, vectors, method) = if counts.iter().all(|count| *count == 0) {
            let rho = attributes.floats("rho")?.first();
            let rho = *rho.context("`rho` is not given")?;
            let vectors = Vectors::new("coefficients", coefficients, classes)?;
            (function.linear(), vectors, Method::Linear { rho })
        } else {
            let pairs = Pairs::read(attributes, classes, counts, coefficients)?;
            let values = attributes.floats("support_vectors")?;
            let vectors = Vectors::new("support_vectors", values, pairs.vectors())?;
            (function, vectors, Method::Pairs(pairs))
        };
        Ok(Arc::new(Self {
            function,
            vectors,
            labels,
            transform: PostTransform::read(attributes)?,
            method,
        }))
    }
}

impl Pairs {
    fn read(
        attributes: &Attributes,
        classes: usize,
        counts: &[i64],
        weights: &[f32],
    ) -> TractResult<Self> {
        ensure!(
            counts.len() == classes,
            "`vectors_per_class` has {} values, there are {classes} classes",
            counts.len()
        );
        let mut starts = vec![0usize];
        for count in counts {
            let last = starts.last().copied().unwrap_or_default();
            let next = usize::try_from(*count)
                .ok()
                .and_then(|count| last.checked_add(count));
            starts.push(next.with_context(|| format!("`vectors_per_class` holds {count}"))?);
        }
        let vectors = starts.last().copied().unwrap_or_default();
        ensure!(
            vectors.checked_mul(classes - 1) == Some(weights.len()),
            "`coefficients` has {} values, there are {vectors} vectors and {classes} classes",
            weights.len()
        );
        let pairs = classes * (classes - 1) / 2;
        let each = |name| {
            let values = attributes.floats(name)?;
            ensure!(
                values.len() == pairs || (values.is_empty() && name != "rho"),
                "`{name}` has {} values, there are {pairs} pairs of classes",
                values.len()
            );
            TractResult::Ok(values)
        };
        let (rho, a, b) = (each("rho")?, each("prob_a")?, each("prob_b")?);
        ensure!(
            a.len() == b.len(),
            "`prob_a` has {} values, `prob_b` has {}",
            a.len(),
            b.len()
        );
        Ok(Self {
            starts,
            weights: weights.to_vec(),
            rho: rho.to_vec(),
            sigmoids: a.iter().copied().zip(b.iter().copied()).collect(),
        })
    }

    fn vectors(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    fn classes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The score of each pair: above zero the first class has won.
    fn scores(&self, likeness: &[f32]) -> Vec<f32> {
        let classes = self.classes();
        let part = |row: usize, class: usize| -> f64 {
            let span = self.starts[class]..self.starts[class + 1];
            let weights = &self.weights[row * self.vectors()..][span.clone()];
            let terms = weights.iter().zip(&likeness[span]);
            terms
                .map(|(weight, likeness)| f64::from(*weight) * f64::from(*likeness))
                .sum()
        };
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        pairs
            .zip(&self.rho)
            .map(|((i, j), rho)| (part(j - 1, i) + part(i, j) + f64::from(*rho)) as f32)
            .collect()
    }

    /// The class that wins most pairs, the first one of several.
    fn winner(&self, scores: &[f32]) -> usize {
        let classes = self.classes();
        let mut votes = vec![0.0; classes];
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for ((i, j), score) in pairs.zip(scores) {
            votes[if *score > 0.0 { i } else { j }] += 1.0;
        }
        top(&votes)
    }

    fn probabilities(&self, scores: &[f32]) -> Vec<f64> {
        let classes = self.classes();
        let mut table = vec![0.0; classes * classes];
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for (((i, j), score), (a, b)) in pairs.zip(scores).zip(&self.sigmoids) {
            let first = pair(*score, *a, *b);
            table[i * classes + j] = first;
            table[j * classes + i] = 1.0 - first;
        }
        couple(&table, classes)
    }
}

impl SvmClassifier {
    /// How many scores a row has.
    fn width(&self) -> usize {
        let classes = self.labels.len();
        match &self.method {
            Method::Pairs(pairs) if pairs.sigmoids.is_empty() && classes > 2 => pairs.rho.len(),
            _ => classes,
        }
    }

    /// Writes the scores of a row; tells the class.
    fn classify(&self, row: &[f32], scores: &mut [f32]) -> usize {
        let likeness = self
            .vectors
            .iter()
            .map(|vector| self.function.of(row, vector));
        let pairs = match &self.method {
            Method::Linear { rho } => {
                for (score, likeness) in scores.iter_mut().zip(likeness) {
                    *score = likeness + rho;
                }
                return top(scores);
            }
            Method::Pairs(pairs) => pairs,
        };
        let likeness: Vec<f32> = likeness.collect();
        let raw = pairs.scores(&likeness);
        if !pairs.sigmoids.is_empty() {
            for (score, probability) in scores.iter_mut().zip(pairs.probabilities(&raw)) {
                *score = probability as f32;
            }
        } else if let [margin] = *raw {
            scores.copy_from_slice(&[-margin, margin]);
        } else {
            scores.copy_from_slice(&raw);
        }
        pairs.winner(&raw)
    }
}

impl Kernel for SvmClassifier {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let (rows, columns) = table(&numeric(inputs)?.shape)?;
        check_columns(&columns, |columns| self.vectors.check(columns))?;
        Ok(tvec![
            Port::new(self.labels.kind(), [rows.clone()]),
            Port::new(f32::datum_type(), [rows, self.width().into()]),
        ])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let (rows, columns) = extents(inputs[0])?;
        self.vectors.check(columns)?;
        let values = floats(inputs[0])?;
        let width = self.width();
        let mut winners = vec![];
        let scores = filled(&[rows, width], |scores: &mut [f32]| {
            let table = Rows {
                values: &values,
                columns,
            };
            let shares = table.share(scores, width, self.vectors.nanoseconds(), |rows, scores| {
                let rows = rows.chunks_exact(columns);
                rows.zip(scores.chunks_exact_mut(width))
                    .map(|(row, scores)| self.classify(row, scores))
                    .collect::<Vec<usize>>()
            });
            winners = shares.concat();
            self.transform.apply(scores, width);
            Ok(())
        })?;
        Ok(tvec![self.labels.of(&winners)?, scores])
    }
}
