//! Models and what they are expected to answer.
//!
//! `make.py` trains small estimators, exports them and writes what
//! scikit-learn and onnxruntime answer; the files of a folder are compared
//! here. `LUSK_ONNX_ML_CASES` names another folder than the checked-in one.

#![allow(
    clippy::unwrap_used,
    reason = "a case that cannot be read is a failed test"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tract_onnx::{
    Onnx,
    prelude::*,
    tract_hir::internal::{TDim, ToDim},
};

fn onnx() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    lusk_onnx_ml::register(&mut onnx.op_register);
    onnx
}

fn folder() -> PathBuf {
    std::env::var_os("LUSK_ONNX_ML_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"),
        PathBuf::from,
    )
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap(),
    }
}

fn shape(value: &Value) -> Vec<usize> {
    let dims = value["shape"].as_array().unwrap().iter();
    dims.map(|dim| dim.as_u64().unwrap() as usize).collect()
}

fn tensor(value: &Value) -> Tensor {
    let data = value["data"].as_array().unwrap();
    let texts = || data.iter().map(|text| text.as_str().unwrap().to_owned());
    let floats = || data.iter().map(|value| number(value) as f32);
    let ints = || data.iter().map(|value| value.as_i64().unwrap());
    let flat = match value["kind"].as_str().unwrap() {
        "string" => tensor1(&texts().collect::<Vec<_>>()),
        "float32" => tensor1(&floats().collect::<Vec<_>>()),
        "float64" => tensor1(&data.iter().map(number).collect::<Vec<_>>()),
        "int32" => tensor1(&ints().map(|value| value as i32).collect::<Vec<_>>()),
        "int16" => tensor1(&ints().map(|value| value as i16).collect::<Vec<_>>()),
        "int64" => tensor1(&ints().collect::<Vec<_>>()),
        kind => panic!("no tensor of {kind}"),
    };
    flat.into_shape(&shape(value)).unwrap()
}

/// The answers to a case, with a symbol as the number of rows if `open`.
fn answers(model: &Path, inputs: &[Tensor], open: bool) -> TractResult<TVec<Tensor>> {
    let mut model = onnx().model_for_path(model)?;
    let rows = model.sym("rows").to_dim();
    for (position, input) in inputs.iter().enumerate() {
        let mut dims: Vec<TDim> = input.shape().iter().map(|dim| dim.to_dim()).collect();
        if open && let Some(first) = dims.first_mut() {
            *first = rows.clone();
        }
        let fact = InferenceFact::dt_shape(input.datum_type(), dims);
        model.set_input_fact(position, fact)?;
    }
    let plan = model.into_optimized()?.into_runnable()?;
    let outputs = plan.run(inputs.iter().map(|input| input.clone().into()).collect())?;
    let outputs = outputs.into_iter();
    outputs
        .map(|output| match output.datum_type() {
            // What tract's own casts to 64-bit integers make.
            DatumType::TDim => Ok(output.cast_to::<i64>()?.into_owned()),
            _ => Ok(output.into_tensor()),
        })
        .collect()
}

/// The largest relative error, or what differs.
fn difference(seen: &Tensor, expected: &Value, tolerance: f64) -> Result<f64, String> {
    let expected = tensor(expected);
    if seen.datum_type() != expected.datum_type() || seen.shape() != expected.shape() {
        return Err(format!("{seen:?} instead of {expected:?}"));
    }
    if !seen.datum_type().is_float() {
        let same = *seen == expected;
        return same
            .then_some(0.0)
            .ok_or_else(|| format!("{} instead of {}", dump(seen), dump(&expected)));
    }
    let [seen, expected] = [seen, &expected].map(|tensor| {
        let doubles = tensor.cast_to::<f64>().unwrap();
        doubles
            .try_as_plain_ram()
            .unwrap()
            .as_slice::<f64>()
            .unwrap()
            .to_vec()
    });
    let mut largest = 0.0;
    for (position, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        let same = seen == expected || (seen.is_nan() && expected.is_nan());
        let error = (seen - expected).abs() / expected.abs().max(0.1);
        if !same && (error.is_nan() || error > tolerance) {
            return Err(format!(
                "element {position} is {seen} instead of {expected}"
            ));
        }
        if !same && error > largest {
            largest = error;
        }
    }
    Ok(largest)
}

fn dump(tensor: &Tensor) -> String {
    tensor.dump(true).unwrap()
}

fn check(path: &Path) -> Result<f64, String> {
    let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let model = path.with_file_name(case["model"].as_str().unwrap());
    let inputs: Vec<Tensor> = case["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(tensor)
        .collect();
    let expected = case["outputs"].as_array().unwrap();
    let tolerance = case["tolerance"].as_f64().unwrap_or(1e-5);
    let mut largest = 0.0f64;
    for open in [true, false] {
        if open && case["open"] == Value::Bool(false) {
            continue;
        }
        let seen = answers(&model, &inputs, open).map_err(|error| format!("{error:#}"))?;
        if seen.len() != expected.len() {
            return Err(format!(
                "{} outputs instead of {}",
                seen.len(),
                expected.len()
            ));
        }
        for (position, (seen, expected)) in seen.iter().zip(expected).enumerate() {
            if expected.is_null() {
                continue;
            }
            let error = difference(seen, expected, tolerance)
                .map_err(|error| format!("output {position} (open rows: {open}): {error}"))?;
            largest = largest.max(error);
        }
    }
    Ok(largest)
}

#[test]
fn all_models_answer_as_expected() {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let mut failures = vec![];
    for case in &cases {
        let name = case.file_stem().unwrap().to_string_lossy();
        match check(case) {
            Ok(error) => println!("{name}: largest relative error {error:.1e}"),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
