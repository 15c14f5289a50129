//! Promises of [`Backend`](crate::Backend) and [`Session`](crate::Session).
//!
//! The models lie in `tests/fixtures/onnx`; `make.py` there makes them.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread};

use bytes::Bytes;
use lusk_domain::Digest;

use crate::{
    Backend, BackendError, Keys, ModelSource, Session, Signature, Tensor, TensorSpec, TensorType,
};

/// Runs every check against `backend`.
pub fn suite(backend: &dyn Backend) {
    it_names_itself_and_its_device(backend);
    every_element_type_goes_in_and_comes_out(backend);
    every_narrow_type_goes_in_and_comes_out(backend);
    texts_go_in_and_come_out(backend);
    maps_are_tables_with_keys(backend);
    a_batch_may_have_any_size(backend);
    unnamed_batches_of_columns_fit_together(backend);
    initializers_are_no_inputs(backend);
    extents_are_integers(backend);
    inputs_that_do_not_fit_are_named(backend);
    a_named_dimension_is_one_number(backend);
    a_failed_call_harms_no_other(backend);
    calls_share_no_state(backend);
    sessions_run_at_the_same_time(backend);
    threads_change_no_answer(backend);
    missing_operators_are_all_named(backend);
    a_foreign_element_type_is_refused(backend);
    external_data_is_read_beside_the_model(backend);
    external_data_elsewhere_is_refused(backend);
    what_is_no_model_is_malformed(backend);
    a_small_file_makes_no_giant_constant(backend);
}

/// A model of `tests/fixtures/onnx`.
pub fn fixture(name: &str) -> ModelSource {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/onnx");
    let path = PathBuf::from(root).join(name);
    let content = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    ModelSource {
        digest: Digest::of(&content),
        label: format!("{name}:1"),
        path,
        threads: NonZeroUsize::MIN,
    }
}

/// A tensor of 32-bit floats.
pub fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    tensor(TensorType::F32, shape, raw)
}

/// The elements of a tensor of 32-bit floats.
pub fn as_floats(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.kind(), TensorType::F32);
    let (words, rest) = tensor.data().as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

fn integers(values: &[i64]) -> Tensor {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    tensor(TensorType::I64, &[values.len()], raw)
}

fn as_integers(tensor: &Tensor) -> Vec<i64> {
    assert_eq!(tensor.kind(), TensorType::I64);
    let (words, _) = tensor.data().as_chunks::<8>();
    words.iter().map(|word| i64::from_le_bytes(*word)).collect()
}

fn tensor(kind: TensorType, shape: &[usize], raw: impl Into<Bytes>) -> Tensor {
    Tensor::new(kind, shape.to_vec(), raw.into()).expect("the tensor is whole")
}

fn load(backend: &dyn Backend, name: &str) -> Arc<dyn Session> {
    backend
        .load(&fixture(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refusal(backend: &dyn Backend, name: &str) -> BackendError {
    match backend.load(&fixture(name)) {
        Ok(session) => panic!("{name} was loaded: {session:?}"),
        Err(error) => error,
    }
}

fn bad_input(session: &dyn Session, inputs: &[Tensor]) -> String {
    match session.infer(inputs) {
        Err(BackendError::BadInput { model, reason }) => {
            assert!(!model.is_empty());
            reason
        }
        other => panic!("expected a bad input, got {other:?}"),
    }
}

fn it_names_itself_and_its_device(backend: &dyn Backend) {
    assert!(!backend.name().is_empty());
    for device in backend.devices() {
        assert!(!device.name.is_empty() && !device.description.is_empty());
    }
}

fn every_element_type_goes_in_and_comes_out(backend: &dyn Backend) {
    let session = load(backend, "types.onnx");
    let names: Vec<&str> = session
        .signature()
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["f32_in", "f64_in", "i32_in", "i64_in", "u8_in", "bool_in"]
    );
    let doubles: Vec<u8> = [0.5f64, -2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let words: Vec<u8> = [7i32, -8].iter().flat_map(|v| v.to_le_bytes()).collect();
    let outputs = session
        .infer(&[
            floats(&[2], &[1.5, -3.0]),
            tensor(TensorType::F64, &[2], doubles),
            tensor(TensorType::I32, &[2], words),
            integers(&[i64::MAX / 2, -1]),
            tensor(TensorType::U8, &[2], vec![0u8, 255]),
            tensor(TensorType::Bool, &[2], vec![1u8, 0]),
        ])
        .expect("the model runs");
    let kinds: Vec<TensorType> = outputs.iter().map(Tensor::kind).collect();
    let declared: Vec<TensorType> = session
        .signature()
        .outputs
        .iter()
        .map(|output| output.kind)
        .collect();
    assert_eq!(kinds, declared);
    assert_eq!(as_floats(&outputs[0]), [3.0, -6.0]);
    let doubled: Vec<u8> = [1.0f64, -4.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(outputs[1].data().as_ref(), doubled);
    let doubled: Vec<u8> = [14i32, -16].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(outputs[2].data().as_ref(), doubled);
    assert_eq!(as_integers(&outputs[3]), [i64::MAX - 1, -2]);
    assert_eq!(outputs[4].data().as_ref(), [0, 255, 0, 255]);
    assert_eq!(outputs[5].data().as_ref(), [0, 1]);
}

fn every_narrow_type_goes_in_and_comes_out(backend: &dyn Backend) {
    let session = load(backend, "narrow_types.onnx");
    let specs = &session.signature().inputs;
    let kinds = [
        TensorType::F16,
        TensorType::I8,
        TensorType::I16,
        TensorType::U16,
        TensorType::U32,
        TensorType::U64,
    ];
    assert!(specs.iter().map(|spec| spec.kind).eq(kinds));
    let inputs: Vec<Tensor> = specs
        .iter()
        .map(|spec| {
            let bytes = spec.kind.min_size() as u8 * 2;
            tensor(spec.kind, &[2], (1..=bytes).collect::<Vec<u8>>())
        })
        .collect();
    let outputs = session.infer(&inputs).expect("the model runs");
    for (input, output) in inputs.iter().zip(&outputs) {
        let twice = [&input.data()[..], input.data()].concat();
        assert_eq!(output, &tensor(input.kind(), &[4], twice));
    }
}

fn texts_go_in_and_come_out(backend: &dyn Backend) {
    let session = load(backend, "texts.onnx");
    let input = &session.signature().inputs[0];
    assert_eq!(input.onnx_name(), "tensor(string)");
    let words = ["setosa", "", "virginica", "ž"];
    let words = Tensor::of_texts(vec![2, 2], words).expect("four words");
    let outputs = session.infer(std::slice::from_ref(&words)).expect("runs");
    assert_eq!(outputs[0], words);
    assert_eq!(as_integers(&outputs[1]), [0, -1, 2, -1]);
}

fn maps_are_tables_with_keys(backend: &dyn Backend) {
    let session = load(backend, "zipmap.onnx");
    let scores = &session.signature().outputs[1];
    assert_eq!(scores.onnx_name(), "seq(map(int64,tensor(float)))");
    let maps = scores.maps.as_deref().expect("rows are maps");
    assert_eq!(maps.keys, Keys::Integers(vec![0, 1, 2]));
    let outputs = session
        .infer(&[floats(&[2, 4], &[1.0; 8])])
        .expect("the model runs");
    assert_eq!(outputs[1].shape(), [2, 3]);

    let session = load(backend, "dictionary.onnx");
    let input = &session.signature().inputs[0];
    assert_eq!(input.onnx_name(), "map(string,tensor(float))");
    assert_eq!(input.shape, [Some(1), Some(3)]);
    let maps = input.maps.as_deref().expect("a map goes in");
    let words = ["red", "green", "blue"].map(str::to_owned).to_vec();
    assert_eq!(maps.keys, Keys::Texts(words));
    let row = floats(&[1, 3], &[1.0, 0.0, 3.0]);
    let outputs = session.infer(std::slice::from_ref(&row)).expect("runs");
    assert_eq!(outputs, [row]);
}

fn a_batch_may_have_any_size(backend: &dyn Backend) {
    let session = load(backend, "linear.onnx");
    for rows in [1usize, 2, 7, 64, 1] {
        let values: Vec<f32> = (0..rows * 3).map(|value| value as f32).collect();
        let output = &session.infer(&[floats(&[rows, 3], &values)]).expect("runs")[0];
        let expected: Vec<f32> = values
            .chunks(3)
            .flat_map(|row| [row[0] + row[2] + 10.0, row[1] + row[2] + 20.0])
            .collect();
        assert_eq!(output.shape(), [rows, 2]);
        assert_eq!(as_floats(output), expected);
    }
}

fn unnamed_batches_of_columns_fit_together(backend: &dyn Backend) {
    let session = load(backend, "columns.onnx");
    for rows in [1usize, 3] {
        let a = vec![1.0; rows];
        let b = vec![2.0; rows];
        let inputs = [floats(&[rows, 1], &a), floats(&[rows, 1], &b)];
        let output = &session.infer(&inputs).expect("runs")[0];
        assert_eq!(output.shape(), [rows, 2]);
        assert_eq!(as_floats(output), [1.0, 2.0].repeat(rows));
    }
    let uneven = [floats(&[1, 1], &[1.0]), floats(&[2, 1], &[1.0, 1.0])];
    let reason = bad_input(session.as_ref(), &uneven);
    assert!(
        reason.contains("`b`") && reason.contains("is 2"),
        "{reason}"
    );
}

fn initializers_are_no_inputs(backend: &dyn Backend) {
    let expected = |name: &str, columns| TensorSpec {
        name: name.into(),
        kind: TensorType::F32,
        shape: vec![None, Some(columns)],
        maps: None,
    };
    let signature = Signature {
        inputs: vec![expected("x", 3)],
        outputs: vec![expected("y", 2)],
    };
    assert_eq!(load(backend, "linear.onnx").signature(), &signature);
}

fn extents_are_integers(backend: &dyn Backend) {
    let session = load(backend, "shape_of.onnx");
    assert_eq!(session.signature().outputs[0].kind, TensorType::I64);
    for rows in [1usize, 4] {
        let output = &session
            .infer(&[floats(&[rows, 3], &vec![0.0; rows * 3])])
            .expect("runs")[0];
        assert_eq!(as_integers(output), [rows as i64, 3]);
    }
}

fn inputs_that_do_not_fit_are_named(backend: &dyn Backend) {
    let session = load(backend, "linear.onnx");
    let session = session.as_ref();
    assert_eq!(bad_input(session, &[]), "expected 1 input(s) (`x`), got 0");
    let expected = "input `x`: expected tensor(float) of shape [any, 3], got ";
    let cases = [
        (floats(&[1, 4], &[0.0; 4]), "tensor(float) of shape [1, 4]"),
        (floats(&[3], &[0.0; 3]), "tensor(float) of shape [3]"),
        (
            tensor(TensorType::F64, &[1, 3], vec![0u8; 24]),
            "tensor(double) of shape [1, 3]",
        ),
    ];
    for (given, told) in cases {
        assert_eq!(bad_input(session, &[given]), format!("{expected}{told}"));
    }
}

fn a_named_dimension_is_one_number(backend: &dyn Backend) {
    let session = load(backend, "shared_dim.onnx");
    let reason = bad_input(
        session.as_ref(),
        &[floats(&[1, 2], &[0.0; 2]), floats(&[3, 2], &[0.0; 6])],
    );
    assert_eq!(
        reason,
        "input `b`: dimension 0 (`rows`) is 3, but input `a` has 1 there"
    );
}

fn a_failed_call_harms_no_other(backend: &dyn Backend) {
    let session = load(backend, "divide.onnx");
    for _ in 0..3 {
        let by_zero = session.infer(&[integers(&[1, 2]), integers(&[1, 0])]);
        assert!(
            matches!(by_zero, Err(BackendError::Failed { .. })),
            "{by_zero:?}"
        );
        let fine = session.infer(&[integers(&[6, 8]), integers(&[3, 2])]);
        assert_eq!(as_integers(&fine.expect("runs")[0]), [2, 4]);
    }
}

fn calls_share_no_state(backend: &dyn Backend) {
    let session = load(backend, "lstm.onnx");
    let values: Vec<f32> = (0..12).map(|value| value as f32 / 10.0).collect();
    for _ in 0..3 {
        let outputs = session.infer(&[floats(&[4, 1, 3], &values)]).expect("runs");
        // What onnxruntime answers; `make.py --check` prints it.
        let expected = [0.019_298_067_f32, 0.278_873_15];
        for (seen, expected) in as_floats(&outputs[0]).iter().zip(expected) {
            assert!((seen - expected).abs() < 1e-5, "{seen} is not {expected}");
        }
    }
}

fn sessions_run_at_the_same_time(backend: &dyn Backend) {
    thread::scope(|scope| {
        for number in 0..8u8 {
            scope.spawn(move || {
                let session = load(backend, "linear.onnx");
                let row = [f32::from(number), 1.0, 2.0];
                for _ in 0..50 {
                    let output = &session.infer(&[floats(&[1, 3], &row)]).expect("runs")[0];
                    assert_eq!(as_floats(output), [row[0] + 12.0, 23.0]);
                }
            });
        }
    });
}

fn threads_change_no_answer(backend: &dyn Backend) {
    let load_on = |threads| {
        let source = ModelSource {
            threads: NonZeroUsize::new(threads).expect("not 0"),
            ..fixture("linear.onnx")
        };
        backend.load(&source).expect("the model loads")
    };
    let (one, many) = (load_on(1), load_on(64));
    assert_eq!(one.loading().threads, NonZeroUsize::MIN);
    assert!(many.loading().shared, "weights are there once");
    for rows in [1usize, 100_000] {
        let values: Vec<f32> = (0..rows * 3).map(|value| (value % 97) as f32).collect();
        let inputs = [floats(&[rows, 3], &values)];
        let expected = as_floats(&one.infer(&inputs).expect("runs")[0]);
        // A backend may look at the first calls before it uses threads.
        for _ in 0..5 {
            let seen = as_floats(&many.infer(&inputs).expect("runs")[0]);
            assert!(seen == expected, "the answers for {rows} rows differ");
        }
    }
}

fn missing_operators_are_all_named(backend: &dyn Backend) {
    match refusal(backend, "missing.onnx") {
        BackendError::MissingOperators {
            model, operators, ..
        } => {
            assert_eq!(model, "missing.onnx:1");
            let expected = ["ai.onnx.Twirl", "com.example.Relu", "com.example.Swirl"];
            assert_eq!(operators, expected);
        }
        other => panic!("{other:?}"),
    }
}

fn a_foreign_element_type_is_refused(backend: &dyn Backend) {
    match refusal(backend, "foreign.onnx") {
        BackendError::UnsupportedType { tensor, kind, .. } => {
            assert_eq!(tensor, "input `x`");
            assert_eq!(kind, "tensor(complex64)");
        }
        other => panic!("{other:?}"),
    }
}

fn external_data_is_read_beside_the_model(backend: &dyn Backend) {
    let session = load(backend, "external.onnx");
    let outputs = session.infer(&[floats(&[2], &[10.0, 20.0])]).expect("runs");
    assert_eq!(as_floats(&outputs[0]), [11.0, 22.0]);
}

fn external_data_elsewhere_is_refused(backend: &dyn Backend) {
    match refusal(backend, "external_escape.onnx") {
        BackendError::Malformed { reason, .. } => {
            assert!(reason.contains("../external.bin"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

fn what_is_no_model_is_malformed(backend: &dyn Backend) {
    for name in ["make.py", "external.bin"] {
        match refusal(backend, name) {
            BackendError::Malformed { model, .. } => assert_eq!(model, format!("{name}:1")),
            other => panic!("{other:?}"),
        }
    }
    let missing = ModelSource {
        path: "/nowhere/model.onnx".into(),
        digest: Digest::of(b"nowhere"),
        ..fixture("linear.onnx")
    };
    assert!(matches!(
        backend.load(&missing),
        Err(BackendError::Failed { .. })
    ));
}

fn a_small_file_makes_no_giant_constant(backend: &dyn Backend) {
    match refusal(backend, "giant.onnx") {
        BackendError::Malformed { reason, .. } | BackendError::Unsupported { reason, .. } => {
            assert!(reason.contains("elements"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
