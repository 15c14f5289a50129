//! The carried Python modules against the originals, in an ordinary CPython.
//!
//! `LUSK_TEST_VENV` names a virtual environment that has numpy and
//! inference-schema; without it there is nothing to compare with.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::{path::PathBuf, process::Command};

/// Exit code of a script that lacks the original.
const MISSING: i32 = 77;

/// Cases of each kind for one seed.
const CASES: &str = "150";

fn compare(script: &str, arguments: &[&str]) {
    let Some(venv) = std::env::var_os("LUSK_TEST_VENV").filter(|path| !path.is_empty()) else {
        println!("skipped: LUSK_TEST_VENV names no virtual environment with numpy");
        return;
    };
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(PathBuf::from(venv).join("bin/python"))
        .arg("-B")
        .arg(here.join("tests").join(script))
        .arg(here.join("runner"))
        .args(arguments)
        .output()
        .unwrap();
    if output.status.code() == Some(MISSING) {
        println!(
            "skipped: {}",
            String::from_utf8_lossy(&output.stdout).trim()
        );
        return;
    }
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn numpy_gives_the_answers_of_the_original() {
    for seed in ["1", "2", "3"] {
        compare("compare_numpy.py", &[CASES, seed]);
    }
}

#[test]
fn schemas_and_conversions_are_those_of_the_original() {
    compare("compare_schema.py", &[]);
}
