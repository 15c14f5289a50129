use lusk_contract::TensorSpec;
use proptest::prelude::*;

use super::*;

const ROOM: u64 = 1 << 20;

fn spec(name: &str, kind: TensorType, shape: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        kind,
        shape: shape.to_vec(),
    }
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature {
        inputs,
        outputs: Vec::new(),
    }
}

fn one(kind: TensorType) -> Signature {
    signature(vec![spec("x", kind, &[None, Some(2)])])
}

fn read(body: &str, signature: &Signature) -> Result<Vec<Tensor>, String> {
    read_inputs(body.as_bytes(), signature, ROOM)
}

fn f32s(tensor: &Tensor) -> Vec<f32> {
    tensor
        .data()
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}

#[test]
fn the_three_forms_of_a_body_mean_the_same() {
    for body in [
        r#"{"data": [[1, 2.5], [-3, 4e1]]}"#,
        r#"{"x": [[1, 2.5], [-3, 4e1]]}"#,
        r#"{"inputs": {"x": [[1, 2.5], [-3, 4e1]]}}"#,
        r#"{"\u0078": [[1, 2.5], [-3, 4e1]]}"#,
    ] {
        let tensors = read(body, &one(TensorType::F32)).unwrap();
        assert_eq!(tensors[0].shape(), [2, 2], "{body}");
        assert_eq!(f32s(&tensors[0]), [1.0, 2.5, -3.0, 40.0], "{body}");
    }
}

#[test]
fn an_input_that_is_called_data_or_inputs_is_an_input() {
    let named = signature(vec![
        spec("data", TensorType::U8, &[]),
        spec("inputs", TensorType::Bool, &[]),
    ]);
    let tensors = read(r#"{"inputs": true, "data": 7}"#, &named).unwrap();
    assert_eq!(&tensors[0].data()[..], [7]);
    assert_eq!(&tensors[1].data()[..], [1]);
}

#[test]
fn refusals_name_the_input_what_was_expected_and_what_was_given() {
    for (body, words) in [
        ("", "the body is not JSON: EOF"),
        ("{\"x\": [[1,2]}", "the body is not JSON"),
        ("{\"x\": [[1,2]]} x", "the body is not JSON: trailing"),
        ("[[1,2]]", "expected an object with the model's inputs: `x`"),
        ("{}", "input `x` (tensor(float), shape [?, 2]) is missing"),
        (r#"{"y": 1}"#, "no input `y`; its inputs: `x`"),
        (r#"{"x": [[1,2]], "data": [[1,2]]}"#, "given twice"),
        (
            r#"{"x": [1,2]}"#,
            "input `x` (tensor(float), shape [?, 2]) was given with the shape [2]",
        ),
        (r#"{"x": [[1,2,3]]}"#, "was given with the shape [1, 3]"),
        (
            r#"{"x": [[1,2],[3]]}"#,
            "a list of 1 stands beside a list of 2",
        ),
        (r#"{"x": [[1,2],3]}"#, "a number stands beside lists"),
        (r#"{"x": [[1,[2]]]}"#, "a list stands beside numbers"),
        (r#"{"x": [["a",2]]}"#, "expected numbers for input `x`"),
        (r#"{"x": [[true,2]]}"#, "cannot hold true"),
        (r#"{"x": {"y": 1}}"#, "expected numbers for input `x`"),
        (r#"{"inputs": {"inputs": {}}}"#, "no input `inputs`"),
    ] {
        let message = read(body, &one(TensorType::F32)).unwrap_err();
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[test]
fn integers_are_checked_against_their_type() {
    for (kind, value, fits) in [
        (TensorType::U8, "255", true),
        (TensorType::U8, "256", false),
        (TensorType::U8, "-1", false),
        (TensorType::I32, "2147483648", false),
        (TensorType::I64, "9223372036854775807", true),
        (TensorType::I64, "9223372036854775808", false),
        (TensorType::I64, "1.0", false),
        (TensorType::I64, "null", false),
        (TensorType::Bool, "1", true),
        (TensorType::Bool, "2", false),
        (TensorType::F64, "null", true),
    ] {
        let scalar = signature(vec![spec("x", kind, &[])]);
        let read = read(&format!("{{\"x\": {value}}}"), &scalar);
        assert_eq!(read.is_ok(), fits, "{kind:?} {value}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for depth in [MAX_RANK + 1, 100_000] {
        let body = format!("{{\"x\": {}", "[".repeat(depth));
        let message = read(&body, &one(TensorType::F32)).unwrap_err();
        assert!(message.contains("nested deeper than 16"), "{message}");
    }
}

#[test]
fn inputs_stay_within_the_memory_limit() {
    let two = signature(vec![
        spec("a", TensorType::F64, &[None]),
        spec("b", TensorType::F64, &[None]),
    ]);
    let body = br#"{"a": [1,2,3], "b": [1,2]}"#;
    assert!(read_inputs(body, &two, 40).is_ok());
    let message = read_inputs(body, &two, 39).unwrap_err();
    assert!(
        message.contains("`b`") && message.contains("memory limit"),
        "{message}"
    );
}

#[test]
fn outputs_are_nested_lists_under_their_names() {
    let floats: Vec<u8> = [1.0_f32, f32::NAN, 0.1, -2.5e-9]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let outputs = [
        Tensor::new(TensorType::F32, vec![2, 2], floats.into()).unwrap(),
        Tensor::new(TensorType::I64, vec![], 7_i64.to_le_bytes().to_vec().into()).unwrap(),
        Tensor::new(TensorType::Bool, vec![2, 0], Bytes::new()).unwrap(),
    ];
    let keys = ["\"p\"", "\"n\"", "\"e\""].map(str::to_owned);
    let json = write_outputs(&keys, &outputs);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"p":[[1.0,null],[0.1,-2.5e-9]],"n":7,"e":[[],[]]}"#
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        rows in 0_usize..5,
        values in proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 20),
    ) {
        let data: Vec<u8> = values[..rows * 4].iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = Tensor::new(TensorType::F64, vec![rows, 2, 2], data.into()).unwrap();
        let json = write_outputs(&["\"x\"".to_owned()], std::slice::from_ref(&tensor));
        let shape = if rows == 0 { vec![None] } else { vec![None, Some(2), Some(2)] };
        let wanted = signature(vec![spec("x", TensorType::F64, &shape)]);
        let read = read_inputs(&json, &wanted, ROOM).unwrap();
        prop_assert_eq!(read[0].data(), tensor.data());
    }
}
