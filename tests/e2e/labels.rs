//! What models take and give beside numbers: texts, and maps of labels to scores.

use serde_json::{Value, json};

use crate::lusk::Lusk;

/// The models of `tests/fixtures/onnx` by their input's name.
const SCRIPT: &str = r#"
import json
import numpy as np
import onnxruntime as ort
from azureml.core.model import Model

def init():
    global texts, zipmap, words, content
    texts, zipmap, words = (
        ort.InferenceSession(Model.get_model_path(name)) for name in ('texts', 'zipmap', 'dictionary')
    )
    with open(Model.get_model_path('zipmap'), 'rb') as file:
        content = ort.InferenceSession(file.read())

def types(values):
    return [each.type for each in values]

def run(raw_data):
    given = json.loads(raw_data)
    same, codes = texts.run(None, {'x': np.array(given['texts'])})
    rows = np.array(given['rows'], dtype=np.float32)
    label, scores = zipmap.run(None, {'X': rows})
    assert content.run(None, {'X': rows})[1] == scores
    return {
        'types': types(texts.get_inputs() + zipmap.get_outputs() + words.get_inputs()),
        'same': same.tolist(),
        'is': (same == 'setosa').tolist(),
        'codes': codes.tolist(),
        'best': [max(row, key=row.get) for row in scores],
        'sums': [round(sum(row.values()), 4) for row in scores],
        'label': label.tolist(),
        'vector': words.run(None, {'x': given['words']})[0].tolist(),
    }
"#;

fn registered(name: &str, models: &[&str]) -> Lusk {
    let lusk = Lusk::start(name);
    for model in models {
        let path = format!(
            "{}/tests/fixtures/onnx/{model}.onnx",
            env!("CARGO_MANIFEST_DIR")
        );
        let register = ["model", "register", "-n", model, "-p", &path];
        lusk.cli(&[&register[..], &["--model-framework", "Onnx"]].concat())
            .ok();
    }
    lusk
}

fn answer(lusk: &Lusk, service: &str, body: &Value) -> Value {
    lusk.score(service, body.to_string()).expect(200).json()
}

#[test]
fn texts_and_maps_are_json_without_code() {
    let lusk = registered("labels", &["texts", "zipmap", "dictionary"]);
    for model in ["texts", "zipmap", "dictionary"] {
        lusk.deploy(model).model(&format!("{model}:1")).done();
    }
    let words = json!([["setosa", "žluť"], ["", "virginica"]]);
    assert_eq!(
        answer(&lusk, "texts", &json!({"x": words})),
        json!({"y": words, "codes": [[0, -1], [-1, 2]]})
    );
    let scored = answer(&lusk, "zipmap", &json!({"X": [[5.1, 3.5, 1.4, 0.2]]}));
    let row = scored["output_probability"][0].as_object().unwrap();
    assert_eq!(row.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{scored}");
    assert!(row["0"].as_f64() > Some(0.9), "{scored}");
    assert_eq!(
        answer(&lusk, "dictionary", &json!({"x": {"blue": 3, "pink": 7}})),
        json!({"y": [[0.0, 0.0, 3.0]]})
    );
    let refused = lusk.score("texts", r#"{"x": [[1, 2]]}"#).expect(400);
    assert!(refused.message().contains("cannot hold 1"), "{refused:?}");
}

#[test]
fn scripts_see_texts_and_maps_as_onnxruntime_gives_them() {
    let lusk = registered("labels-script", &["texts", "zipmap", "dictionary"]);
    let deployment = lusk.deploy("scripted").python(SCRIPT);
    let models = ["texts:1", "zipmap:1", "dictionary:1"];
    models
        .iter()
        .fold(deployment, |deployment, model| deployment.model(model))
        .done();
    let body = json!({
        "texts": [["setosa", "žluť"]],
        "rows": [[5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.1, 1.8]],
        "words": {"green": 2.5, "pink": 7},
    });
    assert_eq!(
        answer(&lusk, "scripted", &body),
        json!({
            "types": [
                "tensor(string)",
                "tensor(int64)",
                "seq(map(int64,tensor(float)))",
                "map(string,tensor(float))",
            ],
            "same": [["setosa", "žluť"]],
            "is": [[true, false]],
            "codes": [[0, -1]],
            "best": [0, 2],
            "sums": [1.0, 1.0],
            "label": [0, 2],
            "vector": [[0.0, 2.5, 0.0]],
        })
    );
}
