use proptest::prelude::*;

use super::*;

fn draft() -> ModelDraft {
    serde_json::from_value(serde_json::json!({
        "name": "digits",
        "files": [file("model.onnx"), file("labels/en.txt")],
        "kvTags": {"a": "1", "b": "2"},
        "properties": {"area": "x"}
    }))
    .unwrap()
}

fn file(path: &str) -> ModelFile {
    ModelFile {
        path: path.to_owned(),
        digest: Digest::of(path.as_bytes()),
        size: 3,
    }
}

fn model() -> Model {
    Model {
        id: "digits:1".parse().unwrap(),
        created_time: Timestamp::UNIX_EPOCH,
        draft: draft(),
    }
}

#[test]
fn a_plain_draft_is_good() {
    assert_eq!(draft().check(), Ok(()));
    assert_eq!(model().size(), 6);
}

#[test]
fn a_model_without_files_is_refused() {
    let mut empty = draft();
    empty.files.clear();
    assert_eq!(
        empty.check().unwrap_err().to_string(),
        "model `digits` holds no file"
    );
}

#[test]
fn frameworks_are_those_of_the_original() {
    for framework in Model::FRAMEWORKS {
        let known = ModelDraft {
            framework: Some(framework.to_owned()),
            ..draft()
        };
        assert_eq!(known.check(), Ok(()));
    }
    let unknown = ModelDraft {
        framework: Some("onnx".to_owned()),
        ..draft()
    };
    assert_eq!(
        unknown.check().unwrap_err().to_string(),
        "unknown framework `onnx`: expected one of Custom, TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch, Multi"
    );
    let lone = ModelDraft {
        framework_version: Some("1".to_owned()),
        ..draft()
    };
    assert!(matches!(
        lone.check(),
        Err(ModelError::VersionWithoutFramework { .. })
    ));
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    for path in [
        "", "/a", "a/", "../a", "a/../b", "./a", "a//b", "a\\b", "..", "a\0b",
    ] {
        let bad = ModelDraft {
            files: vec![file("good"), file(path)],
            ..draft()
        };
        assert_eq!(
            bad.check(),
            Err(ModelError::BadPath {
                path: path.to_owned()
            })
        );
    }
    for path in ["..a", "a..", ".hidden", "a/.b", "é/ü"] {
        let good = ModelDraft {
            files: vec![file(path)],
            ..draft()
        };
        assert_eq!(good.check(), Ok(()), "{path}");
    }
}

#[test]
fn tags_change_and_what_is_not_named_stays() {
    let mut model = model();
    let change = ModelChange {
        add_tags: [
            ("b".to_owned(), "3".to_owned()),
            ("c".to_owned(), "4".to_owned()),
        ]
        .into(),
        remove_tags: vec!["a".to_owned(), "not there".to_owned()],
        description: Some("new".to_owned()),
        ..ModelChange::default()
    };
    model.apply(change).unwrap();
    let tags: Vec<_> = model
        .draft
        .tags
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(tags, ["b=3", "c=4"]);
    assert_eq!(model.draft.description.as_deref(), Some("new"));
    model.apply(ModelChange::default()).unwrap();
    assert_eq!(model.draft.description.as_deref(), Some("new"));
}

#[test]
fn properties_only_grow_and_a_refused_change_changes_nothing() {
    let mut model = model();
    let before = model.clone();
    let change = ModelChange {
        add_tags: [("new".to_owned(), "1".to_owned())].into(),
        add_properties: [
            ("area".to_owned(), "y".to_owned()),
            ("more".to_owned(), "1".to_owned()),
        ]
        .into(),
        ..ModelChange::default()
    };
    assert_eq!(
        model.apply(change).unwrap_err().to_string(),
        "property `area` is set to `x` already; properties can only be added"
    );
    assert_eq!(model, before);
}

proptest! {
    #[test]
    fn a_good_path_stays_below_its_folder(path in "[a./\\\\]{0,8}") {
        let good = ModelDraft { files: vec![file(&path)], ..draft() }.check().is_ok();
        let joined = std::path::Path::new("root").join(&path);
        let escapes = joined.components().any(|part| matches!(part, std::path::Component::ParentDir))
            || !joined.starts_with("root");
        prop_assert!(!(good && escapes));
    }

    #[test]
    fn properties_never_lose_a_key(keys in prop::collection::btree_map("[a-c]", "[xy]", 0..3)) {
        let mut model = model();
        let before = model.draft.properties.clone();
        let _ = model.apply(ModelChange { add_properties: keys, ..ModelChange::default() });
        for (key, value) in &before {
            prop_assert_eq!(model.draft.properties.get(key), Some(value));
        }
    }
}

fn tags(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn tags_that_ask_for_batches_must_say_how() {
    let draft = |pairs| ModelDraft {
        tags: tags(pairs),
        files: vec![file("m.onnx")],
        ..draft()
    };
    assert_eq!(draft(&[("maxBatchSize", "8")]).check(), Ok(()));
    assert!(draft(&[("maxBatchSize", "0")]).check().is_err());
    assert!(draft(&[("maxBatchDelayMs", "5")]).check().is_err());
}

#[test]
fn a_change_must_leave_tags_that_say_how_to_batch() {
    let mut model = model();
    let add = |pairs| ModelChange {
        add_tags: tags(pairs),
        ..ModelChange::default()
    };
    model
        .apply(add(&[("maxBatchSize", "8"), ("maxBatchDelayMs", "9")]))
        .unwrap();
    let before = model.clone();
    let remove = |tags: &[&str]| ModelChange {
        remove_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..ModelChange::default()
    };
    assert!(model.apply(remove(&["maxBatchSize"])).is_err());
    assert!(model.apply(add(&[("maxBatchSize", "9000")])).is_err());
    assert_eq!(model, before);
    model
        .apply(remove(&["maxBatchSize", "maxBatchDelayMs"]))
        .unwrap();
    // A record of before the rule can still be changed otherwise.
    model.draft.tags = tags(&[("maxBatchSize", "lots")]);
    model.apply(add(&[("stage", "test")])).unwrap();
}
