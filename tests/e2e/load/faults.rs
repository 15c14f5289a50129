//! Scripts that fail, sleep, allocate and trap, all at the same time.

use std::thread;

use super::{
    books::{Books, Rest},
    crowd::{Crowd, Seen},
    process::{MIB, children},
};
use crate::lusk::{Lusk, constant, running, until};

/// Does what the first word of its body says; in the sandbox and as a process.
const PYTHON: &str = r#"
import os
import time

def init():
    pass

def run(raw_data):
    word = raw_data.split()[0]
    if word == 'fail':
        raise ValueError('told to')
    if word == 'sleep':
        time.sleep(60)
    if word == 'hoard':
        hoard = []
        while True:
            hoard.append(bytearray(16 * 1024 * 1024))
    if word == 'die':
        os._exit(3)
    return word
"#;

/// Every so many requests one is bad.
const BAD_EACH: usize = 10;

/// A service, what its bad requests ask for, and what they get.
struct Case {
    service: &'static str,
    word: &'static str,
    status: u16,
}

const CASES: [Case; 4] = [
    Case {
        service: "fails",
        word: "fail",
        status: 502,
    },
    Case {
        service: "sleeps",
        word: "sleep",
        status: 504,
    },
    Case {
        service: "hoards",
        word: "hoard",
        status: 502,
    },
    Case {
        service: "dies",
        word: "die",
        status: 502,
    },
];

fn is_bad(number: usize) -> bool {
    number % BAD_EACH == BAD_EACH / 2
}

/// Loads a service whose bad requests get `status`, and checks that nobody else does.
fn load(lusk: &Lusk, case: &Case, crowd: &Crowd) -> Seen {
    let body = |number| {
        let word = if is_bad(number) { case.word } else { "fine" };
        format!("{word} {number}")
    };
    crowd.ask(body, |number, reply| {
        let expected = if is_bad(number) { case.status } else { 200 };
        let what = format!("{} request {number}: {}", case.service, reply.text());
        assert_eq!(reply.status, expected, "{what}\n{}", lusk.log());
    })
}

/// Replicas of a service and its callers: nobody waits behind a request that takes all
/// its time, for the wait counts towards the time of those behind it.
const REPLICAS: usize = 2;

fn deploy(lusk: &Lusk, case: &Case, script: &str, more: &[&str]) {
    let name = if script.starts_with("(module") {
        "score.wat"
    } else {
        "score.py"
    };
    lusk.deploy(case.service)
        .script(name, script.as_bytes())
        .args(&["--nr", &REPLICAS.to_string(), "--cc", "0.1"])
        .args(&["--mr", "60000"])
        .args(more)
        .done();
    // The first that fails opens the service's log, which stays open.
    lusk.score(case.service, case.word).expect(case.status);
    until("all replicas are there", || {
        lusk.metric("lusk_replicas_ready", case.service) == REPLICAS as f64
    });
    lusk.score(case.service, "fine").expect(200);
}

/// All services at once, a calm one among them; afterwards the node may have so many
/// bytes more.
fn all_at_once<'a>(lusk: &Lusk, cases: &'a [Case], rounds: usize, memory: u64) {
    lusk.deploy("calm")
        .wat(&constant("1"))
        .args(&["--mr", "60000"])
        .done();
    lusk.score("calm", "x").expect(200);
    let rest = Rest::of(lusk);
    let before = Books::read(lusk);
    let seen = thread::scope(|scope| {
        let start = |case: &'a Case| {
            let crowd = Crowd::of(lusk, case.service, REPLICAS).rounds(rounds);
            (case.service, scope.spawn(move || load(lusk, case, &crowd)))
        };
        let crowds: Vec<_> = cases.iter().map(start).collect();
        let calm = Crowd::of(lusk, "calm", 4).rounds(100);
        let calm = calm.ask(|_| "x".to_owned(), |_, reply| assert_eq!(reply.text(), "1"));
        calm.only(&[200]);
        let crowds = crowds.into_iter();
        let ended = crowds.map(|(service, crowd)| (service, crowd.join().expect("a crowd")));
        ended.chain([("calm", calm)]).collect::<Vec<_>>()
    });
    rest.returns(lusk, memory);
    let after = Books::read(lusk);
    for (service, seen) in seen {
        after.add_up(&before, service, &seen);
        assert_eq!(lusk.service(service)["state"], "Healthy", "{service}");
    }
}

#[test]
fn bad_requests_in_the_sandbox_cost_only_themselves() {
    let lusk = Lusk::start("sandbox-faults");
    for case in &CASES {
        deploy(
            &lusk,
            case,
            PYTHON,
            &["--tm", "3000", "--gb", "0.2", "--gbl", "0.2"],
        );
    }
    // A script that has had all its memory may keep it.
    all_at_once(&lusk, &CASES, 25, 200 * REPLICAS as u64 * MIB);
}

#[test]
fn bad_requests_in_plain_webassembly_cost_only_themselves() {
    let lusk = Lusk::start("wasm-faults");
    let case = |service, status| Case {
        service,
        word: "x",
        status,
    };
    let deeds = [
        (case("traps", 502), "unreachable"),
        (case("loops", 504), "(loop $l (br $l)) (i64.const 0)"),
        // Takes all that there is, and then fails for want of more.
        (
            case("grows", 502),
            "(loop $l (br_if $l (i32.ne (i32.const -1) (memory.grow (i32.const 64)))))
             (i64.const -1)",
        ),
        (case("refuses", 400), "(i64.const -2)"),
    ];
    for (case, deed) in &deeds {
        // The first byte tells the bad ones.
        let run = format!(
            "(if (i32.ne (i32.load8_u (local.get 0)) (i32.const 120))
               (then (return (i64.const 0)))) {deed}"
        );
        let script = running(&run);
        deploy(
            &lusk,
            case,
            &script,
            &["--tm", "2000", "--gb", "0.1", "--gbl", "0.1"],
        );
    }
    let cases = deeds.map(|(case, _)| case);
    all_at_once(&lusk, &cases, 40, 100 * REPLICAS as u64 * MIB);
}

#[test]
fn bad_requests_in_processes_cost_only_themselves() {
    let lusk = Lusk::start("process-faults");
    for case in &CASES {
        let process = [
            "--rt", "process", "--tm", "10000", "--gb", "0.2", "--gbl", "0.2",
        ];
        deploy(&lusk, case, PYTHON, &process);
    }
    until("all processes are there", || {
        children(&lusk).len() == CASES.len() * REPLICAS
    });
    all_at_once(&lusk, &CASES, 10, 32 * MIB);
}
