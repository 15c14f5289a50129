//! A case: a model, the rows it is asked about, and what its trainer answers.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use lusk_contract::{Backend, Keys, ModelSource, Session, TensorSpec};
use lusk_domain::Digest;

use crate::{
    compare::{Agreement, compare},
    table::{Table, Values},
};

/// How many rows are asked about one by one, too: a model has another plan for
/// one row than for many.
const ALONE: usize = 24;

/// A folder with a model and the tensors of one call.
pub(crate) struct Case {
    /// Its name in lists and reports.
    pub(crate) name: String,
    folder: PathBuf,
}

impl Case {
    /// All cases in `data`.
    pub(crate) fn all(data: &Path) -> Vec<Self> {
        let case = |entry: fs::DirEntry| Self {
            name: entry.file_name().into_string().unwrap(),
            folder: entry.path(),
        };
        let entries = fs::read_dir(data).unwrap().map(Result::unwrap);
        let cases: Vec<Self> = entries
            .filter(|entry| entry.path().is_dir())
            .map(case)
            .collect();
        assert!(!cases.is_empty(), "no cases in {}", data.display());
        cases
    }

    /// How well the backend agrees, or where it does not.
    pub(crate) fn judge(&self, backend: &dyn Backend) -> Result<Agreement, String> {
        let path = self.folder.join("model.onnx");
        let source = ModelSource {
            digest: Digest::of(&fs::read(&path).unwrap()),
            label: self.name.clone(),
            path,
            threads: NonZeroUsize::MIN,
        };
        let session = backend.load(&source).map_err(|error| error.to_string())?;
        let (inputs, outputs) = (self.tables("input"), self.tables("output"));
        let rows = inputs[0].rows();
        let signature = session.signature();
        self.check_keys("input", &signature.inputs)?;
        self.check_keys("output", &signature.outputs)?;
        let mut agreement = Agreement::default();
        // A map is one row, and only a sequence of maps is many.
        if signature.inputs[0].shape[0] != Some(1) {
            agreement = ask(session.as_ref(), &inputs, &outputs, None)?;
        }
        for row in 0..rows.min(ALONE) {
            let alone = ask(session.as_ref(), &inputs, &outputs, Some(row));
            agreement.add(&alone.map_err(|why| format!("row {row} alone: {why}"))?);
        }
        Ok(agreement)
    }

    /// Maps are to have the keys that they had where they were trained.
    fn check_keys(&self, role: &str, specs: &[TensorSpec]) -> Result<(), String> {
        for (at, spec) in specs.iter().enumerate() {
            let path = self.folder.join(format!("{role}_{at}_keys.pb"));
            let expected = path.exists().then(|| Table::read(&path).values);
            let same = match (&expected, spec.maps.as_deref().map(|maps| &maps.keys)) {
                (None, None) => true,
                (Some(Values::Texts(expected)), Some(Keys::Texts(keys))) => expected == keys,
                (Some(Values::Integers(expected)), Some(Keys::Integers(keys))) => expected == keys,
                _ => false,
            };
            if !same {
                return Err(format!("{role} {at} has maps {:?}", spec.maps));
            }
        }
        Ok(())
    }

    fn tables(&self, role: &str) -> Vec<Table> {
        let paths = (0..).map(|number| self.folder.join(format!("{role}_{number}.pb")));
        paths
            .take_while(|path| path.exists())
            .map(|path| Table::read(&path))
            .collect()
    }
}

/// Asks about one row, or about all of them.
fn ask(
    session: &dyn Session,
    inputs: &[Table],
    outputs: &[Table],
    row: Option<usize>,
) -> Result<Agreement, String> {
    let inputs: Vec<_> = inputs.iter().map(|input| input.tensor(row)).collect();
    let answers = session.infer(&inputs).map_err(|error| error.to_string())?;
    if answers.len() != outputs.len() {
        let (got, wanted) = (answers.len(), outputs.len());
        return Err(format!("got {got} outputs, expected {wanted}"));
    }
    let mut agreement = Agreement::default();
    for (at, (expected, answer)) in outputs.iter().zip(&answers).enumerate() {
        let found = compare(expected, row, answer);
        agreement.add(&found.map_err(|why| format!("output {at}: {why}"))?);
    }
    Ok(agreement)
}
