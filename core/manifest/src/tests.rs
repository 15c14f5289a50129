//! What both kinds of file share: formats, limits, and that no text panics.

use std::{fmt::Write as _, path::Path};

use proptest::prelude::*;

use crate::{Checked, InferenceRequest, ManifestError, Override, Source, deployment, inference};

/// The report as the command line prints it.
pub(crate) fn report<T: std::fmt::Debug>(result: &Result<Checked<T>, ManifestError>) -> String {
    let mut text = String::new();
    let (notices, problems) = match result {
        Ok(checked) => (&checked.notices, &[][..]),
        Err(error) => (&error.notices, &error.problems[..]),
    };
    for notice in notices {
        writeln!(text, "warning: {notice}").unwrap();
        if let Some(help) = &notice.help {
            writeln!(text, "   help: {help}").unwrap();
        }
    }
    for problem in problems {
        writeln!(text, "error: {problem}").unwrap();
        if let Some(help) = &problem.help {
            writeln!(text, " help: {help}").unwrap();
        }
    }
    text
}

fn deployment_report(name: &str, text: &str) -> String {
    report(&deployment(Some(&Source::new(name, text)), &[]))
}

#[test]
fn json_syntax_errors_keep_their_line_and_column() {
    insta::assert_snapshot!(
        deployment_report("deploymentconfig.json", "{\n \"computeType\": \"aks\",\n}"),
        @"error: deploymentconfig.json: is not valid JSON: trailing comma at line 3 column 1"
    );
    insta::assert_snapshot!(
        deployment_report("deploymentconfig.json", "{\"computeType\": NaN}"),
        @"error: deploymentconfig.json: is not valid JSON: expected value at line 1 column 17"
    );
}

#[test]
fn yaml_syntax_errors_keep_their_line_and_column() {
    insta::assert_snapshot!(
        deployment_report("d.yml", "computeType: aks\nkeys: [a, b\n"),
        @"error: d.yml: is not valid YAML: while parsing a flow sequence, expected ',' or ']' at line 3 column 1"
    );
}

#[test]
fn an_empty_file_is_called_empty() {
    insta::assert_snapshot!(deployment_report("d.json", " \n"), @r"
    error: d.json: is empty
     help: the smallest file is {}
    ");
    insta::assert_snapshot!(
        deployment_report("d.yml", "# nothing\n"),
        @"error: d.yml line 2: expected a mapping, found nothing"
    );
}

#[test]
fn a_file_that_is_no_mapping_is_refused() {
    insta::assert_snapshot!(
        deployment_report("d.json", "[1]"),
        @"error: d.json line 1: expected a mapping, found a list"
    );
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(
        deployment_report("d.json", "\u{feff}{\"computeType\":\"aks\"}"),
        ""
    );
}

#[test]
fn duplicate_keys_are_named_with_both_lines() {
    let json = "{\"computeType\":\"aks\",\n\"numReplicas\":1,\n\"numReplicas\":2}";
    insta::assert_snapshot!(deployment_report("d.json", json), @r"
    error: d.json line 3: key `numReplicas` is given twice, first on line 2
     help: remove one of the two
    ");
    let yaml = "computeType: aks\nnumReplicas: 1\nnumReplicas: 2\n";
    insta::assert_snapshot!(deployment_report("d.yaml", yaml), @r"
    error: d.yaml line 3: key `numReplicas` is given twice, first on line 2
     help: remove one of the two
    ");
}

#[test]
fn deep_nesting_is_refused() {
    let depth = 1_000_000;
    let json = format!(
        "{{\"computeType\":{}{}}}",
        "[".repeat(depth),
        "]".repeat(depth)
    );
    insta::assert_snapshot!(
        deployment_report("d.json", &json),
        @"error: d.json: is not valid JSON: recursion limit exceeded at line 1 column 142"
    );
    let json = format!("{{\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
    insta::assert_snapshot!(
        deployment_report("d.json", &json),
        @"error: d.json: is nested deeper than 64 levels"
    );
    let yaml = format!("computeType: {}", "[".repeat(10_000));
    insta::assert_snapshot!(
        deployment_report("d.yml", &yaml),
        @"error: d.yml: is not valid YAML: recursion limit exceeded at line 1 column 269"
    );
    let blocks: String = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    insta::assert_snapshot!(
        deployment_report("d.yml", &blocks),
        @"error: d.yml line 66: is nested deeper than 64 levels"
    );
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut yaml = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(yaml, "a{level}: &a{level} [{uses}]").unwrap();
    }
    insta::assert_snapshot!(
        deployment_report("d.yml", &yaml),
        @"error: d.yml line 5: holds more than 20000 values"
    );
}

#[test]
fn too_many_values_are_refused() {
    let json = format!("{{\"x\":[{}1]}}", "1,".repeat(30_000));
    insta::assert_snapshot!(
        deployment_report("d.json", &json),
        @"error: d.json: holds more than 20000 values"
    );
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Source::read(&path).unwrap_err().message
    };
    assert_eq!(
        file("latin.json", b"{\n\"description\": \"caf\xe9\"}"),
        "is not UTF-8 text: bad byte at offset 21, line 2"
    );
    assert_eq!(
        file("wide.json", b"\xff\xfe{\0}\0"),
        "is UTF-16 text, expected UTF-8"
    );
    assert_eq!(
        file("big.json", &vec![b' '; 5 * 1024 * 1024]),
        "larger than 4194304 bytes, the most a configuration file may have"
    );
    assert_eq!(
        Source::read(&folder.path().join("none.json"))
            .unwrap_err()
            .message,
        "no such file"
    );
    assert_eq!(
        Source::read(folder.path()).unwrap_err().message,
        "is a folder, expected a file"
    );
}

/// Text that is likely to be nearly right.
fn nearly_config() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "computeType",
        "aks",
        "local",
        "autoScaler",
        "minReplicas",
        "keys",
        "environment",
        "python",
        "condaDependencies",
        "dependencies",
        "pip",
        "entryScript",
        "score.py",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\n",
        "  ",
        "- ",
        "&a",
        "*a",
        "<<",
        "null",
        "true",
        "1e999",
        "-1",
        "0.5",
        "~",
        "!!str",
        "|",
        ">",
        "#",
        "'",
        "\u{feff}",
        "\\u0000",
        "\t",
        "é",
        "---",
        "...",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), nearly_config()], yaml in any::<bool>()) {
        let source = Source::new(if yaml { "x.yml" } else { "x.json" }, text);
        let _ = deployment(Some(&source), &[]);
        let _ = inference(InferenceRequest {
            source: Some(&source),
            overrides: &[] as &[Override],
            environment_directory: None,
            environment_reference: None,
            directory: Path::new("/nonexistent"),
            service: "service",
        });
    }

    #[test]
    fn both_formats_read_the_same_json(value in json_value()) {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "root": value })).unwrap();
        let json = Source::new("x.json", text.clone()).parse().unwrap();
        let yaml = Source::new("x.yaml", text).parse().unwrap();
        prop_assert_eq!(json.root.to_json(), yaml.root.to_json());
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-zA-Z0-9 .:,{}#&*!|>'-]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
