//! The Python files of the native runner.
//!
//! `main.py` and, below `carried/`, the modules that it shares with the
//! component, and its own. Not among them: `numpy` and `onnxruntime`, which a
//! native Python has for real, and what only the component needs.

macro_rules! carried {
    ($folder:literal, $path:literal) => {
        (
            concat!("carried/", $path),
            include_str!(concat!("../", $folder, "/", $path)),
        )
    };
}

/// Each file's path below the runner's folder, and its text.
pub const NATIVE_FILES: &[(&str, &str)] = &[
    ("main.py", include_str!("../process/main.py")),
    carried!("runner", "azureml/__init__.py"),
    carried!("runner", "azureml/contrib/__init__.py"),
    carried!("runner", "azureml/contrib/services/__init__.py"),
    carried!("runner", "azureml/contrib/services/aml_request.py"),
    carried!("runner", "azureml/contrib/services/aml_response.py"),
    carried!("runner", "azureml/core/__init__.py"),
    carried!("runner", "azureml/core/model.py"),
    carried!("runner", "azureml/monitoring/__init__.py"),
    carried!("runner", "azureml_inference_server_http/__init__.py"),
    carried!("runner", "azureml_inference_server_http/api/__init__.py"),
    carried!("runner", "azureml_inference_server_http/api/aml_request.py"),
    carried!(
        "runner",
        "azureml_inference_server_http/api/aml_response.py"
    ),
    carried!("runner", "inference_schema/__init__.py"),
    carried!("runner", "inference_schema/parameter_types/__init__.py"),
    carried!(
        "runner",
        "inference_schema/parameter_types/abstract_parameter_type.py"
    ),
    carried!(
        "runner",
        "inference_schema/parameter_types/numpy_parameter_type.py"
    ),
    carried!(
        "runner",
        "inference_schema/parameter_types/pandas_parameter_type.py"
    ),
    carried!(
        "runner",
        "inference_schema/parameter_types/standard_py_parameter_type.py"
    ),
    carried!("runner", "inference_schema/schema_decorators.py"),
    carried!("runner", "inference_schema/schema_util.py"),
    carried!("runner", "lusk/__init__.py"),
    carried!("process", "lusk_native/__init__.py"),
    carried!("process", "lusk_native/carried.py"),
    carried!("process", "lusk_native/channel.py"),
    carried!("process", "lusk_native/debugger.py"),
    carried!("process", "lusk_native/packages.py"),
    carried!("process", "lusk_native/serve.py"),
    carried!("runner", "lusk_runner/__init__.py"),
    carried!("runner", "lusk_runner/failure.py"),
    carried!("runner", "lusk_runner/http.py"),
    carried!("runner", "lusk_runner/multidict.py"),
    carried!("runner", "lusk_runner/scoring.py"),
    carried!("runner", "lusk_runner/script.py"),
    carried!("runner", "lusk_runner/swagger.py"),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::NATIVE_FILES;

    /// What only the component needs.
    const COMPONENTS_OWN: [&str; 5] = [
        "lusk_app.py",
        "lusk_runner/depth.py",
        "lusk_runner/handles.py",
        "lusk_runner/library.py",
        "lusk_runner/preload.py",
    ];

    fn collect(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["numpy", "onnxruntime"].contains(&name) && !name.ends_with("__pycache__") {
                    collect(root, &path, found);
                }
            } else if !COMPONENTS_OWN.contains(&name) && name != "main.py" {
                found.insert(format!("carried/{name}"));
            }
        }
    }

    #[test]
    fn no_file_is_forgotten() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut there = BTreeSet::from(["main.py".to_owned()]);
        for folder in ["runner", "process"] {
            let root = here.join(folder);
            collect(&root, &root, &mut there);
        }
        let listed: BTreeSet<_> = NATIVE_FILES
            .iter()
            .map(|(path, _)| (*path).to_owned())
            .collect();
        assert_eq!(listed, there);
    }
}
