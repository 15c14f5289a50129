use std::fs;

use lusk_domain::CondaDependency;
use tempfile::TempDir;

use super::*;
use crate::{Scalar, tests::report};

/// A project folder with `score.py`, `src/main.py` and a conda file.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        write("score.py", "");
        write("src/main.py", "");
        write("src/deep/inner.py", "");
        write("1st.py", "");
        write("class.py", "");
        write("script.sh", "");
        write("score.js", "");
        write("score.mjs", "");
        write("module.wat", "");
        write(
            "conda.yml",
            "name: env\nchannels: [conda-forge]\ndependencies:\n- python=3.10\n- pip:\n  - azureml-defaults\n",
        );
        write("steps.txt", "RUN apt-get update\n");
        Self(folder)
    }

    fn read(&self, text: &str) -> Result<Checked<InferenceConfig>, ManifestError> {
        self.read_with(text, &[], None)
    }

    fn read_with(
        &self,
        text: &str,
        overrides: &[Override],
        environment_directory: Option<&Path>,
    ) -> Result<Checked<InferenceConfig>, ManifestError> {
        inference(InferenceRequest {
            source: Some(&Source::new("inferenceconfig.json", text)),
            overrides,
            environment_directory,
            environment_reference: None,
            directory: self.0.path(),
            service: "digits",
        })
    }

    fn environment(&self, text: &str) -> Environment {
        definition(self.read(text).unwrap().value)
    }

    /// The report with the folder's path taken out.
    fn report(&self, text: &str) -> String {
        let folder = self.0.path().canonicalize().unwrap();
        report(&self.read(text))
            .replace(&folder.display().to_string(), "[folder]")
            .replace(&self.0.path().display().to_string(), "[folder]")
    }
}

fn definition(config: InferenceConfig) -> Environment {
    match config.environment {
        EnvironmentChoice::Definition(environment) => *environment,
        EnvironmentChoice::Registered(reference) => panic!("{reference:?}"),
    }
}

#[test]
fn a_lone_script_is_deployed_under_its_name() {
    let project = Project::new();
    let config = project
        .read(r#"{"entryScript":"src/main.py","description":"d"}"#)
        .unwrap()
        .value;
    assert_eq!(config.entry_script(), "main.py");
    assert_eq!(config.top_folder(), None);
    assert_eq!(config.description.as_deref(), Some("d"));
    assert_eq!(definition(config).name.as_deref(), Some("digits-env"));
}

#[test]
fn a_source_directory_is_deployed_whole() {
    let project = Project::new();
    let config = project
        .read(r#"{"entryScript":"deep/inner.py","sourceDirectory":"./src"}"#)
        .unwrap()
        .value;
    assert_eq!(config.entry_script(), "deep/inner.py");
    assert_eq!(config.top_folder().as_deref(), Some("src"));
    assert_eq!(
        config.source_directory,
        Some(project.0.path().canonicalize().unwrap().join("src"))
    );
}

#[test]
fn an_inline_environment_is_read_whole() {
    let project = Project::new();
    let text = r#"{
  "entryScript": "score.py",
  "environment": {
    "name": "e1", "version": 3, "inferencingStackVersion": "latest",
    "environmentVariables": { "WORKER_COUNT": 1, "FLAG": true, "NAME": "x" },
    "docker": { "baseImage": "azureml/openmpi4.1.0-ubuntu22.04",
      "baseImageRegistry": { "address": "r", "username": "u", "password": "p" },
      "platform": { "os": "Linux", "architecture": "amd64" } },
    "python": { "userManagedDependencies": false, "interpreterPath": "python3",
      "condaDependencies": { "name": "e1", "channels": ["conda-forge"],
        "dependencies": ["python=3.10", { "pip": ["azureml-defaults", "scikit-learn"] }] } },
    "spark": { "packages": [{ "group": "g", "artifact": "a", "version": "1" }] },
    "databricks": { "jarLibraries": [] }, "r": null
  }
}"#;
    assert_eq!(project.report(text), "");
    let environment = project.environment(text);
    assert_eq!(environment.version.as_deref(), Some("3"));
    assert_eq!(environment.environment_variables["WORKER_COUNT"], "1");
    assert_eq!(environment.environment_variables["FLAG"], "true");
    assert_eq!(environment.python.interpreter_path, "python3");
    let conda = environment.python.conda_dependencies.unwrap();
    assert_eq!(
        conda.dependencies[0],
        CondaDependency::Package("python=3.10".into())
    );
    assert_eq!(environment.spark.packages[0].artifact, "a");
    let registry = environment.docker.base_image_registry.unwrap();
    assert_eq!(registry.password.unwrap().reveal(), "p");
}

#[test]
fn the_checks_come_in_the_order_of_the_original() {
    let project = Project::new();
    let text = r#"{
  "sourceDirectory": "none",
  "runtime": "java",
  "cudaVersion": "12",
  "condaFile": "missing.yml",
  "environment": {
    "name": "AzureML-x",
    "docker": { "baseImage": "a", "baseDockerfile": "FROM b" },
    "python": { "condaDependencies": { "dependencies": ["numpy", 3] } }
  }
}"#;
    insta::assert_snapshot!(project.report(text), @r#"
    warning: inferenceconfig.json line 4: `cudaVersion` is deprecated
       help: use `environment.docker.baseImage`
    warning: inferenceconfig.json line 5: `condaFile` is deprecated
       help: use `environment.python.condaDependencies`
    warning: inferenceconfig.json line 7: environment name `AzureML-x` begins with Microsoft or AzureML, which Azure keeps for its own
    warning: inferenceconfig.json line 9: the conda dependencies lack `azureml-defaults`, which Azure needs to serve (lusk does not)
    error: inferenceconfig.json line 1: `entryScript` is missing
     help: add `"entryScript": "score.py"`, or give --entry-script
    error: inferenceconfig.json line 6: `environment` cannot be given together with `condaFile`, `cudaVersion`
     help: move their meaning into `environment` and remove them
    error: inferenceconfig.json line 9: `environment.python.condaDependencies.dependencies[1]`: expected a package or a mapping with `pip`, found the number 3
    error: inferenceconfig.json line 8: `environment.docker`: `baseImage` and `baseDockerfile` are given, at most one of them can be
    error: inferenceconfig.json line 2: `sourceDirectory`: `none` does not exist
    error: inferenceconfig.json line 3: `runtime`: unknown value `java`, expected one of python, process, javascript, wasm, spark-py, python-slim
    error: inferenceconfig.json line 4: `cudaVersion`: unknown value `12`, expected one of 9.0, 9.1, 10.0
    error: inferenceconfig.json line 5: `condaFile`: [folder]/none/missing.yml: no such file
    "#);
}

#[test]
fn scripts_that_cannot_be_imported_are_refused() {
    let project = Project::new();
    let scripts = [
        "missing.py",
        "src",
        "script.sh",
        "1st.py",
        "class.py",
        "missing.js",
    ];
    let reports = scripts.map(|script| project.report(&format!(r#"{{"entryScript":"{script}"}}"#)));
    insta::assert_snapshot!(reports.concat(), @r"
    error: inferenceconfig.json line 1: `entryScript`: `missing.py` does not exist
    error: inferenceconfig.json line 1: `entryScript`: `src` is a folder
    error: inferenceconfig.json line 1: `entryScript`: `src` must end in .py, .js, .mjs, .wasm or .wat
    error: inferenceconfig.json line 1: `entryScript`: `script.sh` must end in .py, .js, .mjs, .wasm or .wat
    error: inferenceconfig.json line 1: `entryScript`: `1st` is not a Python identifier, so the script cannot be imported
     help: use letters, digits and _, not a digit first
    error: inferenceconfig.json line 1: `entryScript`: `class` is a Python keyword, so the script cannot be imported
     help: use letters, digits and _, not a digit first
    error: inferenceconfig.json line 1: `entryScript`: `missing.js` does not exist
    ");
    assert_eq!(project.report(r#"{"entryScript":"module.wat"}"#), "");
}

#[test]
fn a_script_outside_the_source_directory_is_refused() {
    let project = Project::new();
    insta::assert_snapshot!(
        project.report(r#"{"entryScript":"../score.py","sourceDirectory":"src"}"#),
        @r"
    error: inferenceconfig.json line 1: `entryScript`: `../score.py` lies outside the source directory [folder]/src
     help: only what is in the source directory is deployed
    "
    );
}

#[test]
fn legacy_keys_become_an_environment() {
    let project = Project::new();
    let text = r#"{
  "entryScript": "score.py",
  "runtime": "Python",
  "condaFile": "conda.yml",
  "extraDockerfileSteps": "steps.txt",
  "enableGpu": true,
  "baseImage": "mine:1",
  "baseImageRegistry": "host.example",
  "cudaVersion": "10.0"
}"#;
    insta::assert_snapshot!(project.report(text), @r"
    warning: inferenceconfig.json line 3: `runtime` is deprecated
       help: leave it out: Python is the default
    warning: inferenceconfig.json line 4: `condaFile` is deprecated
       help: use `environment.python.condaDependencies`
    warning: inferenceconfig.json line 5: `extraDockerfileSteps` is deprecated
       help: use `environment.docker.baseDockerfile`
    warning: inferenceconfig.json line 6: `enableGpu` is deprecated
       help: use `gpuCores` of the deployment config
    warning: inferenceconfig.json line 7: `baseImage` is deprecated
       help: use `environment.docker.baseImage`
    warning: inferenceconfig.json line 8: `baseImageRegistry` is deprecated
       help: use `environment.docker.baseImageRegistry`
    warning: inferenceconfig.json line 9: `cudaVersion` is deprecated
       help: use `environment.docker.baseImage`
    ");
    let environment = project.environment(text);
    assert_eq!(environment.name.as_deref(), Some("digits-env"));
    assert_eq!(
        environment.inferencing_stack_version.as_deref(),
        Some("latest")
    );
    assert_eq!(environment.docker.base_image, None);
    assert_eq!(
        environment.docker.base_dockerfile.as_deref(),
        Some("FROM mine:1\nRUN apt-get update\n")
    );
    let conda = environment.python.conda_dependencies.unwrap();
    assert_eq!(conda.channels, ["conda-forge"]);
}

#[test]
fn a_gpu_gets_the_base_image_of_the_original() {
    let project = Project::new();
    let config = project
        .read(r#"{"entryScript":"score.py","enableGpu":true}"#)
        .unwrap()
        .value;
    let image = definition(config).docker.base_image.unwrap();
    assert_eq!(image, "azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04");
}

#[test]
fn a_name_alone_refers_to_a_registered_environment() {
    let project = Project::new();
    let read = |environment: &str| {
        let text = format!(r#"{{"entryScript":"score.py","environment":{environment}}}"#);
        project.read(&text).unwrap().value.environment
    };
    let reference = |name: &str, version: Option<&str>| {
        EnvironmentChoice::Registered(EnvironmentRef {
            name: name.to_owned(),
            version: version.map(str::to_owned),
        })
    };
    let seen = read(r#"{"name":"e1","version":2}"#);
    assert_eq!(seen, reference("e1", Some("2")));
    let seen = read(r#"{"name":"e1","version":null}"#);
    assert_eq!(seen, reference("e1", None));
    insta::assert_snapshot!(
        project.report(r#"{"entryScript":"score.py","environment":{"name":"AzureML-sklearn"}}"#),
        @r"
    error: inferenceconfig.json line 1: `AzureML-sklearn` is not an environment name: 1 to 255 characters of letters, digits, - . and _, a letter or digit first; names that begin with Microsoft or AzureML belong to curated environments
     help: write the whole definition under `environment` under a name of its own, or give --environment-directory
    "
    );
}

#[test]
fn a_flag_names_a_registered_environment_over_the_file() {
    let project = Project::new();
    let named = EnvironmentRef {
        name: "e1".to_owned(),
        version: None,
    };
    let config = inference(InferenceRequest {
        source: Some(&Source::new("i.json", r#"{"entryScript":"score.py"}"#)),
        overrides: &[],
        environment_directory: None,
        environment_reference: Some(&named),
        directory: project.0.path(),
        service: "digits",
    })
    .unwrap()
    .value;
    assert_eq!(config.environment, EnvironmentChoice::Registered(named));
}

#[test]
fn a_runtime_is_asked_for_beside_the_environment() {
    let project = Project::new();
    let read = |script: &str, rest: &str| {
        let text = format!(r#"{{"entryScript":"{script}"{rest}}}"#);
        assert_eq!(project.report(&text), "", "{text}");
        project.read(&text).unwrap().value.runtime
    };
    let environment = r#","environment":{"name":"e"}"#;
    for (word, kind) in [
        ("python", RuntimeKind::Python),
        ("Process", RuntimeKind::Process),
    ] {
        let rest = format!(r#"{environment},"runtime":"{word}""#);
        assert_eq!(read("score.py", &rest), Some(kind));
    }
    assert_eq!(
        read("score.mjs", r#","runtime":"javascript""#),
        Some(RuntimeKind::Javascript)
    );
    assert_eq!(
        read("module.wat", r#","runtime":"wasm""#),
        Some(RuntimeKind::Wasm)
    );
    assert_eq!(read("score.js", environment), None);
}

#[test]
fn legacy_runtimes_keep_their_meaning() {
    let project = Project::new();
    let legacy = r#"{"entryScript":"score.py","runtime":"python","condaFile":"conda.yml"}"#;
    assert_eq!(project.read(legacy).unwrap().value.runtime, None);
    let text = r#"{"entryScript":"score.py","runtime":"python-slim",
 "environment":{"name":"e"}}"#;
    let wrong = r#"{"entryScript":"module.wat","runtime":"process"}"#;
    insta::assert_snapshot!(project.report(text) + &project.report(wrong), @r"
    warning: inferenceconfig.json line 1: `runtime` is deprecated
       help: leave it out: Python is the default
    error: inferenceconfig.json line 2: `environment` cannot be given together with `runtime`
     help: move their meaning into `environment` and remove them
    error: inferenceconfig.json line 1: `runtime`: `process` runs scripts that end in .py, not `module.wat`
     help: leave `runtime` out: the script tells it
    ");
}

#[test]
fn unknown_keys_of_a_conda_file_are_warnings_with_their_line() {
    let project = Project::new();
    fs::write(
        project.0.path().join("conda.yml"),
        "name: e\nchanels: [conda-forge]\ndependencies:\n- pip:\n  - azureml-defaults\n  pipp: []\n",
    )
    .unwrap();
    let text = r#"{"entryScript":"score.py","environment":{"name":"e","python":{"condaDependenciesFile":"conda.yml"}}}"#;
    insta::assert_snapshot!(project.report(text), @r"
    warning: [folder]/conda.yml line 2: unknown key `chanels`, ignored as Azure does
       help: did you mean `channels`?
    warning: [folder]/conda.yml line 6: unknown key `dependencies[0].pipp`, ignored as Azure does
       help: did you mean `pip`?
    ");
}

#[test]
fn an_environment_directory_is_read_alone() {
    let project = Project::new();
    let folder = project.0.path().join("env");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("azureml_environment.json");
    let error = crate::environment_directory(&folder).unwrap_err();
    assert!(error.to_string().ends_with("no such file"), "{error}");
    fs::write(&file, r#"{"name":"e","colour":1}"#).unwrap();
    let checked = crate::environment_directory(&folder).unwrap();
    assert_eq!(checked.value.name.as_deref(), Some("e"));
    assert_eq!(checked.notices.len(), 1);
}

#[test]
fn a_conda_file_named_by_path_is_read_in() {
    let project = Project::new();
    let text = r#"{"entryScript":"score.py","environment":{"name":"e","python":{"condaDependenciesFile":"conda.yml"}}}"#;
    let environment = project.environment(text);
    assert_eq!(
        environment
            .python
            .conda_dependencies
            .unwrap()
            .dependencies
            .len(),
        2
    );
    fs::write(
        project.0.path().join("conda.yml"),
        "dependencies: [[1]]\nprefix: /x\n",
    )
    .unwrap();
    insta::assert_snapshot!(project.report(text), @r"
    warning: [folder]/conda.yml: accepted without effect here: `prefix`
    error: [folder]/conda.yml line 1: `dependencies[0]`: expected a package or a mapping with `pip`, found a list
    ");
}

#[test]
fn an_environment_directory_takes_the_place_of_the_key() {
    let project = Project::new();
    let folder = project.0.path().join("env");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("azureml_environment.json"),
        r#"{"name":"from-folder","docker":{"baseImage":"x"}}"#,
    )
    .unwrap();
    fs::write(folder.join("BaseDockerfile"), "FROM y\n").unwrap();
    fs::copy(
        project.0.path().join("conda.yml"),
        folder.join("conda_dependencies.yml"),
    )
    .unwrap();
    let config = project
        .read_with(r#"{"entryScript":"score.py"}"#, &[], Some(Path::new("env")))
        .unwrap()
        .value;
    let environment = definition(config);
    assert_eq!(environment.name.as_deref(), Some("from-folder"));
    assert_eq!(
        environment.docker.base_dockerfile.as_deref(),
        Some("FROM y\n")
    );
    assert_eq!(environment.docker.base_image, None);
    assert!(environment.python.conda_dependencies.is_some());
}

#[test]
fn flags_alone_make_a_config() {
    let project = Project::new();
    let flags = [
        Override::new(
            "entryScript",
            "--entry-script",
            Scalar::Text("main.py".into()),
        ),
        Override::new(
            "sourceDirectory",
            "--source-directory",
            Scalar::Text("src".into()),
        ),
    ];
    let config = inference(InferenceRequest {
        source: None,
        overrides: &flags,
        environment_directory: None,
        environment_reference: None,
        directory: project.0.path(),
        service: "digits",
    })
    .unwrap()
    .value;
    assert_eq!(config.entry_script(), "main.py");
    assert_eq!(config.top_folder().as_deref(), Some("src"));
}

#[test]
fn unknown_keys_are_warnings() {
    let project = Project::new();
    let text = r#"{"entryScript":"score.py","entryscript":"x","colour":1,
 "environment":{"name":"e","phyton":{},"docker":{"sharedVolumes":true,"shmSize":"8g"},"databricks":{"jarLibraries":["x"]}}}"#;
    insta::assert_snapshot!(project.report(text), @r"
    warning: inferenceconfig.json line 1: unknown key `entryscript`, ignored as Azure does
       help: did you mean `entryScript`?
    warning: inferenceconfig.json line 1: unknown key `colour`, ignored as Azure does
    warning: inferenceconfig.json line 2: unknown key `environment.phyton`, ignored as Azure does
       help: did you mean `python`?
    warning: inferenceconfig.json: accepted without effect here: `environment.databricks`, `environment.docker.shmSize`
    ");
}

/// A change of a service whose script came with the folder `src`.
fn change(
    project: &Project,
    flags: &[(&str, &str)],
) -> Result<Checked<InferenceChange>, ManifestError> {
    let flags: Vec<_> = flags
        .iter()
        .map(|(key, text)| Override::new(*key, "--flag", Scalar::Text((*text).to_owned())))
        .collect();
    let request = InferenceRequest {
        source: None,
        overrides: &flags,
        environment_directory: None,
        environment_reference: None,
        directory: project.0.path(),
        service: "digits",
    };
    let deployed = Deployed {
        script: "main.py",
        source_directory: Some("src"),
    };
    inference_change(request, Some(deployed))
}

#[test]
fn a_change_says_only_what_it_was_given() {
    let project = Project::new();
    let read = |flags: &[(&str, &str)]| change(&project, flags).unwrap().value;
    let runtime = read(&[("runtime", "python")]);
    assert_eq!(runtime.runtime, Some(RuntimeKind::Python));
    assert_eq!((runtime.script, runtime.environment), (None, None));
    let script = read(&[("entryScript", "deep/inner.py")]);
    assert_eq!(script.environment, None);
    assert_eq!(script.runtime, None);
    let conda = read(&[("condaFile", "conda.yml")]);
    assert!(conda.environment.is_some() && conda.script.is_none());
}

#[test]
fn a_new_script_comes_with_the_folder_of_the_old_one() {
    let project = Project::new();
    let read = |flags: &[(&str, &str)]| {
        let config = change(&project, flags).unwrap().value;
        (config.entry_script(), config.top_folder())
    };
    let expected = (Some("main.py".to_owned()), Some("src".to_owned()));
    assert_eq!(read(&[("entryScript", "main.py")]), expected);
    assert_eq!(read(&[("entryScript", "src/main.py")]), expected);
    assert_eq!(read(&[("sourceDirectory", "src")]), expected);
}

#[test]
fn a_folder_that_is_not_here_is_asked_for() {
    let project = Project::new();
    insta::assert_snapshot!(report(&change(&project, &[("entryScript", "score.py")])), @r"
    error: --flag: `entryScript`: service `digits` was deployed with the folder `src` around its script, and no such folder with `score.py` in it is here
     help: give --source-directory, or run the command beside that folder
    ");
}
