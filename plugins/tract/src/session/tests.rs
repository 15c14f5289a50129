use std::{collections::HashSet, num::NonZeroUsize, thread, time::Duration};

use lusk_contract::conformance::backend::{as_floats, floats};
use tract_linalg::multithread::{Executor, current_tract_executor};
use tract_onnx::{
    model::ParsingContext,
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::{InferenceOp, Tensor as Array, format_err},
};

use super::*;
use crate::{
    ops::kernel::{Kernel, Port, operator},
    testing::{model, plans_with, value},
};

/// An operator that answers on how many threads it may compute.
#[derive(Debug)]
struct Crew;

impl Kernel for Crew {
    fn name(&self) -> &'static str {
        "Crew"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        Ok(inputs[0].clone())
    }

    fn run(&self, inputs: &[&Array]) -> TractResult<Array> {
        let size = match current_tract_executor() {
            Executor::MultiThread(pool) => {
                let ids = pool.broadcast(|_| thread::current().id());
                ids.into_iter().collect::<HashSet<_>>().len()
            }
            _ => 1,
        };
        Array::from_shape(inputs[0].shape(), &vec![size as f32; inputs[0].len()])
    }
}

fn crew(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok(operator(Crew))
}

fn session(threads: usize, crews: &Arc<Crews>) -> TractSession {
    let proto = model("Crew", 13, vec![value("x", DataType::Float, 1)], vec![], 1);
    let plans = plans_with(proto, |registry| registry.insert("Crew", crew)).unwrap();
    let loading = Loading {
        threads: NonZeroUsize::new(threads).unwrap(),
        ..Loading::default()
    };
    TractSession::new(
        "m:1".to_owned(),
        Arc::new(plans),
        loading,
        Arc::clone(crews),
    )
}

#[test]
fn operators_find_the_threads_of_the_session_where_calls_are_long() {
    let crews = Arc::new(Crews::new(NonZeroUsize::new(4).unwrap()));
    for threads in [1, 2, 3] {
        let session = session(threads, &crews);
        let answer = |rows| {
            let inputs = [floats(&[rows], &vec![0.0; rows])];
            as_floats(&session.infer(&inputs).unwrap()[0])
        };
        // Three of each size, whatever they really take here.
        for _ in 0..3 {
            session.plans.paces.learn(5, Duration::from_secs(1));
            session.plans.paces.learn(1, Duration::from_nanos(1));
        }
        assert_eq!(answer(5), [threads as f32; 5]);
        assert_eq!(answer(1), [1.0]);
        assert_eq!(answer(50), [1.0; 50], "it is timed first");
    }
}

#[test]
fn a_call_that_fails_tells_no_time() {
    let crews = Arc::new(Crews::new(NonZeroUsize::new(2).unwrap()));
    let session = session(2, &crews);
    for _ in 0..5 {
        let failed = || Ok::<TractResult<()>, ()>(Err(format_err!("no luck")));
        let outcome = session.on_threads(&[floats(&[5], &[0.0; 5])], failed);
        assert!(outcome.unwrap().is_err());
    }
    assert_eq!(session.plans.paces.is_long(5), None);
}
