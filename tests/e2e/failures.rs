//! Scripts that fail in every way cost one request, never the node and never
//! the next request.

use crate::lusk::{Lusk, running};

/// Fails as its body says.
const PYTHON: &str = r#"
import os
import sys

def init():
    pass

def down(n):
    return down(n + 1)

def run(raw_data):
    if raw_data == 'loop':
        while True:
            pass
    if raw_data == 'recursion':
        return down(0)
    if raw_data == 'memory':
        hoard = []
        while True:
            hoard.append(bytearray(16 * 1024 * 1024))
    if raw_data == 'exit':
        sys.exit(3)
    if raw_data == 'hard exit':
        os._exit(3)
    if raw_data == 'raise':
        raise RuntimeError('told to')
    return raw_data
"#;

fn is_fine(lusk: &Lusk) {
    assert_eq!(lusk.score("bad", "fine").expect(200).text(), "\"fine\"");
    assert_eq!(lusk.service("bad")["state"], "Healthy");
}

#[test]
fn a_python_script_that_loops_is_interrupted() {
    let lusk = Lusk::start("loop");
    lusk.deploy("bad")
        .python(PYTHON)
        .args(&["--tm", "700"])
        .done();
    for _ in 0..3 {
        let message = lusk.score("bad", "loop").expect(504).message();
        assert!(message.contains("700"), "{message}");
        is_fine(&lusk);
    }
    assert_eq!(lusk.metric("lusk_requests_timed_out_total", "bad"), 3.0);
}

#[test]
fn a_python_script_that_gives_up_is_502() {
    let lusk = Lusk::start("give-up");
    lusk.deploy("bad")
        .python(PYTHON)
        .args(&["--gb", "0.2", "--gbl", "0.2"])
        .done();
    for body in ["recursion", "memory", "exit", "hard exit", "raise"] {
        let reply = lusk.score("bad", body);
        assert_eq!(reply.status, 502, "{body}: {}", reply.text());
        assert_eq!(
            reply.header("x-ms-run-function-failed"),
            Some("True"),
            "{body}"
        );
        reply.message();
        is_fine(&lusk);
    }
}

#[test]
fn a_wasm_script_that_fails_is_one_failed_request() {
    let lusk = Lusk::start("traps");
    for (name, body, status) in [
        ("trap", "unreachable", 502),
        ("stack", "(call $run (local.get 0) (local.get 1))", 502),
        ("range", "(i64.const -4294967296)", 502),
        ("refuse", "(i64.const -2)", 400),
        ("fail", "(i64.const -1)", 502),
        ("endless", "(loop $l (br $l)) (i64.const 0)", 504),
        ("divide", "(i64.div_s (i64.const 1) (i64.const 0))", 502),
    ] {
        // A body of one byte is answered with nothing; others do their worst.
        let run = format!(
            "(if (i32.eq (local.get 1) (i32.const 1)) (then (return (i64.const 0)))) {body}"
        );
        lusk.deploy(name)
            .wat(&running(&run))
            .args(&["--tm", "700"])
            .done();
        for _ in 0..2 {
            let reply = lusk.score(name, "worst");
            assert_eq!(reply.status, status, "{name}: {}", reply.text());
            reply.message();
            lusk.score(name, "x").expect(200);
        }
        assert_eq!(lusk.service(name)["state"], "Healthy", "{name}");
    }
}

#[test]
fn one_bad_request_does_not_hurt_those_beside_it() {
    let lusk = Lusk::start("beside");
    lusk.deploy("bad")
        .python(PYTHON)
        .args(&["--nr", "2", "--tm", "2000", "--mr", "60000"])
        .done();
    std::thread::scope(|scope| {
        let bad = scope.spawn(|| lusk.score("bad", "loop").status);
        for _ in 0..20 {
            lusk.score("bad", "fine").expect(200);
        }
        assert_eq!(bad.join().unwrap(), 504);
    });
}
