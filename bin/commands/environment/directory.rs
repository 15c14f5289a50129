//! An environment as a folder: what `lusk_manifest::environment_directory`
//! reads, written.

use std::{fs, path::Path};

use anyhow::Context as _;
use lusk_domain::Environment;
use serde_json::{Value, json};

use crate::render::{self, Trouble};

/// The definition without packages and Dockerfile.
pub(crate) const DEFINITION: &str = "azureml_environment.json";

/// The packages.
pub(crate) const CONDA: &str = "conda_dependencies.yml";

/// The Dockerfile.
pub(crate) const DOCKERFILE: &str = "BaseDockerfile";

/// A file of the folder and its text.
pub(crate) type File = (&'static str, String);

/// The files that say what `environment` is.
///
/// # Errors
/// It cannot be written as JSON or YAML.
pub(crate) fn files(environment: &Environment) -> anyhow::Result<Vec<File>> {
    let mut rest = environment.clone();
    let conda = rest.python.conda_dependencies.take();
    let dockerfile = rest.docker.base_dockerfile.take();
    let mut files = vec![(DEFINITION, pretty(&without_nulls(json!(rest)))?)];
    if let Some(conda) = conda {
        let text = render::yaml(&without_nulls(json!(conda)))?;
        files.push((CONDA, format!("{}\n", text.trim_end())));
    }
    if let Some(text) = dockerfile {
        files.push((DOCKERFILE, text));
    }
    Ok(files)
}

/// What is null is as good as absent in these files.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

/// JSON for people.
///
/// # Errors
/// It cannot be written, which no tree does.
pub(crate) fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes `files` to `folder`, which is made if it is missing. What of the
/// three files is there and not among them is in the way too: it would be read.
/// `overwrite` is none where no flag asks for it.
///
/// # Errors
/// A file is in the way, or cannot be written.
pub(crate) fn write(folder: &Path, files: &[File], overwrite: Option<bool>) -> anyhow::Result<()> {
    let there: Vec<_> = [DEFINITION, CONDA, DOCKERFILE]
        .into_iter()
        .filter(|name| folder.join(name).symlink_metadata().is_ok())
        .collect();
    if let (Some(first), None | Some(false)) = (there.first(), overwrite) {
        let help = match overwrite {
            Some(_) => "give --overwrite to replace it, or name another folder",
            None => "name another folder, or remove what is in this one",
        };
        let path = folder.join(first);
        return Err(Trouble::new(format!("{} is there already", path.display()))
            .with_help(help)
            .into());
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let left = there
        .into_iter()
        .filter(|name| files.iter().all(|(written, _)| written != name));
    for name in left {
        let path = folder.join(name);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lusk_manifest::environment_directory;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let environment: Environment = serde_json::from_value(json!({
            "name": "e", "version": "3", "environmentVariables": {"A": "1"},
            "python": {"condaDependencies": {"name": "c", "channels": ["conda-forge"],
                "dependencies": ["python=3.10", "numpy", {"pip": ["azureml-defaults", "six>=1,<2"]}]}},
            "docker": {"baseDockerfile": "FROM x\nRUN y\n"},
            "spark": {"packages": [{"group": "g", "artifact": "a", "version": "1"}]},
        }))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files(&environment).unwrap(), None).unwrap();
        let read = environment_directory(folder.path()).unwrap();
        assert_eq!(read.value, environment);
        assert_eq!(read.notices, []);
    }

    #[test]
    fn files_in_the_way_stay_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(DOCKERFILE), "FROM old").unwrap();
        let files = [(DEFINITION, "{}".to_owned())];
        let error = write(folder.path(), &files, None).unwrap_err();
        let help = |error: &anyhow::Error| format!("{:?}", error.downcast_ref::<Trouble>());
        assert!(!help(&error).contains("--overwrite"));
        let flagged = write(folder.path(), &files, Some(false)).unwrap_err();
        assert!(help(&flagged).contains("--overwrite"));
        assert!(
            error
                .to_string()
                .ends_with("BaseDockerfile is there already")
        );
        assert!(!folder.path().join(DEFINITION).exists());
        write(folder.path(), &files, Some(true)).unwrap();
        assert!(!folder.path().join(DOCKERFILE).exists());
    }
}
