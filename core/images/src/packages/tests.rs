use lusk_domain::{CondaSpec, DockerPlatform, SparkPackage};

use super::*;

/// An environment with these conda lines and these pip lines.
fn environment(conda: &[&str], pip: &[&str]) -> Environment {
    let owned = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let mut dependencies: Vec<_> = owned(conda)
        .into_iter()
        .map(CondaDependency::Package)
        .collect();
    dependencies.push(CondaDependency::Pip { pip: owned(pip) });
    let mut environment = Environment::default();
    environment.python.conda_dependencies = Some(CondaSpec {
        name: None,
        channels: vec!["conda-forge".to_owned()],
        dependencies,
    });
    environment
}

fn remarks_of(conda: &[&str], pip: &[&str]) -> Vec<String> {
    let environment = environment(conda, pip);
    remarks(&environment, &of(&environment))
}

#[test]
fn names_are_told_from_the_rest_of_the_line() {
    let environment = environment(
        &["python=3.14", "conda-forge::Scikit_Learn>=1.0"],
        &[
            "azureml.defaults[extra]~=1.5 ; python_version > '3'",
            "onnxruntime == 1.20",
            "--extra-index-url https://user:secret@example.org/simple",
            "-r more.txt",
            "git+https://example.org/x.git",
            "./wheels/x.whl",
            "# a remark",
            "",
        ],
    );
    let found: Vec<_> = of(&environment)
        .into_iter()
        .map(|package| (package.name, package.asked, package.carried))
        .collect();
    let expected = [
        ("python", "=3.14", true),
        ("scikit-learn", ">=1.0", false),
        (
            "azureml-defaults",
            "[extra]~=1.5 ; python_version > '3'",
            true,
        ),
        ("onnxruntime", "== 1.20", true),
    ];
    assert_eq!(
        found,
        expected.map(|(name, asked, carried)| (name.to_owned(), asked.to_owned(), carried))
    );
}

#[test]
fn what_is_missing_is_a_remark_with_the_way_out() {
    assert_eq!(
        remarks_of(
            &["python=3.14", "scikit-learn"],
            &["azureml-defaults", "numpy", "numpy"]
        ),
        [
            "carried by lusk: azureml-defaults, numpy (a subset), python",
            "scikit-learn is not carried by the sandbox; importing it fails; \
             native Python comes with runtime `process` in a later release",
        ]
    );
    assert_eq!(
        remarks_of(&[], &["torch", "pandas"]),
        [
            "pandas, torch are not carried by the sandbox; importing them fails; \
          native Python comes with runtime `process` in a later release"
        ]
    );
}

#[test]
fn another_python_is_told() {
    let told = |line: &str| remarks_of(&[line], &[]).len() == 2;
    assert!(told("python=3.8"));
    assert!(told("python==3.10.4"));
    for line in ["python", "python=3.14", "python=3.14.2", "python>=3.8"] {
        assert!(!told(line), "{line}");
    }
}

#[test]
fn user_managed_docker_and_spark_are_told() {
    let mut environment = environment(&["python=3.8"], &["torch"]);
    environment.python.user_managed_dependencies = true;
    environment.docker.base_dockerfile = Some("FROM scratch".to_owned());
    environment.docker.platform = Some(DockerPlatform {
        os: "Linux".to_owned(),
        architecture: "amd64".to_owned(),
    });
    environment.spark.packages.push(SparkPackage {
        group: "g".to_owned(),
        artifact: "a".to_owned(),
        version: "1".to_owned(),
    });
    assert!(of(&environment).is_empty());
    assert_eq!(
        remarks(&environment, &[]),
        [
            "userManagedDependencies: the sandbox runs the script, not `python` of an image; \
             native Python comes with runtime `process` in a later release",
            "Docker steps are not run by the sandbox; \
             native Python comes with runtime `process` in a later release",
            "Spark packages are not carried by the sandbox",
        ]
    );
    assert!(remarks(&Environment::default(), &[]).is_empty());
}
