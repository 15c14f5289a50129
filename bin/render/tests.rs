use anyhow::Context as _;
use lusk_manifest::{Place, Problem};
use serde_json::json;

use super::*;

const PLAIN: Paint = Paint(false);

fn columns() -> [Column; 2] {
    [
        Column::new("Name", |value| {
            value["name"].as_str().unwrap_or_default().to_owned()
        }),
        Column::new("Count", |value| value["count"].to_string()),
    ]
}

fn list() -> Value {
    json!([{"name": "digits", "count": 1}, {"name": "a\tlonger\nname", "count": 22}])
}

fn shown(format: Format, value: &Value) -> String {
    data_text(format, value, &columns()).unwrap()
}

#[test]
fn a_list_is_an_aligned_table() {
    let list = json!([{"name": "digits", "count": 1}, {"name": "longer-name", "count": 22}]);
    insta::assert_snapshot!(shown(Format::Table, &list), @r"
    Name         Count
    digits       1
    longer-name  22
    ");
    assert_eq!(shown(Format::Table, &json!([])), "");
}

#[test]
fn one_object_is_a_list_of_fields() {
    insta::assert_snapshot!(shown(Format::Table, &json!({"name": "digits", "count": 1})), @r"
    Name   digits
    Count  1
    ");
}

#[test]
fn tabs_part_columns_and_never_stand_in_them() {
    assert_eq!(
        shown(Format::Tsv, &list()),
        "digits\t1\na longer name\t22\n"
    );
}

#[test]
fn programs_get_json_and_yaml_whole() {
    let value =
        json!({"b": [1, "2", null, true], "a": {"text": "x: #y\n", "no": "no", "n": "1.0"}});
    let json: Value = serde_json::from_str(&shown(Format::Json, &value)).unwrap();
    assert_eq!(json, value);
    insta::assert_snapshot!(shown(Format::Yaml, &value), @r#"
    a:
      n: "1.0"
      "no": "no"
      text: "x: #y\n"
    b:
      - 1
      - "2"
      - ~
      - true
    "#);
    assert_eq!(shown(Format::None, &value), "");
}

#[test]
fn an_error_names_its_causes_and_the_way_out() {
    let trouble = Trouble::new("no node runs in /data")
        .with_causes(vec!["connection refused".to_owned()])
        .with_help("start one with `lusk up`");
    let error = anyhow::Error::new(trouble).context("while listing models");
    insta::assert_snapshot!(error_text(&error, PLAIN), @r"
    error: while listing models
    cause: no node runs in /data
    cause: connection refused
      help: start one with `lusk up`
    ");
}

#[test]
fn a_chain_of_errors_is_told_outermost_first() {
    let error = Err::<(), _>(io::Error::other("disk on fire"))
        .context("reading model.onnx")
        .context("registering `digits`")
        .unwrap_err();
    insta::assert_snapshot!(error_text(&error, PLAIN), @r"
    error: registering `digits`
    cause: reading model.onnx
    cause: disk on fire
    ");
}

#[test]
fn long_causes_are_set_in() {
    let trouble =
        Trouble::new("init() failed").with_causes(vec!["Traceback:\n  line 1\n".to_owned()]);
    insta::assert_snapshot!(error_text(&trouble.into(), PLAIN), @r"
    error: init() failed
    cause: Traceback:
          line 1
    ");
}

#[test]
fn every_problem_of_a_config_is_told() {
    let line = |line| Place::Line {
        file: "d.json".into(),
        line,
    };
    let error = ManifestError {
        problems: vec![
            Problem {
                place: line(2),
                message: "`a`: bad".to_owned(),
                help: Some("do b".to_owned()),
            },
            Problem {
                place: Place::Flag("--nr".to_owned()),
                message: "worse".to_owned(),
                help: None,
            },
        ],
        notices: vec![Notice {
            place: line(1),
            message: "unknown key `x`".to_owned(),
            help: Some("did you mean `y`?".to_owned()),
        }],
    };
    insta::assert_snapshot!(error_text(&error.into(), PLAIN), @r"
    warning: d.json line 1: unknown key `x`
       help: did you mean `y`?
    error: d.json line 2: `a`: bad
      help: do b
    error: --nr: worse
    ");
}

#[test]
fn colours_are_for_terminals() {
    assert_eq!(Paint(false).red("error:"), "error:");
    assert_eq!(Paint(true).red("error:"), "\u{1b}[1;31merror:\u{1b}[0m");
}

#[test]
fn exit_codes_tell_misuse_from_failure() {
    assert_eq!(exit_code(&Trouble::misuse("x").into()), MISUSED);
    assert_eq!(exit_code(&Trouble::new("x").into()), FAILED);
    assert_eq!(exit_code(&anyhow::anyhow!("x")), FAILED);
}

#[test]
fn sizes_are_short() {
    let shown = [
        0,
        1023,
        1024,
        9_999,
        320_000,
        1_048_570,
        23_800_000,
        5_000_000_000,
    ]
    .map(size);
    insta::assert_snapshot!(shown.join(", "), @"0 B, 1023 B, 1.0 KiB, 9.8 KiB, 312 KiB, 1.0 MiB, 23 MiB, 4.7 GiB");
}
