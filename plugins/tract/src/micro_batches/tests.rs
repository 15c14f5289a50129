use std::sync::atomic::{AtomicUsize, Ordering};

use tract_onnx::{prelude::tvec, tract_hir::internal::format_err};

use super::*;
use crate::{
    blocked::{Weights, blocked},
    crew::Crews,
    runner::Runner,
    testing::network::{Network, close, input},
};

const FAST: Duration = Duration::from_micros(10);
const SLOW: Duration = Duration::from_millis(10);

/// A classifier of images, rewritten, with what `end` makes of its scores.
fn classifier(end: impl FnOnce(&mut Network)) -> TypedModel {
    let mut net = Network::new(&[0, 3, 9, 7]);
    net.conv(32, 3);
    net.op("Relu", &[]);
    net.pool("MaxPool", 3);
    net.conv(32, 3);
    net.op("GlobalAveragePool", &[]);
    net.op("Flatten", &[]);
    end(&mut net);
    blocked(&net.typed(), &Weights::default()).unwrap()
}

/// A model whose images are an output, too, so that it cannot be cut there.
fn uncut() -> TypedModel {
    let mut net = Network::new(&[0, 3, 9, 7]);
    net.conv(32, 3);
    net.output();
    net.op("GlobalAveragePool", &[]);
    net.along("Softmax", &[], 1);
    blocked(&net.typed(), &Weights::default()).unwrap()
}

/// Ways of a model whose rows are what the test makes of them.
fn ways() -> MicroBatches {
    let ways = MicroBatches::of(&uncut()).unwrap();
    assert!(ways.parts.is_none());
    ways
}

/// A batch of numbers, and what is made of it here.
fn batch(rows: usize) -> TVec<TValue> {
    let numbers: Vec<f32> = (0..rows * 3).map(|number| number as f32).collect();
    tvec![Tensor::from_shape(&[rows, 3], &numbers).unwrap().into()]
}

/// How often each way was taken by calls of so many rows.
fn taken(ways: &MicroBatches, rows: usize, calls: usize) -> (usize, usize) {
    let (whole, single) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for _ in 0..calls {
        let together = |inputs| {
            whole.fetch_add(1, Ordering::Relaxed);
            Ok(inputs)
        };
        let row = |inputs: TVec<TValue>| {
            assert_eq!(inputs[0].shape(), [1, 3]);
            single.fetch_add(1, Ordering::Relaxed);
            Ok(inputs)
        };
        let outputs = ways.run(batch(rows), together, row).unwrap();
        assert_eq!(*outputs[0], *batch(rows)[0]);
    }
    (whole.into_inner(), single.into_inner())
}

/// Whether rows are apart after the images, and to the end.
fn apart(end: impl FnOnce(&mut Network)) -> (bool, bool) {
    let found = Independence::of(&classifier(end)).unwrap();
    (found.after_images.is_some(), found.to_the_end)
}

#[test]
fn rows_are_independent_where_no_operator_brings_them_together() {
    let ends: [fn(&mut Network); 6] = [
        |_| {},
        |net| net.along("Softmax", &[], 1),
        |net| net.along("LogSoftmax", &[], -1),
        |net| net.number("Mul", 2.0),
        |net| net.lists("ReduceMax", &[("axes", &[1])]),
        |net| {
            let scores = net.last();
            net.along("Concat", &[&scores], 1);
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        assert_eq!(apart(end), (true, true), "{index}");
    }
}

#[test]
fn rows_that_meet_are_independent_until_then() {
    let ends: [fn(&mut Network); 7] = [
        |net| net.along("Softmax", &[], 0),
        |net| net.lists("ReduceMax", &[("axes", &[0])]),
        |net| net.lists("ReduceMean", &[]),
        |net| {
            let scores = net.last();
            net.along("Concat", &[&scores], 0);
        },
        |net| {
            let scores = net.last();
            net.lists("ReduceMean", &[("axes", &[0])]);
            net.op("Sub", &[&scores]);
        },
        |net| {
            let scores = net.last();
            net.lists("Transpose", &[("perm", &[1, 0])]);
            net.op("MatMul", &[&scores]);
        },
        |net| net.lists("Transpose", &[("perm", &[1, 0])]),
    ];
    for (index, end) in ends.into_iter().enumerate() {
        assert_eq!(apart(end), (true, false), "{index}");
    }
}

#[test]
fn images_that_meet_are_not_independent() {
    let mut net = Network::new(&[0, 3, 9, 7]);
    net.conv(32, 3);
    let images = net.last();
    net.lists("ReduceMean", &[("axes", &[0])]);
    net.op("Sub", &[&images]);
    net.conv(32, 3);
    let model = blocked(&net.typed(), &Weights::default()).unwrap();
    assert_eq!(Independence::of(&model).unwrap(), Independence::NONE);
    assert!(MicroBatches::of(&model).is_none());
}

#[test]
fn networks_without_convolutions_are_left_alone() {
    let mut net = Network::new(&[0, 3, 9, 7]);
    net.op("Relu", &[]);
    assert!(Independence::of(&net.typed()).unwrap().to_the_end);
    assert!(MicroBatches::of(&net.typed()).is_none());
}

#[test]
fn rows_come_out_as_in_a_batch_alone_and_on_a_crew() {
    let models = [
        (true, classifier(|net| net.along("Softmax", &[], 1))),
        (true, classifier(|net| net.along("Softmax", &[], 0))),
        (false, uncut()),
    ];
    for (in_parts, model) in models {
        let ways = MicroBatches::of(&model).unwrap();
        assert_eq!(ways.parts.is_some(), in_parts);
        let runner = Runner::new(model).unwrap();
        let inputs = || input(&[5, 3, 9, 7]);
        let expected = runner.run(inputs()).unwrap();
        let compute = || {
            let unwanted = |_| unreachable!("the rows are tried first");
            let outputs = ways.run(inputs(), unwanted, |row| runner.run(row));
            let outputs = outputs.unwrap().into_iter();
            outputs.map(|it| Tensor::clone(&it)).collect::<Vec<_>>()
        };
        let shared = Crews::new(3.try_into().unwrap());
        for outputs in [compute(), shared.run(3, compute)] {
            let outputs: TVec<TValue> = outputs.into_iter().map(TValue::from).collect();
            close(&outputs, &expected);
        }
    }
}

#[test]
fn both_ways_are_tried_three_times() {
    assert_eq!(taken(&ways(), 4, 6), (3, 12));
}

#[test]
fn the_way_that_was_faster_for_such_batches_stays() {
    for (apart, together, expected) in [(FAST, SLOW, (0, 20)), (SLOW, FAST, (5, 0))] {
        let ways = ways();
        for _ in 0..3 {
            ways.alone.apart.learn(4, apart);
            ways.alone.together.learn(4, together);
        }
        assert_eq!(taken(&ways, 4, 5), expected);
        // Other sizes are timed by themselves.
        assert_eq!(taken(&ways, 9, 3), (0, 27));
    }
}

#[test]
fn a_batch_too_large_for_one_plan_is_computed_in_rows() {
    let ways = ways();
    for _ in 0..3 {
        ways.alone.apart.learn(4, SLOW);
    }
    for _ in 0..4 {
        let together = |_| Err(format_err!("too much"));
        let outputs = ways.run(batch(4), together, Ok).unwrap();
        assert_eq!(*outputs[0], *batch(4)[0]);
    }
    assert_eq!(taken(&ways, 4, 1), (0, 4));
}

#[test]
fn one_row_is_a_batch() {
    assert_eq!(taken(&ways(), 1, 3), (3, 0));
}
