use tract_onnx::{
    pb::tensor_proto::DataType,
    prelude::{IntoTValue, IntoTensor, tensor1, tvec},
};

use crate::{
    plan::Plans,
    testing::{self, model, value},
};

use super::*;

/// A model of one operator with a float input and one that decides.
fn plans(operator: &str, rank: usize) -> Plans {
    let inputs = vec![
        value("x", DataType::Float, rank),
        value("how", DataType::Int64, 1),
    ];
    testing::plans(model(operator, 18, inputs, vec![], rank)).unwrap()
}

fn ask(plans: &Plans, x: &Tensor, how: &[i64]) -> TractResult<Tensor> {
    let inputs = tvec![x.clone().into_tvalue(), tensor1(how).into_tvalue()];
    Ok(plans.run(inputs, false)?.remove(0).into_tensor())
}

#[test]
fn an_input_decides_what_is_summed() {
    let plans = plans("ReduceSum", 2);
    let x = Tensor::from_shape(&[2, 2], &[1f32, 2., 3., 4.]).unwrap();
    let sums = |axes: &[i64]| {
        let sums = ask(&plans, &x, axes).unwrap();
        sums.to_plain_array_view::<f32>()
            .unwrap()
            .iter()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(&[0]), [4., 6.]);
    assert_eq!(sums(&[1]), [3., 7.]);
    assert_eq!(sums(&[0, -1]), [10.]);
    assert_eq!(sums(&[0]), [4., 6.]);
    // Extents are part of what a plan is for.
    let row = Tensor::from_shape(&[1, 2], &[1f32, 2.]).unwrap();
    assert_eq!(ask(&plans, &row, &[1]).unwrap().shape(), [1, 1]);
}

#[test]
fn values_that_do_not_fit_are_errors_of_the_call() {
    let plans = plans("ReduceSum", 2);
    let x = Tensor::from_shape(&[2, 2], &[1f32, 2., 3., 4.]).unwrap();
    // tract panics at this one.
    let error = ask(&plans, &x, &[7]).unwrap_err();
    assert!(error.is::<Unfit>(), "{error}");
    assert!(ask(&plans, &x, &[1]).is_ok());
}

#[test]
fn values_cannot_ask_for_all_memory() {
    let plans = plans("Expand", 1);
    let x = tensor1(&[1f32]);
    assert_eq!(ask(&plans, &x, &[3]).unwrap().shape(), [3]);
    let error = ask(&plans, &x, &[1 << 40]).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
}

#[test]
fn only_the_latest_plans_are_kept() {
    let plans = plans("ReduceSum", 1);
    for extent in 1..2 * KEPT {
        ask(&plans, &tensor1(&vec![1f32; extent]), &[0]).unwrap();
    }
    let late = plans.late_plans().unwrap();
    assert_eq!(late.recent.lock().unwrap().len(), KEPT);
}
