//! The ONNX backend conformance suite through `lusk_contract::Backend`.
//!
//! `make.py` writes the cases into a folder, `LUSK_TEST_ONNX_DATA` names it.
//! Which cases pass is checked in and can only grow: a listed case that does
//! not pass fails the test, and so does one that passes and is not listed.
//! `LUSK_UPDATE_CONFORMANCE=1` rewrites the lists.
//!
//! What does not pass is refused when it is loaded, or, where a call's values
//! ask for what the backend refuses, as the call's bad input: `late.txt` lists
//! those. Every answer has the types that the model declares. A wrong answer
//! or a failure is a defect, and none is known.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "the figures are for the reader")]

mod case;
mod compare;
mod list;
mod report;
mod values;
mod verdict;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use lusk_tract::TractBackend;

use case::Case;
use list::List;
use verdict::{Verdict, judge};

/// A case takes milliseconds. One that takes this long never ends.
const HANGS_AFTER: Duration = Duration::from_secs(60);

const MAX_THREADS: usize = 4;

#[test]
fn the_suite_passes_where_it_passed() {
    let Some(data) = env::var_os("LUSK_TEST_ONNX_DATA").map(PathBuf::from) else {
        skip("onnx conformance", "LUSK_TEST_ONNX_DATA names no folder");
        return;
    };
    let verdicts = run(Case::all(&data));
    let summary = report::summary(&verdicts);
    let details = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.txt");
    fs::write(&details, report::details(&verdicts)).unwrap();
    println!("{summary}every verdict is in {}", details.display());

    let passing = List::read("passing.txt");
    let late = List::read("late.txt");
    if env::var_os("LUSK_UPDATE_CONFORMANCE").is_some() {
        passing.write(report::names(&verdicts, Verdict::passes));
        late.write(report::names(&verdicts, Verdict::is_late));
        return;
    }
    let mut complaints = passing.compare(&verdicts, Verdict::passes, "pass");
    complaints.extend(late.compare(&verdicts, Verdict::is_late, "refuse a call"));
    let wrong = verdicts.iter().filter(|(_, verdict)| verdict.is_wrong());
    complaints.extend(wrong.map(|(case, verdict)| format!("{}: {verdict}", case.name)));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The verdict on every case, each reached in a thread of its own: one that
/// hangs is left behind.
fn run(cases: Vec<Case>) -> BTreeMap<Case, Verdict> {
    let backend = Arc::new(TractBackend::new());
    let waiting = Mutex::new(cases);
    let verdicts = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(MAX_THREADS) {
            scope.spawn(|| {
                while let Some(case) = next(&waiting) {
                    let verdict = within_time(&backend, case.clone());
                    verdicts.lock().unwrap().insert(case, verdict);
                }
            });
        }
    });
    verdicts.into_inner().unwrap()
}

fn next(waiting: &Mutex<Vec<Case>>) -> Option<Case> {
    waiting.lock().unwrap().pop()
}

fn within_time(backend: &Arc<TractBackend>, case: Case) -> Verdict {
    let (sender, receiver) = mpsc::channel();
    let backend = Arc::clone(backend);
    thread::spawn(move || {
        let verdict = judge(backend.as_ref(), &case);
        // Nobody listens any more to what came too late.
        let _ = sender.send(verdict);
    });
    match receiver.recv_timeout(HANGS_AFTER) {
        Ok(verdict) => verdict,
        Err(mpsc::RecvTimeoutError::Timeout) => Verdict::Hung,
        Err(mpsc::RecvTimeoutError::Disconnected) => Verdict::Panicked,
    }
}

/// Notes that this test cannot run here; `tests/run` counts it.
fn skip(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
    if let Some(path) = env::var_os("LUSK_TEST_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(skips, "{name}: {why}").unwrap();
    }
}
