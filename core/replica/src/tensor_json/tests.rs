use std::sync::Arc;

use lusk_contract::{Keys, Maps, TensorType};
use proptest::prelude::*;

use super::*;

const ROOM: u64 = 1 << 20;

fn spec(name: &str, kind: TensorType, shape: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        kind,
        shape: shape.to_vec(),
        maps: None,
    }
}

fn words(words: &[&str]) -> Keys {
    Keys::Texts(words.iter().map(|word| (*word).to_owned()).collect())
}

fn map_spec(kind: TensorType, keys: Keys, are_many: bool) -> TensorSpec {
    let columns = Some(keys.len());
    TensorSpec {
        maps: Some(Arc::new(Maps { keys, are_many })),
        ..spec("m", kind, &[None, columns])
    }
}

fn names(names: &[&str]) -> Vec<JsonName> {
    let specs = names.iter().map(|name| spec(name, TensorType::F32, &[]));
    specs.map(|spec| JsonName::new(&spec)).collect()
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
        (r#"{"x": [["a",2]]}"#, "cannot hold \"a\""),
        (r#"{"x": [[true,2]]}"#, "cannot hold true"),
        (r#"{"x": {"y": 1}}"#, "expected elements for input `x`"),
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
        (TensorType::I8, "-128", true),
        (TensorType::I8, "128", false),
        (TensorType::I16, "32768", false),
        (TensorType::U16, "65535", true),
        (TensorType::U32, "4294967296", false),
        (TensorType::U64, "18446744073709551615", true),
        (TensorType::U64, "-1", false),
        (TensorType::U8, "-1", false),
        (TensorType::I32, "2147483648", false),
        (TensorType::I64, "9223372036854775807", true),
        (TensorType::I64, "9223372036854775808", false),
        (TensorType::I64, "1.0", false),
        (TensorType::I64, "null", false),
        (TensorType::Bool, "1", true),
        (TensorType::Bool, "2", false),
        (TensorType::F64, "null", true),
        (TensorType::F16, "0.5", true),
        (TensorType::Text, "\"0\"", true),
        (TensorType::Text, "0", false),
        (TensorType::Text, "null", false),
        (TensorType::F32, "\"0\"", false),
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
    let json = write_outputs(&names(&["p", "n", "e"]), &outputs);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"p":[[1.0,null],[0.1,-2.5e-9]],"n":7,"e":[[],[]]}"#
    );
}

#[test]
fn texts_are_read_and_written() {
    let wanted = signature(vec![spec("x", TensorType::Text, &[None, Some(2)])]);
    let body = r#"{"x":[["a","\u010d\"\n"],["",""]]}"#;
    let tensors = read(body, &wanted).unwrap();
    assert_eq!(
        tensors[0].texts().collect::<Vec<_>>(),
        ["a", "č\"\n", "", ""]
    );
    let json = write_outputs(&names(&["x"]), &tensors);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"x":[["a","č\"\n"],["",""]]}"#
    );
    let message = read_inputs(body.as_bytes(), &wanted, 20).unwrap_err();
    assert!(message.contains("memory limit"), "{message}");
}

#[test]
fn rows_of_maps_are_written_as_objects() {
    let table: Vec<u8> = [0.25_f32, 0.75, 1.0, f32::NAN]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let table = [Tensor::new(TensorType::F32, vec![2, 2], table.into()).unwrap()];
    let told = |keys| {
        let spec = map_spec(TensorType::F32, keys, true);
        String::from_utf8(write_outputs(&[JsonName::new(&spec)], &table)).unwrap()
    };
    assert_eq!(
        told(words(&["a\"", "b"])),
        r#"{"m":[{"a\"":0.25,"b":0.75},{"a\"":1.0,"b":null}]}"#
    );
    assert_eq!(
        told(Keys::Integers(vec![-1, 7])),
        r#"{"m":[{"-1":0.25,"7":0.75},{"-1":1.0,"7":null}]}"#
    );
}

#[test]
fn an_object_is_read_as_a_row_of_its_keys() {
    let keys = || words(&["a", "b", "c"]);
    let wanted = signature(vec![map_spec(TensorType::F32, keys(), false)]);
    for body in [
        r#"{"m": {"c": 3, "strange": 9, "a": 1}}"#,
        r#"{"data": [{"a": 1, "\u0063": 3}]}"#,
    ] {
        let tensors = read(body, &wanted).unwrap();
        assert_eq!(tensors[0].shape(), [1, 3], "{body}");
        assert_eq!(f32s(&tensors[0]), [1.0, 0.0, 3.0], "{body}");
    }
    let numbers = signature(vec![map_spec(
        TensorType::Text,
        Keys::Integers(vec![5, -2]),
        true,
    )]);
    let tensors = read(r#"{"m": [{"-2": "x"}, {"5": "y"}]}"#, &numbers).unwrap();
    assert_eq!(tensors[0].texts().collect::<Vec<_>>(), ["", "x", "y", ""]);
    for (body, signature, words) in [
        (r#"{"m": [1, 2]}"#, &wanted, "an object for input `m`"),
        (r#"{"m": 1}"#, &wanted, "an object for input `m`"),
        (
            r#"{"m": [{}, {}]}"#,
            &wanted,
            "takes one object, the list holds 2",
        ),
        (r#"{"m": {"a": "1"}}"#, &wanted, "cannot hold \"1\""),
        (r#"{"m": {"a": [1]}}"#, &wanted, "a value for input `m`"),
        (r#"{"m": {"a": 1, "a": 2}}"#, &wanted, "`a` is given twice"),
        (r#"{"m": {"a": 1}}"#, &numbers, "the key `a` is no integer"),
    ] {
        let message = read(body, signature).unwrap_err();
        assert!(message.contains(words), "{body}: {message}");
    }
    let message = read_inputs(br#"{"m": {}}"#, &wanted, 11).unwrap_err();
    assert!(message.contains("memory limit"), "{message}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        rows in 0_usize..5,
        values in proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 20),
    ) {
        let data: Vec<u8> = values[..rows * 4].iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = Tensor::new(TensorType::F64, vec![rows, 2, 2], data.into()).unwrap();
        let json = write_outputs(&names(&["x"]), std::slice::from_ref(&tensor));
        let shape = if rows == 0 { vec![None] } else { vec![None, Some(2), Some(2)] };
        let wanted = signature(vec![spec("x", TensorType::F64, &shape)]);
        let read = read_inputs(&json, &wanted, ROOM).unwrap();
        prop_assert_eq!(read[0].data(), tensor.data());
    }
}
