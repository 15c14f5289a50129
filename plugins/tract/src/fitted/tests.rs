use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use crate::{
    plan::Plans,
    testing::{model, plans, value},
};

/// The outer sum of two lists of any length.
fn plans_of_sums() -> Plans {
    let inputs = [("a", 1), ("b", 1)].map(|(name, rank)| value(name, DataType::Float, rank));
    plans(model("Add", 13, inputs.to_vec(), vec![], 1)).unwrap()
}

fn numbers(values: &[f32]) -> Tensor {
    Tensor::from_shape(&[values.len()], values).unwrap()
}

fn extents(list: &[usize]) -> Extents {
    Extents::from_slice(list)
}

/// Counts a window of calls; tells for which a plan was wanted.
fn window(state: &mut State, calls: &[usize]) -> Vec<usize> {
    let turns = calls.iter().cycle().take(256);
    turns
        .filter(|extent| state.count(&extents(&[**extent]), 2))
        .copied()
        .collect()
}

#[test]
fn a_plan_for_certain_extents_answers_as_the_one_for_any() {
    let plans = plans_of_sums();
    let (fitted, any) = plans.fitted().unwrap();
    let inputs = || -> TVec<TValue> {
        let (a, b) = (numbers(&[1.0, 2.0, 3.0]), numbers(&[10.0, 20.0, 30.0]));
        TVec::from_vec(vec![a.into(), b.into()])
    };
    let plan = fitted.make(&fitted.extents(&inputs())).unwrap();
    let answer = numbers(&[11.0, 22.0, 33.0]);
    for runner in [any.as_ref(), &plan] {
        let seen = runner.run(inputs()).unwrap();
        assert_eq!(*seen[0], answer);
    }
}

#[test]
fn a_race_ends_with_a_verdict() {
    let plans = plans_of_sums();
    let (fitted, any) = plans.fitted().unwrap();
    let sample = [numbers(&[1.0; 8]), numbers(&[1.0; 8])];
    let key = fitted.extents(&sample.each_ref().map(|it| it.clone().into()));
    // Extents that are no longer common are not judged.
    fitted.judge(any, &sample);
    assert!(fitted.state().verdicts.is_empty());
    fitted.state().verdicts.insert(key.clone(), Verdict::Open);
    fitted.judge(any, &sample);
    let verdict = fitted.state().verdicts[&key].clone();
    assert!(!matches!(verdict, Verdict::Open));
}

#[test]
fn the_faster_one_is_the_one_with_the_lower_median() {
    let pace = |millis: &'static [u64]| {
        let mut millis = millis.iter().cycle();
        move || Ok(Duration::from_millis(*millis.next().unwrap()))
    };
    let (one, other) = race(pace(&[5, 5, 90]), pace(&[7, 7, 1])).unwrap();
    assert_eq!([one, other].map(|it| it.as_millis()), [5, 7]);
}

#[test]
fn plans_are_made_for_what_is_common_and_dropped_when_it_is_not() {
    let mut state = State::default();
    assert_eq!(window(&mut state, &[8]), [8]);
    // It is known now.
    assert!(window(&mut state, &[8]).is_empty());
    assert_eq!(window(&mut state, &[8, 4]), [4]);
    // There is no room for a third.
    assert!(window(&mut state, &[8, 4, 4, 2]).is_empty());
    assert_eq!(state.verdicts.len(), 2);
    assert_eq!(window(&mut state, &[2]), [2]);
    assert_eq!(state.verdicts.len(), 1);
}

#[test]
fn large_models_get_no_further_plans() {
    let plans = plans_of_sums();
    let (fitted, any) = plans.fitted().unwrap();
    let max = |weights| {
        let fitted = Fitted::new(fitted.model.clone(), any, weights);
        fitted.map_or(0, |it| it.max_plans)
    };
    assert_eq!(
        [0, 1 << 20, 2 << 20, 4 << 20, (4 << 20) + 1].map(max),
        [4, 4, 2, 1, 0]
    );
}
