use tract_onnx::{
    pb::{AttributeProto, tensor_proto::DataType},
    prelude::{IntoTValue, IntoTensor, Tensor, tensor1, tvec},
};

use super::body::{integer, text};
use crate::testing::{model, plans, value};

fn image(rows: &[&[f32]]) -> Tensor {
    let shape = [1, 1, rows.len(), rows[0].len()];
    Tensor::from_shape(&shape, &rows.concat()).unwrap()
}

/// Three times as large, by an operator from before `Resize` said how.
fn enlarged(operator: &str, version: i64) -> Tensor {
    let inputs = vec![
        value("x", DataType::Float, 4),
        value("scales", DataType::Float, 1),
    ];
    let plans = plans(model(operator, version, inputs, vec![], 4)).unwrap();
    let scales = tensor1(&[1f32, 1., 1., 3.]);
    let inputs = tvec![image(&[&[1., 2.]]).into_tvalue(), scales.into_tvalue()];
    plans.run(inputs, false).unwrap().remove(0).into_tensor()
}

#[test]
fn old_images_grow_from_the_upper_left() {
    let expected = image(&[&[1., 1., 1., 2., 2., 2.]]);
    assert_eq!(enlarged("Upsample", 9), expected);
    assert_eq!(enlarged("Resize", 10), expected);
}

#[test]
fn a_sum_of_large_exponents_is_finite() {
    let inputs = vec![value("x", DataType::Float, 1)];
    let attributes = vec![integer("keepdims", 1)];
    let plans = plans(model("ReduceLogSumExp", 18, inputs, attributes, 1)).unwrap();
    let answer = |values: &[f32]| {
        let inputs = tvec![tensor1(values).into_tvalue()];
        let answer = plans.run(inputs, false).unwrap().remove(0).into_tensor();
        answer.cast_to_scalar::<f32>().unwrap_or(f32::NAN)
    };
    assert!((answer(&[1000., 1000.]) - 1_000.693_1).abs() < 1e-3);
    assert_eq!(answer(&[f32::NEG_INFINITY; 2]), f32::NEG_INFINITY);
    assert_eq!(answer(&[f32::INFINITY, 1.]), f32::INFINITY);
}

fn refusal(operator: &str, inputs: usize, attribute: AttributeProto) -> String {
    let inputs = (0..inputs).map(|input| value(&format!("x{input}"), DataType::Float, 3));
    let proto = model(operator, 14, inputs.collect(), vec![attribute], 4);
    plans(proto).err().unwrap_or_default()
}

#[test]
fn what_tract_reads_wrongly_is_refused_by_name() {
    assert_eq!(
        refusal("SpaceToDepth", 1, text("mode", "CRD")),
        "operator ai.onnx.SpaceToDepth with the mode `CRD` is not supported"
    );
    assert_eq!(
        refusal("LSTM", 5, text("direction", "reverse")),
        "operator ai.onnx.LSTM in reverse with lengths of sequences is not supported"
    );
    assert_eq!(
        refusal("NegativeLogLikelihoodLoss", 1, text("reduction", "mean")),
        "operator ai.onnx.NegativeLogLikelihoodLoss lacks its input 1"
    );
}
