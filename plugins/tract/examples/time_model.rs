//! Times calls of a model, for `tests/load/onnx`.
//!
//! Arguments: the model, and for each input `TYPE:EXTENTS:FILE`, e.g.
//! `float:1x784:rows` or `int64:1x128:ids`. For each line on stdin, a number of calls, one line on stdout: how many
//! nanoseconds the calls took one by one. The first line tells what came out.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for measurements, read by a script"
)]

use std::{env, fs, hint::black_box, io, num::NonZeroUsize, time::Instant};

use lusk_contract::{Backend, ModelSource, Tensor, TensorType};
use lusk_domain::Digest;
use lusk_tract::TractBackend;

fn main() {
    let threads = env::var("LUSK_THREADS").map_or(NonZeroUsize::MIN, |n| n.parse().unwrap());
    let mut arguments = env::args().skip(1);
    let path = arguments.next().unwrap();
    let inputs: Vec<Tensor> = arguments.map(|input| tensor(&input)).collect();
    let source = ModelSource {
        digest: Digest::of(&fs::read(&path).unwrap()),
        label: path.clone(),
        path: path.into(),
        threads,
    };
    let session = TractBackend::new().load(&source).unwrap();
    for output in session.infer(&inputs).unwrap() {
        let bytes = output.data().iter().map(|byte| format!("{byte:02x}"));
        print!("{} ", bytes.collect::<String>());
    }
    println!();
    for line in io::stdin().lines() {
        let calls: usize = line.unwrap().trim().parse().unwrap();
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            black_box(session.infer(black_box(&inputs)).unwrap());
            times.push(start.elapsed().as_nanos());
        }
        let times: Vec<String> = times.iter().map(u128::to_string).collect();
        println!("{}", times.join(" "));
    }
}

fn tensor(argument: &str) -> Tensor {
    let mut parts = argument.splitn(3, ':');
    let kind = match parts.next().unwrap() {
        "int64" => TensorType::I64,
        _ => TensorType::F32,
    };
    let extents = parts.next().unwrap().split('x');
    let shape = extents.map(|extent| extent.parse().unwrap()).collect();
    let values = fs::read(parts.next().unwrap()).unwrap();
    Tensor::new(kind, shape, values.into()).unwrap()
}
