//! A case of the suite: a model, what goes in and what must come out.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with a model and its data sets, named `kind/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    /// Its name in lists and reports.
    pub(crate) name: String,
    folder: PathBuf,
}

/// One call: the files of its inputs and of the outputs to expect.
pub(crate) struct DataSet {
    /// In the order of the model's inputs.
    pub(crate) inputs: Vec<PathBuf>,
    /// In the order of the model's outputs.
    pub(crate) outputs: Vec<PathBuf>,
}

impl Case {
    /// All cases in `data`.
    pub(crate) fn all(data: &Path) -> Vec<Self> {
        let mut cases = Vec::new();
        for kind in folders(data) {
            for folder in folders(&kind) {
                if folder.join("model.onnx").is_file() {
                    let name = format!("{}/{}", last(&kind), last(&folder));
                    cases.push(Self { name, folder });
                }
            }
        }
        assert!(!cases.is_empty(), "no cases in {}", data.display());
        cases
    }

    /// The model's file.
    pub(crate) fn model(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The calls to make.
    pub(crate) fn data_sets(&self) -> Vec<DataSet> {
        let data_set = |folder: PathBuf| DataSet {
            inputs: numbered(&folder, "input"),
            outputs: numbered(&folder, "output"),
        };
        folders(&self.folder).into_iter().map(data_set).collect()
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn numbered(folder: &Path, role: &str) -> Vec<PathBuf> {
    (0..)
        .map(|index| folder.join(format!("{role}_{index}.pb")))
        .take_while(|path| path.is_file())
        .collect()
}

fn last(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
