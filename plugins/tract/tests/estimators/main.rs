//! scikit-learn's estimators, XGBoost's and LightGBM's through
//! `lusk_contract::Backend`, compared row by row with what they answer themselves.
//!
//! `make.py` trains and exports them into a folder, `LUSK_TEST_ESTIMATORS` names
//! it. Labels must be equal, numbers within a hundred-thousandth: of the number
//! itself or, as a model computes with floats of 32 bits what was trained with 64,
//! of the largest one in its column. What an exporter writes wrongly and what the
//! backend cannot compute is listed in `differences.txt` with the reason; a case
//! there must differ.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "the figures are for the reader")]

mod case;
mod compare;
mod table;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use lusk_tract::TractBackend;

use case::Case;
use compare::Agreement;

const MAX_THREADS: usize = 4;

#[test]
fn estimators_answer_as_where_they_were_trained() {
    let Some(data) = env::var_os("LUSK_TEST_ESTIMATORS").map(PathBuf::from) else {
        skip("estimators", "LUSK_TEST_ESTIMATORS names no folder");
        return;
    };
    let verdicts = run(Case::all(&data));
    let mut known = known_differences();
    let mut complaints = Vec::new();
    let mut sum = Agreement::default();
    let mut agreeing = 0;
    for (name, verdict) in &verdicts {
        match (verdict, known.remove(name)) {
            (Ok(agreement), None) => {
                agreeing += 1;
                sum.add(agreement);
            }
            (Ok(_), Some(_)) => {
                complaints.push(format!("{name}: agrees, but is in differences.txt"));
            }
            (Err(why), None) => complaints.push(format!("{name}: {why}")),
            (Err(why), Some(reason)) => println!("{name}: {why}; known: {reason}"),
        }
    }
    let unknown = |name| format!("{name}: is in differences.txt, but there is no such case");
    complaints.extend(known.into_keys().map(unknown));
    println!("{agreeing} of {} exports agree: {sum}", verdicts.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What is found of every case.
fn run(cases: Vec<Case>) -> BTreeMap<String, Result<Agreement, String>> {
    let backend = TractBackend::new();
    let waiting = Mutex::new(cases);
    let verdicts = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(MAX_THREADS) {
            scope.spawn(|| {
                while let Some(case) = next(&waiting) {
                    let verdict = case.judge(&backend);
                    verdicts.lock().unwrap().insert(case.name, verdict);
                }
            });
        }
    });
    verdicts.into_inner().unwrap()
}

fn next(waiting: &Mutex<Vec<Case>>) -> Option<Case> {
    waiting.lock().unwrap().pop()
}

/// Cases that are known to differ, and why.
fn known_differences() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/estimators/differences.txt");
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let (name, reason) = line.split_once(": ").unwrap();
        (name.to_owned(), reason.to_owned())
    };
    text.lines().map(line).collect()
}

/// Notes that this test cannot run here; `tests/run` counts it.
fn skip(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
    if let Some(path) = env::var_os("LUSK_TEST_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(skips, "{name}: {why}").unwrap();
    }
}
