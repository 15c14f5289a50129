//! Replicas that die under load.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    books::{Books, Rest},
    crowd::{Crowd, ask_until_told},
    process::{self, MIB},
};
use crate::lusk::{Lusk, plain_script, running, until};

/// How many processes are killed.
const KILLS: usize = 10;

/// Answers between two kills.
const BETWEEN: u64 = 30;

const REPLICAS: usize = 2;

#[test]
fn killed_processes_cost_only_what_they_were_doing() {
    let lusk = Lusk::start("killed");
    lusk.deploy("victim")
        .python(&plain_script())
        .args(&["--rt", "process", "--nr", &REPLICAS.to_string()])
        .args(&["--cc", "0.1", "--gb", "0.2", "--mr", "60000"])
        .done();
    lusk.score("victim", "1").expect(200);
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);
    let answered = AtomicU64::new(0);
    let mut killed = Vec::new();
    let seen = ask_until_told(&lusk, "victim", 6, &answered, || {
        while killed.len() < KILLS {
            let so_far = answered.load(Relaxed);
            until("more requests are answered", || {
                answered.load(Relaxed) >= so_far + BETWEEN
            });
            until("there is a process to kill", || {
                let next = process::children(&lusk)
                    .into_iter()
                    .find(|pid| !killed.contains(pid));
                next.is_some_and(|pid| {
                    killed.push(pid);
                    process::kill(pid)
                })
            });
        }
    });
    seen.only(&[200, 502, 503]);
    // One request at a time is in a process; the others wait for the next one.
    assert!(seen.count(502) <= KILLS as u64, "{seen:?}");
    until("all replicas are back", || {
        lusk.metric("lusk_replicas_ready", "victim") == REPLICAS as f64
    });
    rest.returns(&lusk, 32 * MIB);
    assert_eq!(process::children(&lusk).len(), REPLICAS);
    Books::read(&lusk).add_up(&before, "victim", &seen);
    lusk.score("victim", "1").expect(200);
}

#[test]
fn instances_that_trap_again_and_again_are_replaced_at_once() {
    let lusk = Lusk::start("trapped");
    let run = "(if (i32.ne (i32.load8_u (local.get 0)) (i32.const 120))
        (then (return (i64.const 0)))) unreachable";
    lusk.deploy("victim")
        .wat(&running(run))
        .args(&["--nr", "2", "--cc", "0.1", "--mr", "60000"])
        .done();
    // The first one opens the service's log, which stays open.
    lusk.score("victim", "x").expect(502);
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);
    let is_bad = |number: usize| number.is_multiple_of(2);
    let seen = Crowd::of(&lusk, "victim", 16).rounds(60).ask(
        |number| (if is_bad(number) { "x" } else { "fine" }).to_owned(),
        |number, reply| assert_eq!(reply.status, if is_bad(number) { 502 } else { 200 }),
    );
    rest.returns(&lusk, 32 * MIB);
    Books::read(&lusk).add_up(&before, "victim", &seen);
}
