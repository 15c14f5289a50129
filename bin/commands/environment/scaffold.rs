//! `lusk environment scaffold`: files to begin with. Needs no node.

use lusk_domain::EnvironmentName;
use serde_json::json;

use super::{directory, finish_alone};
use crate::{
    cli::{EnvironmentScaffoldArgs, GlobalArgs},
    commands::{folder_of, model::plain},
    render::{self, Column, Trouble},
};

const COLUMNS: [Column; 2] = [
    Column::new("Path", |reply| plain(&reply["path"])),
    Column::new("Files", |reply| {
        let files = reply["files"].as_array();
        let names: Vec<_> = files.into_iter().flatten().map(plain).collect();
        names.join("\n")
    }),
];

/// The original's base image.
const BASE_IMAGE: &str = "azureml/openmpi4.1.0-ubuntu22.04";

/// Writes the files and says which.
///
/// # Errors
/// A name that environments do not have, or files that are in the way.
pub(crate) fn run(global: &GlobalArgs, args: &EnvironmentScaffoldArgs) -> anyhow::Result<()> {
    let name: EnvironmentName = args
        .name
        .parse()
        .map_err(|error: lusk_domain::NameError| Trouble::new(error.to_string()))?;
    let folder = folder_of(global)?.join(&args.directory);
    let files = files(&name, args.dockerfile)?;
    directory::write(&folder, &files, None)?;
    if !global.only_show_errors {
        render::talk(&format!(
            "change the files, then: lusk environment register -d {}",
            args.directory.display()
        ));
    }
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    let reply = json!({ "path": folder, "files": names });
    finish_alone(global, &args.metadata, &reply, &COLUMNS)
}

fn files(name: &EnvironmentName, dockerfile: bool) -> anyhow::Result<Vec<directory::File>> {
    let base_image = (!dockerfile).then_some(BASE_IMAGE);
    let definition = json!({
        "name": name,
        "version": null,
        "environmentVariables": { "EXAMPLE_ENV_VAR": "EXAMPLE_VALUE" },
        "inferencingStackVersion": null,
        "python": {
            "userManagedDependencies": false,
            "interpreterPath": "python",
            "baseCondaEnvironment": null,
        },
        "docker": {
            "baseImage": base_image,
            "platform": { "os": "Linux", "architecture": "amd64" },
        },
        "spark": { "repositories": [], "packages": [], "precachePackages": true },
    });
    let mut files = vec![
        (directory::DEFINITION, directory::pretty(&definition)?),
        (directory::CONDA, conda(name)),
    ];
    if dockerfile {
        files.push((directory::DOCKERFILE, dockerfile_text()));
    }
    Ok(files)
}

fn conda(name: &EnvironmentName) -> String {
    format!(
        "# Packages of environment `{name}`. Pin versions (`numpy=1.26`, `six==1.17.0`):
# what is not pinned is frozen when the image is built.
name: {name}
channels:
  - conda-forge
dependencies:
  # Pure Python packages run in the sandbox, whose Python lusk carries. Packages
  # with native code run in a process of this Python, which must be installed:
  # - python=3.11
  - pip:
      # Azure needs it to serve; here lusk carries what it would bring.
      - azureml-defaults
"
    )
}

fn dockerfile_text() -> String {
    format!(
        "# Counts into the image's key; lusk itself runs no Docker.
FROM {BASE_IMAGE}
"
    )
}

#[cfg(test)]
mod tests {
    use lusk_manifest::environment_directory;

    use super::*;

    #[test]
    fn a_scaffold_is_an_environment_without_complaints() {
        let name: EnvironmentName = "sklearn".parse().unwrap();
        for dockerfile in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let files = files(&name, dockerfile).unwrap();
            directory::write(folder.path(), &files, None).unwrap();
            let read = environment_directory(folder.path()).unwrap();
            assert_eq!(read.notices, []);
            let environment = read.value;
            assert_eq!(environment.name.as_deref(), Some("sklearn"));
            assert_eq!(environment.docker.base_dockerfile.is_some(), dockerfile);
            assert_eq!(environment.docker.base_image.is_some(), !dockerfile);
            assert!(environment.python.conda_dependencies.is_some());
        }
    }
}
