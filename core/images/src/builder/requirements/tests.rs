use lusk_domain::CondaSpec;
use proptest::prelude::*;

use super::*;

/// An environment with these conda lines and these pip lines.
fn environment(conda: &[&str], pip: &[&str]) -> Environment {
    let owned = |lines: &[&str]| lines.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
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

fn of(conda: &[&str], pip: &[&str], runtime: RuntimeKind) -> Requirements {
    Requirements::of(&environment(conda, pip), runtime).unwrap()
}

fn texts(requirements: &Requirements) -> Vec<&str> {
    requirements
        .lines
        .iter()
        .map(|it| it.text.as_str())
        .collect()
}

fn refusal(conda: &[&str], pip: &[&str]) -> String {
    let environment = environment(conda, pip);
    let refused = Requirements::of(&environment, RuntimeKind::Python).unwrap_err();
    refused.to_string()
}

#[test]
fn a_usual_environment_leaves_what_lusk_does_not_carry() {
    let conda = ["python=3.8", "pip", "conda-forge::scikit-learn=0.24.2"];
    let pip = [
        "azureml-defaults~=1.30",
        "inference-schema[numpy-support]",
        "numpy",
        "requests[socks]>=2 ; python_version > '3'",
    ];
    let sandbox = of(&conda, &pip, RuntimeKind::Python);
    let requests = "requests[socks]>=2 ; python_version > '3'";
    assert_eq!(texts(&sandbox), ["scikit-learn==0.24.2.*", requests]);
    assert_eq!(
        sandbox.remarks,
        [
            "carried by lusk: azureml-defaults, inference-schema, numpy (a subset)",
            "Python ==3.8.* is asked for; the sandbox runs Python 3.14",
        ]
    );
    let process = of(&conda, &pip, RuntimeKind::Process);
    assert_eq!(
        texts(&process),
        ["scikit-learn==0.24.2.*", "numpy", "numpy", requests]
    );
    assert_eq!(
        process.remarks,
        ["carried by lusk: azureml-defaults, inference-schema"]
    );
    assert_eq!(process.python.unwrap().to_string(), "==3.8.*");
}

#[test]
fn packages_of_the_original_that_lusk_has_not_are_told() {
    let all = of(
        &[],
        &["azureml-interpret", "azureml-core"],
        RuntimeKind::Process,
    );
    assert!(all.lines.is_empty());
    assert_eq!(
        all.remarks,
        [
            "carried by lusk: azureml-core",
            "azureml-interpret left out: of `azureml-…` lusk carries what serves a model \
             (`azureml-core` and its like), the rest is not to be imported",
        ]
    );
}

#[test]
fn what_conda_alone_has_is_left_out_and_told() {
    let all = of(
        &[
            "cudatoolkit=11.3",
            "pytorch=1.13",
            "wheel",
            "numpy=1.2|=1.3",
        ],
        &[],
        RuntimeKind::Process,
    );
    assert_eq!(texts(&all), ["torch==1.13.*", "numpy"]);
    assert_eq!(
        all.remarks,
        [
            "`cudatoolkit` is a conda package that PyPI does not have; left out",
            "conda requirement `numpy=1.2|=1.3`: pip has no `|`, so any version is taken",
        ]
    );
}

#[test]
fn options_are_passed_on_and_credentials_stay_inside() {
    let all = of(
        &[],
        &[
            "--extra-index-url https://user:secret@example.org/simple",
            "--index-url=https://example.org/simple",
            "-f https://example.org/wheels?sig=secret",
            "--pre",
            "--trusted-host example.org",
            "--use-feature=fast",
            "# a remark",
            "",
            "six # why",
            "tool @ https://user:secret@example.org/tool-1-py3-none-any.whl",
            "git+https://user:secret@example.org/x.git@main#egg=x",
        ],
        RuntimeKind::Python,
    );
    assert_eq!(
        all.sources,
        [
            "--extra-index-url https://user:secret@example.org/simple",
            "--index-url https://example.org/simple",
            "-f https://example.org/wheels?sig=secret",
        ]
    );
    assert!(all.prereleases);
    assert_eq!(all.trusted, ["example.org"]);
    assert_eq!(
        all.remarks,
        ["pip option `--use-feature` has no effect here"]
    );
    assert_eq!(
        texts(&all),
        [
            "six",
            "tool @ https://user:secret@example.org/tool-1-py3-none-any.whl",
            "git+https://user:secret@example.org/x.git@main#egg=x",
        ]
    );
    let origins: Vec<_> = all.lines.iter().map(|it| &it.origin).collect();
    let shown = format!("{:?} {origins:?}", all.packages);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn files_of_a_project_are_refused() {
    for line in [
        "-e .",
        "--editable=../x",
        "-r requirements.txt",
        "-c bounds.txt",
        "-e.",
        "-r/etc/passwd",
        "x[all] @ file:///x.whl",
        "./x",
        "../x",
        "/x/y.whl",
        "wheels/x.whl",
        "x-1.0-py3-none-any.whl",
        "x @ file:///x.whl",
        "file:///x.whl",
        "--find-links ./wheels",
        "--index-url file:///x",
    ] {
        let refusal = refusal(&[], &[line]);
        assert!(
            refusal.contains(&format!(
                "pip line `{line}`: files of a project are no part"
            )),
            "{line}: {refusal}"
        );
    }
}

#[test]
fn a_line_end_does_not_smuggle_another_line_in() {
    for line in [
        "six==1.17.0\n-r /etc/passwd",
        "six==1.17.0\r-e /x",
        "--index-url https://u:secret@example.org/\n--find-links /x",
    ] {
        let refusal = refusal(&[], &[line]);
        assert!(refusal.contains("control character is in it"), "{refusal}");
        assert!(!refusal.contains(['\n', '\r']), "{refusal:?}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[test]
fn what_is_no_version_is_refused_with_the_line() {
    assert_eq!(
        refusal(&["six=banana!"], &[]),
        "environment cannot be built: conda requirement `six=banana!`: `=banana!` is neither a \
         version nor bounds of one; write `name`, `name=1.2`, `name==1.2.3` or `name>=1.2,<2`"
    );
    assert!(refusal(&["python=three"], &[]).contains("no version of Python"));
}

proptest! {
    #[test]
    fn no_line_breaks_it(conda in "\\PC{0,30}", pip in "\\PC{0,30}") {
        for runtime in [RuntimeKind::Python, RuntimeKind::Process] {
            let _ = Requirements::of(&environment(&[&conda], &[&pip]), runtime);
        }
    }

    #[test]
    fn a_line_is_one_line(pip in "[a-z]{1,5}[\\PC]{0,30}") {
        if let Ok(all) = Requirements::of(&environment(&[], &[&pip]), RuntimeKind::Process) {
            prop_assert!(all.lines.iter().all(|line| !line.text.contains(['\n', '\r'])));
        }
    }
}
