//! One ONNX model without an entry script.

use serde_json::{Value, json};

use crate::lusk::Lusk;

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/digits/model/digits.onnx"
);

#[test]
fn a_model_answers_tensors_without_code() {
    let lusk = Lusk::start("no-code");
    lusk.cli(&[
        "model",
        "register",
        "-n",
        "digits",
        "-p",
        MODEL,
        "--model-framework",
        "Onnx",
    ])
    .ok();
    let service = lusk.deploy("plain").model("digits:1").done();
    assert_eq!(service["runtime"], "none");
    assert_eq!(service["imageId"], Value::Null);
    let seven = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/digits/digit-seven.json"
    ))
    .unwrap();
    let answer = lusk.score("plain", seven).expect(200).json();
    assert!(answer.to_string().contains('7'), "{answer}");
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"data": [["x"]]}"#, 400),
    ] {
        let reply = lusk.score("plain", body).expect(status);
        assert!(!reply.message().is_empty());
    }
}

#[test]
fn a_model_that_cannot_run_is_named_at_deploy_time() {
    let lusk = Lusk::start("no-onnx");
    lusk.file("garbage.onnx", [0xff; 400]);
    lusk.file("empty.onnx", "");
    let missing = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/onnx/missing.onnx"
    );
    for (name, path) in [
        ("garbage", "garbage.onnx"),
        ("empty", "empty.onnx"),
        ("operator", missing),
    ] {
        lusk.cli(&[
            "model",
            "register",
            "-n",
            name,
            "-p",
            path,
            "--model-framework",
            "Onnx",
        ])
        .ok();
        let refused = lusk
            .deploy(&format!("of-{name}"))
            .model(&format!("{name}:1"))
            .fails();
        assert!(refused.contains(&format!("{name}:1")), "{refused}");
        assert_eq!(
            lusk.service(&format!("of-{name}"))["error"]["code"],
            "ModelNotSupported"
        );
    }
}

#[test]
fn without_code_there_is_one_onnx_model() {
    let lusk = Lusk::start("no-code-rules");
    lusk.file("m.bin", "one");
    lusk.cli(&[
        "model",
        "register",
        "-n",
        "custom",
        "-p",
        "m.bin",
        "--model-framework",
        "Custom",
    ])
    .ok();
    lusk.cli(&[
        "model",
        "register",
        "-n",
        "digits",
        "-p",
        MODEL,
        "--model-framework",
        "Onnx",
    ])
    .ok();
    lusk.deploy("none").fails();
    lusk.deploy("two")
        .model("digits:1")
        .model("custom:1")
        .fails();
    lusk.deploy("custom").model("custom:1").fails();
    let list = lusk.cli(&["service", "list", "-o", "json"]).json();
    assert_eq!(list, json!([]));
}
