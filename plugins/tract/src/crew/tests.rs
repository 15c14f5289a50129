use std::{collections::HashSet, sync::Barrier, thread};

use rayon::prelude::*;
use tract_linalg::multithread::current_tract_executor;

use super::*;

impl Crews {
    /// Threads of crews at work and of idle ones.
    pub(crate) fn threads(&self) -> (usize, usize) {
        let state = self.state();
        let idle = state.idle.iter().map(|pool| pool.current_num_threads());
        (state.busy, idle.sum())
    }
}

fn on(cores: usize) -> Crews {
    Crews::new(NonZeroUsize::new(cores).unwrap())
}

/// On how many threads the crew of this call computes.
fn crew() -> usize {
    match current_tract_executor() {
        Executor::MultiThread(pool) => {
            let ids: HashSet<_> = pool
                .broadcast(|_| thread::current().id())
                .into_iter()
                .collect();
            ids.len()
        }
        _ => 1,
    }
}

#[test]
fn a_call_gets_the_threads_that_it_asks_for() {
    let crews = on(4);
    assert_eq!([1, 2, 3, 4, 9].map(|n| crews.run(n, crew)), [1, 2, 3, 4, 4]);
    assert_eq!(crews.threads().0, 0);
}

#[test]
fn a_call_for_one_thread_stays_in_its_own() {
    let crews = on(4);
    let own = thread::current().id();
    assert_eq!(crews.run(1, || thread::current().id()), own);
    assert_ne!(crews.run(2, || thread::current().id()), own);
    assert_eq!(crew(), 1);
}

#[test]
fn one_core_has_no_crews() {
    let crews = on(1);
    assert_eq!(crews.run(4, crew), 1);
    assert_eq!(crews.threads(), (0, 0));
}

#[test]
fn calls_at_the_same_time_take_what_is_left_and_never_wait() {
    let crews = on(5);
    // Three calls are at work before any of them ends.
    let barrier = Barrier::new(3);
    let mut sizes: Vec<usize> = thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    crews.run(2, || {
                        barrier.wait();
                        crew()
                    })
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2, 2]);
    assert_eq!(crews.threads(), (0, 4));
}

#[test]
fn idle_crews_have_no_more_threads_than_there_are_cores() {
    let crews = on(4);
    for threads in [2, 3, 4, 2, 2, 3] {
        crews.run(threads, crew);
        let (busy, idle) = crews.threads();
        assert_eq!(busy, 0);
        assert!((threads..=4).contains(&idle), "{idle} after {threads}");
    }
}

#[test]
fn a_crew_is_used_again() {
    let crews = on(2);
    let ids: HashSet<_> = (0..20)
        .map(|_| crews.run(2, rayon::current_thread_index))
        .collect();
    assert!(!ids.contains(&None));
    assert_eq!(crews.threads(), (0, 2));
}

#[test]
fn threads_that_watch_for_work_share_it_and_let_the_call_end() {
    let crews = on(3);
    for _ in 0..200 {
        let sums: Vec<u64> = crews.run(3, || {
            let rows = (0..40u64).into_par_iter();
            rows.map(|row| (0..row).into_par_iter().sum()).collect()
        });
        assert_eq!(sums[39], 741);
    }
    assert_eq!(crews.threads(), (0, 3));
}
